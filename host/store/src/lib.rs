//! The store port: everything of a node that outlives its process. That is its files, links, clock and
//! identity secret.
//!
//! [`Store`] is the port. [`DiskStore`] implements it on a data folder; [`MemoryStore`], on a [`MemoryDisk`],
//! implements it for tests, simulations and `demo --ephemeral`. One test suite (`suite`) runs on both. A store
//! makes no decisions about replication: it applies what it is given and never opens a socket.
//!
//! **A write.** [`Store::spool`] reserves space and opens a [`Spool`]. The spool hashes the bytes as they
//! arrive, writes them to a file unless the content is small (at most [`limits::INLINE_BYTES_MAX`]), and lets any
//! number of [`Tail`]s read while it grows. [`Spool::seal`] turns it into [`Prepared`] content, which is complete but
//! invisible. It is durable, except that small content stays in memory until it is committed to the index.
//! [`Change::Put`], given to [`Store::apply`], commits it. Dropping a spool or prepared content
//! removes its file and frees its space. When space runs out nothing is lost: [`Spool::write`] leaves the spool
//! as it was, so the caller can evict cached copies and write the same bytes again.
//!
//! **A change.** The store applies changes one after another, each only if it wins over what is held (`rules`,
//! see [`Change`]). It notifies its [`Observer`] of each change in that order, after the change is durable and
//! before the caller gets its answer. So the observer always agrees with the index.
//!
//! **A read.** [`Store::open`] returns [`Content`], which stays readable even if the file is overwritten or
//! dropped. The store does not compare content with its digest on reading; callers do, using the group tree.
//!
//! Who owns what: `rules` decides which change wins; `space` counts bytes and reservations; `disk` owns the
//! index file, the content files and the thread that writes them; [`data_folder`] prepares the folder before it
//! is opened; `files` opens files without following links or blocking on a FIFO; [`crash`] names the points at
//! which crash tests kill the process.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::plural::plural;
use dataverse_core::record::Record;
use dataverse_core::secret::Secret;
use dataverse_core::version::{Millis, Stamp, Version};

pub mod changing;
mod content;
pub mod crash;
pub mod data_folder;
mod disk;
mod files;
pub mod limits;
mod memory;
mod rope;
mod rules;
mod secret;
mod space;
mod spool;
#[cfg(test)]
mod suite;
mod tail;

pub use content::Content;
pub use disk::{DiskOptions, DiskStore, Identity, OpenError};
pub use memory::{CommitPace, MemoryDisk, MemoryStore};
pub use spool::{Prepared, Spool};
pub use tail::Tail;

/// What a store found when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// Every holding whose content exists, in order of the key.
    pub holdings: Vec<Holding>,
    /// The persisted ceiling of the clock.
    pub ceiling: Stamp,
    /// The secret of the data folder, known only to this store and copies of it. Drawn when the store is first opened.
    pub secret: Secret,
    /// The node's links, and its refusals of links that were cut.
    pub links: SavedLinks,
    /// Facts about the node that outlive a restart.
    pub lifetime: Lifetime,
    /// Files that have an entry but no content, and replicas that were quarantined. They are not held, and only a
    /// `Put` with content brings them back. Their versions remain floors.
    pub missing: Vec<Arc<Record>>,
}

/// The links of a node as they are persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedLinks {
    /// Linked nodes: id, name and last known address.
    pub links: Vec<(NodeId, String, String)>,
    /// Nodes whose link was cut while they were away.
    pub refused: Vec<NodeId>,
    /// Nodes that announced that they leave, neighbours or not, and the run in which they did.
    pub left: Vec<(NodeId, u64)>,
}

/// Small facts about a node that outlive a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Total time that the node has run, over all its runs, in milliseconds. It may lag by the interval at which it
    /// is saved.
    pub ran_ms: u64,
    /// When the node last had contact with another member; 0 if never.
    pub together: Millis,
    /// Whether an operator is draining the node.
    pub draining: bool,
    /// When the last scrub (check of all content) began; 0 if none ever did.
    pub scrub_began: Millis,
    /// When a scrub last ended. While this is earlier than `scrub_began`, a scrub is in progress.
    pub scrub_ended: Millis,
}

