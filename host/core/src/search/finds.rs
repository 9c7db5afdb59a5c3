//! Collects the hits of a search and keeps the best ones.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::key::Key;
use crate::search::{Hit, Peer};
use crate::version::Version;

/// A hit, and the node that has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundHit {
    /// The file that the node has.
    pub hit: Hit,
    /// The node.
    pub peer: Peer,
    /// Links between the searching node and this one, along the search.
    pub hops: u32,
    /// Requests that the node answered per second, recently.
    pub load: u32,
}

impl FoundHit {
    /// Of two hits of one file, the better one compares as less: highest version, nearest, replica before cached
    /// copy, least load, node id.
    fn rank(&self) -> impl Ord + use<> {
        (
            Reverse(self.hit.record.version),
            self.hops,
            Reverse(self.hit.role),
            self.load,
            self.peer.id,
        )
    }
}

/// Hits of an exact search that all have one version, the highest: hits of one level that are not below the floor,
/// or replicas that were overtaken.
#[derive(Default)]
pub(super) struct LevelHits {
    hits: Vec<FoundHit>,
}

impl LevelHits {
    /// Removes the hits below the floor, and returns them.
    pub(super) fn void_below(&mut self, floor: Option<Version>) -> Vec<FoundHit> {
        let is_below = |found: &mut FoundHit| Some(found.hit.record.version) < floor;
        self.hits.extract_if(.., is_below).collect()
    }

    pub(super) fn push(&mut self, found: FoundHit) {
        self.hits.push(found);
    }

    /// Adds a hit unless there is one of a higher version; drops hits of lower versions.
    pub(super) fn push_highest(&mut self, found: FoundHit) {
        let highest = self.hits.iter().map(|found| found.hit.record.version).max();
        if Some(found.hit.record.version) >= highest {
            drop(self.void_below(Some(found.hit.record.version)));
            self.hits.push(found);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// All hits, best first. Empties the collection.
    pub(super) fn take_sorted(&mut self) -> Vec<FoundHit> {
        self.hits.sort_by_cached_key(FoundHit::rank);
        std::mem::take(&mut self.hits)
    }
}

/// The hits of a pattern search: the best one of each key. If there are more keys than wanted, keeps those first
/// seen nearest, then those that sort first. A key's position is fixed once it was seen, so the result does not
/// depend on the order of the answers within a level.
pub(super) struct Harvest {
    limit: usize,
    /// Whether there are, or may be, more keys than wanted.
    is_cut: bool,
    by_key: BTreeMap<Key, FoundHit>,
    /// The number of hops at which each key was first seen.
    places: BTreeSet<(u32, Key)>,
}

impl Harvest {
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            limit: limit as usize,
            is_cut: false,
            by_key: BTreeMap::new(),
            places: BTreeSet::new(),
        }
    }

    /// Adds a hit.
    pub(super) fn push(&mut self, found: FoundHit) {
        let key = found.hit.record.key.clone();
        if let Some(best) = self.by_key.get_mut(&key) {
            if found.rank() < best.rank() {
                *best = found;
            }
            return;
        }
        self.places.insert((found.hops, key.clone()));
        self.by_key.insert(key, found);
        if self.places.len() > self.limit
            && let Some((_, last)) = self.places.pop_last()
        {
            self.by_key.remove(&last);
            self.is_cut = true;
        }
    }

    /// Records that a node may have more hits than it returned.
    pub(super) const fn cut(&mut self) {
        self.is_cut = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether there are as many keys as wanted and more exist, so nothing else needs to be asked.
    pub(super) fn is_overfull(&self) -> bool {
        self.is_cut && self.places.len() >= self.limit
    }

    /// Nearest first, then by key.
    pub(super) fn take_sorted(&mut self) -> Vec<FoundHit> {
        self.places.clear();
        let mut hits: Vec<_> = std::mem::take(&mut self.by_key).into_values().collect();
        hits.sort_by_key(|found| found.hops);
        hits
    }
}
