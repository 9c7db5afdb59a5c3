//! SIEVE: a queue in order of arrival and a hand that moves over it from the oldest copy to the newest. Copies
//! that were read since the hand last passed are spared and stay where they are; the others are evicted. So new
//! copies that are not read again leave soon, and a read only sets a mark.
//!
//! Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson and K. V. Rashmi, "SIEVE is simpler than LRU: an efficient turn-key
//! eviction algorithm for web caches", NSDI 2024, section 3.1 and algorithm 1.

use dataverse_sdk::slots::{Queued, Queues, Victims};
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about};

/// The only queue.
const ALL: u32 = 0;
/// The mark of copies that were read since the hand last passed.
const READ: u8 = 1;
/// How many copies one verdict may spare. In a cache of millions of copies that were all read, the hand would
/// exceed the limits of a decision; after this many it evicts whatever it meets.
const SPARED_MAX: u32 = 1 << 18;

/// SIEVE.
pub struct Sieve {
    /// In order of arrival.
    order: Queues,
    /// Where the hand continues; `None` for the oldest copy.
    hand: Option<Slot>,
}

impl Sieve {
    fn insert(&mut self, entry: &Entry) {
        self.remove(entry.slot);
        self.order.push(ALL, entry.slot, entry.size, ());
    }

    fn remove(&mut self, slot: Slot) -> Option<Queued<()>> {
        if self.hand == Some(slot) {
            self.hand = self.order.younger(slot);
        }
        self.order.remove(slot)
    }

    fn victims(&mut self, needed: u64) -> Victims {
        let mut spared = 0;
        Victims::gather(needed, || {
            loop {
                let met = self.hand.or(self.order.oldest(ALL))?;
                let read = self.order.find(met)?.mark == READ;
                if !read || spared == SPARED_MAX {
                    self.hand = Some(met);
                    let victim = self.remove(met)?;
                    return Some((victim.slot, victim.size));
                }
                spared += 1;
                self.order.set_mark(met, 0);
                self.hand = self.order.younger(met);
            }
        })
    }
}

impl EvictionPolicy for Sieve {
    type Config = NoConfig;

    fn about() -> About {
        about!("a hand passes over what was read and drops the rest")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self {
            order: Queues::new(1),
            hand: None,
        })
    }

    fn set_capacity(&mut self, _: u64) {}

    fn restore(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.insert(entry));
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.order.set_mark(slot, READ);
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let victims = self.victims(needed);
        self.insert(&incoming);
        Admission::Admit(victims.into_slots())
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> {
        self.victims(needed).into_slots()
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.remove(slot);
        }
    }
}

dataverse_sdk::export!(eviction: Sieve);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{Cache, storm};

    fn sieve() -> Sieve {
        Sieve::new(NoConfig {}, 0).expect("it takes no configuration")
    }

    /// A cache of five with files 1 to 5, of which these were read again.
    fn read_again(files: &[u64]) -> Cache<Sieve> {
        let mut cache = Cache::new(sieve(), 5);
        cache.replay((1..=5).chain(files.iter().copied()).map(|file| (file, 1)));
        cache
    }

    fn kept(cache: &Cache<Sieve>) -> Vec<u64> {
        (0..20).filter(|&file| cache.contains(file)).collect()
    }

    #[test]
    fn what_was_read_is_spared_once() {
        let mut cache = read_again(&[1, 3]);
        cache.replay([(6, 1), (7, 1)]);
        assert_eq!(kept(&cache), [1, 3, 5, 6, 7]);
        // The hand has reached 5 and moves on to the new copies before it starts again.
        cache.replay([(8, 1), (9, 1), (10, 1)]);
        assert_eq!(kept(&cache), [1, 3, 8, 9, 10]);
    }

    #[test]
    fn the_hand_begins_again_at_the_oldest() {
        let mut cache = read_again(&[1, 2, 3, 4, 5]);
        cache.request(6, 1);
        assert_eq!(kept(&cache), [2, 3, 4, 5, 6]);
        cache.request(7, 1);
        assert_eq!(kept(&cache), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn the_hand_goes_on_when_what_it_is_at_is_deleted() {
        let mut cache = read_again(&[1, 2]);
        cache.request(6, 1);
        assert!(cache.remove(4));
        cache.replay([(7, 1), (8, 1)]);
        assert_eq!(kept(&cache), [1, 2, 6, 7, 8]);
    }

    #[test]
    fn every_verdict_keeps_to_the_rules() {
        storm(sieve(), sieve(), 4);
    }
}
