//! The store port: where a node's files, links and clock outlive it.
//!
//! A write passes through three hands. A [`Spool`] takes the bytes as they arrive, hashing them, and can
//! be read while it grows. Sealed, it is [`Prepared`]: durable (or, when small, still in memory) and
//! invisible. [`Change::Put`] commits it. Dropping a spool or a preparation releases it, room and all.
//!
//! A store that runs out of room says so before anything is lost: [`Spool::write`] leaves the spool as it
//! was, so that the same bytes can be written again once cached copies have made room.
//!
//! A store applies changes one after the other and only if they win (see [`Change`]); it tells its
//! [`Observer`] of each in that order, before the caller hears of it. What the observer knows is therefore
//! always what the index says.

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
use parking_lot::{Mutex, MutexGuard};

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
    /// Every holding whose content is there, in order of the key.
    pub holdings: Vec<Holding>,
    /// The ceiling of the clock as it was persisted.
    pub ceiling: Stamp,
    /// What this store and its copies know and nobody else does: drawn when it is first opened.
    pub secret: Secret,
    /// The links kept, and the refusals of links that were cut.
    pub links: SavedLinks,
    /// What the node keeps of its own life.
    pub lifetime: Lifetime,
    /// Files whose entry is there and whose content is gone, and replicas that were put into quarantine. They
    /// are not held: nothing but a `Put` with content brings them back. Their versions remain floors.
    pub missing: Vec<Arc<Record>>,
}

/// The links of a node as they are persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedLinks {
    /// Nodes linked with: id, name and last known address.
    pub links: Vec<(NodeId, String, String)>,
    /// Nodes whose link was cut while they were away.
    pub refused: Vec<NodeId>,
    /// Nodes that said good-bye, neighbours or not, and in which of their runs.
    pub left: Vec<(NodeId, u64)>,
}

/// What a node keeps of its own life: small facts that outlive a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// How long it has run, all its runs added up, in milliseconds. Late by what it is saved apart.
    pub ran_ms: u64,
    /// When it was last in touch with another member; 0 when it never was.
    pub together: Millis,
    /// Whether an operator empties it.
    pub draining: bool,
    /// When the last check of all content was begun; 0 when none ever was.
    pub scrub_began: Millis,
    /// When a check of all content last ended. The last one is under way while this is before it began.
    pub scrub_ended: Millis,
}

impl Lifetime {
    /// Whether a check of all content is under way.
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
    /// Bytes promised to spools and preparations.
    pub reserved: u64,
}

impl Usage {
    /// Bytes that are left: of the capacity, less a reserve that keeps deletions and the index going on a
    /// full disk.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.free_for_replicas().saturating_sub(self.cached)
    }

    /// Bytes that are left for replicas, for which cached copies give way.
    #[must_use]
    pub const fn free_for_replicas(&self) -> u64 {
        let reserve = self.capacity / dataverse_core::limits::STORE_RESERVE_DIVISOR;
        self.capacity
            .saturating_sub(reserve)
            .saturating_sub(self.replicas)
            .saturating_sub(self.reserved)
    }
}

/// Why the store could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The capacity is used up. Evicting cached copies may help.
    #[error("no room: {} more needed than the node has left", plural(*short, "byte is", "bytes are"))]
    NoSpace {
        /// Bytes missing.
        short: u64,
    },
    /// The disk itself is full.
    #[error("the disk is full: {0}; free some space or lower --capacity")]
    DiskFull(String),
    /// The content is not (or no longer) here.
    #[error("the content of {0} is not in the store")]
    Absent(Key),
    /// The content does not match its digest.
    #[error("the content of {0} does not match its digest")]
    Corrupt(Key),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// What the store stands on was taken away or changed under it: nothing is taken in until that is mended.
    #[error("{0}")]
    Unfit(Arc<str>),
    /// Reading or writing failed. Clients and other nodes are told of this, so it names no path: those are in the log.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done, and to what.
        doing: String,
        /// What the system said.
        reason: String,
    },
}

impl StoreError {
    /// As [`StoreError::of_io`], of a file whose path is for the log only.
    fn of_file(doing: impl Display, path: &Path, error: &io::Error) -> Self {
        tracing::error!(path = %path.display(), %error, %doing, "the disk failed");
        Self::of_io(doing, error)
    }

