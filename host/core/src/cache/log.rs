//! The log of what happened to cached copies since the policy was last asked, in order.
//!
//! Reads are bounded: the oldest are dropped first. Turns (a copy that came or went without a verdict of the
//! policy) are never dropped. At most one turn per slot is useful; the others are removed from time to time.

use std::collections::VecDeque;

use super::Name;
use super::slots::{Cached, SlotPlace, Slots};
use crate::limits;
use crate::policy::{CacheEntry, Eviction, Fault, Slot};

/// How many useless turns may accumulate, beyond two per slot, before they are removed.
const IDLE_TURNS: usize = 64;

#[derive(Clone, Copy)]
struct Mark {
    sequence: u64,
    slot: Slot,
    generation: u32,
}

/// Whether a copy came or went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// It is cached, and the policy does not know yet.
    Cached,
    /// It is gone, and the policy does not know yet.
    Removed,
}

#[derive(Default)]
pub(super) struct Log {
    sequence: u64,
    hits: VecDeque<Mark>,
    turns: VecDeque<(Mark, Pending)>,
    /// A buffer kept for the next [`News`].
    spare: News,
}

impl Log {
    pub(super) fn clear(&mut self) {
        self.hits.clear();
        self.turns.clear();
    }

    pub(super) fn hit<K: Name>(&mut self, slot: Slot, slots: &Slots<K>) {
        if self.hits.len() >= limits::EVICTION_EVENTS_MAX {
            self.hits.pop_front();
        }
        let mark = self.mark(slot, slots);
        self.hits.push_back(mark);
    }

    pub(super) fn turn<K: Name>(&mut self, slot: Slot, turn: Pending, slots: &Slots<K>) {
        if self.turns.len() >= 2 * slots.width() + IDLE_TURNS {
            // At most one turn per slot remains, so this leaves space for as many again before the next cleanup.
            self.turns
                .retain(|&(mark, turn)| turn_is_due(slots, mark, turn));
        }
        let mark = self.mark(slot, slots);
        self.turns.push_back((mark, turn));
    }

    /// Everything that is still useful, in order. Empties the log.
    pub(super) fn take<K: Name>(&mut self, slots: &mut Slots<K>) -> News {
        let mut news = std::mem::take(&mut self.spare);
        let mut hits = self.hits.drain(..).peekable();
        for (mark, turn) in self.turns.drain(..) {
            while let Some(hit) = hits.next_if(|hit| hit.sequence < mark.sequence) {
                news.add_hit(slots, hit);
            }
            if turn_is_due(slots, mark, turn) {
                news.add_turn(slots, mark.slot);
            }
        }
        for hit in hits {
            news.add_hit(slots, hit);
        }
        news
    }

    /// Takes back news that was delivered, so that the next one reuses its memory.
    pub(super) fn take_back(&mut self, mut told: News) {
        told.clear();
        self.spare = told;
    }

    #[cfg(test)]
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.hits.len(), self.turns.len())
    }

    fn mark<K: Name>(&mut self, slot: Slot, slots: &Slots<K>) -> Mark {
        self.sequence += 1;
        Mark {
            sequence: self.sequence,
            slot,
            generation: slots.generation(slot),
        }
    }
}

/// Whether the policy still has to be told of this turn. A copy that left before the policy was told of it has
/// already released its slot, which changed the slot's generation.
fn turn_is_due<K: Name>(slots: &Slots<K>, mark: Mark, turn: Pending) -> bool {
    slots.generation(mark.slot) == mark.generation
        && match slots.place(mark.slot) {
            Some(SlotPlace::Cached(cached)) => turn == Pending::Cached && !cached.told,
            Some(SlotPlace::Leaving { told }) => turn == Pending::Removed && !told,
            _ => false,
        }
}

/// What happened since the policy was last asked, in order.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Runs of events of the same kind, with their lengths.
    batches: Vec<(Event, usize)>,
    /// The slots of the reads and removals.
    slots: Vec<Slot>,
    /// The entries of the copies that were restored.
    entries: Vec<CacheEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Hit,
    Removed,
    Restored,
}

impl News {
    /// Delivers the news to the policy.
    pub(super) fn put_to(&self, policy: &mut dyn Eviction) -> Result<(), Fault> {
        let (mut slots, mut entries) = (&self.slots[..], &self.entries[..]);
        for &(event, length) in &self.batches {
            match event {
                Event::Hit => policy.hit(first(&mut slots, length))?,
                Event::Removed => policy.removed(first(&mut slots, length))?,
                Event::Restored => policy.restore(first(&mut entries, length))?,
            }
        }
        Ok(())
    }

    /// The slots of copies that this news reports as gone.
    pub(super) fn removed(&self) -> impl Iterator<Item = Slot> {
        let mut slots = &self.slots[..];
        let of_batch = move |&(event, length): &(Event, usize)| match event {
            Event::Hit => {
                first(&mut slots, length);
                &[][..]
            }
            Event::Removed => first(&mut slots, length),
            Event::Restored => &[],
        };
        self.batches.iter().flat_map(of_batch).copied()
    }

    fn clear(&mut self) {
        self.batches.clear();
        self.slots.clear();
        self.entries.clear();
    }

    fn add_hit<K: Name>(&mut self, slots: &Slots<K>, mark: Mark) {
        // An unchanged generation means that the slot still holds the copy that was read.
        if slots.generation(mark.slot) == mark.generation {
            self.slots.push(mark.slot);
            self.count(Event::Hit);
        }
    }

    fn add_turn<K: Name>(&mut self, slots: &mut Slots<K>, slot: Slot) {
        slots.tell(slot);
        if let Some(cached) = slots.cached_at(slot) {
            self.entries.push(entry(slot, cached));
            self.count(Event::Restored);
        } else {
            self.slots.push(slot);
            self.count(Event::Removed);
        }
    }

    fn count(&mut self, event: Event) {
        match self.batches.last_mut() {
            Some((last, length)) if *last == event && *length < limits::EVICTION_BATCH_MAX => {
                *length += 1;
            }
            _ => self.batches.push((event, 1)),
        }
    }
}

/// Splits off the first `length` elements.
fn first<'a, T>(rest: &mut &'a [T], length: usize) -> &'a [T] {
    let (taken, after) = rest.split_at(length);
    *rest = after;
    taken
}

/// A cached copy as the policy sees it.
pub(super) fn entry<K>(slot: Slot, cached: &Cached<K>) -> CacheEntry {
    CacheEntry {
        slot,
        file: cached.copy.file.0,
        size: cached.copy.size,
        cost: cached.copy.cost,
        now: cached.used_at,
    }
}
