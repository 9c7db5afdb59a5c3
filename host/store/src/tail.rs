//! `Tail`: reads content while it is still being written, and after.
//!
//! Bytes already written to the file are read from there; the rest comes from memory. A tail waits for bytes that
//! are still to come, ends when the spool is sealed, and fails when the spool is dropped.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use super::StoreError;
use super::content::read_file;
use super::rope::Rope;
use crate::changing::Changing;
use crate::limits;

/// The bytes of a spool, shared by its writer and its readers.
#[derive(Debug)]
pub(super) struct Growing {
    parts: Mutex<Parts>,
    seen: Changing<Seen>,
}

#[derive(Debug, Default)]
struct Parts {
    /// The file, once there is one, and how many bytes are in it.
    file: Option<(Arc<File>, u64)>,
    /// The bytes in memory.
    rope: Rope,
}

/// How far a spool has come.
#[derive(Debug, Default, Clone)]
struct Seen {
    bytes: u64,
    end: Option<Result<(), StoreError>>,
}

impl Growing {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            parts: Mutex::default(),
            seen: Changing::default(),
        })
    }

    /// Adds bytes, readable from now on.
    pub(super) fn push(&self, bytes: Bytes) {
        let end = {
            let mut parts = self.parts.lock();
            parts.rope.push(bytes);
            parts.rope.end()
        };
        self.seen.change(|seen| seen.bytes = end);
    }

    /// The chunks in memory from this offset on.
    pub(super) fn chunks_from(&self, offset: u64) -> Vec<Bytes> {
        self.parts.lock().rope.from(offset)
    }

    /// The first `bytes` bytes are in this file, so memory need not keep them.
    pub(super) fn written(&self, file: &Arc<File>, bytes: u64) {
        let mut parts = self.parts.lock();
        parts.file = Some((Arc::clone(file), bytes));
        parts.rope.forget_before(bytes);
    }

    /// Joins all bytes into a single chunk in memory and returns it.
    pub(super) fn gather(&self) -> Bytes {
        let mut parts = self.parts.lock();
        let whole = Bytes::from(parts.rope.from(0).concat());
        parts.rope = Rope::default();
        parts.rope.push(whole.clone());
        whole
    }

    /// What is in memory.
    pub(super) fn rope(&self) -> Rope {
        self.parts.lock().rope.clone()
    }

    /// No more bytes will come: the content is complete, or failed. Only the first call counts.
    pub(super) fn end(&self, how: Result<(), StoreError>) {
        self.seen.change(|seen| {
            seen.end.get_or_insert(how);
        });
    }

    async fn part(&self, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        let from_file = {
            let parts = self.parts.lock();
            match &parts.file {
                Some((file, written)) if offset < *written => {
                    let there = usize::try_from(written - offset).unwrap_or(usize::MAX);
                    Some((Arc::clone(file), max.min(there)))
                }
                _ => return Ok(parts.rope.part(offset, max)),
            }
        };
        let Some((file, length)) = from_file else {
            return Ok(Bytes::new());
        };
        let read = tokio::task::spawn_blocking(move || read_file(&file, offset, length)).await;
        read.map_err(|_| StoreError::Closed)?
            .map_err(|error| StoreError::of_io("reading an unfinished upload", &error))
    }
}

/// A reader of a spool. Each reads at its own pace and stays usable after the spool was committed.
#[derive(Debug, Clone)]
pub struct Tail(pub(super) Arc<Growing>);

impl Tail {
    /// Bytes that can be read now.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.0.seen.now().bytes
    }

    /// Returns between one and `max` bytes (and at most [`limits::STORE_READ_BYTES_MAX`]) at `offset`, once they have
    /// arrived; `None` at the end of a sealed spool. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the spool failed or was dropped before it was sealed, or the disk fails.
    pub async fn read(&self, offset: u64, max: usize) -> Result<Option<Bytes>, StoreError> {
        let far_enough = |seen: &Seen| seen.bytes > offset || seen.end.is_some();
        let reached = self
            .0
            .seen
            .until(|seen| far_enough(seen).then(|| seen.clone()))
            .await;
        match reached.end {
            Some(Err(error)) => Err(error),
            Some(Ok(())) if reached.bytes <= offset => Ok(None),
            _ => {
                let max = max.clamp(1, limits::STORE_READ_BYTES_MAX);
                self.0.part(offset, max).await.map(Some)
            }
        }
    }

    /// The bytes from `offset` to the end, as they arrive.
    #[must_use]
    pub fn stream(&self, offset: u64) -> BoxStream<'static, Result<Bytes, StoreError>> {
        stream::try_unfold((self.clone(), offset), |(tail, offset)| async move {
            let part = tail.read(offset, limits::STORE_STREAM_BYTES).await?;
            Ok(part.map(|bytes| {
                let next = offset + bytes.len() as u64;
                (bytes, (tail, next))
            }))
        })
        .boxed()
    }
}