    /// The error of the system, with a full disk told from the rest.
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

/// Locks, also after a panic elsewhere: what these locks guard is changed in single steps.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// A change of the index. Changes to one file are applied in the order in which they are handed in.
#[derive(Debug)]
pub enum Change {
    /// Holds a file under this record and role.
    ///
    /// Wins over nothing, a lesser record, or the same version with a layout that is not greater. With the same
    /// version already held the content may be left out (a new layout, a cached copy made a replica) and
    /// is dropped if it comes. A record of another version needs its content, except a tombstone
    /// ([`StoreError::Absent`] without, [`StoreError::Corrupt`] with another content). A cached
    /// copy never replaces a replica of the same version: the record is merged and the role stays.
    Put {
        /// What is known of the file.
        record: Arc<Record>,
        /// As what it is held.
        role: Role,
        /// The content.
        content: Option<Prepared>,
        /// When it was last known to be the newest version.
        validated: Millis,
        /// See [`Holding::verified`]: for content the time it was written.
        verified: Millis,
    },
    /// Lets go of the holding of this file if its version is at most `version` (and, where `only` names a
    /// role, if it is held as that).
    Drop {
        /// The file.
        key: Key,
        /// Up to which version.
        version: Version,
        /// Only when held as this.
        only: Option<Role>,
    },
    /// Makes a replica of exactly this version a cached copy, keeping the content. Superseded when the
    /// replica is promised under a greater layout than the record's.
    Demote {
        /// The record with the layout that no longer names this node.
        record: Arc<Record>,
    },
    /// Lets go of the replica of exactly this version. Superseded when it is promised under a layout that is not
    /// lesser than the record's.
    Release {
        /// The record with the layout that no longer names this node.
        record: Arc<Record>,
    },
    /// The content matched its digest at this time.
    Verified {
        /// The file.
        key: Key,
        /// Which version.
        version: Version,
        /// When.
        at: Millis,
    },
    /// The content is bad: it goes to `quarantine/` and the holding with it. A replica is missing from then on
    /// (see [`Opened::missing`]): nothing older takes its place, and it is still known after a restart.
    Quarantine {
        /// The file.
        key: Key,
        /// Which version.
        version: Version,
    },
}

impl Change {
    /// The file that it is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { record, .. } | Self::Demote { record } | Self::Release { record } => {
                &record.key
            }
            Self::Drop { key, .. } | Self::Verified { key, .. } | Self::Quarantine { key, .. } => {
                key
            }
        }
    }
}

/// What became of a [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is durable.
    Done {
        /// The holding before, if there was one (`validated` is not kept and is 0 in it).
        before: Option<Holding>,
    },
    /// A greater record was there; that one is durable.
    Superseded(Arc<Record>),
    /// There was nothing to change.
    Nothing,
}

/// Hears of every change, in order, once it is durable.
pub trait Observer: Send + Sync + 'static {
    /// The holding of `key` is `after` from now on (`None`: there is none). Must return quickly.
    ///
    /// A store doesn't keep when a holding was validated: `after.validated` is what this change said, 0 when
    /// it said nothing. Whoever mirrors the holdings keeps the later time for one version.
    fn changed(&self, key: &Key, after: Option<&Holding>);
}

/// Where a node's files, links and clock outlive it. The same suite of tests runs on every store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What was found at start; once, before anything else is asked. `observer` hears of what follows.
    fn start(&self, observer: Arc<dyn Observer>) -> Opened;
    /// Makes room for a content of `size` bytes, where it is known, and opens a spool for it. Where it is
    /// not known, the spool asks for room as it grows.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] and [`StoreError::DiskFull`].
    fn spool(&self, size: Option<u64>) -> Result<Spool, StoreError>;
    /// Applies the change and makes it durable. Concurrent calls share a commit.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    async fn apply(&self, change: Change) -> Result<Applied, StoreError>;
    /// Opens the content of exactly this record's version, as it is held.
    ///
    /// # Errors
    /// [`StoreError::Absent`] when it isn't held (any more).
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
    /// Persists what the node keeps of its own life.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn save_lifetime(&self, lifetime: Lifetime) -> Result<(), StoreError>;
    /// What is used.
    fn usage(&self) -> Usage;
    /// Looks whether what the store stands on is still as it was opened. While it is not, every change and every
    /// spool is refused with the same error.
    ///
    /// # Errors
    /// [`StoreError::Unfit`], with what happened, what is safe and what to do.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// What the last look found, if anything is wrong.
    fn unfit(&self) -> Option<Arc<str>> {
        None
    }
    /// Ends the store: what was handed in before is applied first.
    async fn close(&self);
}

#[cfg(test)]
mod usage_tests {
    use super::Usage;

    #[test]
    fn what_is_used_beyond_the_capacity_is_not_made_up_by_cached_copies() {
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
