//! An unfinished download: the bytes in `FILE.part`, and a note in `FILE.part.json` that says what they are a part
//! of.
//!
//! The file gets its own name only once it is complete and its digest is verified. The next download of the same
//! version of the same file resumes from what an interrupted one leaves. Nothing is created before there is
//! something to write, and nothing is continued, overwritten or removed unless the note proves it to be an
//! unfinished download of this very file.

use std::fs::TryLockError;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};

use super::destination::Destination;

/// Bytes buffered before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Longest file name to which `.part.json` can be appended.
const STEM_BYTES_MAX: usize = 240;
/// Longest note that is read. A key has at most 1 KiB, and JSON escapes a byte with at most six.
const NOTE_BYTES_MAX: u64 = 16 << 10;

/// The file that a partial file belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whole {
    /// The file's key.
    pub(super) key: String,
    /// The ETag as sent, quotes included, as `If-Range` needs it.
    pub(super) etag: String,
    /// The size of the whole file in bytes.
    pub(super) size: u64,
}

/// A partial file, locked against other downloads to the same place once it exists.
pub(super) struct Part {
    path: PathBuf,
    note: PathBuf,
    noted: Option<Whole>,
    file: Option<BufWriter<File>>,
    is_started: bool,
    hasher: blake3::Hasher,
}

impl Part {
    /// Looks for an unfinished download of `key` to this file. Creates nothing.
    ///
    /// # Errors
    /// If something else has the name of the partial file or of its note.
    pub(super) fn find(target: &Path, key: &str) -> io::Result<Self> {
        let (path, note) = beside(target)?;
        let noted = noted(&note, key)?;
        let file = match open_there(&path)? {
            None => None,
            Some(file) => {
                lock(&file, &path)?;
                let there = file.metadata()?.len();
                let is_ours = noted.as_ref().is_some_and(|whole| there <= whole.size);
                if there > 0 && !is_ours {
                    return Err(in_the_way(&path, key));
                }
                Some(file)
            }
        };
        Ok(Self {
            path,
            note,
            noted,
            file: file.map(buffered),
            is_started: false,
            hasher: blake3::Hasher::new(),
        })
    }

    /// What exists of the file, and the offset of the first missing byte. At least one byte is always requested,
    /// so that the answer shows whether the file is still the same.
    pub(super) async fn resumable(&self) -> Option<(Whole, u64)> {
        let whole = self.noted.clone()?;
        let there = self.file.as_ref()?.get_ref().metadata().await.ok()?.len();
        let offset = there.min(whole.size.checked_sub(1)?);
        (offset > 0).then_some((whole, offset))
    }

    /// Starts as a part of `whole` at `offset`: hashes what precedes it and drops what follows it.
    pub(super) async fn start(&mut self, whole: &Whole, offset: u64) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file.get_mut(),
            None => {
                let file = create(&self.path)?;
                self.file.insert(buffered(file)).get_mut()
            }
        };
        // From here on, part and note belong to this download, which may write and remove them.
        self.is_started = true;
        file.set_len(offset).await?;
        // The note is written before the first byte, so that the part is never without one.
        if self.noted.as_ref() != Some(whole) {
            write_note(&self.note, whole)?;
            self.noted = Some(whole.clone());
        }
        file.rewind().await?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..read]);
        }
    }

    /// Writes the next bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.started().write_all(bytes).await
    }

    /// Leaves the part for the next download, or removes it if it is empty. Returns whether anything was kept.
    pub(super) async fn leave(mut self) -> io::Result<bool> {
        let mut there = 0;
        if let Some(file) = &mut self.file {
            // A full disk takes no more; what it took is kept.
            let _taken = file.flush().await;
            there = file.get_ref().metadata().await?.len();
        }
        if there == 0 && self.is_started {
            self.remove().await?;
        }
        Ok(there > 0)
    }

    /// Gives the file its name if its bytes have this digest. Otherwise removes everything and returns the digest
    /// that they have.
    pub(super) async fn finish(
        mut self,
        digest: &str,
        destination: Destination,
    ) -> io::Result<Result<(), String>> {
        self.started().flush().await?;
        let arrived = self.hasher.finalize().to_hex();
        if arrived.as_str() != digest {
            self.remove().await?;
            return Ok(Err(arrived.to_string()));
        }
        let part = self.path.clone();
        let placed = tokio::task::spawn_blocking(move || destination.take(&part)).await;
        placed.map_err(io::Error::other)?.map_err(|error| {
            let kept = format!(
                "{error}; the complete content is in {}",
                self.path.display()
            );
            io::Error::new(error.kind(), kept)
        })?;
        remove(&self.note).await?;
        Ok(Ok(()))
    }

    fn started(&mut self) -> &mut BufWriter<File> {
        let file = self.file.as_mut();
        file.expect("a part is written to after it was started")
    }

    /// The note is removed first: as long as the part exists, no other download writes a note.
    async fn remove(&self) -> io::Result<()> {
        remove(&self.note).await?;
        remove(&self.path).await
    }
}

