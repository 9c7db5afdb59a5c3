//! `State`: the driver's memory. The core's node and its cache, each behind a short lock.
//!
//! The store reports every durable change of its index, in commit order, and `State` applies it to the core. No
//! lock here is held across an await or while a policy decides, and the two are never held together.
//!
//! These two locks are std's, unlike all others: they are poisoned by a panic, because a node must not go on with an
//! index or a cache that is half changed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use dataverse_core::cache::{Cache, CachedCopy};
use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::node::Node;
use dataverse_core::record::{Layout, Record};
use dataverse_store::{Observer, Opened};

use crate::driver::replication::upkeep::Backlog;
use crate::driver::slots::Caches;
use crate::limits;

/// The core's node and cache.
pub(crate) struct State {
    node: Mutex<Node>,
    cache: Mutex<Cache>,
    /// What the node has still to do; here because what the store changes may settle it.
    pub(super) backlog: Backlog,
    /// Content types, shared by all records that have the same one.
    content_types: ContentTypes,
}

/// Content types seen so far, so that records share one copy of each, as they do after a restart.
#[derive(Default)]
struct ContentTypes(parking_lot::Mutex<HashSet<Arc<str>>>);

impl ContentTypes {
    /// The same holding in as little memory as possible, since it stays for long. A record that came with a write
    /// or a message owns its strings and lists, with spare capacity.
    fn compact(&self, holding: &Holding) -> Holding {
        let record = &holding.record;
        let mut holders = Vec::with_capacity(record.layout.holders.len());
        holders.extend_from_slice(&record.layout.holders);
        let compact = Record {
            content_type: self.shared(&record.content_type),
            layout: Layout {
                holders,
                ..record.layout
            },
            key: record.key.clone(),
            ..**record
        };
        Holding {
            record: Arc::new(compact),
            ..*holding
        }
    }

    fn shared(&self, content_type: &Arc<str>) -> Arc<str> {
        let mut known = self.0.lock();
        if let Some(shared) = known.get(content_type) {
            return Arc::clone(shared);
        }
        if known.len() < limits::CONTENT_TYPES_SHARED_MAX {
            known.insert(Arc::clone(content_type));
        }
        Arc::clone(content_type)
    }
}

impl State {
    /// A node that holds nothing yet; call [`State::load`] next.
    pub(super) fn new(node: Node, backlog: Backlog) -> Self {
        Self {
            node: Mutex::new(node),
            cache: Mutex::new(Cache::new(u64::MAX)),
            backlog,
            content_types: ContentTypes::default(),
        }
    }

    /// Loads the index. Cached copies enter the cache in key order: when each was last used is not kept across a
    /// restart.
    pub(super) fn load(&self, id: NodeId, opened: Opened) {
        let mut cache = self.cache();
        let held = opened.holdings.iter();
        for holding in held.filter(|holding| holding.role == Role::Cached) {
            cache.adopt(copy_of(holding, 1), 0);
        }
        drop(cache);
        let mut node = Node::new(id, opened.ceiling, opened.holdings);
        // Where content is missing, its version is a floor: nothing older is served or passed on.
        for record in opened.missing {
            node.confirm(&record.key, Heard::of(&record));
        }
        *self.node() = node;
    }

    pub(super) fn node(&self) -> MutexGuard<'_, Node> {
        self.node
            .lock()
            .expect("no panic left the node half changed")
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache
            .lock()
            .expect("no panic left the cache half changed")
    }
}

impl Observer for State {
    fn changed(&self, key: &Key, after: Option<&Holding>) {
        let after = after.map(|after| self.content_types.compact(after));
        let after = after.as_ref();
        let before = {
            let mut node = self.node();
            let before = node.holding(key).map(|holding| holding.record.version);
            node.changed(key, after);
            before
        };
        if let Some(after) = after {
            self.backlog.held(key, after.record.version, after.role);
        }
        let mut cache = self.cache();
        let Some(cached) = cache.version_of(key) else {
            if let Some(holding) = after.filter(|holding| holding.role == Role::Cached) {
                cache.adopt(copy_of(holding, 1), holding.validated);
            }
            return;
        };
        let goes = match after {
            // A copy still arriving stays admitted when something older goes.
            None => Some(cached) == before,
            Some(holding) => holding.role == Role::Replica && cached <= holding.record.version,
        };
        if goes {
            cache.remove(key, cached);
        }
    }
}

impl Caches for State {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        Self::cache(self)
    }
}

fn copy_of(holding: &Holding, cost: u32) -> CachedCopy {
    let record = &holding.record;
    CachedCopy::of(record.key.clone(), record.version, record.size, cost)
}

#[cfg(test)]
mod tests {
    use dataverse_core::content::Digest;
    use dataverse_core::version::{Stamp, Version};
    use dataverse_store::{Change, MemoryStore, Store};

    use super::*;

    #[tokio::test]
    async fn what_is_held_shares_what_it_has_in_common_however_it_came() {
        let store = MemoryStore::new(1 << 20);
        let me = NodeId::from(7);
        let empty = Node::new(me, Stamp::default(), Vec::new());
        let state = Arc::new(State::new(empty, Backlog::new(me, 4)));
        store.start(Arc::clone(&state) as Arc<dyn Observer>);
        for (stamp, name) in [(1, "ada/x"), (2, "ada/y"), (3, "ada/y")] {
            let mut holders = Vec::with_capacity(8);
            holders.push(me);
            let version = Version {
                stamp: Stamp(stamp),
                writer: me,
            };
            let record = Arc::new(Record {
                version,
                layout: Layout {
                    counter: 0,
                    author: me,
                    holders,
                },
                deleted: false,
                size: 0,
                digest: Digest::of(b""),
                content_type: "text/plain".into(),
                factor: 1,
                key: crate::driver::tests::key(name),
            });
            let empty = store.spool(Some(0)).expect("there is room");
            let put = Change::Put {
                record,
                role: Role::Replica,
                content: Some(empty.seal().await.expect("it is sealed")),
                validated: 0,
                verified: 0,
            };
            store.apply(put).await.expect("it is applied");
        }
        let node = state.node();
        let held = ["ada/x", "ada/y"].map(|name| {
            let held = node.holding(&crate::driver::tests::key(name));
            Arc::clone(&held.expect("it is held").record)
        });
        assert!(Arc::ptr_eq(&held[0].content_type, &held[1].content_type));
        assert_eq!(held[1].layout.holders.capacity(), 1);
    }
}
