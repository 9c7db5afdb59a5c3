//! `Content`: the bytes of one version of a file, opened for reading.
//!
//! Opened content stays readable even if the store drops or overwrites the file. Nothing here compares bytes with
//! the digest: the code that serves them decides when that is due, and has the group tree for it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::content::{ContentHasher, GroupTree};
use dataverse_core::record::Record;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::StoreError;
use super::files;
use super::rope::Rope;
use crate::limits;

/// The bytes of one version of a file. Clones share them.
#[derive(Debug, Clone)]
pub struct Content(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    record: Record,
    source: ContentSource,
    tree: OnceCell<Arc<GroupTree>>,
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum ContentSource {
    /// In memory.
    Memory(Rope),
    /// In a file, with the path of the group tree next to it.
    File {
        /// The content.
        file: Arc<File>,
        /// The group tree.
        tree: PathBuf,
    },
}

impl Content {
    pub(super) fn new(record: &Record, source: ContentSource) -> Self {
        Self(Arc::new(Opened {
            record: record.clone(),
            source,
            tree: OnceCell::new(),
        }))
    }

    /// As [`Content::new`], when the group tree is already in memory.
    pub(super) fn with_tree(record: &Record, source: ContentSource, tree: Arc<GroupTree>) -> Self {
        Self(Arc::new(Opened {
            record: record.clone(),
            source,
            tree: OnceCell::new_with(Some(tree)),
        }))
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.record.size
    }

    /// The group tree, which belongs to the record's digest. It is read when first asked for, and rebuilt from the
    /// content if its file is missing or damaged.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the content no longer matches its digest.
    pub async fn tree(&self) -> Result<Arc<GroupTree>, StoreError> {
        let load = || async {
            if GroupTree::groups_in(self.size()) <= 1 {
                return Ok(Arc::default());
            }
            let content = self.clone();
            in_background(move || content.load_tree()).await?
        };
        self.0.tree.get_or_try_init(load).await.cloned()
    }

    /// `length` bytes at `offset`, at most [`limits::STORE_READ_BYTES_MAX`]. Fewer are returned only at the end.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the file is shorter than it was, [`StoreError::Failed`].
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        let left = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left).min(limits::STORE_READ_BYTES_MAX);
        match &self.0.source {
            ContentSource::Memory(rope) => Ok(rope.read(offset, length)),
            ContentSource::File { .. } if length == 0 => Ok(Bytes::new()),
            ContentSource::File { .. } => {
                let content = self.clone();
                in_background(move || content.read_now(offset, length)).await?
            }
        }
    }

    /// The bytes `offset..offset + length`, cut at the end of the content, in parts of
    /// [`limits::STORE_STREAM_BYTES`]. The next part is read while the current one is being sent.
    #[must_use]
    pub fn stream(
        &self,
        offset: u64,
        length: u64,
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let end = offset.saturating_add(length).min(self.size());
        let parts = Parts {
            content: self.clone(),
            offset: offset.min(end),
            end,
            ahead: None,
        };
        stream::try_unfold(parts, Parts::next).boxed()
    }

    fn read_now(&self, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        let record = &self.0.record;
        let bytes = match &self.0.source {
            ContentSource::Memory(rope) => rope.read(offset, length),
            ContentSource::File { file, .. } => {
                read_file(file, offset, length).map_err(|error| {
                    StoreError::of_io(
                        format_args!("reading the content of {}", record.key),
                        &error,
                    )
                })?
            }
        };
        if bytes.len() < length {
            return Err(StoreError::Corrupt(record.key.clone()));
        }
        Ok(bytes)
    }

    fn load_tree(&self) -> Result<Arc<GroupTree>, StoreError> {
        let record = &self.0.record;
        if let ContentSource::File { tree, .. } = &self.0.source
            && let Ok(bytes) = files::read_whole(tree, 32 * GroupTree::groups_in(record.size))
            && let Ok(tree) = GroupTree::checked(&bytes, record.digest, record.size)
        {
            return Ok(Arc::new(tree));
        }
        let mut hasher = ContentHasher::default();
        while hasher.size() < record.size {
            let left = usize::try_from(record.size - hasher.size()).unwrap_or(usize::MAX);
            let length = left.min(limits::STORE_READ_BYTES_MAX);
            hasher.update(&self.read_now(hasher.size(), length)?);
        }
        let (digest, tree) = hasher.finish();
        if digest != record.digest {
            return Err(StoreError::Corrupt(record.key.clone()));
        }
        Ok(Arc::new(tree))
    }
}

/// A stream of content, with the part that is being read ahead.
struct Parts {
    content: Content,
    /// The first byte that is not being read yet.
    offset: u64,
    end: u64,
    ahead: Option<JoinHandle<Result<Bytes, StoreError>>>,
}

impl Parts {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        if let ContentSource::Memory(rope) = &self.content.0.source {
            let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
            let part = rope.part(self.offset, left.min(limits::STORE_STREAM_BYTES));
            self.offset += part.len() as u64;
            return Ok((!part.is_empty()).then_some((part, self)));
        }
        let Some(reading) = self.ahead.take().or_else(|| self.start()) else {
            return Ok(None);
        };
        let part = reading.await.map_err(|_| StoreError::Closed)??;
        self.ahead = self.start();
        Ok(Some((part, self)))
    }

    fn start(&mut self) -> Option<JoinHandle<Result<Bytes, StoreError>>> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let length = left.min(limits::STORE_STREAM_BYTES);
        if length == 0 {
            return None;
        }
        let (content, offset) = (self.content.clone(), self.offset);
        self.offset += length as u64;
        Some(tokio::task::spawn_blocking(move || {
            content.read_now(offset, length)
        }))
    }
}

/// Runs blocking work off the async threads. It fails only when the runtime is shutting down or the work panics.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Closed)
}

/// `length` bytes of a file at `offset`; fewer only at its end.
pub(super) fn read_file(file: &File, offset: u64, length: usize) -> std::io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The vector may have more capacity than was asked for.
    bytes.truncate(length);
    Ok(bytes.into())
}
