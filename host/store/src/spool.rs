//! `Spool` and `Prepared`: content on its way into the store.
//!
//! Bytes are gathered up to a mebibyte, then hashed and written together off the async threads, while the next
//! mebibyte is gathered. Small content (at most [`limits::INLINE_BYTES_MAX`]) never touches a file; its commit stores
//! it in the index. Anything dropped before it is committed removes its file and frees its space.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dataverse_core::content::{ContentHasher, Digest, GroupTree};
use tokio::task::JoinHandle;

use super::StoreError;
use super::content::in_background;
use super::rope::Rope;
use super::space::Reservation;
use super::tail::{Growing, Tail};
use crate::limits;

/// The write end of content that is on its way into the store.
#[derive(Debug)]
pub struct Spool {
    growing: Abandoned,
    space: Reservation,
    size: u64,
    /// Bytes that were handed to a write, finished or not.
    handed_over: u64,
    /// `None` while a write is under way, and after one failed.
    work: Option<Work>,
    writing: Option<JoinHandle<Result<Work, StoreError>>>,
    folder: Option<Arc<Incoming>>,
}

impl Spool {
    /// A spool whose content goes to a file in this folder once it is no longer small; without a folder it stays in
    /// memory.
    pub(super) fn new(space: Reservation, folder: Option<Arc<Incoming>>) -> Self {
        Self {
            growing: Abandoned(Growing::new()),
            space,
            size: 0,
            handed_over: 0,
            work: Some(Work::default()),
            writing: None,
            folder,
        }
    }

    /// Takes the next bytes; waits when the disk does not keep up. Tails can read them immediately.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`]: nothing was taken and the spool is unchanged; the same bytes can be written again
    /// once there is space. After any other error the spool is unusable.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let size = self.size + bytes.len() as u64;
        self.space.cover(size)?;
        // The only wait comes before the bytes are taken: a caller that is cancelled here can try again.
        if self.size - self.handed_over >= limits::SPOOL_WRITE_BYTES {
            self.finish_write().await?;
            self.start_write()?;
        }
        self.growing.0.push(bytes);
        self.size = size;
        Ok(())
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A reader of the bytes written so far and later.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail(Arc::clone(&self.growing.0))
    }

    /// Ends the content and makes it durable, except small content, which its commit makes durable.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is left of the content.
    pub async fn seal(mut self) -> Result<Prepared, StoreError> {
        self.finish_write().await?;
        let is_small = self.size <= limits::INLINE_BYTES_MAX as u64;
        let sealed = if is_small {
            self.growing.0.gather();
            self.take_work()?.seal(&self.growing.0, None)?
        } else if self.folder.is_none() {
            self.take_work()?.seal(&self.growing.0, None)?
        } else {
            let (work, growing) = (self.take_work()?, Arc::clone(&self.growing.0));
            let folder = self.folder.take();
            in_background(move || work.seal(&growing, folder.as_deref())).await??
        };
        self.space.shrink(self.size);
        self.space.wrote(self.size);
        self.growing.0.end(Ok(()));
        Ok(Prepared {
            digest: sealed.digest,
            size: self.size,
            tree: Arc::new(sealed.tree),
            growing: Arc::clone(&self.growing.0),
            file: sealed.file,
            _room: self.space,
        })
    }

    async fn finish_write(&mut self) -> Result<(), StoreError> {
        if let Some(writing) = &mut self.writing {
            let done = writing.await;
            self.writing = None;
            match done.map_err(|_| StoreError::Closed).flatten() {
                Ok(work) => {
                    // Bytes that arrived while it was under way may have been written with it.
                    self.handed_over = work.hasher.size();
                    self.work = Some(work);
                }
                Err(error) => {
                    self.growing.0.end(Err(error.clone()));
                    return Err(error);
                }
            }
            self.space.wrote(self.handed_over);
        }
        Ok(())
    }

    fn start_write(&mut self) -> Result<(), StoreError> {
        let mut work = self.take_work()?;
        // Without a file there is at most a mebibyte to hash.
        if self.folder.is_none() {
            work.take_in(&self.growing.0, None)?;
            self.handed_over = self.size;
            self.work = Some(work);
            return Ok(());
        }
        let (growing, folder) = (Arc::clone(&self.growing.0), self.folder.clone());
        self.handed_over = self.size;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            work.take_in(&growing, folder.as_deref())?;
            Ok(work)
        }));
        Ok(())
    }

    fn take_work(&mut self) -> Result<Work, StoreError> {
        self.work.take().ok_or_else(|| StoreError::Failed {
            doing: "writing an upload".to_owned(),
            reason: "an earlier write to it failed".to_owned(),
        })
    }
}

/// Makes readers fail when a spool is dropped before its end.
#[derive(Debug)]
struct Abandoned(Arc<Growing>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.end(Err(StoreError::Failed {
            doing: "reading an unfinished upload".to_owned(),
            reason: "the upload was cancelled".to_owned(),
        }));
    }
}

/// Content that is complete, and invisible until it is committed. It is durable, unless it is small: then it is in
/// memory, and its commit makes it durable.
#[derive(Debug)]
pub struct Prepared {
    digest: Digest,
    size: u64,
    tree: Arc<GroupTree>,
    growing: Arc<Growing>,
    file: Option<IncomingFile>,
    _room: Reservation,
}

