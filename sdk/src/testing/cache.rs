//! `Cache`: a cache for tests that asks an eviction policy what a node would ask it.

use std::collections::HashMap;

use crate::{Admission, Entry, EvictionPolicy, Millis, Slot, VERDICT_ENTRIES_MAX};

/// Maximum number of slots in one batch, as on a node.
const BATCH_MAX: usize = 4096;
/// How often a node asks for one admission before its baseline frees the rest.
const ROUNDS_MAX: u32 = 16;

/// The totals of a series of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of requests.
    pub requests: u64,
    /// Requests for files that were not cached.
    pub misses: u64,
    /// Bytes requested.
    pub bytes: u64,
    /// Requested bytes that were not cached.
    pub missed_bytes: u64,
}

impl Counts {
    /// Misses per request.
    #[must_use]
    pub fn miss_ratio(&self) -> f64 {
        self.misses as f64 / self.requests as f64
    }

    /// Missed bytes per requested byte.
    #[must_use]
    pub fn byte_miss_ratio(&self) -> f64 {
        self.missed_bytes as f64 / self.bytes as f64
    }
}

/// The copy in a slot.
#[derive(Clone, Copy)]
struct Copy {
    file: u64,
    size: u64,
    cost: u32,
    used_at: Millis,
    cached: bool,
    /// The last verdict that named it.
    named_in: u64,
}

/// A byte budget over cached copies, managed by a policy, for tests.
///
/// As on a node, it uses small slots and reuses them, reports hits in batches before the next question, asks again
/// while too few bytes are freed, and refuses a file larger than the budget without asking. Where a node would
/// count a fault, it panics with the rule that the verdict broke.
///
/// Each request takes a millisecond. The policy does not know of the latest hits until it is told;
/// [`Cache::policy`] tells it first.
pub struct Cache<P> {
    policy: P,
    capacity: u64,
    used: u64,
    now: Millis,
    copies: Vec<Copy>,
    free: Vec<Slot>,
    slots: HashMap<u64, Slot>,
    hits: Vec<Slot>,
    verdicts: u64,
}

impl<P: EvictionPolicy> Cache<P> {
    /// An empty cache with this many bytes, managed by this policy.
    pub fn new(mut policy: P, capacity: u64) -> Self {
        policy.set_capacity(capacity);
        Self {
            policy,
            capacity,
            used: 0,
            now: 0,
            copies: Vec::new(),
            free: Vec::new(),
            slots: HashMap::new(),
            hits: Vec::new(),
            verdicts: 0,
        }
    }

    /// Reads this file, fetching it over one hop if it is not cached. True if it was cached.
    pub fn request(&mut self, file: u64, size: u64) -> bool {
        self.request_over(file, size, 1)
    }

    /// Reads this file, fetching it over this many hops if it is not cached. True if it was cached.
    pub fn request_over(&mut self, file: u64, size: u64, hops: u32) -> bool {
        self.now += 1;
        if let Some(&slot) = self.slots.get(&file) {
            self.copies[slot as usize].used_at = self.now;
            self.hits.push(slot);
            if self.hits.len() == BATCH_MAX {
                self.tell_hits();
            }
            return true;
        }
        if size <= self.capacity {
            self.admit(file, size, hops);
        }
        false
    }

    /// Performs these requests, each given as a file's id and its size.
    pub fn replay(&mut self, requests: impl IntoIterator<Item = (u64, u64)>) -> Counts {
        let mut counts = Counts::default();
        for (file, size) in requests {
            let missed = u64::from(!self.request(file, size));
            counts.requests += 1;
            counts.misses += missed;
            counts.bytes += size;
            counts.missed_bytes += missed * size;
        }
        counts
    }

    /// Changes the budget and evicts what no longer fits.
    pub fn set_capacity(&mut self, bytes: u64) {
        self.tell_hits();
        self.capacity = bytes;
        self.policy.set_capacity(bytes);
        self.free_bytes(self.used.saturating_sub(bytes), None);
    }

