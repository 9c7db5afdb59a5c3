//! The folder of policies: what is in it, and how it is changed.
//!
//! Only `policies.toml` and files called `NAME.wasm` matter; sub-folders, hidden files and everything else
//! are passed over. Links are followed, the way Kubernetes mounts a folder. A file is read again when
//! anything about it has changed (its place, length, times), and also when it changed so shortly before it
//! was read that its times might not tell. Nothing is ever written but by renaming a finished file into
//! place, and no name leads out of the folder. Nodes may share it: who changes something that it has read
//! holds the [`Lock`] from before it reads.
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

/// A file that changed within this time before it was read may have changed again since without its times
/// telling.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// What is in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// The text of `policies.toml`, if there is one, or what is wrong with it.
    pub(super) specs: Option<Result<String, String>>,
    /// The policies, or what is wrong with the file of one.
    pub(super) files: BTreeMap<PolicyName, Result<Found, String>>,
    /// What was passed over though it looks like a policy.
    pub(super) passed_over: Option<String>,
    stamps: BTreeMap<PolicyName, Stamp>,
}

/// A file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// BLAKE3 of what is in it.
    pub(super) digest: Digest,
    /// Its bytes.
    pub(super) size: u64,
}

/// What tells that a file has changed.
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
    /// The folder at this path, which need not be there.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder, and a `policies.toml` that wishes nothing, unless they are there. A folder in which
    /// nothing can be written is left as it is.
    ///
    /// # Errors
    /// When there is no folder and none can be made.
    pub(super) fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        sweep(&self.0);
        let specs = self.0.join(spec_file::FILE);
        if !specs.exists()
            && let Err(error) = write_new(&specs, spec_file::TEMPLATE.as_bytes(), Access::Usual)
        {
            tracing::debug!(file = %specs.display(), %error, "no example of it was written");
        }
        Ok(())
    }

    /// Waits for the right to change it.
    ///
    /// # Errors
    /// When the folder can't be written, or somebody else does not cease to change it.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        Lock::of(&self.0)
    }

    /// What is in it now; `before` saves reading what has not changed.
    ///
    /// # Errors
    /// When the folder itself can't be read.
    pub(super) fn list(&self, before: &Listing) -> io::Result<Listing> {
        let mut names = Vec::new();
        let mut listing = Listing::default();
        let mut looked_at = 0;
        for entry in fs::read_dir(&self.0)? {
            looked_at += 1;
            if looked_at > limits::POLICY_FOLDER_ENTRIES_MAX {
                listing.passed_over = Some(format!(
                    "the folder has more than {} entries: the others are passed over",
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
                    listing.passed_over = Some(format!(
                        "{shown:?} is passed over: no policy can have that name"
                    ));
                }
                None => {}
            }
        }
        names.sort_unstable();
        if names.len() > limits::POLICY_FILES_MAX {
            let most = limits::POLICY_FILES_MAX;
            listing.passed_over = Some(format!(
                "there are more than {most} policies: those after {} are passed over",
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

    /// What is in the file of this policy at this moment.
    ///
    /// # Errors
    /// Why it can't be had; `NotFound` when there is none.
    pub(super) fn read(&self, name: &PolicyName) -> io::Result<Bytes> {
        let file = open(&self.0.join(name.file()))?;
        let most = POLICY_FILE_BYTES_MAX as u64;
        read_bounded(file, most).map(Bytes::from)
    }

    /// The text of `policies.toml`; `None` when there is none.
    pub(super) fn read_specs(&self) -> Option<Result<String, String>> {
        let read = open(&self.0.join(spec_file::FILE))
            .and_then(|file| read_bounded(file, limits::POLICIES_TOML_BYTES_MAX));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let advice = match error.kind() {
                    io::ErrorKind::IsADirectory => "; there is a folder of that name: rename it",
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

    /// Puts the file of a policy there.
    ///
    /// # Errors
    /// When it can't be written; nothing has changed then. So for the others.
    pub(super) fn put(&self, name: &PolicyName, wasm: &[u8]) -> io::Result<()> {
        write(&self.0.join(name.file()), wasm, Access::Usual)
    }

    /// Puts the file of a policy there unless there is one.
    ///
    /// # Errors
    /// See [`Folder::put`].
    pub(super) fn put_new(&self, name: &PolicyName, wasm: &[u8]) -> io::Result<()> {
        write_new(&self.0.join(name.file()), wasm, Access::Usual)
    }

    /// Puts `policies.toml` there.
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

    /// Takes the file of a policy away.
    ///
    /// # Errors
    /// See [`Folder::put`].
    pub(super) fn remove(&self, name: &PolicyName) -> io::Result<()> {
        fs::remove_file(self.0.join(name.file()))?;
        atomic::sync_folder(&self.0)
    }
}

impl Listing {
    /// The same, but for what this file was found to be since.
    pub(super) fn with(&self, name: &PolicyName, found: Result<Found, String>) -> Self {
        let mut listing = self.clone();
        listing.stamps.remove(name);
        listing.files.insert(name.clone(), found);
        listing
    }

    /// The same, but that this file is read again when it is looked at the next time.
    pub(super) fn verification(&self, name: &PolicyName) -> Self {
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
            // It went, or is a folder: there is no such policy.
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

/// Opens a plain file. Anything else, such as a pipe that nobody writes to, is not waited for.
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
        return Err(io::Error::other("it is no plain file: put one there"));
    }
    Ok(file)
}

fn too_large(len: u64, most: u64) -> String {
    format!("the file has {len} bytes; at most {most} are allowed")
}

/// All that is in a file, unless it is too much.
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
