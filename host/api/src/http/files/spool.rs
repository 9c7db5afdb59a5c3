//! Files of a form that come before the field that says whose they are.
//!
//! Where they belong is not known yet, so they are kept one behind the other in a file of the data folder that has no
//! name and goes with the form, also when the node is killed. How many forms do that at once, and how many bytes
//! all of them keep, has a bound.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use dataverse_node::driver::{Body, BodyError};
use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::form::broken;
use super::parts::Field;
use crate::http::node_api::NodeApi;
use crate::http::problem::Problem;
use crate::limits::{HTTP_FORM_SPOOL_BYTES_MAX, HTTP_FORM_SPOOL_READ_BYTES, HTTP_FORM_SPOOLS_MAX};

/// The spools of all forms.
pub(crate) struct Spools {
    folder: PathBuf,
    turns: Arc<Semaphore>,
    used: Arc<AtomicU64>,
}

/// The spool of one form.
pub(super) struct Spool {
    kept: Arc<Kept>,
    /// Bytes that the spools of all forms may have together.
    most: u64,
    end: u64,
}

/// One file in the spool of its form.
pub(super) struct Spooled {
    kept: Arc<Kept>,
    range: Range<u64>,
}

/// The file, and what is taken of what all forms have, until nobody reads it any more.
struct Kept {
    file: File,
    used: Arc<AtomicU64>,
    taken: AtomicU64,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.used.fetch_sub(taken, Ordering::Relaxed);
    }
}

impl Spools {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            turns: Arc::new(Semaphore::new(HTTP_FORM_SPOOLS_MAX)),
            used: Arc::default(),
        }
    }

    /// # Errors
    /// When too many forms have one, or the disk fails.
    pub(super) async fn begin(&self, node_api: &dyn NodeApi) -> Result<Spool, Problem> {
        let turn = Arc::clone(&self.turns).try_acquire_owned();
        let turn = turn.map_err(|_| {
            let detail = "too many forms have files before `username`; send `username` first, or try again later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })?;
        if let Some(why) = node_api.not_ready() {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        let folder = self.folder.clone();
        let file = blocking(move || tempfile::tempfile_in(folder)).await;
        let kept = Kept {
            file: file.map_err(|error| failed(&error))?,
            used: Arc::clone(&self.used),
            taken: AtomicU64::new(0),
            _turn: turn,
        };
        Ok(Spool {
            kept: Arc::new(kept),
            most: HTTP_FORM_SPOOL_BYTES_MAX.min(node_api.status().free),
            end: 0,
        })
    }
}

impl Spool {
    /// Takes in the content of a field.
    ///
    /// # Errors
    /// When there is no room for it, the disk fails or the form breaks off.
    pub(super) async fn take(&mut self, field: &mut Field<'_>) -> Result<Spooled, Problem> {
        let start = self.end;
        while let Some(chunk) = field.next().await {
            let chunk = chunk.map_err(|error| broken(&error))?;
            let (bytes, at) = (chunk.len() as u64, self.end);
            self.take_room(bytes)?;
            let kept = Arc::clone(&self.kept);
            let written = blocking(move || kept.file.write_all_at(&chunk, at)).await;
            written.map_err(|error| failed(&error))?;
            self.end += bytes;
        }
        Ok(Spooled {
            kept: Arc::clone(&self.kept),
            range: start..self.end,
        })
    }

    fn take_room(&self, bytes: u64) -> Result<(), Problem> {
        let before = self.kept.used.fetch_add(bytes, Ordering::Relaxed);
        self.kept.taken.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= self.most {
            return Ok(());
        }
        let detail = "there is not so much room for files that come before `username`; send `username` first";
        Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
    }
}

impl Spooled {
    /// Bytes of content.
    pub(super) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The content, to be written.
    pub(super) fn into_body(self) -> Body {
        let chunks = stream::try_unfold((self.kept, self.range), |(kept, range)| async move {
            let left = range.end - range.start;
            if left == 0 {
                return Ok(None);
            }
            let bytes = left.min(HTTP_FORM_SPOOL_READ_BYTES);
            let (reader, at) = (Arc::clone(&kept), range.start);
            let read = blocking(move || {
                let mut chunk = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
                reader.file.read_exact_at(&mut chunk, at)?;
                Ok(chunk)
            });
            let chunk = read.await.map_err(|error| {
                tracing::error!(%error, "a file of a form could not be read back");
                let reason = "a file of the form could not be read back; this node's log says why";
                BodyError::Failed(reason.to_owned())
            })?;
            Ok(Some((chunk.into(), (kept, at + bytes..range.end))))
        });
        chunks.boxed()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn failed(error: &io::Error) -> Problem {
    tracing::error!(%error, "a file of a form could not be kept aside in the data folder");
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    if full.contains(&error.kind()) {
        let detail = "the disk has no room for files that come before `username`";
        return Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail);
    }
    let detail = "a file that came before `username` could not be kept; this node's log says why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}
