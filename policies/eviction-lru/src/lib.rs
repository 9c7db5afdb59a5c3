//! Least recently used: evicts the copy whose last read is longest ago.
//!
//! R. L. Mattson, J. Gecsei, D. R. Slutz and I. L. Traiger, "Evaluation techniques for storage hierarchies", IBM
//! Systems Journal 9(2), 1970. A stack algorithm: a larger cache never has more misses.

use dataverse_sdk::slots::{Queues, Victims};
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about};

/// The only queue.
const ALL: u32 = 0;

/// Least recently used.
pub struct Lru {
    /// In order of the last read.
    order: Queues,
}

impl Lru {
    fn victims(&mut self, needed: u64) -> Victims {
        Victims::gather(needed, || {
            let coldest = self.order.pop(ALL)?;
            Some((coldest.slot, coldest.size))
        })
    }
}

impl EvictionPolicy for Lru {
    type Config = NoConfig;

    fn about() -> About {
        about!("what was read longest ago goes first")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self {
            order: Queues::new(1),
        })
    }

    fn set_capacity(&mut self, _: u64) {}

    fn restore(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.order.push(ALL, entry.slot, entry.size, ());
        }
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.order.move_to(ALL, slot);
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let victims = self.victims(needed);
        self.order.push(ALL, incoming.slot, incoming.size, ());
        Admission::Admit(victims.into_slots())
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> {
        self.victims(needed).into_slots()
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.order.remove(slot);
        }
    }
}

dataverse_sdk::export!(eviction: Lru);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{Cache, storm};

    fn lru() -> Lru {
        Lru::new(NoConfig {}, 0).expect("it takes no configuration")
    }

    #[test]
    fn a_read_saves() {
        let mut cache = Cache::new(lru(), 30);
        cache.replay([(1, 10), (2, 10), (3, 10), (1, 10), (4, 10)]);
        assert_eq!(cache.files(), [3, 1, 4]);
    }

    #[test]
    fn what_it_takes_over_keeps_its_order() {
        let mut cache = Cache::new(lru(), 30);
        cache.replay([(1, 10), (2, 10), (3, 10), (1, 10)]);
        let mut cache = cache.hand_over(lru());
        cache.request(4, 20);
        assert_eq!(cache.files(), [1, 4]);
    }

    #[test]
    fn every_verdict_keeps_to_the_rules() {
        storm(lru(), lru(), 2);
    }
}
