//! Files of a form that come before the field that says whose they are.
//!
//! Where they belong is not known yet, so they are kept in files of the data folder that have no name and that go
//! with whoever holds them, also when the node is killed. All forms together have a bounded room for that.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use dataverse_core::limits::HTTP_FORM_SPOOL_BYTES_MAX;
use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::form::broken;
use super::parts::Field;
use crate::driver::{Body, BodyError};
use crate::http::face::Face;
use crate::http::problem::Problem;

/// Where such files are kept.
pub(crate) struct Spools {
    folder: PathBuf,
    used: Arc<AtomicU64>,
}

/// One such file.
pub(super) struct Spooled {
    file: File,
    room: Room,
}

/// Bytes taken of what all forms together have; given back when dropped.
struct Room {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Spools {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            used: Arc::default(),
        }
    }

    /// Takes in the content of a field.
    ///
    /// # Errors
    /// When there is no room for it, the disk fails or the form breaks off.
    pub(super) async fn take(
        &self,
        face: &dyn Face,
        field: &mut Field<'_>,
    ) -> Result<Spooled, Problem> {
        let most = HTTP_FORM_SPOOL_BYTES_MAX.min(face.status().free);
        let folder = self.folder.clone();
        let created = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder));
        let created = created
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        let mut spooled = Spooled {
            file: File::from_std(created.map_err(|error| self.failed(&error))?),
            room: Room {
                used: Arc::clone(&self.used),
                bytes: 0,
            },
        };
        while let Some(chunk) = field.next().await {
            let chunk = chunk.map_err(|error| broken(&error))?;
            spooled.room.grow(chunk.len() as u64, most)?;
            let written = spooled.file.write_all(&chunk).await;
            written.map_err(|error| self.failed(&error))?;
        }
        let flushed = spooled.file.flush().await;
        flushed.map_err(|error| self.failed(&error))?;
        Ok(spooled)
    }

    fn failed(&self, error: &io::Error) -> Problem {
        tracing::error!(folder = %self.folder.display(), %error, "a file of a form could not be kept aside");
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if full.contains(&error.kind()) {
            let detail = "the disk has no room for files that come before `username`";
            return Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail);
        }
        let detail =
            "a file that came before `username` could not be kept; this node's log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

impl Spooled {
    /// Bytes of content.
    pub(super) fn size(&self) -> u64 {
        self.room.bytes
    }

    /// The content, to be written.
    pub(super) async fn into_body(self) -> Result<Body, Problem> {
        let Self { mut file, room } = self;
        file.rewind().await.map_err(|error| {
            tracing::error!(%error, "a file of a form could not be read back");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, READ_BACK)
        })?;
        let chunks = ReaderStream::with_capacity(file, CHUNK_BYTES).map(move |chunk| {
            // Its room is taken until the last of it was read.
            let _taken = &room;
            chunk.map_err(|error| {
                tracing::error!(%error, "a file of a form could not be read back");
                BodyError::Failed(READ_BACK.to_owned())
            })
        });
        Ok(chunks.boxed())
    }
}

const CHUNK_BYTES: usize = 64 << 10;
const READ_BACK: &str = "a file of the form could not be read back; this node's log says why";

impl Room {
    fn grow(&mut self, bytes: u64, most: u64) -> Result<(), Problem> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes <= most {
            return Ok(());
        }
        let detail = "there is not so much room for files that come before `username`; send `username` first";
        Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
