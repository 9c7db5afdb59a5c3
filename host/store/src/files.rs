//! Opens files of the data folder: regular files only, without following links, without blocking.
//!
//! A FIFO, a link, a device or a folder may be in the place of a file. Opening a FIFO would block the thread
//! forever, and a link leads out of the data folder. So nothing here is opened by its name alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Whether a symbolic link is followed where a file is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// An operator may keep this file elsewhere.
    Followed,
    /// The node itself created this file.
    Refused,
}

/// Why a file was not opened.
#[derive(Debug)]
pub(super) enum Unopened {
    /// Something else is in its place.
    NotRegular(&'static str),
    /// The reason that the system gave.
    Failed(io::Error),
}

impl From<Unopened> for io::Error {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::NotRegular(what) => Self::new(
                io::ErrorKind::InvalidInput,
                format!("it is {what}, not a regular file; remove it or put the file back"),
            ),
            Unopened::Failed(error) => error,
        }
    }
}

/// Opens a regular file with these options.
pub(super) fn open(path: &Path, options: &mut OpenOptions, links: Links) -> Result<File, Unopened> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    let flags = flags.bits().cast_signed();
    let opened = options.custom_flags(flags).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => Unopened::NotRegular("a symbolic link"),
        Some(Errno::NXIO) => Unopened::NotRegular("a FIFO, a socket or a device"),
        Some(Errno::ISDIR) => Unopened::NotRegular("a folder"),
        _ => Unopened::Failed(error),
    })?;
    let kind = file.metadata().map_err(Unopened::Failed)?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(Unopened::NotRegular(if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else {
        "a device"
    }))
}

/// Opens a regular file for reading.
pub(super) fn open_to_read(path: &Path) -> Result<File, Unopened> {
    open(path, OpenOptions::new().read(true), Links::Refused)
}

/// Creates a file that must not exist yet.
pub(super) fn create(path: &Path) -> io::Result<File> {
    File::create_new(path)
}

/// Creates a file, replacing whatever an unfinished run left under its name.
pub(super) fn create_anew(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(path)
}

/// All bytes of a regular file of at most `bytes_max` bytes.
pub(super) fn read_whole(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open_to_read(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let reason = format!("it is larger than {bytes_max} bytes, the most that is allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

/// Whether anything exists under this name, including a link that leads nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Creates a FIFO, for tests.
#[cfg(test)]
pub(super) fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO can be created");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(path: &Path) -> Result<(), &'static str> {
        match open_to_read(path) {
            Ok(_) => Ok(()),
            Err(Unopened::NotRegular(what)) => Err(what),
            Err(Unopened::Failed(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder can be created");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "x").expect("it can be written");
        std::os::unix::fs::symlink(at("file"), at("link")).expect("it can be created");
        std::fs::create_dir(at("folder")).expect("it can be created");
        make_fifo(&at("fifo"));
        assert_eq!(kind_of(&at("file")), Ok(()));
        assert_eq!(kind_of(&at("link")), Err("a symbolic link"));
        assert_eq!(kind_of(&at("folder")), Err("a folder"));
        assert_eq!(kind_of(&at("fifo")), Err("a FIFO"));
        assert_eq!(kind_of(Path::new("/dev/null")), Err("a device"));
    }

    #[test]
    fn a_file_larger_than_it_may_be_is_not_read_whole() {
        let folder = tempfile::tempdir().expect("a folder can be created");
        let path = folder.path().join("file");
        std::fs::write(&path, "abcd").expect("it can be written");
        assert_eq!(read_whole(&path, 4).expect("it fits"), b"abcd");
        assert!(read_whole(&path, 3).is_err());
    }
}