async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Creates a part that does not exist yet and locks it.
fn create(path: &Path) -> io::Result<std::fs::File> {
    let made = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path);
    let file = made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => being_written(),
        _ => error,
    })?;
    lock(&file, path)?;
    Ok(file)
}

/// Writes the note for a part that this download holds. The write is short and does not yield, so that cancelling
/// the download cannot leave a part without its note.
fn write_note(note: &Path, whole: &Whole) -> io::Result<()> {
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(note)?;
    file.write_all(&serde_json::to_vec(whole)?)
}

/// The content of a note, if there is one.
fn noted(note: &Path, key: &str) -> io::Result<Option<Whole>> {
    use std::io::Read as _;
    let Some(file) = open_there(note)? else {
        return Ok(None);
    };
    let mut text = Vec::new();
    file.take(NOTE_BYTES_MAX).read_to_end(&mut text)?;
    // A full disk can create a note but not write its text.
    if text.is_empty() {
        return Ok(None);
    }
    let whole: Option<Whole> = serde_json::from_slice(&text).ok();
    match whole {
        Some(whole) if whole.key == key => Ok(Some(whole)),
        Some(whole) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!(
                "{} exists: an unfinished download of {} to the same place; finish that download first, or remove the \
                 file and the part next to it",
                note.display(),
                whole.key
            ),
        )),
        None => Err(in_the_way(note, key)),
    }
}

/// Opens a file if it exists. Links are not followed, because what they lead to is not ours.
fn open_there(path: &Path) -> io::Result<Option<std::fs::File>> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        let reason = format!(
            "{} exists and is not a file; move it away, or choose another place with -o",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
    }
    let opened = std::fs::File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path);
    opened
        .map(Some)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn in_the_way(path: &Path, key: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!(
            "{} exists and is not an unfinished download of {key}; move it away, or choose another place with -o",
            path.display()
        ),
    )
}

/// Locks the file that was opened at this path. A previous holder may have finished or removed it in the meantime.
fn lock(file: &std::fs::File, path: &Path) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => being_written(),
        TryLockError::Error(error) => error,
    })?;
    let opened = file.metadata()?;
    let is_there = path
        .symlink_metadata()
        .is_ok_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino()));
    match is_there {
        true => Ok(()),
        false => Err(being_written()),
    }
}

fn being_written() -> io::Error {
    io::Error::new(
        io::ErrorKind::WouldBlock,
        "another download is writing it; wait until that one ends",
    )
}

fn buffered(file: std::fs::File) -> BufWriter<File> {
    BufWriter::with_capacity(BUFFER_BYTES, File::from_std(file))
}

/// The paths of a target's part and of its note.
fn beside(target: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let name = target.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "it is not a valid file name")
    })?;
    // A long name has no space for an extension, so its hash is used.
    let mut stem = if name.len() <= STEM_BYTES_MAX {
        name.to_owned()
    } else {
        blake3::hash(name.as_encoded_bytes())
            .to_hex()
            .as_str()
            .into()
    };
    stem.push(".part");
    let path = target.with_file_name(&stem);
    stem.push(".json");
    Ok((path, target.with_file_name(stem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_download_to_the_same_place_leaves_the_first_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("x");
        let whole = Whole {
            key: "ada/x".to_owned(),
            etag: "\"first\"".to_owned(),
            size: 4,
        };
        let other = Whole {
            etag: "\"second\"".to_owned(),
            ..whole.clone()
        };
        let mut first = Part::find(&target, "ada/x").expect("nothing exists there");
        let mut second = Part::find(&target, "ada/x").expect("nothing exists there");
        first.start(&whole, 0).await.expect("it begins");
        first.write(b"ab").await.expect("it is written");
        let refused = second.start(&other, 0).await;
        assert_eq!(
            refused.expect_err("the first has it").kind(),
            io::ErrorKind::WouldBlock
        );
        assert!(!second.leave().await.expect("it has made nothing"));
        assert!(first.leave().await.expect("it is kept"));
        let found = Part::find(&target, "ada/x").expect("it exists");
        assert_eq!(found.resumable().await, Some((whole, 2)));
    }

    #[tokio::test]
    async fn a_note_is_not_written_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("x");
        let theirs = folder.path().join("theirs");
        std::fs::write(&theirs, "theirs").expect("it is written");
        let mut part = Part::find(&target, "ada/x").expect("nothing exists there");
        std::os::unix::fs::symlink(&theirs, folder.path().join("x.part.json"))
            .expect("it is linked");
        let whole = Whole {
            key: "ada/x".to_owned(),
            etag: "\"first\"".to_owned(),
            size: 4,
        };
        assert!(part.start(&whole, 0).await.is_err());
        assert_eq!(std::fs::read(&theirs).expect("it exists"), b"theirs");
    }
}
