//! What a search keeps of the hits it hears of.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::key::Key;
use crate::search::{Hit, Peer};
use crate::version::Version;

/// A hit and who has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundHit {
    /// What is held.
    pub hit: Hit,
    /// By whom.
    pub peer: Peer,
    /// Links between the asking node and that one, as the search walked.
    pub hops: u32,
    /// Requests that it answered per second, lately.
    pub load: u32,
}

impl FoundHit {
    /// The better of two hits of one file is the lesser: highest version, nearest, replica before cached,
    /// least load, node id.
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

/// Hits of an exact search that are all to be of one version, the highest: those of one level that stand against the
/// floor, or the replicas that were overtaken.
#[derive(Default)]
pub(super) struct LevelHits {
    hits: Vec<FoundHit>,
}

impl LevelHits {
    /// Forgets what is less than the floor.
    pub(super) fn void_below(&mut self, floor: Option<Version>) {
        self.hits
            .retain(|found| Some(found.hit.record.version) >= floor);
    }

    pub(super) fn push(&mut self, found: FoundHit) {
        self.hits.push(found);
    }

    /// Keeps a hit unless there are higher ones, and then only those as high.
    pub(super) fn push_highest(&mut self, found: FoundHit) {
        let highest = self.hits.iter().map(|found| found.hit.record.version).max();
        if Some(found.hit.record.version) >= highest {
            self.void_below(Some(found.hit.record.version));
            self.hits.push(found);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// The best first.
    pub(super) fn take_sorted(&mut self) -> Vec<FoundHit> {
        self.hits.sort_by_cached_key(FoundHit::rank);
        std::mem::take(&mut self.hits)
    }
}

/// The hits of a pattern search: the best one of each key, and of more keys than are wanted those first
/// seen nearest, then the least. A key's place does not change once it was seen, so what is kept does not
/// depend on the order of the answers of a level.
pub(super) struct Harvest {
    limit: usize,
    /// Whether there are, or may be, more keys than are wanted.
    is_cut: bool,
    by_key: BTreeMap<Key, FoundHit>,
    /// At how many hops each key was first seen.
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

    /// Takes in a hit.
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

    /// Notes that a node may have more hits than it told.
    pub(super) const fn cut(&mut self) {
        self.is_cut = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether there are as many keys as are wanted, and more besides: nothing else needs to be known.
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
