//! What a shadow policy is given: questions that were answered, and how.
//!
//! A case is handed over without waiting. Whoever is behind misses some, and they are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dataverse_core::cache::CachedCopy;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::placement::Candidate;
use dataverse_core::policy::{FileView, PlacementRequest};
use dataverse_core::relocation::PathNode;
use dataverse_core::version::{Millis, Version};
use parking_lot::{Mutex, MutexGuard};

/// A placement that was decided.
#[derive(Clone, Debug)]
pub struct PlacementCase {
    /// What was asked.
    pub request: PlacementRequest,
    /// The nodes to choose from.
    pub candidates: Vec<Candidate>,
    /// Live holders of a known file, which come first whatever a policy says.
    pub holders_first: Vec<NodeId>,
    /// The order that was obeyed, best first.
    pub chosen: Vec<NodeId>,
}

/// A relocation that was decided.
#[derive(Clone, Debug)]
pub struct RelocationCase {
    /// The file that was read.
    pub file: FileView,
    /// Reads of it lately.
    pub reads: u32,
    /// From the node that was asked to the one that had it.
    pub path: Vec<PathNode>,
    /// What that one had.
    pub hit: Role,
    /// When.
    pub now: Millis,
    /// The nodes that were to cache a copy.
    pub copy_to: Vec<NodeId>,
    /// The node to which the replica was to move.
    pub move_to: Option<NodeId>,
}

/// Something that happened to the cache, or would have if it were there.
#[derive(Clone, Debug)]
pub enum CacheCase {
    /// A reader here wanted a file that is no replica here, and the cache had it, had it on its way, or was
    /// offered it. Reads after which no copy is to be kept here are not among these: no cache could have
    /// had them.
    Read {
        /// It, as a copy that might be cached.
        copy: CachedCopy,
        /// When.
        now: Millis,
        /// It was cached or on its way.
        hit: bool,
        /// Bytes that the cache may use at the moment.
        capacity: u64,
    },
    /// The cache was offered a copy that nobody reads here just now: it was a replica until now, came by on
    /// its way to others, or another node asked for it to be kept.
    Offered {
        /// The copy.
        copy: CachedCopy,
        /// When.
        now: Millis,
        /// Bytes that the cache may use at the moment.
        capacity: u64,
    },
    /// A cached copy was sent to another node, which would not have asked for it if it were not there.
    Sent {
        /// The file.
        key: Key,
        /// When.
        now: Millis,
    },
    /// There is a newer version of a file, or it was deleted.
    Superseded {
        /// The file.
        key: Key,
        /// The newer version, or that of the deletion.
        by: Version,
    },
    /// A file is a replica here from now on.
    Replica {
        /// The file.
        key: Key,
        /// Which version of it.
        version: Version,
    },
}

/// One end of the queue of a shadow.
#[derive(Debug)]
pub struct Feed<C> {
    cases: SyncSender<C>,
    dropped: Arc<AtomicU64>,
}

impl<C> Feed<C> {
    /// A queue for so many cases, and the count of those that did not fit in.
    #[must_use]
    pub fn new(space: usize) -> (Self, Receiver<C>, Arc<AtomicU64>) {
        let (cases, queue) = sync_channel(space);
        let dropped = Arc::new(AtomicU64::new(0));
        let feed = Self {
            cases,
            dropped: Arc::clone(&dropped),
        };
        (feed, queue, dropped)
    }
}

/// Where the cases of one kind go, if there is a shadow.
#[derive(Debug)]
pub struct Fed<C> {
    /// So that whoever has no shadow pays next to nothing.
    is_fed: AtomicBool,
    feed: Mutex<Option<Feed<C>>>,
}

impl<C> Default for Fed<C> {
    fn default() -> Self {
        Self {
            is_fed: AtomicBool::new(false),
            feed: Mutex::default(),
        }
    }
}

impl<C> Fed<C> {
    /// From now on cases go there, and no longer to whom they went before.
    pub fn feed(&self, feed: Feed<C>) {
        *self.lock() = Some(feed);
        self.is_fed.store(true, Ordering::Release);
    }

    /// Nothing goes any more to the queue with this count. Another one that took its place stays.
    pub fn end(&self, dropped: &Arc<AtomicU64>) {
        let mut feed = self.lock();
        if feed
            .as_ref()
            .is_some_and(|feed| Arc::ptr_eq(&feed.dropped, dropped))
        {
            *feed = None;
            self.is_fed.store(false, Ordering::Release);
        }
    }

    /// Whether anybody wants cases.
    pub(crate) fn is_fed(&self) -> bool {
        self.is_fed.load(Ordering::Acquire)
    }

    /// Hands a case over, if anybody wants it.
    pub(crate) fn hand(&self, case: impl FnOnce() -> C) {
        if !self.is_fed() {
            return;
        }
        let case = case();
        let feed = self.lock();
        if let Some(feed) = &*feed
            && feed.cases.try_send(case).is_err()
        {
            feed.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Feed<C>>> {
        self.feed.lock()
    }
}
