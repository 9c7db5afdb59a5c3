//! `Holdings`: which files this node has, and whether as replicas or as cached copies.
//!
//! A mirror of the store's index, updated in the order of its commits, so that questions are answered without
//! touching the disk. A tombstone is a holding without content.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use crate::key::Key;
use crate::limits::SCAN_KEYS_MAX;
use crate::record::Record;
use crate::version::{Millis, Version};

/// In which role a node holds a file. Ordered: a replica is worth more than a cached copy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// An extra copy, evictable.
    Cached,
    /// A durable copy, named in the layout, never evicted.
    Replica,
}

impl Role {
    /// The role's name, as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Replica => "replica",
        }
    }
}

/// A node's own entry for a file that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// The file's record.
    pub record: Arc<Record>,
    /// In which role it is held.
    pub role: Role,
    /// When a cached copy was last known to be the newest version; 0 when it has not been confirmed since the node
    /// started.
    pub validated: Millis,
    /// When the content was last checked against the digest. For a tombstone, which has no content: the node's
    /// total running time in milliseconds, over all its runs, when the tombstone was stored; 0 when that was
    /// before this time was counted.
    pub verified: Millis,
}

/// A number of files and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Total {
    /// The number of files.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Total {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: u64) {
        self.files -= 1;
        self.bytes -= bytes;
    }
}

/// What was found in one page of the holdings.
#[derive(Debug)]
pub struct Page<T> {
    /// What was found, ordered by key.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub resume_after: Option<Key>,
}

/// Every holding of one node, by key.
#[derive(Default, Debug)]
pub struct Holdings {
    by_key: BTreeMap<Key, Holding>,
    replicas: Total,
    cached: Total,
}

impl Holdings {
    /// The holding of this file.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<&Holding> {
        self.by_key.get(key)
    }

    /// Inserts a holding; returns the one that it replaced.
    pub fn put(&mut self, holding: Holding) -> Option<Holding> {
        self.count(&holding, Total::add);
        // Remove first: a map keeps its old key on insert, so the old key's text would stay in memory beside the
        // new one's.
        let before = self.by_key.remove(&holding.record.key);
        self.by_key.insert(holding.record.key.clone(), holding);
        if let Some(before) = &before {
            self.count(before, Total::take);
        }
        before
    }

    /// Removes and returns the holding of this file.
    pub fn remove(&mut self, key: &Key) -> Option<Holding> {
        let before = self.by_key.remove(key);
        if let Some(before) = &before {
            self.count(before, Total::take);
        }
        before
    }

    /// Records that this version was the newest at `now`. Does nothing when another version is held.
    pub fn validated(&mut self, key: &Key, version: Version, now: Millis) {
        if let Some(holding) = self.of_version(key, version) {
            holding.validated = now;
        }
    }

    /// Records that the content of this version matched its digest at `now`.
    pub fn verified(&mut self, key: &Key, version: Version, now: Millis) {
        if let Some(holding) = self.of_version(key, version) {
            holding.verified = now;
        }
    }

    /// Visits the next holdings in the order of their keys, starting after `after`, and at most [`SCAN_KEYS_MAX`]:
    /// call it again with what it returns, so that no lock is held for all of them. `None` at the end.
    pub fn visit(&self, after: Option<&Key>, mut each: impl FnMut(&Holding)) -> Option<Key> {
        self.visit_until("", after, |holding| {
            each(holding);
            ControlFlow::Continue(())
        })
    }

    /// The same for keys with this prefix, and not further than `each` wants: `None` then, too.
    pub fn visit_until(
        &self,
        prefix: &str,
        after: Option<&Key>,
        mut each: impl FnMut(&Holding) -> ControlFlow<()>,
    ) -> Option<Key> {
        let from = after.map_or(Bound::Included(prefix), |key| Bound::Excluded(key.as_str()));
        let next = self.by_key.range::<str, _>((from, Bound::Unbounded));
        let next = next.take_while(|(key, _)| key.as_str().starts_with(prefix));
        for (count, (key, holding)) in next.enumerate() {
            if each(holding).is_break() {
                return None;
            }
            if count + 1 >= SCAN_KEYS_MAX {
                return Some(key.clone());
            }
        }
        None
    }

    /// What `pick` makes of the next holdings: see [`Holdings::visit`].
    pub fn page<T>(
        &self,
        after: Option<&Key>,
        mut pick: impl FnMut(&Holding) -> Option<T>,
    ) -> Page<T> {
        let mut items = Vec::new();
        let resume_after = self.visit(after, |holding| items.extend(pick(holding)));
        Page {
            items,
            resume_after,
        }
    }

    /// Every holding, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &Holding> {
        self.by_key.values()
    }

    /// The number of holdings, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Replicas, without tombstones.
    #[must_use]
    pub const fn replicas(&self) -> Total {
        self.replicas
    }

    /// Cached copies.
    #[must_use]
    pub const fn cached(&self) -> Total {
        self.cached
    }

    fn of_version(&mut self, key: &Key, version: Version) -> Option<&mut Holding> {
        self.by_key
            .get_mut(key)
            .filter(|holding| holding.record.version == version)
    }

    fn count(&mut self, holding: &Holding, change: fn(&mut Total, u64)) {
        if holding.record.deleted {
            return;
        }
        let total = match holding.role {
            Role::Replica => &mut self.replicas,
            Role::Cached => &mut self.cached,
        };
        change(total, holding.record.size);
    }
}
