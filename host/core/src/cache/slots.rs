//! The slot table: which copy is cached under which slot, in order of last use.
//!
//! Slots are small numbers. A slot is reused once no one can still refer to its old copy by it. Each slot has a
//! *generation* that changes when the slot is released, so that notes about an earlier copy are not mistaken for
//! notes about the present one. The order of last use is a doubly linked list through the entries, so every
//! operation takes constant time.
//!
//! The index by key is a hash map that is only looked up, never iterated, so no decision depends on its order.

use std::collections::HashMap;

use super::{CachedCopy, Name};
use crate::limits;
use crate::policy::Slot;
use crate::version::Millis;

/// No slot: the end of the list.
const NONE: Slot = Slot::MAX;

/// What a slot holds.
pub(super) enum SlotPlace<K> {
    /// Nothing; the slot may be given out.
    Free,
    /// A copy that the policy is being asked about.
    Offered,
    /// A cached copy.
    Cached(Cached<K>),
    /// A copy that is gone. The policy does not know yet, or the open question tells it.
    Leaving {
        /// The open question tells it.
        told: bool,
    },
}

/// A cached copy in the table.
pub(super) struct Cached<K> {
    pub(super) copy: CachedCopy<K>,
    /// When it was last used.
    pub(super) used_at: Millis,
    /// Whether the policy knows of it, or the open question tells it.
    pub(super) told: bool,
    colder: Slot,
    hotter: Slot,
}

struct Entry<K> {
    generation: u32,
    place: SlotPlace<K>,
}

/// The slot table.
pub(super) struct Slots<K: Name> {
    entries: Vec<Entry<K>>,
    free: Vec<Slot>,
    by_key: HashMap<K, Slot, K::Spread>,
    coldest: Slot,
    hottest: Slot,
    bytes: u64,
}

