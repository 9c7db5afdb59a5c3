//! `Folder`: the policies folder, how it is read and how it is changed.
//!
//! Only `policies.toml` and files named `NAME.wasm` matter; sub-folders, hidden files and everything else are
//! ignored. Links are followed, since Kubernetes mounts folders that way. A file is read again if its inode, length
//! or times have changed, and also if it had changed so shortly before it was read that a later change may have
//! left its times the same. A file is written only by renaming a finished one into place (`atomic`), and no name
//! leads out of the folder. Nodes may share the folder: to change something based on what it has read, a node holds
//! the [`Lock`] from before the read until after the write.
//!
//! Every function blocks.

mod atomic;
mod lock;

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;
use rustix::fs::OFlags;

use crate::limits;

pub(super) use atomic::{Access, sweep, write, write_new};
pub(super) use lock::{Lock, NAME as LOCK};

use super::name::PolicyName;
use crate::policies::spec_file;

/// A file that changed this shortly before it was read may have changed again since with the same times.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The policies folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// The content of the folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// The text of `policies.toml`, if there is one, or what is wrong with it.
    pub(super) specs: Option<Result<String, String>>,
    /// The policy files, or what is wrong with one.
    pub(super) files: BTreeMap<PolicyName, Result<Found, String>>,
    /// What was ignored although it looks like a policy.
    pub(super) ignored: Option<String>,
    stamps: BTreeMap<PolicyName, Stamp>,
}

/// A policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// BLAKE3 digest of its content.
    pub(super) digest: Digest,
    /// Its size in bytes.
    pub(super) size: u64,
}

/// Metadata by which a change of a file is recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    settled: bool,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let changed = u64::try_from(metadata.ctime()).unwrap_or(0);
        let changed_at = SystemTime::UNIX_EPOCH + Duration::from_secs(changed);
        Self {
            place: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            settled: changed_at.elapsed().is_ok_and(|age| age > SETTLED_AFTER),
        }
    }
}

impl Folder {
    /// The folder at this path, which need not exist.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the folder, and a `policies.toml` that contains only comments, unless they exist. A read-only folder
    /// is left as it is.
    ///
    /// # Errors
    /// If the folder doesn't exist and can't be created.
    pub(super) fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        sweep(&self.0);
        let specs = self.0.join(spec_file::FILE);
        if !specs.exists()
            && let Err(error) = write_new(&specs, spec_file::TEMPLATE.as_bytes(), Access::Usual)
        {
            tracing::debug!(file = %specs.display(), %error, "the template of policies.toml can't be written");
        }
        Ok(())
    }

    /// Waits for the lock that a change of the folder requires.
    ///
    /// # Errors
    /// If the folder can't be written, or another program holds the lock for too long.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        Lock::of(&self.0)
    }

    /// Reads the folder. Files that are unchanged since `before` are not read again.
    ///
    /// # Errors
    /// If the folder itself can't be read.
    pub(super) fn list(&self, before: &Listing) -> io::Result<Listing> {
        let mut names = Vec::new();
        let mut listing = Listing::default();
        let mut looked_at = 0;
        for entry in fs::read_dir(&self.0)? {
            looked_at += 1;
            if looked_at > limits::POLICY_FOLDER_ENTRIES_MAX {
                listing.ignored = Some(format!(
                    "the folder has more than {} entries: the others are ignored",
                    limits::POLICY_FOLDER_ENTRIES_MAX
                ));
                break;
            }
            let file = entry?.file_name();
            let file = file.to_string_lossy();
            match PolicyName::of_file(&file) {
                Some(name) => names.push(name),
                None if file.ends_with(".wasm") && !file.starts_with('.') => {
                    let shown: String = file.chars().take(80).collect();
                    listing.ignored = Some(format!(
                        "{shown:?} is ignored: no policy can have that name"
                    ));
                }
                None => {}
            }
        }
        names.sort_unstable();
        if names.len() > limits::POLICY_FILES_MAX {
            let most = limits::POLICY_FILES_MAX;
            listing.ignored = Some(format!(
                "there are more than {most} policies: those after {} are ignored",
                names[most - 1]
            ));
            names.truncate(most);
        }
        for name in names {
            listing.look_at(&self.0.join(name.file()), name, before);
        }
        listing.specs = self.read_specs();
        Ok(listing)
    }

    /// Reads the file of this policy.
    ///
    /// # Errors
    /// If it can't be read; `NotFound` if there is none.
    pub(super) fn read(&self, name: &PolicyName) -> io::Result<Bytes> {
        let file = open(&self.0.join(name.file()))?;
        let most = POLICY_FILE_BYTES_MAX as u64;
        read_bounded(file, most).map(Bytes::from)
    }

    /// Reads `policies.toml`; `None` if there is none.
    pub(super) fn read_specs(&self) -> Option<Result<String, String>> {
        let read = open(&self.0.join(spec_file::FILE))
            .and_then(|file| read_bounded(file, limits::POLICIES_TOML_BYTES_MAX));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let advice = match error.kind() {
                    io::ErrorKind::IsADirectory => "; a folder has that name: rename it",
                    io::ErrorKind::PermissionDenied => "; let the user that runs the node read it",
                    _ => "",
                };
                let file = spec_file::FILE;
                Some(Err(format!("{file} can't be read: {error}{advice}")))
            }
            Ok(bytes) => Some(String::from_utf8(bytes).map_err(|error| {
                let file = spec_file::FILE;
                let valid = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..valid]
                    .iter()
                    .filter(|&&it| it == b'\n')
                    .count();
                format!("{file} is not UTF-8, line {line}: save it as UTF-8")
            })),
        }
    }

    /// Writes the file of a policy.
    ///
    /// # Errors
    /// If it can't be written; nothing has changed then.
    pub(super) fn put(&self, name: &PolicyName, wasm: &[u8]) -> io::Result<()> {
        write(&self.0.join(name.file()), wasm, Access::Usual)
    }

    /// Writes the file of a policy unless it exists.
    ///
    /// # Errors
    /// See [`Folder::put`].
    pub(super) fn put_new(&self, name: &PolicyName, wasm: &[u8]) -> io::Result<()> {
        write_new(&self.0.join(name.file()), wasm, Access::Usual)
    }

    /// Writes `policies.toml`.
    ///
    /// # Errors
    /// See [`Folder::put`].
    pub(super) fn put_specs(&self, text: &str) -> io::Result<()> {
        write(
            &self.0.join(spec_file::FILE),
            text.as_bytes(),
            Access::Usual,
        )
    }

    /// Removes the file of a policy.
    ///
    /// # Errors
    /// See [`Folder::put`].
    pub(super) fn remove(&self, name: &PolicyName) -> io::Result<()> {
        fs::remove_file(self.0.join(name.file()))?;
        atomic::sync_folder(&self.0)
    }
}