impl Lifetime {
    /// Whether a scrub is in progress.
    #[must_use]
    pub const fn is_scrubbing(&self) -> bool {
        self.scrub_ended < self.scrub_began
    }
}

/// Bytes by what they are used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that the node may use for content.
    pub capacity: u64,
    /// Bytes of replicas.
    pub replicas: u64,
    /// Bytes of cached copies.
    pub cached: u64,
    /// Bytes reserved for spools and prepared content.
    pub reserved: u64,
}

impl Usage {
    /// Free bytes: the capacity, less what is used, less a reserve that keeps deletions and the index working on a
    /// full disk.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.free_for_replicas().saturating_sub(self.cached)
    }

    /// Bytes free for replicas: cached copies count as free, since replicas may evict them.
    #[must_use]
    pub const fn free_for_replicas(&self) -> u64 {
        let reserve = self.capacity / dataverse_core::limits::STORE_RESERVE_DIVISOR;
        self.capacity
            .saturating_sub(reserve)
            .saturating_sub(self.replicas)
            .saturating_sub(self.reserved)
    }
}

/// Why a store operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The capacity is used up. Evicting cached copies may help.
    #[error("not enough space: the node needs {} more", plural(*short, "byte", "bytes"))]
    NoSpace {
        /// Bytes missing.
        short: u64,
    },
    /// The disk itself is full.
    #[error("the disk is full: {0}; free some space or lower --capacity")]
    DiskFull(String),
    /// The content is not, or no longer, in the store.
    #[error("the content of {0} is not in the store")]
    Absent(Key),
    /// The content does not match its digest.
    #[error("the content of {0} does not match its digest")]
    Corrupt(Key),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// The data folder was changed or removed while the node ran. Writes are refused until that is fixed.
    #[error("{0}")]
    Unfit(Arc<str>),
    /// Reading or writing failed. Clients and other nodes see this error, so it contains no path; the log has the
    /// path.
    #[error("{doing}: {reason}")]
    Failed {
        /// The operation, and what it was done to.
        doing: String,
        /// The reason that the system gave.
        reason: String,
    },
}

impl StoreError {
    /// As [`StoreError::of_io`], for a file whose path is logged and not sent to clients.
    fn of_file(doing: impl Display, path: &Path, error: &io::Error) -> Self {
        tracing::error!(path = %path.display(), %error, %doing, "reading or writing a file failed");
        Self::of_io(doing, error)
    }

    /// Converts an I/O error, recognizing a full disk.
    fn of_io(doing: impl Display, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull(doing.to_string())
            }
            _ => Self::Failed {
                doing: doing.to_string(),
                reason: error.to_string(),
            },
        }
    }
}

/// A change of the index. Changes to one file are applied in the order in which they are submitted.
#[derive(Debug)]
pub enum Change {
    /// Holds a file under this record and role.
    ///
    /// Applied if nothing is held, if the held record is lesser, or if the version is the same and the held layout
    /// is not greater. If the same version is already held, the content may be omitted (a new layout, or a cached
    /// copy that becomes a replica); content that comes anyway is dropped. A record of another version needs its
    /// content, unless it is a tombstone: without content the change fails with [`StoreError::Absent`], with
    /// content that doesn't match the record with [`StoreError::Corrupt`]. A cached copy never replaces a replica
    /// of the same version: the records are merged and the role stays.
    Put {
        /// The record of the file.
        record: Arc<Record>,
        /// The role in which it is held.
        role: Role,
        /// The content.
        content: Option<Prepared>,
        /// When the version was last known to be the newest.
        validated: Millis,
        /// See [`Holding::verified`]; for new content, the time at which it was written.
        verified: Millis,
    },
    /// Removes the holding of this file if its version is at most `version` and, when `only` is given, if it is held
    /// in that role.
    Drop {
        /// The file.
        key: Key,
        /// The greatest version to remove.
        version: Version,
        /// Remove only a holding with this role.
        only: Option<Role>,
    },
    /// Turns a replica of exactly this version into a cached copy and keeps the content. Superseded if the replica
    /// is held under a greater layout than the record's: this node has promised to keep it.
    Demote {
        /// The record with the layout that no longer names this node.
        record: Arc<Record>,
    },
    /// Releases (removes) the replica of exactly this version. Superseded if the replica is held under the record's
    /// layout or a greater one: this node has promised to keep it.
    Release {
        /// The record with the layout that no longer names this node.
        record: Arc<Record>,
    },
    /// Records that the content matched its digest at this time.
    Verified {
        /// The file.
        key: Key,
        /// The version that was checked.
        version: Version,
        /// When it was checked.
        at: Millis,
    },
    /// The content is bad: moves it to `quarantine/` and removes the holding. A replica then counts as missing (see
    /// [`Opened::missing`]), also after a restart, and no older version takes its place.
    Quarantine {
        /// The file.
        key: Key,
        /// The version that is bad.
        version: Version,
    },
    /// The file was deleted, and nobody remembers the deletion any more: moves the content to `quarantine/` and removes
    /// the holding, which does not count as missing.
    SetAside {
        /// The file.
        key: Key,
        /// The version that was deleted.
        version: Version,
    },
}

