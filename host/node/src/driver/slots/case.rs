//! Cases for shadow policies: questions that were answered, and the answers.
//!
//! A case is handed over without waiting. A shadow that falls behind misses some, and the misses are counted.

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
use parking_lot::Mutex;

/// A placement that was decided.
#[derive(Clone, Debug)]
pub struct PlacementCase {
    /// The question.
    pub request: PlacementRequest,
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// Live holders of a known file, which come first whatever a policy decides.
    pub holders_first: Vec<NodeId>,
    /// The order that was used, best first.
    pub chosen: Vec<NodeId>,
}

/// A relocation that was decided.
#[derive(Clone, Debug)]
pub struct RelocationCase {
    /// The file that was read.
    pub file: FileView,
    /// Recent reads of it.
    pub reads: u32,
    /// The path from the entry node to the holder.
    pub path: Vec<PathNode>,
    /// Role of the holder's copy.
    pub hit: Role,
    /// Time of the decision.
    pub now: Millis,
    /// The nodes that were to cache a copy.
    pub copy_to: Vec<NodeId>,
    /// The node that the replica was to move to.
    pub move_to: Option<NodeId>,
}

/// An event of the cache, or one that it would have seen.
#[derive(Clone, Debug)]
pub enum CacheCase {
    /// A reader here wanted a file that is no replica here, and the cache had it, was receiving it, or was offered
    /// it. Reads after which no copy is to be kept here are not included: no cache could have had them.
    Read {
        /// The file, as a copy that might be cached.
        copy: CachedCopy,
        /// Time of the event.
        now: Millis,
        /// Whether it was cached or arriving.
        hit: bool,
        /// Bytes the cache may use now.
        capacity: u64,
    },
    /// The cache was offered a copy that nobody reads here now: it was a replica until now, passed through on its
    /// way to others, or another node asked this one to cache it.
    Offered {
        /// The copy.
        copy: CachedCopy,
        /// Time of the event.
        now: Millis,
        /// Bytes the cache may use now.
        capacity: u64,
    },
    /// A cached copy was sent to another node, which would not have asked for it otherwise.
    Sent {
        /// The file.
        key: Key,
        /// Time of the event.
        now: Millis,
    },
    /// A newer version of the file exists, or it was deleted.
    Superseded {
        /// The file.
        key: Key,
        /// The newer version, or that of the deletion.
        by: Version,
    },
    /// The file is now a replica here.
    Replica {
        /// The file.
        key: Key,
        /// Its version.
        version: Version,
    },
}

/// The sending end of a shadow's queue.
#[derive(Debug)]
pub struct Feed<C> {
    cases: SyncSender<C>,
    dropped: Arc<AtomicU64>,
}

impl<C> Feed<C> {
    /// A queue for `space` cases, and the count of cases that did not fit.
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

/// Where cases of one kind go, if there is a shadow.
#[derive(Debug)]
pub struct Fed<C> {
    /// Lets a node without a shadow skip the lock.
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
    /// Sends cases to this queue from now on, and no longer to the previous one.
    pub fn feed(&self, feed: Feed<C>) {
        *self.feed.lock() = Some(feed);
        self.is_fed.store(true, Ordering::Release);
    }

    /// Stops sending to the queue with this count. A queue that has replaced it stays.
    pub fn end(&self, dropped: &Arc<AtomicU64>) {
        let mut feed = self.feed.lock();
        if feed
            .as_ref()
            .is_some_and(|feed| Arc::ptr_eq(&feed.dropped, dropped))
        {
            *feed = None;
            self.is_fed.store(false, Ordering::Release);
        }
    }

    /// Whether there is a shadow.
    pub(crate) fn is_fed(&self) -> bool {
        self.is_fed.load(Ordering::Acquire)
    }

    /// Hands a case over, if there is a shadow.
    pub(crate) fn hand(&self, case: impl FnOnce() -> C) {
        if !self.is_fed() {
            return;
        }
        let case = case();
        let feed = self.feed.lock();
        if let Some(feed) = &*feed
            && feed.cases.try_send(case).is_err()
        {
            feed.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