impl Listing {
    /// This listing with what was found out since about one file.
    pub(super) fn with(&self, name: &PolicyName, found: Result<Found, String>) -> Self {
        let mut listing = self.clone();
        listing.stamps.remove(name);
        listing.files.insert(name.clone(), found);
        listing
    }

    /// This listing without the stamp of one file, so that the file is read again the next time.
    pub(super) fn without_stamp(&self, name: &PolicyName) -> Self {
        let mut listing = self.clone();
        listing.stamps.remove(name);
        listing
    }

    fn look_at(&mut self, path: &Path, name: PolicyName, before: &Self) {
        let looked = open(path).and_then(|file| {
            let stamp = Stamp::of(&file.metadata()?);
            let known = before
                .files
                .get(&name)
                .filter(|_| stamp.settled && before.stamps.get(&name) == Some(&stamp));
            match known {
                Some(known) => Ok((stamp, known.clone())),
                None => Ok((stamp, digest_of(file)?)),
            }
        });
        match looked {
            // It was removed, or is a folder: there is no such policy.
            Err(error) if is_nothing(&error) => {}
            Err(error) => {
                self.files
                    .insert(name, Err(format!("it can't be read: {error}")));
            }
            Ok((stamp, found)) => {
                self.stamps.insert(name.clone(), stamp);
                self.files.insert(name, found);
            }
        }
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
    )
}

/// Opens a plain file. Anything else is refused, and a pipe without a writer doesn't block.
fn open(path: &Path) -> io::Result<File> {
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(without_waiting)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other(
            "it is not a plain file: replace it by one",
        ));
    }
    Ok(file)
}

fn too_large(len: u64, most: u64) -> String {
    format!("the file has {len} bytes; at most {most} are allowed")
}

/// Reads a file of at most `most` bytes.
fn read_bounded(file: File, most: u64) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    let refused = |len| io::Error::new(io::ErrorKind::FileTooLarge, too_large(len, most));
    if len > most {
        return Err(refused(len));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(most + 1).read_to_end(&mut bytes)?;
    // It may have grown meanwhile.
    match bytes.len() as u64 {
        len if len > most => Err(refused(len)),
        _ => Ok(bytes),
    }
}

fn digest_of(file: File) -> io::Result<Result<Found, String>> {
    let most = POLICY_FILE_BYTES_MAX as u64;
    let len = file.metadata()?.len();
    if len > most {
        return Ok(Err(too_large(len, most)));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(most + 1))?;
    if hasher.count() > most {
        return Ok(Err(too_large(hasher.count(), most)));
    }
    Ok(Ok(Found {
        digest: Digest(*hasher.finalize().as_bytes()),
        size: hasher.count(),
    }))
}

#[cfg(test)]
mod tests;