impl<K: Name> Slots<K> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::default(),
            coldest: NONE,
            hottest: NONE,
            bytes: 0,
        }
    }

    /// The number of slots ever in use: every slot is below this.
    pub(super) fn width(&self) -> usize {
        self.entries.len()
    }

    /// The number of cached copies.
    pub(super) fn cached(&self) -> usize {
        self.by_key.len()
    }

    /// Bytes of all cached copies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn find(&self, key: &K) -> Option<Slot> {
        self.by_key.get(key).copied()
    }

    pub(super) fn place(&self, slot: Slot) -> Option<&SlotPlace<K>> {
        self.entries.get(slot as usize).map(|entry| &entry.place)
    }

    pub(super) fn cached_at(&self, slot: Slot) -> Option<&Cached<K>> {
        match self.place(slot) {
            Some(SlotPlace::Cached(cached)) => Some(cached),
            _ => None,
        }
    }

    pub(super) fn generation(&self, slot: Slot) -> u32 {
        self.entries[slot as usize].generation
    }

    /// The least recently used copy.
    pub(super) fn coldest(&self) -> Option<Slot> {
        (self.coldest != NONE).then_some(self.coldest)
    }

    /// All cached copies, least recently used first.
    pub(super) fn coldest_first(&self) -> impl Iterator<Item = (Slot, &Cached<K>)> {
        std::iter::successors(self.coldest(), |&slot| {
            let hotter = self.linked(slot).hotter;
            (hotter != NONE).then_some(hotter)
        })
        .map(|slot| (slot, self.linked(slot)))
    }

    /// Reserves a slot for an incoming copy; `None` when all are taken.
    pub(super) fn offer(&mut self) -> Option<Slot> {
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize].place = SlotPlace::Offered;
            return Some(slot);
        }
        if self.entries.len() >= limits::CACHE_SLOTS_MAX {
            return None;
        }
        let slot = Slot::try_from(self.entries.len()).expect("CACHE_SLOTS_MAX fits a slot");
        self.entries.push(Entry {
            generation: 0,
            place: SlotPlace::Offered,
        });
        Some(slot)
    }

    /// Puts a copy into its reserved slot, as the most recently used. Its key must not be cached already.
    pub(super) fn fill(&mut self, slot: Slot, copy: CachedCopy<K>, now: Millis, told: bool) {
        let earlier = self.by_key.insert(copy.key.clone(), slot);
        assert!(earlier.is_none(), "a key is cached at most once");
        self.bytes += copy.size;
        self.entries[slot as usize].place = SlotPlace::Cached(Cached {
            copy,
            used_at: now,
            told,
            colder: NONE,
            hotter: NONE,
        });
        self.link_hottest(slot);
    }

    /// Makes this copy the most recently used.
    pub(super) fn touch(&mut self, slot: Slot, now: Millis) {
        self.linked_mut(slot).used_at = now;
        // The most recently used copy is often the next one used.
        if slot != self.hottest {
            self.unlink(slot);
            self.link_hottest(slot);
        }
    }

    /// Takes a cached copy out. The caller decides about its slot: [`Slots::leave`] or [`Slots::release`].
    pub(super) fn take(&mut self, slot: Slot) -> CachedCopy<K> {
        self.unlink(slot);
        let place = std::mem::replace(&mut self.entries[slot as usize].place, SlotPlace::Offered);
        let SlotPlace::Cached(cached) = place else {
            unreachable!("only a linked slot was unlinked");
        };
        self.by_key.remove(&cached.copy.key);
        self.bytes -= cached.copy.size;
        cached.copy
    }

    /// Keeps a slot reserved until the policy has been told that its copy is gone.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.entries[slot as usize].place = SlotPlace::Leaving { told: false };
    }

    /// Releases a slot for reuse.
    pub(super) fn release(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot as usize];
        entry.place = SlotPlace::Free;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
    }

    /// Releases every slot whose copy is gone or was never cached. The policy need not be told of them.
    pub(super) fn release_all_but_cached(&mut self) {
        for slot in (0..).take(self.entries.len()) {
            let place = &self.entries[slot as usize].place;
            if matches!(place, SlotPlace::Offered | SlotPlace::Leaving { .. }) {
                self.release(slot);
            }
        }
    }

    /// Marks this slot as told: the question being made tells the policy of its copy, or that the copy is gone.
    pub(super) fn tell(&mut self, slot: Slot) {
        match &mut self.entries[slot as usize].place {
            SlotPlace::Cached(Cached { told, .. }) | SlotPlace::Leaving { told } => *told = true,
            SlotPlace::Free | SlotPlace::Offered => {
                unreachable!("a free or reserved slot has nothing to tell")
            }
        }
    }

    /// Marks a cached copy as unknown to the policy again, and invalidates earlier notes about the slot.
    pub(super) fn untell(&mut self, slot: Slot) {
        self.linked_mut(slot).told = false;
        let entry = &mut self.entries[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
    }

    fn link_hottest(&mut self, slot: Slot) {
        let before = std::mem::replace(&mut self.hottest, slot);
        let cached = self.linked_mut(slot);
        (cached.colder, cached.hotter) = (before, NONE);
        match before {
            NONE => self.coldest = slot,
            before => self.linked_mut(before).hotter = slot,
        }
    }

    fn unlink(&mut self, slot: Slot) {
        let cached = self.linked(slot);
        let (colder, hotter) = (cached.colder, cached.hotter);
        match colder {
            NONE => self.coldest = hotter,
            colder => self.linked_mut(colder).hotter = hotter,
        }
        match hotter {
            NONE => self.hottest = colder,
            hotter => self.linked_mut(hotter).colder = colder,
        }
    }

    fn linked(&self, slot: Slot) -> &Cached<K> {
        self.cached_at(slot)
            .expect("the list links cached copies only")
    }

    fn linked_mut(&mut self, slot: Slot) -> &mut Cached<K> {
        match &mut self.entries[slot as usize].place {
            SlotPlace::Cached(cached) => cached,
            _ => unreachable!("the list links cached copies only"),
        }
    }
}
