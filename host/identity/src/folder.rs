//! `Folder`: a folder of small files that only its owner may read.
//!
//! Files are replaced atomically and made durable before a call returns. A file that others can read is refused, because
//! it may hold a key. One program at a time changes a folder; reading needs no lock, since files are renamed into place.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::certificate::CertificateError;
use crate::limits;
use crate::statement::Statement;

/// The rights of others, none of which a file may have.
const OTHERS: u32 = 0o077;
const LOCK: &str = "lock";

/// Why a folder can't be used. Each message says which file is wrong.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system refused it.
    #[error("{path}: {reason}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason that the system gave.
        reason: io::Error,
    },
    /// Others can read it.
    #[error("{path} can be read by other users: make it yours alone with chmod {mode} {path}")]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The mode that it should have.
        mode: &'static str,
    },
    /// What is in it is not what should be.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate or key could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// The right to change a folder; given up when it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl Folder {
    /// The folder at this path, created if it does not exist.
    ///
    /// # Errors
    /// If it can't be created, or others can use it.
    pub fn create(root: &Path) -> Result<Self, FolderError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.map_err(|reason| io_error(root, reason))?;
        Self::open(root)
    }

    /// The folder at this path.
    ///
    /// # Errors
    /// If it does not exist, or others can use it.
    pub fn open(root: &Path) -> Result<Self, FolderError> {
        let found = fs::metadata(root).map_err(|reason| io_error(root, reason))?;
        if !found.is_dir() {
            return Err(io_error(root, io::ErrorKind::NotADirectory.into()));
        }
        if found.permissions().mode() & OTHERS != 0 {
            return Err(FolderError::Open {
                path: root.to_owned(),
                mode: "700",
            });
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Waits for the right to change the folder.
    ///
    /// # Errors
    /// If the lock can't be created.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.path(LOCK);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let locked = options.open(&path).and_then(|file| {
            file.lock()?;
            Ok(file)
        });
        let file = locked.map_err(|reason| io_error(&path, reason))?;
        Ok(FolderLock { _file: file })
    }

    /// The text in a file; `None` if it does not exist.
    ///
    /// # Errors
    /// If it can't be read, is too large, or others can read it.
    pub fn read(&self, name: &str) -> Result<Option<String>, FolderError> {
        let path = self.path(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(reason) => return Err(io_error(&path, reason)),
        };
        let mode = file.metadata().map(|found| found.permissions().mode());
        if mode.map_err(|reason| io_error(&path, reason))? & OTHERS != 0 {
            return Err(FolderError::Open { path, mode: "600" });
        }
        let mut text = String::new();
        let read = file
            .take(limits::FILE_BYTES_MAX + 1)
            .read_to_string(&mut text);
        match read {
            Ok(read) if read as u64 <= limits::FILE_BYTES_MAX => Ok(Some(text)),
            Ok(_) => Err(content_error(&path, "the file is too large")),
            Err(reason) => Err(io_error(&path, reason)),
        }
    }

    /// Replaces a file. When this returns, it is durable.
    ///
    /// # Errors
    /// If it can't be written; the old file is unchanged then.
    pub fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.path(name);
        let parent = path.parent().unwrap_or(&self.root);
        let write = || -> io::Result<()> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)?;
            let mut file = tempfile::Builder::new()
                .permissions(Permissions::from_mode(0o600))
                .tempfile_in(parent)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(parent)?.sync_all()
        };
        write().map_err(|reason| io_error(&path, reason))
    }

    /// Removes a file, if it exists.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn remove(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(io_error(&path, reason)),
            _ => Ok(()),
        }
    }

    /// The names of the files in a folder of it, at most `max` of them.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn names(&self, folder: &str, max: usize) -> Result<Vec<String>, FolderError> {
        let path = self.path(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(reason) => return Err(io_error(&path, reason)),
        };
        let names = entries.flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter(|name| !name.starts_with('.'));
        Ok(names.take(max).collect())
    }

    /// The statements in a file, one on each line; none if it does not exist.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read_statements(&self, name: &str) -> Result<Vec<Statement>, FolderError> {
        let Some(text) = self.read(name)? else {
            return Ok(Vec::new());
        };
        let read = |line: &str| {
            let bytes = data_encoding::BASE64.decode(line.as_bytes()).ok()?;
            Statement::from_bytes(&bytes).ok()
        };
        let statements = text.lines().map(read).collect::<Option<Vec<_>>>();
        statements.ok_or_else(|| content_error(&self.path(name), "it holds no statements"))
    }

    /// Replaces the statements in a file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write_statements<'a>(
        &self,
        name: &str,
        statements: impl Iterator<Item = &'a Statement>,
    ) -> Result<(), FolderError> {
        let line = |statement: &Statement| {
            format!("{}\n", data_encoding::BASE64.encode(&statement.to_bytes()))
        };
        self.write(name, &statements.map(line).collect::<String>())
    }
}

/// What the system says of a file.
pub(crate) fn io_error(path: &Path, reason: io::Error) -> FolderError {
    FolderError::Io {
        path: path.to_owned(),
        reason,
    }
}

/// What is wrong with a file.
pub(crate) fn content_error(path: &Path, reason: impl ToString) -> FolderError {
    FolderError::Content {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_their_owners_and_nobody_elses() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::create(&place.path().join("a/b")).expect("it is created");
        folder.write("sub/x", "text").expect("it is written");
        folder.write("sub/x", "other").expect("it is replaced");
        assert_eq!(
            folder.read("sub/x").expect("it is read").as_deref(),
            Some("other")
        );
        assert_eq!(folder.read("sub/y").expect("it is not there"), None);
        assert_eq!(folder.names("sub", 9).expect("it is listed"), ["x"]);
        let mode = |path: PathBuf| fs::metadata(path).expect("it exists").permissions().mode();
        assert_eq!(mode(folder.path("sub/x")) & 0o777, 0o600);
        assert_eq!(mode(folder.path("sub")) & 0o777, 0o700);
        fs::set_permissions(folder.path("sub/x"), Permissions::from_mode(0o640))
            .expect("it is set");
        let refused = folder
            .read("sub/x")
            .expect_err("others can read it")
            .to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).expect("it is set");
        assert!(matches!(
            Folder::open(&folder.path("")),
            Err(FolderError::Open { .. })
        ));
    }

    #[test]
    fn one_at_a_time_changes_a_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::create(&place.path().join("a")).expect("it is created");
        let lock = folder.lock().expect("it is free");
        let other = File::open(folder.path(LOCK)).expect("it exists");
        assert!(other.try_lock().is_err());
        drop(lock);
        assert!(other.try_lock().is_ok());
    }
}
