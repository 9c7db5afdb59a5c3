//! Checks that the data folder is still the one that was opened.
//!
//! An open file outlives its name: a node whose index was removed, replaced or moved could go on writing to a file that
//! the next start does not find. So before and after every commit, and now and then in between, the writer checks that
//! the index still has its name and was not changed by others, and that the content folder is in place. While one of
//! them is not, the node refuses changes and acknowledges nothing. If moving something back is enough, the node resumes
//! without a restart.
//!
//! A removed index still exists as long as it is open: it is copied, once, to a file in the data folder from which it
//! can be restored. Nothing here overwrites what it finds.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::Access;

use super::super::StoreError;
use super::super::files::{self, Links};
use super::layout::{Layout, sync_folder};
use super::reconcile::free_name;

/// Bytes at the beginning of an index that differ after every commit.
const HEAD_BYTES: usize = 512;

/// The result of the last check, for other threads.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<Arc<str>>>);

impl Health {
    /// Why changes are refused, if they are.
    pub(super) fn unfit(&self) -> Option<Arc<str>> {
        self.0.lock().clone()
    }

    /// Fails while changes are refused.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.unfit()
            .map_or(Ok(()), |why| Err(StoreError::Unfit(why)))
    }

    fn set(&self, why: Option<Arc<str>>) {
        *self.0.lock() = why;
    }
}

/// Identifies a file regardless of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
        }
    }

    /// The file under this name; links are followed.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is wrong with the data folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("index.redb was {how} while the node ran; the node accepts no more writes. {rescue}")]
    IndexGone { how: &'static str, rescue: String },
    #[error(
        "index.redb is no longer in the data folder: it, or the folder, was moved or renamed while the node ran. The node accepts no writes until it is back, and everything acknowledged before is in it. Move it back, and the node resumes; or stop the node and start it with --data where the folder is now"
    )]
    IndexMoved,
    #[error(
        "index.redb was changed by another program while the node ran; the node accepts no more writes, and the contents of the file cannot be trusted. Stop the node, put back a good copy of index.redb, and start it again; without one, move the data folder aside and let the node start as a new one"
    )]
    IndexChanged,
    #[error(
        "the folder content in the data folder was removed, moved or replaced while the node ran; the node accepts no writes. Move it back, and the node resumes; or restart the node, which then fetches what it lost from the other nodes that have it"
    )]
    ContentGone,
    #[error(
        "the data folder cannot be written to any more ({0}); the node accepts no writes, and everything acknowledged before is safe. Make it writable again, and the node resumes"
    )]
    ReadOnly(String),
    #[error("the data folder cannot be checked ({0}); the node accepts no writes until it can")]
    Unknown(String),
}

/// The index and the folders as they were when they were opened, and the index as the last commit left it.
pub(super) struct Watch {
    layout: Layout,
    /// A handle of our own: it stays readable when the name leads elsewhere.
    index: File,
    index_id: FileId,
    contents_id: FileId,
    left: Left,
    /// What to do about a removed index, once it was copied or copying failed.
    rescue: Option<String>,
    health: Arc<Health>,
    /// The index is not as the last commit left it. That can't be undone.
    changed: bool,
    /// Why no further commit is possible.
    broken: Option<Arc<str>>,
}

/// How the last commit left the index.
#[derive(PartialEq, Eq)]
struct Left {
    bytes: u64,
    modified: (i64, i64),
    head: Vec<u8>,
}

