//! `Queues`: orders over slots, from the oldest to the newest.

use super::SlotMap;
use crate::Slot;

/// No slot: the end of every list.
const NONE: Slot = Slot::MAX;
/// The queue number of a slot that is in none.
const NOWHERE: u32 = u32::MAX;

/// A number of queues over slots. A slot is in at most one of them; every operation takes constant time.
///
/// Each slot comes with its copy's size, a mark whose meaning is up to the policy, and an item.
///
/// ```
/// let mut recent = dataverse_sdk::slots::Queues::new(1);
/// recent.push(0, 7, 100, ());
/// recent.push(0, 8, 100, ());
/// recent.move_to(0, 7);
/// assert_eq!(recent.pop(0).map(|oldest| oldest.slot), Some(8));
/// ```
#[derive(Clone, Debug)]
pub struct Queues<T = ()> {
    nodes: SlotMap<Node<T>>,
    ends: Vec<Ends>,
}

#[derive(Clone, Copy, Debug)]
struct Node<T> {
    size: u64,
    older: Slot,
    younger: Slot,
    queue: u32,
    mark: u8,
    item: T,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    oldest: Slot,
    youngest: Slot,
    length: u32,
    bytes: u64,
}

impl<T: Copy> Node<T> {
    #[inline]
    fn queued(&self, slot: Slot) -> Queued<T> {
        Queued {
            slot,
            queue: self.queue,
            size: self.size,
            mark: self.mark,
            item: self.item,
        }
    }
}

/// A slot in a queue, with its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued<T> {
    /// The slot.
    pub slot: Slot,
    /// The queue that it is in, or was in before it was removed.
    pub queue: u32,
    /// Bytes.
    pub size: u64,
    /// The value set by [`Queues::set_mark`]; 0 at first.
    pub mark: u8,
    /// The policy's own data.
    pub item: T,
}

impl<T: Copy + Default> Queues<T> {
    /// This many empty queues, numbered from 0.
    #[must_use]
    pub fn new(queues: u32) -> Self {
        let blank = Node {
            size: 0,
            older: NONE,
            younger: NONE,
            queue: NOWHERE,
            mark: 0,
            item: T::default(),
        };
        let mut made = Self {
            nodes: SlotMap::new(blank),
            ends: Vec::new(),
        };
        (0..queues).for_each(|_| {
            made.add_queue();
        });
        made
    }

    /// Adds a queue; returns its number.
    pub fn add_queue(&mut self) -> u32 {
        self.ends.push(Ends {
            oldest: NONE,
            youngest: NONE,
            length: 0,
            bytes: 0,
        });
        self.ends.len() as u32 - 1
    }

    /// Puts a slot at the new end of a queue. Removes it from its previous queue, if any.
    ///
    /// # Panics
    /// When the slot is `u32::MAX`; nodes count slots from 0.
    pub fn push(&mut self, queue: u32, slot: Slot, size: u64, item: T) {
        assert_ne!(slot, NONE, "the highest slot is never used");
        self.remove(slot);
        let older = self.append(queue, slot, size);
        self.nodes[slot] = Node {
            size,
            older,
            younger: NONE,
            queue,
            mark: 0,
            item,
        };
    }

    /// Moves a slot to the new end of a queue, its own or another. Does nothing for a slot in no queue.
    #[inline]
    pub fn move_to(&mut self, queue: u32, slot: Slot) {
        let Some(node) = self.nodes.existing_mut(slot) else {
            return;
        };
        if node.queue != queue {
            return self.change_queue(queue, slot);
        }
        // The common case, a move within the queue: neither length nor bytes change.
        let (older, younger) = (node.older, node.younger);
        if younger == NONE {
            return;
        }
        let ends = &mut self.ends[queue as usize];
        let youngest = std::mem::replace(&mut ends.youngest, slot);
        (node.older, node.younger) = (youngest, NONE);
        if older == NONE {
            ends.oldest = younger;
        } else {
            self.set_younger(older, younger);
        }
        self.set_older(younger, older);
        self.set_younger(youngest, slot);
    }

    /// Removes the oldest slot of a queue.
    pub fn pop(&mut self, queue: u32) -> Option<Queued<T>> {
        self.remove(self.ends[queue as usize].oldest)
    }

    /// Removes a slot from its queue.
    pub fn remove(&mut self, slot: Slot) -> Option<Queued<T>> {
        let node = self.nodes.existing_mut(slot)?;
        if node.queue == NOWHERE {
            return None;
        }
        let left = *node;
        node.queue = NOWHERE;
        self.unlink(&left);
        Some(left.queued(slot))
    }

    /// The data of this slot, if it is in a queue.
    #[must_use]
    #[inline]
    pub fn find(&self, slot: Slot) -> Option<Queued<T>> {
        let node = &self.nodes[slot];
        (node.queue != NOWHERE).then(|| node.queued(slot))
    }

    /// Sets the mark of a slot. Does nothing for a slot in no queue.
    #[inline]
    pub fn set_mark(&mut self, slot: Slot, mark: u8) {
        if self.nodes[slot].queue != NOWHERE {
            self.nodes[slot].mark = mark;
        }
    }

    /// The oldest slot of a queue.
    #[must_use]
    pub fn oldest(&self, queue: u32) -> Option<Slot> {
        Some(self.ends[queue as usize].oldest).filter(|&slot| slot != NONE)
    }

    /// The next newer slot in the same queue.
    #[must_use]
    pub fn younger(&self, slot: Slot) -> Option<Slot> {
        let node = &self.nodes[slot];
        (node.queue != NOWHERE && node.younger != NONE).then_some(node.younger)
    }

