//! Writing a file so that whoever reads it sees all of the old or all of the new, even after a power cut:
//! under a hidden name beside it, synced, renamed. What a power cut leaves of that is swept away later.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::{Builder, NamedTempFile};

use crate::limits;

/// How a file is called until it is finished.
const PREFIX: &str = ".dataverse-";
/// And how that ends.
const SUFFIX: &str = ".part";

/// Nobody goes on writing a file that was last written to so long ago.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policies) enum Access {
    /// Whoever could read the one before, else whoever the system lets.
    Usual,
    /// Its owner.
    Owner,
}

/// Writes a file, in place of one that may be there. A link is not replaced: whoever made it wants the file
/// changed that it leads to, which may be anywhere.
///
/// # Errors
/// When that fails; what was there is still there then.
pub(in crate::policies) fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    if let Ok(target) = fs::read_link(path) {
        tracing::warn!(path = %path.display(), target = %target.display(), "a link is not replaced");
        let reason = "it is a link: change the file to which it leads, or remove the link";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
    }
    let (folder, file) = finished(path, bytes, access)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Writes a file unless there is one.
///
/// # Errors
/// See [`write`].
pub(in crate::policies) fn write_new(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let (folder, file) = finished(path, bytes, access)?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

fn finished<'a>(
    path: &'a Path,
    bytes: &[u8],
    access: Access,
) -> io::Result<(&'a Path, NamedTempFile)> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("it has no folder"))?;
    let mode = match access {
        Access::Owner => 0o600,
        Access::Usual => 0o666,
    };
    let mut file = Builder::new()
        .prefix(PREFIX)
        .suffix(SUFFIX)
        // Of which the system takes away what it does not let others do.
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(without_path)?;
    if access == Access::Usual
        && let Ok(before) = fs::metadata(path)
    {
        let mode = before.permissions().mode() & 0o777;
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok((folder, file))
}

/// What the system said. A temporary file's error adds its path, which is nothing for those who are told of it.
fn without_path(error: io::Error) -> io::Error {
    let wrapped = error.get_ref().and_then(|wrapped| wrapped.source());
    match wrapped.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => cause
            .raw_os_error()
            .map_or_else(|| cause.kind().into(), io::Error::from_raw_os_error),
        None => error,
    }
}

/// Removes files that were never finished. One that can't be removed is left: it is in nobody's way.
pub(in crate::policies) fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.take(limits::POLICY_FOLDER_ENTRIES_MAX) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_part = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        let written_at = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_part && written_at().is_some_and(|age| age > ABANDONED_AFTER) {
            let removed = fs::remove_file(entry.path());
            tracing::info!(file = %entry.path().display(), is_removed = removed.is_ok(), "a file was never finished");
        }
    }
}

/// Makes the names in this folder durable.
///
/// # Errors
/// When that fails.
pub(in crate::policies) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
