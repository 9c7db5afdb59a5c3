//! `Belady`: the optimum, a cache that knows the future.
//!
//! Of everything cached and the object just read, it evicts what will be requested again last. L. A. Belady, "A
//! study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966. Proof that it
//! misses the least: R. L. Mattson and others, "Evaluation techniques for storage hierarchies", IBM Systems
//! Journal 9(2), 1970.
//!
//! The object just read may be the one that is evicted, so no policy misses less, not even one that refuses what
//! it is offered. An optimum that must keep every object that it misses, such as Belady's pages and libCacheSim's
//! objects, misses slightly more: 0.183901 instead of 0.183831 for 1,000 of the 10,000 objects of the Zipf trace.
//!
//! **Where sizes differ it is not an optimum**: it evicts what will be requested last until the rest fits, which
//! is a good rule of thumb (libCacheSim does the same). The true optimum is then a knapsack problem, which is
//! NP-hard (D. S. Berger, N. Beckmann and M. Harchol-Balter, "Practical bounds on optimal caching with variable
//! object sizes", SIGMETRICS 2018), and policies that prefer small objects may miss fewer of them.

use std::collections::BTreeMap;

use super::access::{Access, Kind, NEVER};
use super::cache::Counts;

/// Its name.
pub const BELADY: &str = "belady";

/// A cache that knows the future.
#[derive(Debug)]
pub struct Belady {
    capacity: u64,
    used: u64,
    /// The cached copies: the bytes of each, by the position of the read that will find it. It needs no other
    /// facts.
    by_next: BTreeMap<u32, u64>,
    position: u32,
    counts: Counts,
}

impl Belady {
    /// An empty cache of this capacity.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self {
            capacity,
            used: 0,
            by_next: BTreeMap::new(),
            position: 0,
            counts: Counts::default(),
        }
    }

    /// Processes these accesses in order, from the first of the trace on.
    pub fn advance(&mut self, accesses: &[Access]) {
        for access in accesses {
            self.put(access);
        }
    }

    fn put(&mut self, access: &Access) {
        let found = self.by_next.remove(&self.position);
        self.position += 1;
        self.used -= found.unwrap_or_default();
        if matches!(access.kind, Kind::Read | Kind::ReadChanged) {
            self.counts.note(access, found.is_some());
        }
        if access.next == NEVER || access.size > self.capacity {
            return;
        }
        self.by_next.insert(access.next, access.size);
        self.used += access.size;
        while self.used > self.capacity
            && let Some((_, size)) = self.by_next.pop_last()
        {
            self.used -= size;
        }
    }

    /// The results of the reads since the start, or since [`Belady::forget_counts`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts reads from here on.
    pub fn forget_counts(&mut self) {
        self.counts = Counts::default();
    }
}