impl Prepared {
    /// Digest of the content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The group tree.
    #[must_use]
    pub fn tree(&self) -> Arc<GroupTree> {
        Arc::clone(&self.tree)
    }

    /// A reader of the content; it stays usable after the content is committed or dropped.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail(Arc::clone(&self.growing))
    }

    /// The content, if it is in memory.
    pub(super) fn rope(&self) -> Rope {
        self.growing.rope()
    }

    /// The file that contains the content, if there is one.
    pub(super) fn file(&mut self) -> Option<&mut IncomingFile> {
        self.file.as_mut()
    }
}

/// The folder for content that is not committed yet.
#[derive(Debug)]
pub(super) struct Incoming {
    folder: PathBuf,
    next: AtomicU64,
}

impl Incoming {
    pub(super) fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            folder,
            next: AtomicU64::new(0),
        })
    }

    fn create(&self) -> Result<IncomingFile, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number:016x}"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| {
                StoreError::of_file("creating a file for incoming content", &path, &error)
            })?;
        Ok(IncomingFile {
            file: Arc::new(file),
            path,
            has_tree: false,
            is_committed: false,
        })
    }
}

/// A file in [`Incoming`] and the group tree next to it; removed when dropped, unless committed.
#[derive(Debug)]
pub(super) struct IncomingFile {
    file: Arc<File>,
    path: PathBuf,
    has_tree: bool,
    is_committed: bool,
}

impl IncomingFile {
    /// Where the content is.
    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Whether there is a group tree next to it.
    pub(super) fn has_tree(&self) -> bool {
        self.has_tree
    }

    /// The path of its group tree, if it has one.
    pub(super) fn tree_path(&self) -> PathBuf {
        self.path.with_extension("tree")
    }

    /// The file was moved to its place: nothing is removed here.
    pub(super) fn committed(&mut self) {
        self.is_committed = true;
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        let (path, tree) = (self.path.clone(), self.tree_path());
        // Best effort: what remains is removed at the next start.
        let remove = move || {
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_file(tree);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// State carried from one write of a mebibyte to the next.
#[derive(Debug, Default)]
struct Work {
    hasher: ContentHasher,
    file: Option<IncomingFile>,
    /// Bytes of the file that were submitted for syncing, and the sync that is under way.
    sent: u64,
    sending: Option<std::thread::JoinHandle<io::Result<()>>>,
}

struct Sealed {
    digest: Digest,
    tree: GroupTree,
    file: Option<IncomingFile>,
}

impl Work {
    /// Hashes the bytes that arrived since the last write and writes them to the file.
    fn take_in(&mut self, growing: &Growing, folder: Option<&Incoming>) -> Result<(), StoreError> {
        let chunks = growing.chunks_from(self.hasher.size());
        let Some(folder) = folder else {
            chunks.iter().for_each(|chunk| self.hasher.update(chunk));
            return Ok(());
        };
        let file = match self.file.take() {
            Some(file) => file,
            None => folder.create()?,
        };
        let (handle, path) = (Arc::clone(&file.file), file.path.clone());
        self.file = Some(file);
        let failed = |error| StoreError::of_file("writing incoming content", &path, &error);
        write_all(&handle, &chunks).map_err(failed)?;
        chunks.iter().for_each(|chunk| self.hasher.update(chunk));
        growing.written(&handle, self.hasher.size());
        self.send_on(&handle).map_err(failed)
    }

    /// Starts a sync now and then, so that the final sync is short.
    fn send_on(&mut self, file: &Arc<File>) -> io::Result<()> {
        if self.hasher.size() - self.sent < limits::SPOOL_SYNC_BYTES {
            return Ok(());
        }
        self.sent = self.hasher.size();
        self.await_sending()?;
        let file = Arc::clone(file);
        let begun = std::thread::Builder::new()
            .name("spool-sync".to_owned())
            .spawn(move || file.sync_data())?;
        self.sending = Some(begun);
        Ok(())
    }

    fn await_sending(&mut self) -> io::Result<()> {
        match self.sending.take().map(std::thread::JoinHandle::join) {
            Some(Ok(sent)) => sent,
            Some(Err(_)) => Err(io::Error::other("the thread that syncs panicked")),
            None => Ok(()),
        }
    }

    fn seal(mut self, growing: &Growing, folder: Option<&Incoming>) -> Result<Sealed, StoreError> {
        self.take_in(growing, folder)?;
        let sent = self.await_sending();
        let (digest, tree) = self.hasher.finish();
        if let Some(file) = &mut self.file {
            let durable = sent
                .and_then(|()| file.file.sync_all())
                .and_then(|()| write_tree(file, &tree));
            durable.map_err(|error| {
                StoreError::of_file("making incoming content durable", &file.path, &error)
            })?;
        }
        Ok(Sealed {
            digest,
            tree,
            file: self.file,
        })
    }
}

fn write_tree(file: &mut IncomingFile, tree: &GroupTree) -> io::Result<()> {
    let bytes = tree.to_bytes();
    if bytes.is_empty() {
        return Ok(());
    }
    let mut beside = File::create_new(file.tree_path())?;
    file.has_tree = true;
    beside.write_all(&bytes)?;
    beside.sync_all()
}

/// Slices in one system call at most (Linux takes 1024).
const SLICES_MAX: usize = 512;

fn write_all(mut file: &File, chunks: &[Bytes]) -> io::Result<()> {
    for some in chunks.chunks(SLICES_MAX) {
        let mut slices: Vec<_> = some.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match file.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
