//! An eviction policy to start from: what was read longest ago goes first.

use std::collections::{BTreeMap, HashMap};

use dataverse_sdk::{
    About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, VERDICT_ENTRIES_MAX, about, export,
};

/// Drops the copy that was read longest ago.
#[derive(Default)]
pub struct Coldest {
    /// Counts reads and admissions, for their order.
    clock: u64,
    /// When each cached copy was used last, and its size.
    copies: HashMap<Slot, (u64, u64)>,
    /// The same by time, coldest first.
    order: BTreeMap<u64, Slot>,
}

impl Coldest {
    fn use_now(&mut self, slot: Slot, size: u64) {
        self.forget(slot);
        self.clock += 1;
        self.copies.insert(slot, (self.clock, size));
        self.order.insert(self.clock, slot);
    }

    /// The size of a copy that is no longer cached.
    fn forget(&mut self, slot: Slot) -> Option<u64> {
        let (used_at, size) = self.copies.remove(&slot)?;
        self.order.remove(&used_at);
        Some(size)
    }

    /// The coldest copies, until so many bytes are free.
    fn drop_coldest(&mut self, needed: u64) -> Vec<Slot> {
        let (mut victims, mut freed) = (Vec::new(), 0);
        while freed < needed && victims.len() < VERDICT_ENTRIES_MAX {
            let Some((_, &slot)) = self.order.first_key_value() else { break };
            freed += self.forget(slot).unwrap_or(0);
            victims.push(slot);
        }
        victims
    }
}

impl EvictionPolicy for Coldest {
    type Config = NoConfig;

    fn about() -> About {
        about!("drops what was read longest ago")
    }

    fn new(_: NoConfig, _seed: u64) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn set_capacity(&mut self, _bytes: u64) {}

    fn restore(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.use_now(entry.slot, entry.size));
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            if let Some(size) = self.forget(slot) {
                self.use_now(slot, size);
            }
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let victims = self.drop_coldest(needed);
        self.use_now(incoming.slot, incoming.size);
        Admission::Admit(victims)
    }

    fn make_room(&mut self, needed: u64, _now: Millis) -> Vec<Slot> {
        self.drop_coldest(needed)
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.forget(slot);
        }
    }
}

export!(eviction: Coldest);

#[cfg(test)]
mod tests {
    use dataverse_sdk::testing::{Cache, Zipf, storm};

    use super::*;

    #[test]
    fn what_was_read_longest_ago_goes_first() {
        let mut cache = Cache::new(Coldest::default(), 30);
        cache.replay([(1, 10), (2, 10), (3, 10), (1, 10), (4, 10)]);
        assert_eq!(cache.files(), [3, 1, 4]);
    }

    #[test]
    fn it_misses_what_least_recently_used_misses() {
        let mut cache = Cache::new(Coldest::default(), 1000);
        let counts = cache.replay(Zipf::new(10_000, 7).take(1_000_000).map(|id| (id, 1)));
        assert_eq!(counts.misses, 324_776);
    }

    #[test]
    fn it_keeps_to_the_rules_whatever_happens() {
        storm(Coldest::default(), Coldest::default(), 1);
    }
}
