//! Where a command writes a file, and how it treats whatever exists there.
//!
//! - Nothing: the file appears once it is complete, and never replaces one that appeared in the meantime.
//! - A regular file: it is overwritten only with `--force` or after a yes on the terminal. It remains the same
//!   file: the content is copied into it, so its mode, owner, hard links and the symbolic links to it are kept. A
//!   rename would keep readers from seeing half of it, but would detach it from its other names, its access lists
//!   and whatever is mounted on it. Until the copy is complete, the content is kept in the file that it is copied
//!   from. If another file has taken its name in the meantime, that one is left alone.
//! - A device, a FIFO or an open file of this process (`/dev/stdout`, `/dev/fd/3`, `>(command)`): it is written to
//!   as a stream, never renamed, truncated or removed.
//! - A socket, a folder or a dangling link is refused.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::TempPath;

use super::failure::Failure;
use super::screen::Screen;

/// The number of links followed on the way to a descriptor; Linux's own limit.
const LINKS_MAX: usize = 40;

/// A place that may be written to.
#[derive(Debug)]
pub(super) enum Destination {
    /// Standard output of this process.
    Stdout,
    /// A device, a FIFO or a descriptor, which takes bytes as they arrive.
    Stream(PathBuf),
    /// Nothing exists there yet.
    New(PathBuf),
    /// A regular file that may be overwritten, this one and no other; links to it are followed.
    Existing(PathBuf, FileId),
}

/// Identifies a file regardless of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// Checks that this is still the same file.
    fn check(self, metadata: &Metadata) -> io::Result<()> {
        if Self::of(metadata) == self {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "another file has replaced it in the meantime, and was left alone",
        ))
    }
}

impl Destination {
    /// Examines what exists at `path`, and asks whether it may be overwritten if necessary.
    ///
    /// # Errors
    /// [`Failure::Refused`] if it may not be overwritten, or can't be written to at all.
    pub(super) fn claim(
        path: &Path,
        force: bool,
        screen: &mut Screen<'_>,
    ) -> Result<Self, Failure> {
        Self::claim_unless(path, |_| force, screen)
    }

    /// Like [`Destination::claim`], but does not ask about an existing file for which `is_free` returns true.
    pub(super) fn claim_unless(
        path: &Path,
        is_free: impl FnOnce(&Path) -> bool,
        screen: &mut Screen<'_>,
    ) -> Result<Self, Failure> {
        let found = Self::look(path)?;
        let Self::Existing(file, _) = &found else {
            return Ok(found);
        };
        let shown = path.display();
        if is_free(file) || screen.confirm(&format!("{shown} already exists; overwrite it?")) {
            return Ok(found);
        }
        Err(Failure::refused(format!(
            "{shown} already exists; use --force to overwrite it"
        )))
    }

    /// Examines what exists at `path`.
    fn look(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let refused =
            |reason: &str| Err(Failure::refused(format!("can't write {shown}: {reason}")));
        if path.as_os_str().is_empty() {
            return Err(Failure::Usage("a file name can't be empty".to_owned()));
        }
        match descriptor(path) {
            Some(1) => return Ok(Self::Stdout),
            Some(_) => return Ok(Self::Stream(path.to_owned())),
            None => {}
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::absent(path),
            Err(error) => return refused(&error.to_string()),
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            return refused("it is a folder; give the name of a file in it");
        }
        if kind.is_socket() {
            return refused("it is a socket, to which no file can be written");
        }
        if !kind.is_file() {
            return Ok(Self::Stream(path.to_owned()));
        }
        match path.canonicalize() {
            Ok(file) => Ok(Self::Existing(file, FileId::of(&metadata))),
            Err(error) => refused(&error.to_string()),
        }
    }

    /// Nothing exists there, or a dangling link.
    fn absent(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let refused =
            |reason: &str| Err(Failure::refused(format!("can't write {shown}: {reason}")));
        if let Ok(leads_to) = fs::read_link(path) {
            return refused(&format!(
                "it is a link to {}, which does not exist; create that file or remove the link",
                leads_to.display()
            ));
        }
        let ends_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if ends_as_folder || path.file_name().is_none() {
            return refused("no such folder");
        }
        let folder = folder_of(path);
        if !folder.is_dir() {
            return refused(&format!("{} is not an existing folder", folder.display()));
        }
        Ok(Self::New(path.to_owned()))
    }

    /// Opens a destination that takes bytes as they arrive. Waits until a FIFO has a reader.
    pub(super) fn open_stream(path: &Path) -> io::Result<File> {
        use std::os::fd::AsFd as _;
        let descriptor = descriptor(path);
        if descriptor == Some(2) {
            return Ok(io::stderr().as_fd().try_clone_to_owned()?.into());
        }
        // A descriptor may refer to a regular file, of which nothing may be overwritten.
        let file = File::options()
            .write(true)
            .append(descriptor.is_some())
            .open(path)?;
        if descriptor.is_none() && file.metadata()?.is_file() {
            return Err(io::Error::other(
                "a file has replaced it in the meantime; try again",
            ));
        }
        Ok(file)
    }

