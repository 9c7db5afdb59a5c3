//! `SingleCache`: the node's cache under one policy, driven by the accesses of a trace.
//!
//! It reads no clock: its driver measures how long it took.

use std::cmp::Ordering;

use dataverse_core::cache::{Cache, CachedCopy, Victim};
use dataverse_core::id::NodeId;
use dataverse_core::policy::{Fault, FaultKind};
use dataverse_core::version::{Stamp, Version};
use dataverse_sandbox::{EvictionGuest, Refusal};

use super::access::{Access, Kind};
use crate::library::Chosen;
use crate::limits;
use crate::metered::Metered;
use crate::seed;

/// The results of a number of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads.
    pub requests: u64,
    /// Reads that found no copy.
    pub misses: u64,
    /// Misses that are the first access to their object.
    pub compulsory: u64,
    /// Bytes read.
    pub bytes: u128,
    /// Bytes read that were not cached.
    pub missed_bytes: u128,
}

impl Counts {
    pub(super) fn note(&mut self, access: &Access, hit: bool) {
        self.requests += 1;
        self.bytes += u128::from(access.size);
        if !hit {
            self.misses += 1;
            self.compulsory += u64::from(access.first);
            self.missed_bytes += u128::from(access.size);
        }
    }

    /// Misses per request.
    #[must_use]
    pub fn object_miss(&self) -> f64 {
        self.misses as f64 / self.requests as f64
    }

    /// Missed bytes per requested byte; 0 if every object is empty.
    #[must_use]
    pub fn byte_miss(&self) -> f64 {
        match self.bytes {
            0 => 0.0,
            bytes => self.missed_bytes as f64 / bytes as f64,
        }
    }

    /// Misses per request that no cache could have avoided.
    #[must_use]
    pub fn compulsory_miss(&self) -> f64 {
        self.compulsory as f64 / self.requests as f64
    }
}

/// The number of faults of a policy, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults([u64; FaultKind::ALL.len()]);

impl Faults {
    fn note(&mut self, kind: FaultKind) {
        let place = FaultKind::ALL.iter().position(|&it| it == kind);
        self.0[place.expect("ALL has every kind")] += 1;
    }

    /// The number of all faults.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The kinds of faults that occurred, with their numbers.
    pub fn by_kind(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        let all = FaultKind::ALL.into_iter().zip(self.0);
        all.filter(|&(_, times)| times > 0)
    }
}

/// The result of one access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// A copy was found.
    pub hit: bool,
    /// A copy is cached that was not cached before.
    pub admitted: bool,
    /// What left the cache, in this order: first the copy of old content, then evicted copies.
    pub victims: Vec<Victim<u64>>,
}

/// All copies of a trace have the same version: if an object changes, its old copy is dropped first.
const VERSION: Version = Version {
    stamp: Stamp(1),
    writer: NodeId::from_bytes([0; 16]),
};

/// The node's cache under one policy.
pub struct SingleCache {
    cache: Cache<u64>,
    policy: ActivePolicy,
    counts: Counts,
}

/// Answers the cache's questions.
struct ActivePolicy {
    chosen: Chosen,
    seed: u64,
    /// None when the cache's own order decides.
    guest: Option<EvictionGuest>,
    /// Instances that have ended.
    ended: u64,
    faults: Faults,
    fuel: u64,
}

impl SingleCache {
    /// An empty cache of this capacity under this policy, whose instances get seeds derived from this one.
    ///
    /// # Errors
    /// [`Refusal`] when the policy does not start.
    pub fn new(chosen: &Chosen, capacity: u64, seed: u64) -> Result<Self, Refusal> {
        Ok(Self {
            cache: Cache::new(capacity),
            policy: ActivePolicy {
                guest: instance(chosen, seed, 0)?,
                chosen: chosen.clone(),
                seed,
                ended: 0,
                faults: Faults::default(),
                fuel: 0,
            },
            counts: Counts::default(),
        })
    }

    /// Processes these accesses in order.
    pub fn advance(&mut self, accesses: &[Access]) {
        for access in accesses {
            self.put(access);
        }
    }

    /// Processes one access.
    pub fn put(&mut self, access: &Access) -> Put {
        let mut old = None;
        if access.kind != Kind::Read {
            old = self.drop_copy(access.id);
        }
        let hit = match access.kind {
            Kind::Read => self.cache.hit(&access.id, access.now),
            Kind::ReadChanged => false,
            Kind::Write | Kind::Delete => {
                let offered = access.kind == Kind::Write;
                return with_old(
                    old,
                    if offered {
                        self.offer(access)
                    } else {
                        Put::default()
                    },
                );
            }
        };
        self.counts.note(access, hit);
        if hit {
            return Put {
                hit,
                ..Put::default()
            };
        }
        with_old(old, self.offer(access))
    }

    /// The results of the reads since the start, or since [`SingleCache::forget_counts`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts reads from here on.
    pub fn forget_counts(&mut self) {
        self.counts = Counts::default();
    }

    /// The faults of the policy.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.policy.faults
    }

    /// Fuel that the policy used.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.policy.fuel
    }

    /// Whether the policy failed so often that the cache's own order decides now.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.policy.ended > 0 && self.policy.guest.is_none()
    }

    /// The ids of the cached objects, coldest first.
    pub fn cached(&self) -> impl Iterator<Item = u64> {
        self.cache.copies().map(|(copy, _)| copy.key)
    }

    fn drop_copy(&mut self, id: u64) -> Option<Victim<u64>> {
        let old = self.cache.copy_of(&id).cloned().map(Victim::from);
        self.cache.remove(&id, VERSION);
        old
    }

    fn offer(&mut self, access: &Access) -> Put {
        let copy = CachedCopy::of(access.id, VERSION, access.size, access.hops);
        let policy = &mut self.policy;
        let outcome = match &mut policy.guest {
            None => self.cache.admit(None, copy, access.now),
            Some(guest) => {
                let mut metered = Metered::new(guest);
                let outcome = self.cache.admit(Some(&mut metered), copy, access.now);
                policy.fuel += metered.fuel();
                outcome
            }
        };
        if let Some(fault) = &outcome.fault {
            policy.failed(fault);
        }
        Put {
            hit: false,
            admitted: outcome.admitted,
            victims: outcome.victims,
        }
    }
}

fn with_old(old: Option<Victim<u64>>, mut put: Put) -> Put {
    if let Some(old) = old {
        put.victims.insert(0, old);
    }
    put
}

impl ActivePolicy {
    /// As on a node: an instance that failed is never asked again, and the next one is handed the state of the
    /// cache.
    fn failed(&mut self, fault: &Fault) {
        self.faults.note(fault.kind);
        if !fault.kind.ends_instance() {
            return;
        }
        self.ended += 1;
        self.guest = match self.ended.cmp(&limits::TRACE_INSTANCES_MAX) {
            Ordering::Less => instance(&self.chosen, self.seed, self.ended).unwrap_or_default(),
            Ordering::Equal | Ordering::Greater => None,
        };
    }
}

fn instance(chosen: &Chosen, seed: u64, number: u64) -> Result<Option<EvictionGuest>, Refusal> {
    let seed = seed::derive(seed, &["eviction", &number.to_string()]);
    let guest = chosen.eviction(seed)?;
    Ok(guest.map(EvictionGuest::untimed))
}
