//! Least frequently used: evicts the copy with the fewest reads since it was cached; among equals, the one whose
//! last read is longest ago.
//!
//! Takes constant time, with a linked list of classes of equal read counts (K. Shah, A. Mitra and D. Matani, "An
//! O(1) algorithm for implementing the LFU cache eviction scheme", 2010). Counts do not age, so what was popular
//! once stays cached.

mod classes;

use classes::Classes;
use dataverse_sdk::slots::Victims;
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about};

/// Least frequently used.
pub struct Lfu {
    classes: Classes,
}

impl Lfu {
    fn victims(&mut self, needed: u64) -> Victims {
        Victims::gather(needed, || self.classes.pop())
    }
}

impl EvictionPolicy for Lfu {
    type Config = NoConfig;

    fn about() -> About {
        about!("what was read least often goes first")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self {
            classes: Classes::new(),
        })
    }

    fn set_capacity(&mut self, _: u64) {}

    fn restore(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.classes.insert(entry.slot, entry.size);
        }
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.classes.promote(slot);
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let victims = self.victims(needed);
        self.classes.insert(incoming.slot, incoming.size);
        Admission::Admit(victims.into_slots())
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> {
        self.victims(needed).into_slots()
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.classes.remove(slot);
        }
    }
}

dataverse_sdk::export!(eviction: Lfu);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{Cache, storm};

    fn lfu() -> Lfu {
        Lfu::new(NoConfig {}, 0).expect("it takes no configuration")
    }

    #[test]
    fn what_was_read_least_often_goes() {
        let mut cache = Cache::new(lfu(), 3);
        cache.replay([1, 1, 1, 2, 3, 3, 4].map(|file| (file, 1)));
        assert_eq!(cache.files(), [1, 3, 4]);
    }

    #[test]
    fn among_equals_the_least_recently_moved_goes() {
        let mut cache = Cache::new(lfu(), 3);
        cache.replay([1, 2, 3, 3, 1, 2, 4, 5, 5].map(|file| (file, 1)));
        // 4 is evicted for 5, which is then read as often as 1 and 2, and more recently than both.
        assert!(!cache.contains(3) && !cache.contains(4));
        cache.replay([(6, 1), (6, 1), (7, 1)]);
        assert_eq!(cache.files(), [5, 6, 7]);
    }

    #[test]
    fn every_verdict_keeps_to_the_rules() {
        storm(lfu(), lfu(), 5);
    }
}
