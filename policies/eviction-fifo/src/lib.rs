//! First in, first out: evicts the copy that was cached first, however often it was read.
//!
//! The cheapest order, and the baseline to compare others with (L. A. Belady, "A study of replacement algorithms
//! for a virtual-storage computer", IBM Systems Journal 5(2), 1966).

use dataverse_sdk::slots::{Queues, Victims};
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about};

/// The only queue.
const ALL: u32 = 0;

/// First in, first out.
pub struct Fifo {
    order: Queues,
}

impl Fifo {
    fn victims(&mut self, needed: u64) -> Victims {
        Victims::gather(needed, || {
            let first = self.order.pop(ALL)?;
            Some((first.slot, first.size))
        })
    }
}

impl EvictionPolicy for Fifo {
    type Config = NoConfig;

    fn about() -> About {
        about!("what came first goes first")
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

    fn hit(&mut self, _: &[Slot]) {}

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

dataverse_sdk::export!(eviction: Fifo);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{Cache, storm};

    fn fifo() -> Fifo {
        Fifo::new(NoConfig {}, 0).expect("it takes no configuration")
    }

    #[test]
    fn a_read_does_not_save_the_first() {
        let mut cache = Cache::new(fifo(), 30);
        cache.replay([(1, 10), (2, 10), (3, 10), (1, 10), (4, 10)]);
        assert_eq!(cache.files(), [2, 3, 4]);
    }

    #[test]
    fn as_many_go_as_are_needed() {
        let mut cache = Cache::new(fifo(), 30);
        cache.replay([(1, 10), (2, 0), (3, 10), (4, 10), (5, 15)]);
        assert_eq!(cache.files(), [4, 5]);
    }

    #[test]
    fn every_verdict_keeps_to_the_rules() {
        storm(fifo(), fifo(), 1);
    }
}
