//! `Holdings`: which files this node has, and as what.
//!
//! A mirror of the store's index, kept in the order of its commits, so that questions are answered
//! without touching the disk. Tombstones are holdings without content.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::key::Key;
use crate::record::Record;
use crate::version::{Millis, Version};

/// As what a node has a file. Ordered: a replica is worth more.
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
    /// What is known of the file.
    pub record: Arc<Record>,
    /// As what it is held.
    pub role: Role,
    /// When a cached copy was last known to be the newest version; 0 when never since the node started.
    pub validated: Millis,
    /// When the content was last checked against the digest. A tombstone has no content: here it says for how
    /// long the node had run (all its runs added up, in milliseconds) when the tombstone was put, and 0 when that
    /// was before it began to count.
    pub verified: Millis,
}

/// Files and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Total {
    /// How many.
    pub files: u64,
    /// Their sizes added up.
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

    /// Puts a holding in place of the one before, if there was one, and returns that.
    pub fn put(&mut self, holding: Holding) -> Option<Holding> {
        self.count(&holding, Total::add);
        // Removed first: a map keeps the key that it has, and the text of the one before would stay beside the new one's.
        let before = self.by_key.remove(&holding.record.key);
        self.by_key.insert(holding.record.key.clone(), holding);
        if let Some(before) = &before {
            self.count(before, Total::take);
        }
        before
    }

    /// Removes the holding of this file and returns it.
    pub fn remove(&mut self, key: &Key) -> Option<Holding> {
        let before = self.by_key.remove(key);
        if let Some(before) = &before {
            self.count(before, Total::take);
        }
        before
    }

    /// Notes that this version was the newest at `now`. A no-op when another version is held.
    pub fn validated(&mut self, key: &Key, version: Version, now: Millis) {
        if let Some(holding) = self.of_version(key, version) {
            holding.validated = now;
        }
    }

    /// Notes that the content of this version matched its digest at `now`.
    pub fn verified(&mut self, key: &Key, version: Version, now: Millis) {
        if let Some(holding) = self.of_version(key, version) {
            holding.verified = now;
        }
    }

    /// The holdings from this key on, in order of the key.
    pub fn from(&self, key: &str) -> impl Iterator<Item = &Holding> {
        self.by_key
            .range::<str, _>((Bound::Included(key), Bound::Unbounded))
            .map(|(_, holding)| holding)
    }

    /// How many there are, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Replicas, tombstones not counted.
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
