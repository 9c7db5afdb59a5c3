//! What the driver remembers in memory: the core's node and its cache, each behind a short lock.
//!
//! The store tells of every durable change of its index, in the order of its commits; here it reaches the
//! core. No lock here is ever held across an await or a policy's decision, and never both at once.

use std::sync::{Mutex, MutexGuard};

use dataverse_core::cache::{Cache, CachedCopy};
use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::node::Node;

use super::mend::Mending;
use crate::store::{Observer, Opened};

/// The core's node and cache.
pub(crate) struct State {
    node: Mutex<Node>,
    cache: Mutex<Cache>,
    /// Replicas that are to be made good.
    pub(super) mending: Mending,
}

impl State {
    /// A node that holds nothing yet; [`State::load`] follows.
    pub(super) fn new(node: Node) -> Self {
        Self {
            node: Mutex::new(node),
            cache: Mutex::new(Cache::new(u64::MAX)),
            mending: Mending::default(),
        }
    }

    /// Takes over what the index has. Cached copies are taken up in the order of their keys: when each was
    /// last used is not kept across a restart.
    pub(super) fn load(&self, id: NodeId, opened: Opened) {
        let mut cache = self.cache();
        let held = opened.holdings.iter();
        for holding in held.filter(|holding| holding.role == Role::Cached) {
            cache.adopt(copy_of(holding, 1), 0);
        }
        drop(cache);
        let mut node = Node::new(id, opened.ceiling, opened.holdings);
        // Of files whose content is missing nothing older is served or passed on.
        for record in opened.missing {
            node.hear(&record.key, Heard::of(&record));
        }
        *self.node() = node;
    }

    pub(super) fn node(&self) -> MutexGuard<'_, Node> {
        self.node
            .lock()
            .expect("no one panics while holding the node")
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache
            .lock()
            .expect("no one panics while holding the cache")
    }
}

impl Observer for State {
    fn changed(&self, key: &Key, after: Option<&Holding>) {
        let before = {
            let mut node = self.node();
            let before = node.holding(key).map(|holding| holding.record.version);
            node.changed(key, after);
            before
        };
        if let Some(after) = after {
            self.mending.held(key, after.record.version, after.role);
        }
        let mut cache = self.cache();
        let Some(cached) = cache.version_of(key) else {
            if let Some(holding) = after.filter(|holding| holding.role == Role::Cached) {
                cache.adopt(copy_of(holding, 1), holding.validated);
            }
            return;
        };
        let goes = match after {
            // A copy that is still on its way stays admitted when something older goes.
            None => Some(cached) == before,
            Some(holding) => holding.role == Role::Replica && cached <= holding.record.version,
        };
        if goes {
            cache.remove(key, cached);
        }
    }
}

fn copy_of(holding: &Holding, cost: u32) -> CachedCopy {
    let record = &holding.record;
    CachedCopy::of(record.key.clone(), record.version, record.size, cost)
}
