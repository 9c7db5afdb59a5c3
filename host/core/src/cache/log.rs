//! The log of what happened to cached copies since the policy was last asked, in order.
//!
//! Reads are bounded: the oldest are forgotten first. Turns (a copy that came or went without the policy's
//! word) are never forgotten; at most one a slot is of use, and the rest is cleared away.

use std::collections::VecDeque;

use super::question::Batch;
use super::slots::{Place, Slots};
use crate::limits;
use crate::policy::{CacheEntry, Slot};

/// Turns that may lie about without use before they are cleared away, beside two a slot.
const IDLE_TURNS: usize = 64;

#[derive(Clone, Copy)]
struct Mark {
    sequence: u64,
    slot: Slot,
    generation: u32,
}

/// Came or went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is cached, and the policy does not know.
    Cached,
    /// It is gone, and the policy does not know.
    Removed,
}

#[derive(Default)]
pub(super) struct Log {
    sequence: u64,
    hits: VecDeque<Mark>,
    turns: VecDeque<(Mark, Turn)>,
}

impl Log {
    pub(super) fn clear(&mut self) {
        self.hits.clear();
        self.turns.clear();
    }

    pub(super) fn hit(&mut self, slot: Slot, slots: &Slots) {
        if self.hits.len() >= limits::EVICTION_EVENTS_MAX {
            self.hits.pop_front();
        }
        let mark = self.mark(slot, slots);
        self.hits.push_back(mark);
    }

    pub(super) fn turn(&mut self, slot: Slot, turn: Turn, slots: &Slots) {
        if self.turns.len() >= 2 * slots.width() + IDLE_TURNS {
            // What remains is at most one a slot, so as many again can come before the next time.
            self.turns
                .retain(|&(mark, turn)| turn_is_due(slots, mark, turn));
        }
        let mark = self.mark(slot, slots);
        self.turns.push_back((mark, turn));
    }

    /// Everything that is still of use, in order, in batches; the log is empty afterwards.
    pub(super) fn take(&mut self, slots: &mut Slots) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut hits = self.hits.drain(..).peekable();
        for (mark, turn) in self.turns.drain(..) {
            while let Some(hit) = hits.next_if(|hit| hit.sequence < mark.sequence) {
                add_hit(&mut batches, slots, hit);
            }
            if turn_is_due(slots, mark, turn) {
                add_turn(&mut batches, slots, mark.slot);
            }
        }
        for hit in hits {
            add_hit(&mut batches, slots, hit);
        }
        batches
    }

    #[cfg(test)]
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.hits.len(), self.turns.len())
    }

    fn mark(&mut self, slot: Slot, slots: &Slots) -> Mark {
        self.sequence += 1;
        Mark {
            sequence: self.sequence,
            slot,
            generation: slots.generation(slot),
        }
    }
}

/// Whether the policy still has to hear of it. A copy that went before the policy heard that it came gave
/// its slot back at once, and with it the generation.
fn turn_is_due(slots: &Slots, mark: Mark, turn: Turn) -> bool {
    slots.generation(mark.slot) == mark.generation
        && match slots.place(mark.slot) {
            Some(Place::Cached(cached)) => turn == Turn::Cached && !cached.told,
            Some(Place::Leaving { told }) => turn == Turn::Removed && !told,
            _ => false,
        }
}

fn add_hit(batches: &mut Vec<Batch>, slots: &Slots, mark: Mark) {
    // The same generation means that the policy has not been relieved of this copy since.
    if slots.generation(mark.slot) != mark.generation {
        return;
    }
    match batches.last_mut() {
        Some(Batch::Hit(batch)) if batch.len() < limits::EVICTION_BATCH_MAX => {
            batch.push(mark.slot);
        }
        _ => batches.push(Batch::Hit(vec![mark.slot])),
    }
}

fn add_turn(batches: &mut Vec<Batch>, slots: &mut Slots, slot: Slot) {
    slots.tell(slot);
    let came = slots.cached_at(slot).map(|cached| entry(slot, cached));
    match (batches.last_mut(), came) {
        (Some(Batch::Restored(batch)), Some(entry)) if batch.len() < limits::EVICTION_BATCH_MAX => {
            batch.push(entry);
        }
        (Some(Batch::Removed(batch)), None) if batch.len() < limits::EVICTION_BATCH_MAX => {
            batch.push(slot);
        }
        (_, Some(entry)) => batches.push(Batch::Restored(vec![entry])),
        (_, None) => batches.push(Batch::Removed(vec![slot])),
    }
}

/// What the policy is told of a cached copy.
pub(super) fn entry(slot: Slot, cached: &super::slots::Cached) -> CacheEntry {
    CacheEntry {
        slot,
        file: cached.copy.file.0,
        size: cached.copy.size,
        cost: cached.copy.cost,
        now: cached.used_at,
    }
}
