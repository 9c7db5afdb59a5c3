//! A download on its way to a file: `FILE.part`, and beside it in `FILE.part.json` what it is a part of.
//!
//! The file appears under its own name only when it is complete and its digest was checked. What an
//! interrupted download leaves is taken up by the next one for the same file and version. Nothing is made before
//! there is something to write, and nothing is continued, overwritten or removed but what the note proves to be an
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

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Longest file name to which `.part.json` can be added.
const STEM_BYTES_MAX: usize = 240;
/// Longest note that is read. A key has at most 1 KiB, and JSON escapes a byte by at most six.
const NOTE_BYTES_MAX: u64 = 16 << 10;

/// What a partial file is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whole {
    /// The file's key.
    pub(super) key: String,
    /// The ETag as it was sent, quotes included: what `If-Range` needs.
    pub(super) etag: String,
    /// Bytes in all.
    pub(super) size: u64,
}

/// A partial file, locked against other downloads to the same place once it is there.
pub(super) struct Part {
    path: PathBuf,
    note: PathBuf,
    noted: Option<Whole>,
    file: Option<BufWriter<File>>,
    is_started: bool,
    hasher: blake3::Hasher,
}

impl Part {
    /// What there is of `key` on its way to this file. Makes nothing.
    ///
    /// # Errors
    /// When something else has the name of the partial file or of its note.
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

    /// What there is already, and from which byte on the rest is wanted. At least one byte always is, so that
    /// the answer shows whether the file is still the same.
    pub(super) async fn resumable(&self) -> Option<(Whole, u64)> {
        let whole = self.noted.clone()?;
        let there = self.file.as_ref()?.get_ref().metadata().await.ok()?.len();
        let offset = there.min(whole.size.checked_sub(1)?);
        (offset > 0).then_some((whole, offset))
    }

    /// Begins as a part of `whole`, at `offset`: what lies before it is hashed, what lies behind it dropped.
    pub(super) async fn start(&mut self, whole: &Whole, offset: u64) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file.get_mut(),
            None => {
                let file = create(&self.path)?;
                self.file.insert(buffered(file)).get_mut()
            }
        };
        // Only from here on, part and note are this download's to write and to remove.
        self.is_started = true;
        file.set_len(offset).await?;
        // Before the first byte is written, the note says whose the part is.
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

    /// The next bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.started().write_all(bytes).await
    }

    /// Leaves the part for the next download; one that has no content after all is removed. Returns whether
    /// anything is left.
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

    /// Gives the file its place if its bytes have this digest; else nothing is left, and the digest that
    /// they have is returned.
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
            let kept = format!("{error}; all of it is in {}", self.path.display());
            io::Error::new(error.kind(), kept)
        })?;
        remove(&self.note).await?;
        Ok(Ok(()))
    }

    fn started(&mut self) -> &mut BufWriter<File> {
        let file = self.file.as_mut();
        file.expect("a part is written to after it was started")
    }

    /// The note goes first: as long as the part is there, no other download writes one.
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

/// Makes a part that is not there and locks it.
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

/// Writes the note on a part that this download has. It is short, and is written without a pause in which the
/// download could be broken off and leave it behind.
fn write_note(note: &Path, whole: &Whole) -> io::Result<()> {
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(note)?;
    file.write_all(&serde_json::to_vec(whole)?)
}

/// What a note says, if there is one.
fn noted(note: &Path, key: &str) -> io::Result<Option<Whole>> {
    use std::io::Read as _;
    let Some(file) = open_there(note)? else {
        return Ok(None);
    };
    let mut text = Vec::new();
    file.take(NOTE_BYTES_MAX).read_to_end(&mut text)?;
    // A disk that is full takes the name of a note and not its text.
    if text.is_empty() {
        return Ok(None);
    }
    let whole: Option<Whole> = serde_json::from_slice(&text).ok();
    match whole {
        Some(whole) if whole.key == key => Ok(Some(whole)),
        Some(whole) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!(
                "{} is there, of an unfinished download of {} to the same place; finish that one first, or remove it \
                 and the part beside it",
                note.display(),
                whole.key
            ),
        )),
        None => Err(in_the_way(note, key)),
    }
}

/// Opens a file if it is there. Links are not followed: what they lead to is no part of ours.
fn open_there(path: &Path) -> io::Result<Option<std::fs::File>> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        let reason = format!(
            "{} is there and is no file; move it away, or choose another place with -o",
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
            "{} is there and is no unfinished download of {key}; move it away, or choose another place with -o",
            path.display()
        ),
    )
}

/// Locks the file that was opened at this path. Whoever had it before may have finished or removed it meanwhile.
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
        "another download is writing it; wait for that one",
    )
}

fn buffered(file: std::fs::File) -> BufWriter<File> {
    BufWriter::with_capacity(BUFFER_BYTES, File::from_std(file))
}

/// Where the part of a target and the note on it lie.
fn beside(target: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"))?;
    // A long name has no room for an ending; its hash stands in.
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
        let mut first = Part::find(&target, "ada/x").expect("nothing is there");
        let mut second = Part::find(&target, "ada/x").expect("nothing is there");
        first.start(&whole, 0).await.expect("it begins");
        first.write(b"ab").await.expect("it is written");
        let refused = second.start(&other, 0).await;
        assert_eq!(
            refused.expect_err("the first has it").kind(),
            io::ErrorKind::WouldBlock
        );
        assert!(!second.leave().await.expect("it has made nothing"));
        assert!(first.leave().await.expect("it is kept"));
        let found = Part::find(&target, "ada/x").expect("it is there");
        assert_eq!(found.resumable().await, Some((whole, 2)));
    }

    #[tokio::test]
    async fn a_note_is_not_written_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("x");
        let theirs = folder.path().join("theirs");
        std::fs::write(&theirs, "theirs").expect("it is written");
        let mut part = Part::find(&target, "ada/x").expect("nothing is there");
        std::os::unix::fs::symlink(&theirs, folder.path().join("x.part.json"))
            .expect("it is linked");
        let whole = Whole {
            key: "ada/x".to_owned(),
            etag: "\"first\"".to_owned(),
            size: 4,
        };
        assert!(part.start(&whole, 0).await.is_err());
        assert_eq!(std::fs::read(&theirs).expect("it is there"), b"theirs");
    }
}