impl Left {
    fn now(index: &File) -> io::Result<Self> {
        let metadata = index.metadata()?;
        let mut head = vec![0; HEAD_BYTES];
        let mut read = 0;
        while read < head.len() {
            match index.read_at(&mut head[read..], read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        head.truncate(read);
        Ok(Self {
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            head,
        })
    }
}

impl Watch {
    /// Begins to watch the open index, and the folders, which must exist.
    pub(super) fn begin(layout: Layout, health: Arc<Health>) -> io::Result<Self> {
        let options = &mut OpenOptions::new();
        let index = files::open(&layout.index(), options.read(true), Links::Followed)?;
        Ok(Self {
            index_id: FileId::of(&index.metadata()?),
            contents_id: FileId::of(&fs::metadata(layout.contents())?),
            left: Left::now(&index)?,
            layout,
            index,
            rescue: None,
            health,
            changed: false,
            broken: None,
        })
    }

    /// Checks before something is written.
    ///
    /// # Errors
    /// [`StoreError::Unfit`].
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        let found = match &self.broken {
            Some(why) => Some(Arc::clone(why)),
            None => self
                .index_there()
                .and_then(|()| self.index_as_left())
                .and_then(|()| self.folders_there())
                .err()
                .map(|trouble| trouble.to_string().into()),
        };
        self.health.set(found);
        self.health.check()
    }

    /// Fails if a check, or the last commit, found something wrong.
    ///
    /// # Errors
    /// [`StoreError::Unfit`].
    pub(super) fn still_fit(&self) -> Result<(), StoreError> {
        self.health.check()
    }

    /// Notes how a commit left the index, and checks that the next start will find it.
    ///
    /// # Errors
    /// [`StoreError::Unfit`].
    pub(super) fn committed(&mut self) -> Result<(), StoreError> {
        self.note();
        if let Err(trouble) = self.index_there() {
            self.health.set(Some(trouble.to_string().into()));
        }
        self.health.check()
    }

    /// Notes the index after a commit that failed: its contents are the same, its bytes may not be.
    pub(super) fn note(&mut self) {
        if let Ok(left) = Left::now(&self.index) {
            self.left = left;
        }
    }

    /// A commit failed in a way after which no other is possible: the node must be restarted.
    pub(super) fn broke(&mut self, error: &StoreError) {
        let why: Arc<str> = error.to_string().into();
        self.broken = Some(Arc::clone(&why));
        self.health.set(Some(why));
    }

    fn index_there(&mut self) -> Result<(), Trouble> {
        let unknown = |error: io::Error| Trouble::Unknown(error.kind().to_string());
        let there = FileId::at(&self.layout.index()).map_err(unknown)?;
        if there == Some(self.index_id) {
            return Ok(());
        }
        let links = self.index.metadata().map_err(unknown)?.nlink();
        match (links, there) {
            (0, there) => Err(Trouble::IndexGone {
                how: if there.is_some() {
                    "replaced by another file"
                } else {
                    "removed"
                },
                rescue: self.rescue(),
            }),
            (_, None) => Err(Trouble::IndexMoved),
            (_, Some(_)) => Err(Trouble::IndexGone {
                how: "moved away, and another file was put in its place,",
                rescue: "Stop the node, put back the file that was moved, and start the node again"
                    .to_owned(),
            }),
        }
    }

    /// Only commits write the index, so nothing in it changes between two of them.
    fn index_as_left(&mut self) -> Result<(), Trouble> {
        let unknown = |error: io::Error| Trouble::Unknown(error.kind().to_string());
        let metadata = self.index.metadata().map_err(unknown)?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        if !self.changed && metadata.len() == self.left.bytes && modified == self.left.modified {
            return Ok(());
        }
        let now = Left::now(&self.index).map_err(unknown)?;
        self.changed |= now.bytes != self.left.bytes || now.head != self.left.head;
        if self.changed {
            return Err(Trouble::IndexChanged);
        }
        // Only its time was set, which does no harm.
        self.left = now;
        Ok(())
    }

    fn folders_there(&self) -> Result<(), Trouble> {
        let unknown = |error: io::Error| Trouble::Unknown(error.kind().to_string());
        let contents = FileId::at(&self.layout.contents()).map_err(unknown)?;
        if contents != Some(self.contents_id) {
            return Err(Trouble::ContentGone);
        }
        // No acknowledged write depends on what is in these.
        for folder in self.layout.lesser_folders() {
            if !files::is_there(&folder) && fs::create_dir(&folder).is_ok() {
                tracing::warn!(folder = %folder.display(), "a folder was removed from the data folder while the node ran; it was created again");
            }
        }
        for folder in [self.layout.incoming(), self.layout.contents()] {
            rustix::fs::access(&folder, Access::WRITE_OK)
                .map_err(|error| Trouble::ReadOnly(io::Error::from(error).kind().to_string()))?;
        }
        Ok(())
    }

    /// Copies the removed index, once, and says what to do with the copy.
    fn rescue(&mut self) -> String {
        if let Some(rescue) = &self.rescue {
            return rescue.clone();
        }
        let rescue = match self.copy_index() {
            Ok(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!(
                    "Everything acknowledged before is in a copy of it, {name} in the data folder. Stop the node, rename that to index.redb, and start the node again"
                )
            }
            Err(error) => format!(
                "It could not be copied ({}): it exists only as long as the node runs, as an open file in /proc/{}/fd. Copy it from there, stop the node, put the copy back as index.redb, and start the node again",
                error.kind(),
                std::process::id()
            ),
        };
        self.rescue = Some(rescue.clone());
        rescue
    }

    fn copy_index(&self) -> io::Result<PathBuf> {
        let unfinished = self.layout.rescued().with_added_extension("new");
        let mut copy = files::create_anew(&unfinished)?;
        let mut from = ReadAt {
            file: &self.index,
            at: 0,
        };
        let copied = io::copy(&mut from, &mut copy).and_then(|_| copy.sync_all());
        let rescued = self.layout.rescued();
        let target = free_name(self.layout.root(), rescued.file_name().unwrap_or_default());
        copied
            .and_then(|()| fs::rename(&unfinished, &target))
            .and_then(|()| sync_folder(self.layout.root()))
            .inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
        Ok(target)
    }
}

/// Reads a file from its beginning without moving the position of its handle.
struct ReadAt<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
