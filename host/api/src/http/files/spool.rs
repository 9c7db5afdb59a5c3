//! Keeps files of a form that arrive before the field that says whose they are. (Not to be confused with the store's
//! spool, through which every upload passes.)
//!
//! They are written one after another to an unnamed file in the data folder, which disappears with the form, also
//! when the node is killed. The number of forms that may do this at a time, and their total bytes, are bounded.

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

use super::parts::{Field, broken};
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
    /// The maximum bytes of all spools together.
    most: u64,
    end: u64,
}

/// One file in the spool of its form.
pub(super) struct Spooled {
    kept: Arc<Kept>,
    range: Range<u64>,
}

/// The spool file, and its share of the space of all spools, until the last reader is gone.
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
    /// When too many forms have a spool, or the disk fails.
    pub(super) async fn begin(&self, node_api: &dyn NodeApi) -> Result<Spool, Problem> {
        let turn = Arc::clone(&self.turns).try_acquire_owned();
        let turn = turn.map_err(|_| {
            let detail = "too many forms are sending files before `username`; send `username` first, or try again later";
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
    /// Writes the content of a field to the spool.
    ///
    /// # Errors
    /// When there is no space for it, the disk fails or the form breaks off.
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
        let detail =
            "there is too little space for files that precede `username`; send `username` first";
        Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
    }
}

impl Spooled {
    /// The size of the content in bytes.
    pub(super) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The content, as the body of a write.
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
                tracing::error!(%error, "could not read back a spooled file of a form");
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
    tracing::error!(%error, "could not spool a file of a form in the data folder");
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    if full.contains(&error.kind()) {
        let detail =
            "the disk has no space for files that precede `username`; send `username` first";
        return Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail);
    }
    let detail = "a file that precedes `username` could not be spooled; this node's log says why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}
