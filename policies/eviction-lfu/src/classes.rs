//! `Classes`: cached copies by read count, with quick access to the least read.

use dataverse_sdk::Slot;
use dataverse_sdk::slots::Queues;

/// The class of copies not read since they were cached. It is kept even when empty.
const FIRST: u32 = 0;
/// No class.
const NONE: u32 = u32::MAX;

/// Classes of equal read counts, linked in increasing order. Each is a queue in the order of joining.
pub(crate) struct Classes {
    queues: Queues,
    /// Indexed by the number of their queue.
    chain: Vec<Class>,
    free: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Class {
    reads: u64,
    rarer: u32,
    commoner: u32,
}

impl Classes {
    pub(crate) fn new() -> Self {
        let first = Class {
            reads: 1,
            rarer: NONE,
            commoner: NONE,
        };
        Self {
            queues: Queues::new(1),
            chain: vec![first],
            free: Vec::new(),
        }
    }

    /// Adds a copy that was read once.
    pub(crate) fn insert(&mut self, slot: Slot, size: u64) {
        self.remove(slot);
        self.queues.push(FIRST, slot, size, ());
    }

    /// Counts one more read.
    pub(crate) fn promote(&mut self, slot: Slot) {
        let Some(queued) = self.queues.find(slot) else {
            return;
        };
        let class = queued.queue;
        let Class {
            reads, commoner, ..
        } = self.chain[class as usize];
        if commoner != NONE && self.chain[commoner as usize].reads == reads + 1 {
            self.queues.move_to(commoner, slot);
            self.drop_if_empty(class);
        } else if class != FIRST && self.queues.len(class) == 1 {
            // The copy is alone in its class, so the class moves with it.
            self.chain[class as usize].reads += 1;
        } else {
            let next = self.insert_class(class, reads + 1);
            self.queues.move_to(next, slot);
        }
    }

    /// Removes the copy with the fewest reads; among equals, the one that joined its class first.
    pub(crate) fn pop(&mut self) -> Option<(Slot, u64)> {
        let rarest = match self.chain[FIRST as usize].commoner {
            commoner if self.queues.is_empty(FIRST) && commoner != NONE => commoner,
            _ => FIRST,
        };
        let victim = self.queues.pop(rarest)?;
        self.drop_if_empty(rarest);
        Some((victim.slot, victim.size))
    }

    /// Removes a copy.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if let Some(queued) = self.queues.remove(slot) {
            self.drop_if_empty(queued.queue);
        }
    }

    /// Inserts a class with this read count after `rarer`.
    fn insert_class(&mut self, rarer: u32, reads: u64) -> u32 {
        let commoner = self.chain[rarer as usize].commoner;
        let class = Class {
            reads,
            rarer,
            commoner,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.chain[number as usize] = class;
                number
            }
            None => {
                self.chain.push(class);
                self.queues.add_queue()
            }
        };
        self.chain[rarer as usize].commoner = number;
        if commoner != NONE {
            self.chain[commoner as usize].rarer = number;
        }
        number
    }

    fn drop_if_empty(&mut self, class: u32) {
        if class == FIRST || !self.queues.is_empty(class) {
            return;
        }
        let Class {
            rarer, commoner, ..
        } = self.chain[class as usize];
        self.chain[rarer as usize].commoner = commoner;
        if commoner != NONE {
            self.chain[commoner as usize].rarer = rarer;
        }
        self.free.push(class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::Random;

    /// The read count and the time of the last read of each slot.
    type Model = [Option<(u64, u32)>; 12];

    fn rarest(model: &Model) -> Option<Slot> {
        let known = (0..12).filter(|&slot| model[slot].is_some());
        known
            .min_by_key(|&slot| model[slot])
            .map(|slot| slot as Slot)
    }

    #[test]
    fn they_yield_what_a_search_through_all_yields() {
        let (mut classes, mut model) = (Classes::new(), Model::default());
        let mut random = Random::new(3);
        for step in 0..20_000 {
            let slot = random.below(12) as Slot;
            let place = &mut model[slot as usize];
            match random.below(20) {
                0..3 => {
                    classes.insert(slot, 1);
                    *place = Some((1, step));
                }
                3..16 => {
                    classes.promote(slot);
                    *place = place.map(|(reads, _)| (reads + 1, step));
                }
                16 => {
                    classes.remove(slot);
                    *place = None;
                }
                _ => {
                    let expected = rarest(&model);
                    assert_eq!(classes.pop().map(|(slot, _)| slot), expected);
                    expected.map(|slot| model[slot as usize].take());
                }
            }
        }
        // At most as many classes as there were copies at the same time, plus the first one.
        assert!(classes.chain.len() <= 13, "{}", classes.chain.len());
    }
}
