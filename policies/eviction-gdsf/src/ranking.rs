//! `Ranking`: cached copies by priority, with quick access to the lowest.
//!
//! A binary heap of slots that records the position of each slot, so that priorities can change.

use dataverse_sdk::Slot;
use dataverse_sdk::slots::SlotMap;

/// The position of a slot that is not ranked.
const NOWHERE: u32 = u32::MAX;
/// The value of one read over one hop for a file of one byte. A common factor changes only the rounding of
/// priorities; with this one they equal libCacheSim's.
const WORTH: f64 = 1.0e6;

/// A ranked copy.
#[derive(Clone, Copy)]
pub(crate) struct Ranked {
    pub(crate) slot: Slot,
    pub(crate) size: u64,
    pub(crate) priority: f64,
}

#[derive(Clone, Copy)]
struct Kept {
    size: u64,
    priority: f64,
    /// A counter set with the priority; breaks ties.
    turn: u64,
    reads: u32,
    cost: u32,
    /// Index into the heap.
    place: u32,
}

/// Copies by priority.
pub(crate) struct Ranking {
    heap: Vec<Slot>,
    kept: SlotMap<Kept>,
    turns: u64,
}

impl Ranking {
    pub(crate) const fn new() -> Self {
        Self {
            heap: Vec::new(),
            kept: SlotMap::new(Kept {
                size: 0,
                priority: 0.0,
                turn: 0,
                reads: 0,
                cost: 0,
                place: NOWHERE,
            }),
            turns: 0,
        }
    }

    /// Adds a copy that was read once.
    pub(crate) fn insert(&mut self, slot: Slot, size: u64, cost: u32, clock: f64) {
        self.remove(slot);
        self.kept[slot] = Kept {
            size,
            priority: 0.0,
            turn: 0,
            reads: 0,
            cost,
            place: self.heap.len() as u32,
        };
        self.heap.push(slot);
        self.promote(slot, clock);
        self.rise(self.kept[slot].place as usize);
    }

    /// Counts one more read and updates the priority.
    pub(crate) fn promote(&mut self, slot: Slot, clock: f64) {
        if self.kept[slot].place == NOWHERE {
            return;
        }
        self.turns += 1;
        let turn = self.turns;
        let kept = &mut self.kept[slot];
        kept.reads = kept.reads.saturating_add(1);
        // An empty file counts as one byte, so that its priority is a number.
        let worth = f64::from(kept.reads) * (f64::from(kept.cost) * WORTH);
        kept.priority = clock + worth / kept.size.max(1) as f64;
        kept.turn = turn;
        // The clock never goes back, so no priority decreases.
        let place = kept.place as usize;
        self.sink(place);
    }

    /// Removes the copy with the lowest priority.
    pub(crate) fn pop(&mut self) -> Option<Ranked> {
        let lowest = *self.heap.first()?;
        self.remove(lowest)
    }

    /// Removes a copy.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Ranked> {
        let Kept {
            size,
            priority,
            place,
            ..
        } = self.kept[slot];
        if place == NOWHERE {
            return None;
        }
        self.kept[slot].place = NOWHERE;
        let place = place as usize;
        // The last element takes its place and then moves to where it belongs.
        self.heap.swap_remove(place);
        if let Some(&moved) = self.heap.get(place) {
            self.kept[moved].place = place as u32;
            self.rise(place);
            self.sink(self.kept[moved].place as usize);
        }
        Some(Ranked {
            slot,
            size,
            priority,
        })
    }

    /// Moves an element up while it is lower than its parent.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let above = (place - 1) / 2;
            if !self.is_lower(place, above) {
                break;
            }
            self.swap(place, above);
            place = above;
        }
    }

    /// Moves an element down while one of its children is lower.
    fn sink(&mut self, mut place: usize) {
        loop {
            let mut lowest = place;
            for below in [2 * place + 1, 2 * place + 2] {
                if below < self.heap.len() && self.is_lower(below, lowest) {
                    lowest = below;
                }
            }
            if lowest == place {
                break;
            }
            self.swap(place, lowest);
            place = lowest;
        }
    }

    fn is_lower(&self, place: usize, other: usize) -> bool {
        let [one, other] = [place, other].map(|place| &self.kept[self.heap[place]]);
        (one.priority, one.turn) < (other.priority, other.turn)
    }

    fn swap(&mut self, place: usize, other: usize) {
        self.heap.swap(place, other);
        for place in [place, other] {
            self.kept[self.heap[place]].place = place as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::Random;

    #[test]
    fn the_lowest_is_what_a_search_through_all_finds() {
        let mut ranking = Ranking::new();
        // Priority and counter of each slot.
        let mut model = [None::<(f64, u64)>; 40];
        let mut random = Random::new(4);
        let mut clock = 0.0;
        for _ in 0..20_000 {
            let slot = random.below(40) as Slot;
            match random.below(10) {
                0..3 => ranking.insert(slot, random.below(5), 1 + random.below(3) as u32, clock),
                3..8 => ranking.promote(slot, clock),
                8 => {
                    ranking.remove(slot);
                }
                _ => {
                    let known = (0..40).filter(|&slot| model[slot].is_some());
                    let least = known.min_by(|&a, &b| {
                        model[a]
                            .partial_cmp(&model[b])
                            .expect("priorities are numbers")
                    });
                    let lowest = ranking.pop();
                    assert_eq!(lowest.map(|it| it.slot as usize), least);
                    clock = lowest.map_or(clock, |it| it.priority);
                }
            }
            for (slot, place) in (0..).zip(&mut model) {
                let kept = ranking.kept[slot];
                *place = (kept.place != NOWHERE).then_some((kept.priority, kept.turn));
            }
        }
    }

    #[test]
    fn a_million_copies_fit_into_a_guest() {
        assert_eq!(size_of::<Kept>(), 40);
    }
}
