//! Shadow of the eviction policy: a ghost cache shows what its hit ratio would be.
//!
//! The ghost is a cache without content that is managed by the shadow policy. It begins with what the real cache
//! holds, so that it needs no warm-up, always has the same capacity, and sees the same reads, offers and deletions:
//! the simulation of Waldspurger et al., "Cache modeling and optimization using miniature simulations", 2017, with
//! every file in the sample.
//!
//! The reads that count are those that a cache could have answered: those that the real cache did answer, and those
//! whose copy was offered to it. Both caches count the same reads. A copy counts from its admission on, also while
//! it is being transferred; failed transfers are not simulated.
//!
//! When the shadow fails, the baseline decides, as it would if the shadow were active, and that counts. While the
//! shadow is suspended nothing is counted for either cache: the baseline keeps the ghost warm, and the policy takes
//! it over when it is tried again.

use std::sync::Arc;

use dataverse_core::cache::{Cache, CachedCopy};
use dataverse_core::key::Key;
use dataverse_core::version::{Millis, Version};
use parking_lot::Mutex;

use super::{Observer, Questioner, Tally, counts, share};
use crate::driver::{AnyEviction, CacheCase, Caches, Following, ask_admission, ask_room};
use crate::policies::view::Comparison;

pub(super) struct Ghost {
    policy: Questioner<AnyEviction>,
    ghost: Arc<GhostCache>,
    /// What the real cache held at the beginning, until it is adopted.
    inherited: Vec<(CachedCopy, Millis)>,
    counts: Arc<Mutex<GhostCounts>>,
}

/// The ghost cache. It has a lock because the handover to a new policy instance reads it as well.
struct GhostCache(std::sync::Mutex<Cache>);

/// Counts of reads and bytes.
#[derive(Default)]
pub(super) struct GhostCounts {
    reads: u64,
    hits: u64,
    active_hits: u64,
    bytes: u64,
    hit_bytes: u64,
    active_hit_bytes: u64,
}

impl Caches for GhostCache {
    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.0.lock().expect("no panic left the ghost half changed")
    }
}

impl Ghost {
    pub(super) fn new(
        policy: Questioner<AnyEviction>,
        capacity: u64,
        inherited: Vec<(CachedCopy, Millis)>,
    ) -> Self {
        let ghost = Arc::new(GhostCache(std::sync::Mutex::new(Cache::new(capacity))));
        let following = Following(Arc::clone(&ghost));
        policy.gate.hand_over_with(Box::new(following));
        Self {
            policy,
            ghost,
            inherited,
            counts: Arc::default(),
        }
    }

    /// Adopts what the real cache held. On the shadow's own thread, since it may be much.
    fn inherit(&mut self) {
        let inherited = std::mem::take(&mut self.inherited);
        let mut cache = self.ghost.cache();
        for (copy, used_at) in inherited {
            cache.adopt(copy, used_at);
        }
    }

    /// Gives the ghost the capacity of the real cache.
    fn resize(&mut self, capacity: u64, now: Millis) {
        let is_over = {
            let mut cache = self.ghost.cache();
            cache.set_capacity(capacity);
            cache.used() > capacity
        };
        if is_over {
            let ghost = Arc::clone(&self.ghost);
            // A ghost has no content to delete.
            let _ = self.policy.ask(|policy| ask_room(&*ghost, policy, 0, now));
        }
    }

    fn read(&mut self, copy: CachedCopy, now: Millis, active_hit: bool) {
        let size = copy.size;
        let is_counted = self.policy.may_ask();
        let hit = {
            let mut cache = self.ghost.cache();
            cache.version_of(&copy.key) == Some(copy.version) && cache.hit(&copy.key, now)
        };
        if !hit {
            self.offer(copy, now);
        }
        if is_counted {
            counts(&self.counts).count(size, hit, active_hit);
        }
    }

    fn offer(&mut self, copy: CachedCopy, now: Millis) {
        let ghost = Arc::clone(&self.ghost);
        let _ = self
            .policy
            .ask(|policy| ask_admission(&*ghost, policy, copy, now));
    }

    /// Removes the copy of a file if its version fits.
    fn forget(&self, key: &Key, goes: impl FnOnce(Version) -> bool) {
        let mut cache = self.ghost.cache();
        if let Some(version) = cache.version_of(key).filter(|&version| goes(version)) {
            cache.remove(key, version);
        }
    }
}

impl Observer for Ghost {
    type Case = CacheCase;
    type Tally = GhostCounts;

    fn close(&self) -> Box<dyn Fn() + Send + Sync> {
        self.policy.close()
    }

    fn tally(&self) -> Arc<Mutex<GhostCounts>> {
        Arc::clone(&self.counts)
    }

    fn observe(&mut self, case: CacheCase) {
        self.inherit();
        match case {
            CacheCase::Read {
                copy,
                now,
                hit,
                capacity,
            } => {
                self.resize(capacity, now);
                self.read(copy, now, hit);
            }
            CacheCase::Offered {
                copy,
                now,
                capacity,
            } => {
                self.resize(capacity, now);
                self.offer(copy, now);
            }
            CacheCase::Sent { key, now } => {
                self.ghost.cache().hit(&key, now);
            }
            CacheCase::Superseded { key, by } => self.forget(&key, |version| version < by),
            CacheCase::Replica { key, version: of } => self.forget(&key, |version| version <= of),
        }
    }
}

impl GhostCounts {
    fn count(&mut self, size: u64, hit: bool, active_hit: bool) {
        let bytes = |hit: bool| if hit { size } else { 0 };
        self.reads += 1;
        self.hits += u64::from(hit);
        self.active_hits += u64::from(active_hit);
        self.bytes = self.bytes.saturating_add(size);
        self.hit_bytes = self.hit_bytes.saturating_add(bytes(hit));
        self.active_hit_bytes = self.active_hit_bytes.saturating_add(bytes(active_hit));
    }
}

impl Tally for GhostCounts {
    fn comparison(&self) -> Comparison {
        Comparison::Eviction {
            hit_ratio: share(self.hits, self.reads),
            active_hit_ratio: share(self.active_hits, self.reads),
            byte_hit_ratio: share(self.hit_bytes, self.bytes),
            active_byte_hit_ratio: share(self.active_hit_bytes, self.bytes),
        }
    }
}