    /// Frees space for something that is not cached: the policy evicts this many bytes, or everything.
    pub fn make_room(&mut self, bytes: u64) {
        self.tell_hits();
        self.free_bytes(bytes.min(self.used), None);
    }

    /// The file was deleted or overwritten. True if it was cached.
    pub fn remove(&mut self, file: u64) -> bool {
        let Some(&slot) = self.slots.get(&file) else {
            return false;
        };
        self.tell_hits();
        self.drop_copy(slot);
        self.policy.removed(&[slot]);
        true
    }

    /// Caches a copy without asking the policy, as a node does while the policy is busy: the least recently used
    /// copies are evicted for it, and the policy is told later. Does nothing for a file that is cached or too
    /// large.
    pub fn adopt(&mut self, file: u64, size: u64) {
        if size > self.capacity || self.slots.contains_key(&file) {
            return;
        }
        self.tell_hits();
        self.now += 1;
        while self.used + size > self.capacity {
            let slot = self.coldest_first()[0];
            self.drop_copy(slot);
            self.policy.removed(&[slot]);
        }
        let slot = self.offer();
        self.fill(slot, file, size, 1);
        let entry = self.entry(slot);
        self.policy.restore(&[entry]);
    }

    /// Ignores the policy's answer, as a node ignores an invalid one: asks for this many bytes, evicts nothing,
    /// and restores the named copies to the policy.
    pub fn set_aside(&mut self, bytes: u64) {
        self.tell_hits();
        let needed = bytes.min(self.used);
        if needed > 0 {
            let named = self.policy.make_room(needed, self.now);
            let named = self.check(needed, named, None);
            let entries: Vec<Entry> = named.iter().map(|&slot| self.entry(slot)).collect();
            self.policy.restore(&entries);
        }
    }

    /// Hands the cache over to another policy, which is told of every copy, least recently used first.
    pub fn hand_over<Q: EvictionPolicy>(self, mut policy: Q) -> Cache<Q> {
        policy.set_capacity(self.capacity);
        let entries: Vec<Entry> = self
            .coldest_first()
            .into_iter()
            .map(|slot| self.entry(slot))
            .collect();
        entries
            .chunks(BATCH_MAX)
            .for_each(|batch| policy.restore(batch));
        Cache {
            policy,
            capacity: self.capacity,
            used: self.used,
            now: self.now,
            copies: self.copies,
            free: self.free,
            slots: self.slots,
            hits: Vec::new(),
            verdicts: self.verdicts,
        }
    }

    /// Advances the clock.
    pub fn pass(&mut self, millis: Millis) {
        self.now += millis;
    }

    /// Whether this file is cached.
    #[must_use]
    pub fn contains(&self, file: u64) -> bool {
        self.slots.contains_key(&file)
    }

    /// The cached files, in order of their last use.
    #[must_use]
    pub fn files(&self) -> Vec<u64> {
        let slots = self.coldest_first().into_iter();
        slots.map(|slot| self.copies[slot as usize].file).collect()
    }

    /// The number of slots ever used: every slot is below this.
    #[must_use]
    pub fn width(&self) -> usize {
        self.copies.len()
    }

    /// Bytes cached.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// The policy, after telling it everything that happened.
    pub fn policy(&mut self) -> &mut P {
        self.tell_hits();
        &mut self.policy
    }

    fn admit(&mut self, file: u64, size: u64, cost: u32) {
        self.tell_hits();
        let slot = self.offer();
        let incoming = Entry {
            slot,
            file,
            size,
            cost,
            now: self.now,
        };
        let needed = (self.used + size).saturating_sub(self.capacity);
        let Admission::Admit(victims) = self.policy.admit(incoming, needed) else {
            self.free.push(slot);
            return;
        };
        let before = self.used;
        self.drop_named(needed, victims, None);
        let short = needed.saturating_sub(before - self.used);
        if self.free_bytes(short, Some(slot)) {
            self.fill(slot, file, size, cost);
        } else {
            self.free.push(slot);
        }
    }

