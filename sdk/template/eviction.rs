//! An eviction policy to start from: evicts the least recently read copy first (LRU).

use dataverse_sdk::slots::{Queues, Victims};
use dataverse_sdk::{
    About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about, export,
};

/// The only queue.
const ALL: u32 = 0;

/// Evicts the least recently read copy.
pub struct Coldest {
    /// What is cached, ordered by last read.
    order: Queues,
}

impl Coldest {
    fn victims(&mut self, needed: u64) -> Victims {
        Victims::gather(needed, || {
            let coldest = self.order.pop(ALL)?;
            Some((coldest.slot, coldest.size))
        })
    }
}

impl EvictionPolicy for Coldest {
    type Config = NoConfig;

    fn about() -> About {
        about!("evicts the least recently read copy")
    }

    fn new(_: NoConfig, _seed: u64) -> Result<Self, String> {
        Ok(Self {
            order: Queues::new(1),
        })
    }

    fn set_capacity(&mut self, _bytes: u64) {}

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

    fn make_room(&mut self, needed: u64, _now: Millis) -> Vec<Slot> {
        self.victims(needed).into_slots()
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.order.remove(slot);
        }
    }
}

export!(eviction: Coldest);

#[cfg(test)]
mod tests {
    use dataverse_sdk::testing::{Cache, Zipf, storm};

    use super::*;

    fn coldest() -> Coldest {
        Coldest::new(NoConfig {}, 7).unwrap()
    }

    #[test]
    fn what_was_read_longest_ago_goes_first() {
        let mut cache = Cache::new(coldest(), 30);
        cache.replay([(1, 10), (2, 10), (3, 10), (1, 10), (4, 10)]);
        assert_eq!(cache.files(), [3, 1, 4]);
    }

    #[test]
    fn it_misses_what_least_recently_used_misses() {
        let mut cache = Cache::new(coldest(), 1000);
        let counts = cache.replay(Zipf::new(10_000, 7).take(1_000_000).map(|id| (id, 1)));
        assert_eq!(counts.misses, 324_776);
    }

    #[test]
    fn it_keeps_to_the_rules_whatever_happens() {
        storm(coldest(), coldest(), 1);
    }
}
