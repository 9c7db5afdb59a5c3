//! ARC: two lists in the order of the last read, of what was read once and of what was read again, and the
//! ghosts of both. Each return of a ghost moves the balance towards its list, so the cache finds out by itself
//! whether recency or frequency serves it better.
//!
//! N. Megiddo and D. S. Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003, figure 4. T1,
//! T2, B1 and B2 there are `ONCE` and `AGAIN` among the cached and among the ghosts here. Sizes are counted
//! in bytes, the balance in steps of one byte or a few, as in libCacheSim; so with large files it moves slowly.

use dataverse_sdk::slots::{Ghosts, Queues, Victims};
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about};

/// Read once lately.
const ONCE: u32 = 0;
/// Read at least twice lately.
const AGAIN: u32 = 1;

/// What room is made for.
#[derive(Clone, Copy)]
struct Purpose {
    size: u64,
    /// The list of the ghost that it was.
    ghost: Option<u32>,
}

/// Adaptive replacement cache.
pub struct Arc {
    capacity: u64,
    /// In the order of the last read; the item is the file.
    lists: Queues<u64>,
    ghosts: Ghosts,
    /// Bytes of what was read once that the cache aims at.
    target: f64,
}

impl Arc {
    /// Moves the balance towards the list of a ghost that came back (cases II and III). Called while the
    /// ghost is still there.
    fn adapt(&mut self, ghost: u32) {
        let [once, again] = [ONCE, AGAIN].map(|list| self.ghosts.bytes(list) as f64);
        // Both hold a byte at least unless all their copies were empty; then there is nothing to balance.
        if ghost == ONCE {
            self.target += (again / once.max(1.0)).max(1.0);
        } else {
            self.target -= (once / again.max(1.0)).max(1.0);
        }
        self.target = self.target.clamp(0.0, self.capacity as f64);
    }

    fn victims(&mut self, needed: u64, purpose: Purpose) -> Victims {
        Victims::gather(needed, || {
            if purpose.ghost.is_some() {
                self.replace(purpose.ghost == Some(AGAIN))
            } else {
                self.forget_and_replace(purpose.size)
            }
        })
    }

    /// Case IV: keeps the lists with their ghosts within once and twice the capacity, as far as copies of
    /// several sizes let it.
    fn forget_and_replace(&mut self, incoming: u64) -> Option<(Slot, u64)> {
        let bytes = |list| {
            self.lists
                .bytes(list)
                .saturating_add(self.ghosts.bytes(list))
        };
        let (once, again) = (bytes(ONCE), bytes(AGAIN));
        if once.saturating_add(incoming) > self.capacity {
            if self.ghosts.is_empty(ONCE) && !self.lists.is_empty(ONCE) {
                // Without a ghost, because there is no room for one.
                let coldest = self.lists.pop(ONCE)?;
                return Some((coldest.slot, coldest.size));
            }
            self.ghosts.pop(ONCE);
        } else if once.saturating_add(again) >= self.capacity.saturating_mul(2) {
            self.ghosts.pop(AGAIN);
        }
        self.replace(false)
    }

    /// Subroutine REPLACE: the coldest of the list that is above its share becomes a ghost.
    fn replace(&mut self, for_ghost_again: bool) -> Option<(Slot, u64)> {
        let once = self.lists.bytes(ONCE) as f64;
        let above = once > self.target || once == self.target && for_ghost_again;
        let from_once = above && !self.lists.is_empty(ONCE) || self.lists.is_empty(AGAIN);
        let list = if from_once { ONCE } else { AGAIN };
        let coldest = self.lists.pop(list)?;
        self.ghosts.push(list, coldest.item, coldest.size);
        Some((coldest.slot, coldest.size))
    }
}

impl EvictionPolicy for Arc {
    type Config = NoConfig;

    fn about() -> About {
        about!("balances recency and frequency by itself")
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self {
            capacity: 0,
            lists: Queues::new(2),
            ghosts: Ghosts::new(2),
            target: 0.0,
        })
    }

    fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
        self.target = self.target.min(bytes as f64);
        // Twice: ghosts of one list may be that many for a moment, while copies of several sizes change places.
        for list in [ONCE, AGAIN] {
            self.ghosts.trim(list, bytes.saturating_mul(2));
        }
    }

    /// What it takes over counts as read once.
    fn restore(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.ghosts.take(entry.file);
            self.lists.push(ONCE, entry.slot, entry.size, entry.file);
        }
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.lists.move_to(AGAIN, slot);
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let ghost = self.ghosts.find(incoming.file);
        if let Some(list) = ghost {
            self.adapt(list);
            self.ghosts.take(incoming.file);
        }
        let size = incoming.size;
        let victims = self.victims(needed, Purpose { size, ghost });
        let list = if ghost.is_some() { AGAIN } else { ONCE };
        self.lists.push(list, incoming.slot, size, incoming.file);
        Admission::Admit(victims.into_slots())
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> {
        let purpose = Purpose {
            size: 0,
            ghost: None,
        };
        self.victims(needed, purpose).into_slots()
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.lists.remove(slot);
        }
    }
}

dataverse_sdk::export!(eviction: Arc);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{Cache, storm};

    fn arc() -> Arc {
        Arc::new(NoConfig {}, 0).expect("it takes no configuration")
    }

    /// A cache of four, asked for these files in turn.
    fn after(files: impl IntoIterator<Item = u64>) -> Cache<Arc> {
        let mut cache = Cache::new(arc(), 4);
        cache.replay(files.into_iter().map(|file| (file, 1)));
        cache
    }

    #[test]
    fn a_scan_does_not_drive_out_what_was_read_again() {
        let cache = after([1, 2, 1, 2].into_iter().chain(10..=50));
        assert!(cache.contains(1) && cache.contains(2));
    }

    #[test]
    fn the_return_of_a_ghost_moves_the_balance() {
        // 3 leaves for 5 and comes back: what is read once deserves more room.
        let mut cache = after([1, 2, 1, 2, 3, 4, 5, 3]);
        assert!(cache.policy().target == 1.0 && cache.contains(3));
        // So 1 leaves for 6, and when it comes back, the balance does.
        cache.replay([(6, 1), (1, 1)]);
        assert_eq!(cache.policy().target, 0.0);
    }

    #[test]
    fn ghosts_stay_within_the_capacity() {
        let mut cache = after([1, 1].into_iter().chain(2..=100));
        let ghosts = &cache.policy().ghosts;
        assert!(ghosts.bytes(ONCE) <= 4 && ghosts.bytes(AGAIN) <= 4);
        cache.set_capacity(1);
        assert!(cache.policy().ghosts.bytes(ONCE) <= 2);
    }

    #[test]
    fn the_coldest_of_what_it_takes_over_go_first() {
        let mut cache = after([1, 2, 3, 4, 1]).hand_over(arc());
        cache.replay([(5, 1), (6, 1)]);
        assert_eq!(cache.files(), [4, 1, 5, 6]);
    }

    #[test]
    fn every_verdict_keeps_to_the_rules() {
        storm(arc(), arc(), 8);
    }
}
