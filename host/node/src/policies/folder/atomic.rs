//! Atomic writes: a reader sees all of the old file or all of the new one, even after a power cut. The new file is
//! written under a hidden name in the same folder, synced and renamed. What a power cut leaves over is removed later.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::{Builder, NamedTempFile};

use crate::limits;

/// How the name of an unfinished file begins …
const PREFIX: &str = ".dataverse-";
/// … and ends.
const SUFFIX: &str = ".part";

/// An unfinished file that was last written to this long ago is abandoned.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policies) enum Access {
    /// The same users as the file it replaces, or else those that the umask allows.
    Usual,
    /// Its owner only.
    Owner,
}

/// Writes a file, replacing an existing one. A link is not replaced: its author wants its target changed, which may
/// be anywhere.
///
/// # Errors
/// If that fails; an existing file is unchanged then.
pub(in crate::policies) fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    if let Ok(target) = fs::read_link(path) {
        tracing::warn!(path = %path.display(), target = %target.display(), "a policy file is a link and is not replaced");
        let reason = "it is a link: change its target, or remove the link";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
    }
    let (folder, file) = finished(path, bytes, access)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Writes a file unless it exists.
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
        // The umask applies to these.
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

/// The error of the operating system, without the path of the temporary file, which means nothing to users.
fn without_path(error: io::Error) -> io::Error {
    let wrapped = error.get_ref().and_then(|wrapped| wrapped.source());
    match wrapped.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => cause
            .raw_os_error()
            .map_or_else(|| cause.kind().into(), io::Error::from_raw_os_error),
        None => error,
    }
}

/// Removes abandoned unfinished files. One that can't be removed does no harm.
pub(in crate::policies) fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.take(limits::POLICY_FOLDER_ENTRIES_MAX) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_part = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        let written_at = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_part && written_at().is_some_and(|age| age > ABANDONED_AFTER) {
            let removed = fs::remove_file(entry.path());
            tracing::info!(file = %entry.path().display(), is_removed = removed.is_ok(), "removing a file that was never finished");
        }
    }
}

/// Makes the names in this folder durable.
///
/// # Errors
/// If the folder can't be synced.
pub(in crate::policies) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