    /// Asks until this many bytes are free. False when the policy instead gave up the incoming copy that it had
    /// admitted.
    fn free_bytes(&mut self, bytes: u64, incoming: Option<Slot>) -> bool {
        let goal = self.used - bytes.min(self.used);
        // For an admission, the first round was the admission itself.
        let mut round = u32::from(incoming.is_some());
        while self.used > goal {
            let short = self.used - goal;
            assert!(
                round < ROUNDS_MAX,
                "asked {ROUNDS_MAX} times, it still leaves {short} bytes to be freed"
            );
            round += 1;
            let victims = self.policy.make_room(short, self.now);
            if self.drop_named(short, victims, incoming) {
                return false;
            }
        }
        true
    }

    /// Evicts what the policy named. True if the incoming copy was among it.
    fn drop_named(&mut self, needed: u64, named: Vec<Slot>, incoming: Option<Slot>) -> bool {
        let named = self.check(needed, named, incoming);
        let mut withdrawn = false;
        for slot in named {
            if Some(slot) == incoming {
                withdrawn = true;
            } else {
                self.drop_copy(slot);
            }
        }
        withdrawn
    }

    /// Checks every rule for a verdict; see [`EvictionPolicy`].
    fn check(&mut self, needed: u64, named: Vec<Slot>, incoming: Option<Slot>) -> Vec<Slot> {
        let count = named.len();
        assert!(
            count <= VERDICT_ENTRIES_MAX,
            "it names {count} slots; at most {VERDICT_ENTRIES_MAX} are allowed"
        );
        self.verdicts += 1;
        let mut freed = 0;
        for &slot in &named {
            let copy = self.copies.get_mut(slot as usize);
            let Some(copy) = copy.filter(|copy| copy.cached || Some(slot) == incoming) else {
                panic!("slot {slot} holds no cached copy")
            };
            assert!(copy.named_in != self.verdicts, "slot {slot} is named twice");
            copy.named_in = self.verdicts;
            freed += copy.size;
        }
        assert!(
            needed == 0 || freed > 0 || incoming.is_some_and(|slot| named.contains(&slot)),
            "it frees none of the {needed} bytes that are needed"
        );
        named
    }

    fn tell_hits(&mut self) {
        if !self.hits.is_empty() {
            self.policy.hit(&self.hits);
            self.hits.clear();
        }
    }

    /// A free slot, the one freed last first.
    fn offer(&mut self) -> Slot {
        self.free.pop().unwrap_or_else(|| {
            self.copies.push(Copy {
                file: 0,
                size: 0,
                cost: 0,
                used_at: 0,
                cached: false,
                named_in: 0,
            });
            let width = u32::try_from(self.copies.len()).expect("slots are counted in 32 bits");
            width - 1
        })
    }

    fn fill(&mut self, slot: Slot, file: u64, size: u64, cost: u32) {
        self.copies[slot as usize] = Copy {
            file,
            size,
            cost,
            used_at: self.now,
            cached: true,
            named_in: 0,
        };
        self.slots.insert(file, slot);
        self.used += size;
    }

    fn drop_copy(&mut self, slot: Slot) {
        let copy = &mut self.copies[slot as usize];
        copy.cached = false;
        self.slots.remove(&copy.file);
        self.used -= copy.size;
        // A reserved slot has no bytes.
        copy.size = 0;
        self.free.push(slot);
    }

    fn entry(&self, slot: Slot) -> Entry {
        let copy = &self.copies[slot as usize];
        Entry {
            slot,
            file: copy.file,
            size: copy.size,
            cost: copy.cost,
            now: copy.used_at,
        }
    }

    fn coldest_first(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.slots.values().copied().collect();
        slots.sort_unstable_by_key(|&slot| (self.copies[slot as usize].used_at, slot));
        slots
    }
}