    /// The number of slots in a queue.
    #[must_use]
    pub fn len(&self, queue: u32) -> u32 {
        self.ends[queue as usize].length
    }

    /// Whether a queue is empty.
    #[must_use]
    pub fn is_empty(&self, queue: u32) -> bool {
        self.len(queue) == 0
    }

    /// Bytes of all copies in a queue.
    #[must_use]
    pub fn bytes(&self, queue: u32) -> u64 {
        self.ends[queue as usize].bytes
    }

    fn change_queue(&mut self, queue: u32, slot: Slot) {
        let node = self.nodes[slot];
        if node.queue != NOWHERE {
            self.unlink(&node);
            let older = self.append(queue, slot, node.size);
            self.nodes[slot] = Node {
                older,
                younger: NONE,
                queue,
                ..node
            };
        }
    }

    /// Links a slot as the newest of a queue, except for its own node; returns the previous newest slot.
    fn append(&mut self, queue: u32, slot: Slot, size: u64) -> Slot {
        let ends = &mut self.ends[queue as usize];
        let older = std::mem::replace(&mut ends.youngest, slot);
        ends.length += 1;
        ends.bytes += size;
        if older == NONE {
            ends.oldest = slot;
        } else {
            self.set_younger(older, slot);
        }
        older
    }

    /// Links the neighbours of a node that is removed.
    fn unlink(&mut self, node: &Node<T>) {
        let ends = &mut self.ends[node.queue as usize];
        ends.length -= 1;
        ends.bytes -= node.size;
        if node.older == NONE {
            ends.oldest = node.younger;
        }
        if node.younger == NONE {
            ends.youngest = node.older;
        }
        if node.older != NONE {
            self.set_younger(node.older, node.younger);
        }
        if node.younger != NONE {
            self.set_older(node.younger, node.older);
        }
    }

    #[inline]
    fn set_younger(&mut self, slot: Slot, younger: Slot) {
        if let Some(node) = self.nodes.existing_mut(slot) {
            node.younger = younger;
        }
    }

    #[inline]
    fn set_older(&mut self, slot: Slot, older: Slot) {
        if let Some(node) = self.nodes.existing_mut(slot) {
            node.older = older;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use std::collections::VecDeque;

    /// The slots of a queue from the oldest on, found both by popping and by following links.
    fn order(queues: &Queues<u64>, queue: u32) -> Vec<Slot> {
        let first = queues.oldest(queue);
        let walked: Vec<Slot> =
            std::iter::successors(first, |&slot| queues.younger(slot)).collect();
        let mut popped = queues.clone();
        let taken: Vec<Slot> = std::iter::from_fn(|| Some(popped.pop(queue)?.slot)).collect();
        assert_eq!(walked, taken);
        assert_eq!((popped.len(queue), popped.bytes(queue)), (0, 0));
        walked
    }

    #[test]
    fn queues_do_what_deques_do() {
        let mut queues = Queues::new(3);
        let mut models: [VecDeque<Slot>; 3] = Default::default();
        let size = |slot: Slot| u64::from(slot) * 3;
        let mut random = Random::new(1);
        for _ in 0..5_000 {
            let (slot, queue) = (random.below(20) as Slot, random.below(3) as usize);
            let known = models.iter().any(|model| model.contains(&slot));
            let leave = |models: &mut [VecDeque<Slot>; 3]| {
                models
                    .iter_mut()
                    .for_each(|model| model.retain(|&it| it != slot));
            };
            match random.below(4) {
                0 => {
                    leave(&mut models);
                    models[queue].push_back(slot);
                    queues.push(queue as u32, slot, size(slot), 9);
                }
                1 => {
                    if known {
                        leave(&mut models);
                        models[queue].push_back(slot);
                    }
                    queues.move_to(queue as u32, slot);
                }
                2 => {
                    leave(&mut models);
                    assert_eq!(queues.remove(slot).is_some(), known);
                }
                _ => {
                    let popped = queues
                        .pop(queue as u32)
                        .map(|it| (it.slot, it.size, it.item));
                    let expected = models[queue].pop_front();
                    assert_eq!(popped, expected.map(|slot| (slot, size(slot), 9)));
                }
            }
            for (queue, model) in (0..).zip(&models) {
                assert_eq!(queues.len(queue) as usize, model.len());
                assert_eq!(
                    queues.bytes(queue),
                    model.iter().map(|&slot| size(slot)).sum::<u64>()
                );
            }
        }
        for (queue, model) in (0..).zip(models) {
            assert_eq!(order(&queues, queue), Vec::from(model));
        }
    }

    #[test]
    fn a_mark_stays_until_the_slot_is_pushed_anew() {
        let mut queues = Queues::new(2);
        queues.push(0, 4, 1, ());
        queues.set_mark(4, 3);
        queues.move_to(1, 4);
        assert_eq!(queues.find(4).map(|it| (it.queue, it.mark)), Some((1, 3)));
        queues.push(0, 4, 1, ());
        assert_eq!(queues.find(4).map(|it| (it.queue, it.mark)), Some((0, 0)));
    }

    #[test]
    fn slots_in_no_queue_are_passed_by() {
        let mut queues: Queues = Queues::new(1);
        queues.move_to(0, 9);
        queues.set_mark(9, 1);
        assert_eq!(
            (queues.find(9), queues.remove(9), queues.pop(0)),
            (None, None, None)
        );
        assert_eq!(queues.younger(9), None);
    }

    #[test]
    fn a_node_is_as_small_as_the_documentation_says() {
        assert_eq!((size_of::<Node<()>>(), size_of::<Node<u64>>()), (24, 32));
    }
}
