//! The right to change a folder of policies, which one program has at a time: a lock of the system's on a
//! hidden file in the folder. Whoever only reads needs none, for files are renamed into place.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::limits;

/// The file that is locked. It stays, so that all lock the same one.
pub(in crate::policies) const NAME: &str = ".policies.lock";

/// The pause before someone else's lock is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// The right itself; given back when it is dropped.
#[derive(Debug)]
pub(in crate::policies) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else changes this folder, though not without end.
    ///
    /// # Errors
    /// When the folder can't be written, or somebody else goes on changing it.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        // It is opened for writing only to make it, since that looks like a change to those who watch.
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::options().create(true).append(true).open(&path)?
            }
            opened => opened?,
        };
        let until = Instant::now() + Duration::from_millis(limits::POLICY_LOCK_MS_MAX);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                // Some file systems know no locks; there it is as good as it was without one.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("another program holds {NAME}: see which, and try again"),
                    ));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
    }
}