impl Change {
    /// The file that the change is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { record, .. } | Self::Demote { record } | Self::Release { record } => {
                &record.key
            }
            Self::Drop { key, .. }
            | Self::Verified { key, .. }
            | Self::Quarantine { key, .. }
            | Self::SetAside { key, .. } => key,
        }
    }
}

/// The result of a [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The change is durable.
    Done {
        /// The previous holding, if there was one. Its `validated` is not stored and is 0 here.
        before: Option<Holding>,
    },
    /// A greater record is held, and is durable.
    Superseded(Arc<Record>),
    /// There was nothing to change.
    Nothing,
}

/// Gets every change, in order, once it is durable.
pub trait Observer: Send + Sync + 'static {
    /// The holding of `key` is now `after`; `None` means that nothing is held. Must return quickly.
    ///
    /// A store does not keep the time of validation: `after.validated` is what this change said, or 0. An observer
    /// that mirrors the holdings keeps the later time for the same version.
    fn changed(&self, key: &Key, after: Option<&Holding>);
}

/// Persists a node's files, links and clock. All implementations pass the same test suite.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns what was found at start. Must be called once, before anything else; `observer` gets every later change.
    fn start(&self, observer: Arc<dyn Observer>) -> Opened;
    /// Reserves space for content of `size` bytes and opens a spool for it. If the size is not known, the spool
    /// reserves space as it grows.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] and [`StoreError::DiskFull`].
    fn spool(&self, size: Option<u64>) -> Result<Spool, StoreError>;
    /// Applies the change and makes it durable. Concurrent calls share a commit.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    async fn apply(&self, change: Change) -> Result<Applied, StoreError>;
    /// Opens the content of exactly this record's version.
    ///
    /// # Errors
    /// [`StoreError::Absent`] when that version is not, or no longer, held.
    async fn open(&self, record: &Record) -> Result<Content, StoreError>;
    /// Persists the links.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn save_links(&self, links: SavedLinks) -> Result<(), StoreError>;
    /// Persists the ceiling of the clock.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn save_ceiling(&self, ceiling: Stamp) -> Result<(), StoreError>;
    /// Persists the small facts about the node.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn save_lifetime(&self, lifetime: Lifetime) -> Result<(), StoreError>;
    /// How the space is used.
    fn usage(&self) -> Usage;
    /// Checks that the data folder is still as it was when it was opened. While it is not, every change and every
    /// spool is refused with the same error.
    ///
    /// # Errors
    /// [`StoreError::Unfit`]: says what happened, what is safe and what to do.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// What the last check found wrong, if anything.
    fn unfit(&self) -> Option<Arc<str>> {
        None
    }
    /// Closes the store after applying every change already submitted.
    async fn close(&self);
}

#[cfg(test)]
mod usage_tests {
    use super::Usage;

    #[test]
    fn what_is_used_beyond_the_capacity_is_not_filled_by_cached_copies() {
        let usage = Usage {
            capacity: 80,
            replicas: 90,
            cached: 20,
            reserved: 0,
        };
        assert_eq!((usage.free(), usage.free_for_replicas()), (0, 0));
        let usage = Usage {
            replicas: 30,
            ..usage
        };
        assert_eq!((usage.free(), usage.free_for_replicas()), (30, 50));
    }
}
