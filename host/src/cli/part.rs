//! A download on its way to a file: `FILE.part`, and beside it what it is a part of.
//!
//! The file appears under its own name only when it is complete and its digest was checked. What an
//! interrupted download leaves is taken up by the next one for the same file and version.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Longest file name to which `.part.json` can be added.
const STEM_BYTES_MAX: usize = 240;

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

/// A partial file, locked against other downloads to the same place.
pub(super) struct Part {
    target: PathBuf,
    path: PathBuf,
    note: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Part {
    /// The partial file of this target; made if there is none.
    pub(super) async fn open(target: &Path) -> io::Result<Self> {
        let (path, note) = beside(target)?;
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "another download is writing it; wait for that one",
            ),
            TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            target: target.to_owned(),
            path,
            note,
            file: BufWriter::with_capacity(BUFFER_BYTES, File::from_std(file)),
            hasher: blake3::Hasher::new(),
        })
    }

    /// What there is of `key` already, and from which byte on the rest is wanted. At least one byte always
    /// is, so that the answer shows whether the file is still the same.
    pub(super) async fn resumable(&self, key: &str) -> Option<(Whole, u64)> {
        let note = tokio::fs::read(&self.note).await.ok()?;
        let whole: Whole = serde_json::from_slice(&note).ok()?;
        let there = self.file.get_ref().metadata().await.ok()?.len();
        let offset = there.min(whole.size.checked_sub(1)?);
        (whole.key == key && offset > 0).then_some((whole, offset))
    }

    /// Begins as a part of `whole`, at `offset`: what lies before it is hashed, what lies behind it dropped.
    pub(super) async fn start(&mut self, whole: &Whole, offset: u64) -> io::Result<()> {
        let file = self.file.get_mut();
        file.set_len(offset).await?;
        file.rewind().await?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            self.hasher.update(&buffer[..read]);
        }
        tokio::fs::write(&self.note, serde_json::to_vec(whole)?).await
    }

    /// The next bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).await
    }

    /// Leaves the part for the next download; an empty one is removed.
    pub(super) async fn leave(mut self) -> io::Result<()> {
        self.file.flush().await?;
        if self.file.get_ref().metadata().await?.len() == 0 {
            tokio::fs::remove_file(&self.path).await?;
            // There may be none yet.
            let _absent = tokio::fs::remove_file(&self.note).await;
        }
        Ok(())
    }

    /// Gives the file its name if its bytes have this digest; else nothing is left, and the digest that
    /// they have is returned.
    pub(super) async fn finish(mut self, digest: &str) -> io::Result<Result<(), String>> {
        self.file.flush().await?;
        let arrived = self.hasher.finalize().to_hex();
        let right = arrived.as_str() == digest;
        if right {
            tokio::fs::rename(&self.path, &self.target).await?;
        } else {
            tokio::fs::remove_file(&self.path).await?;
        }
        tokio::fs::remove_file(&self.note).await?;
        Ok(if right {
            Ok(())
        } else {
            Err(arrived.to_string())
        })
    }
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
