//! What a shadow policy is given: questions that were answered, and how.
//!
//! A case is handed over without waiting. Whoever is behind misses some, and they are counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use dataverse_core::cache::CachedCopy;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::placement::Candidate;
use dataverse_core::policy::{FileView, PlacementRequest};
use dataverse_core::relocation::PathNode;
use dataverse_core::version::{Millis, Version};

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

/// Something that happened to the cache.
#[derive(Clone, Debug)]
pub enum CacheCase {
    /// A file was read that is no replica here.
    Read {
        /// It, as a copy that might be cached.
        copy: CachedCopy,
        /// When.
        now: Millis,
        /// It was cached.
        hit: bool,
        /// Bytes that the cache may use at the moment.
        capacity: u64,
    },
    /// A version of a file is not to be cached any more: it was deleted or overwritten.
    Gone {
        /// The file.
        key: Key,
        /// That version.
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
    /// A queue, and the count of cases that did not fit in.
    #[must_use]
    pub fn new() -> (Self, Receiver<C>, Arc<AtomicU64>) {
        let (cases, queue) = sync_channel(limits::SHADOW_QUEUE_MAX);
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
pub struct Fed<C>(Mutex<Option<Feed<C>>>);

impl<C> Default for Fed<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C> Fed<C> {
    /// From now on cases go there; `None` ends it, and the queue with it.
    pub fn feed(&self, feed: Option<Feed<C>>) {
        *self.0.lock().expect("no one panics while feeding") = feed;
    }

    pub(super) fn is_fed(&self) -> bool {
        self.0
            .lock()
            .expect("no one panics while feeding")
            .is_some()
    }

    /// Hands a case over, if anybody wants it.
    pub(super) fn hand(&self, case: impl FnOnce() -> C) {
        let feed = self.0.lock().expect("no one panics while feeding");
        if let Some(feed) = &*feed
            && feed.cases.try_send(case()).is_err()
        {
            feed.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
