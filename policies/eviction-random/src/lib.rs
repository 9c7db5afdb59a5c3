//! Random: evicts any copy, each with the same probability. It keeps no order, so no access pattern defeats it.
//!
//! RAND in L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal
//! 5(2), 1966. The choice depends on the policy's seed, so a run can be repeated.

use dataverse_sdk::slots::{SlotMap, Victims};
use dataverse_sdk::{
    About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Random, Slot, about,
};

/// The position of a slot that is not cached.
const NOWHERE: u32 = u32::MAX;

/// The data kept for a cached copy.
#[derive(Clone, Copy)]
struct Kept {
    /// Index into the slots.
    place: u32,
    size: u64,
}

/// Evicts a random copy.
pub struct AnyCopy {
    random: Random,
    /// In no order.
    slots: Vec<Slot>,
    kept: SlotMap<Kept>,
}

impl AnyCopy {
    fn insert(&mut self, entry: &Entry) {
        self.remove(entry.slot);
        self.kept[entry.slot] = Kept {
            place: self.slots.len() as u32,
            size: entry.size,
        };
        self.slots.push(entry.slot);
    }

    /// Removes a slot; returns the size of its copy in bytes.
    fn remove(&mut self, slot: Slot) -> Option<u64> {
        let Kept { place, size } = self.kept[slot];
        if place == NOWHERE {
            return None;
        }
        // The last slot takes its place.
        self.slots.swap_remove(place as usize);
        if let Some(&moved) = self.slots.get(place as usize) {
            self.kept[moved].place = place;
        }
        self.kept[slot].place = NOWHERE;
        Some(size)
    }

    fn victims(&mut self, needed: u64) -> Victims {
        Victims::gather(needed, || {
            let drawn = self.random.below(self.slots.len() as u64);
            let slot = *self.slots.get(drawn as usize)?;
            Some((slot, self.remove(slot)?))
        })
    }
}

impl EvictionPolicy for AnyCopy {
    type Config = NoConfig;

    fn about() -> About {
        about!("any copy goes, all alike")
    }

    fn new(_: NoConfig, seed: u64) -> Result<Self, String> {
        Ok(Self {
            random: Random::new(seed),
            slots: Vec::new(),
            kept: SlotMap::new(Kept {
                place: NOWHERE,
                size: 0,
            }),
        })
    }

    fn set_capacity(&mut self, _: u64) {}

    fn restore(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.insert(entry));
    }

    fn hit(&mut self, _: &[Slot]) {}

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

dataverse_sdk::export!(eviction: AnyCopy);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{Cache, Zipf, storm};

    fn random(seed: u64) -> AnyCopy {
        AnyCopy::new(NoConfig {}, seed).expect("it takes no configuration")
    }

    #[test]
    fn every_copy_goes_equally_often() {
        let mut first_victims = [0u32; 8];
        for seed in 0..8_000 {
            let mut cache = Cache::new(random(seed), 8);
            cache.replay((0..9).map(|file| (file, 1)));
            let gone = (0..8).find(|&file| !cache.contains(file));
            first_victims[gone.expect("one of nine has to go") as usize] += 1;
        }
        // Five standard deviations of a binomial count are 148 here.
        assert!(
            first_victims
                .iter()
                .all(|&count| count.abs_diff(1_000) < 148),
            "{first_victims:?}"
        );
    }

    #[test]
    fn the_seed_decides() {
        let kept = |seed| {
            let mut cache = Cache::new(random(seed), 100);
            cache.replay(Zipf::new(1_000, 1).take(10_000).map(|file| (file, 1)));
            cache.files()
        };
        assert_eq!(kept(1), kept(1));
        assert_ne!(kept(1), kept(2));
    }

    #[test]
    fn every_verdict_keeps_to_the_rules() {
        storm(random(1), random(2), 3);
    }
}
