//! `Lock`: lets one program at a time change a policies folder. It is a file lock of the operating system on a hidden
//! file in the folder. Reading needs no lock, since files are renamed into place.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::limits;

/// The file that is locked. It is never removed, so that all programs lock the same one.
pub(in crate::policies) const NAME: &str = ".policies.lock";

/// Pause between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(10);

/// The lock, released when it is dropped.
#[derive(Debug)]
pub(in crate::policies) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of this folder, for at most `POLICY_LOCK_MS_MAX`.
    ///
    /// # Errors
    /// If the folder can't be written, or another program holds the lock for too long.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        // It is opened for writing only to create it: closing a written file looks like a change to watchers.
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
                // Some file systems have no locks: go on without one.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!(
                            "another program holds the lock {NAME}: wait for it or stop it, and try again"
                        ),
                    ));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
    }
}