    /// Writes the whole content at once.
    ///
    /// # Errors
    /// [`Failure::Refused`]; an existing file is then unchanged, unless the disk failed while it was overwritten.
    pub(super) fn write(&self, bytes: &[u8], screen: &mut Screen<'_>) -> Result<(), Failure> {
        let failed = |path: &Path, error: &io::Error| {
            Failure::refused(format!("can't write {}: {error}", path.display()))
        };
        match self {
            Self::Stdout => screen.bytes(bytes),
            Self::Stream(path) => Self::open_stream(path)
                .and_then(|mut file| file.write_all(bytes))
                .map_err(|error| failed(path, &error)),
            Self::New(path) | Self::Existing(path, _) => {
                let part = beside(path, bytes).map_err(|error| failed(path, &error))?;
                self.take(&part).map_err(|error| failed(path, &error))
            }
        }
    }

    /// Puts the complete file `part` in this place. On failure `part` stays where it is.
    pub(super) fn take(&self, part: &Path) -> io::Result<()> {
        match self {
            Self::Stdout | Self::Stream(_) => {
                Err(io::Error::other("only files can be replaced as a whole"))
            }
            Self::New(path) => place(part, path),
            Self::Existing(path, claimed) => overwrite(part, path, *claimed),
        }
    }
}

/// Gives a complete file its name, unless something has that name by now.
fn place(part: &Path, file: &Path) -> io::Result<()> {
    let Err(refused) = TempPath::try_from_path(part)?.persist_noclobber(file) else {
        return Ok(());
    };
    let _kept = refused.path.keep();
    if file.symlink_metadata().is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file of that name has appeared in the meantime",
        ));
    }
    // Some file systems support neither hard links nor renames that refuse to replace.
    fs::rename(part, file)
}

/// The folder that contains a file.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file with these bytes in the folder of another, with the mode of a new file.
fn beside(file: &Path, bytes: &[u8]) -> io::Result<TempPath> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut part = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder_of(file))?;
    part.write_all(bytes)?;
    Ok(part.into_temp_path())
}

/// Copies a complete file into the claimed one, which stays the same file, and removes the first.
fn overwrite(part: &Path, file: &Path, claimed: FileId) -> io::Result<()> {
    let mut from = File::open(part)?;
    // The old content is overwritten only once the new content is safe.
    from.sync_all()?;
    // Links were followed when the file was claimed: a link that exists by now leads elsewhere.
    let opened = File::options()
        .write(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(file);
    let mut into = match opened {
        Ok(into) => into,
        Err(error) => {
            claimed.check(&file.symlink_metadata()?)?;
            return replace(part, file, error);
        }
    };
    claimed.check(&into.metadata()?)?;
    make_room(&into, from.metadata()?.len())?;
    // Truncated at the end and not emptied first, so that the space stays reserved for this file.
    let copied = io::copy(&mut from, &mut into)?;
    into.set_len(copied)?;
    into.sync_all()?;
    fs::remove_file(part)
}

/// Reserves space for this many bytes in a file, which keeps its length and content, where the file system
/// supports that.
#[cfg(target_os = "linux")]
fn make_room(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    let length = file.metadata()?.len();
    if bytes == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
            // Releases what was reserved before space ran out.
            let _kept = file.set_len(length);
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// Other systems offer no way to reserve space.
#[cfg(not(target_os = "linux"))]
fn make_room(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}

/// Replaces a file that can't be written to, such as a write-protected one, keeping its mode and, where possible,
/// its owner. A file with other hard links would lose them, so it is left alone.
fn replace(part: &Path, file: &Path, reason: io::Error) -> io::Result<()> {
    let protected = matches!(
        reason.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ExecutableFileBusy
    );
    let metadata = fs::metadata(file)?;
    if !protected || metadata.nlink() > 1 {
        return Err(reason);
    }
    keep_owner(part, &metadata);
    fs::set_permissions(part, metadata.permissions())?;
    fs::rename(part, file)
}

/// Only the superuser may give files away; other users own the new file, as with any new file.
fn keep_owner(part: &Path, of: &Metadata) {
    let _not_allowed = std::os::unix::fs::chown(part, Some(of.uid()), Some(of.gid()));
}

/// The descriptor of this process that a path such as `/dev/stdout` or `/dev/fd/3` refers to.
pub(super) fn descriptor(path: &Path) -> Option<u32> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let folder = folder_of(&path).canonicalize().ok()?;
        let name = path.file_name()?.to_str()?;
        if is_descriptors(&folder) {
            return name.parse().ok();
        }
        let leads_to = fs::read_link(&path).ok()?;
        path = folder.join(leads_to);
    }
    None
}

/// Whether a folder, with links in its path followed, is that of this process's descriptors.
fn is_descriptors(folder: &Path) -> bool {
    if folder == Path::new("/dev/fd") {
        return true;
    }
    let own = format!("/proc/{}", std::process::id());
    let Ok(within) = folder.strip_prefix(own) else {
        return false;
    };
    // A thread shares the descriptors of its process: `task/ID/fd`.
    let parts: Vec<_> = within.iter().collect();
    match parts.as_slice() {
        [fd] => *fd == "fd",
        [task, _, fd] => *task == "task" && *fd == "fd",
        _ => false,
    }
}

#[cfg(test)]
mod tests;
