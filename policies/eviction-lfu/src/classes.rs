//! `Classes`: cached copies by how often they were read, the rarest at hand.

use dataverse_sdk::Slot;
use dataverse_sdk::slots::Queues;

/// The class of what was not read since it was cached. It stays when it is empty.
const FIRST: u32 = 0;
/// No class.
const NONE: u32 = u32::MAX;

/// Classes of equal frequency, chained from the rarest on. Each is a queue of its own, in the order of joining.
pub(crate) struct Classes {
    queues: Queues,
    /// By the number of their queue.
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

    /// Takes up a copy as read once.
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
            // Alone in its class, it takes the class along.
            self.chain[class as usize].reads += 1;
        } else {
            let next = self.insert_class(class, reads + 1);
            self.queues.move_to(next, slot);
        }
    }

    /// Takes out the copy that was read least often, of several the one that joined its class first.
    pub(crate) fn pop(&mut self) -> Option<(Slot, u64)> {
        let rarest = match self.chain[FIRST as usize].commoner {
            commoner if self.queues.is_empty(FIRST) && commoner != NONE => commoner,
            _ => FIRST,
        };
        let victim = self.queues.pop(rarest)?;
        self.drop_if_empty(rarest);
        Some((victim.slot, victim.size))
    }

    /// Forgets a copy.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if let Some(queued) = self.queues.remove(slot) {
            self.drop_if_empty(queued.queue);
        }
    }

    /// A new class of this frequency, next after `rarer`.
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

    /// Reads and the moment of the last one, a slot.
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
        // No more classes than there were copies at once, and the first.
        assert!(classes.chain.len() <= 13, "{}", classes.chain.len());
    }
}
