//! `Belady`: what could be had by someone who knows the future.
//!
//! Of everything cached and the object just read, what is asked for again the latest is let go. L. A. Belady, "A
//! study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966; that it misses
//! the least: R. L. Mattson and others, "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2),
//! 1970.
//!
//! The object just read may be the one that is let go, so no policy misses less, not even one that refuses what
//! it is offered. Where the optimum has to keep every object that it misses, as Belady's pages and libCacheSim's
//! objects, the figure is slightly higher: 0.183901 in place of 0.183831 for 1,000 of the 10,000 objects of the
//! Zipf trace.
//!
//! **Where sizes differ it is no optimum**: what is asked for the latest is let go until the rest fits, which is
//! a good rule of thumb (libCacheSim has the same). Which objects to keep is then a knapsack, NP-hard to tell (D.
//! S. Berger, N. Beckmann and M. Harchol-Balter, "Practical bounds on optimal caching with variable object sizes",
//! SIGMETRICS 2018), and policies that prefer small objects may miss fewer of them.

use std::collections::BTreeMap;

use super::access::{Access, Kind, NEVER};
use super::cache::Counts;

/// What it is called.
pub const BELADY: &str = "belady";

/// A cache that knows the future.
#[derive(Debug)]
pub struct Belady {
    capacity: u64,
    used: u64,
    /// What is cached: the bytes of each copy, by the position of the read that will find it. Nothing else needs
    /// to be known of it.
    by_next: BTreeMap<u32, u64>,
    position: u32,
    counts: Counts,
}

impl Belady {
    /// An empty cache with so much room.
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

    /// Puts accesses to it, in this order, from the first of the trace on.
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

    /// What became of the reads since the beginning, or since [`Belady::forget_counts`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts reads from here on.
    pub fn forget_counts(&mut self) {
        self.counts = Counts::default();
    }
}
