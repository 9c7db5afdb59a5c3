//! ARC: keeps two lists in order of the last read, one of copies read once and one of copies read again, and
//! ghosts of both. When a ghost is read again, the balance moves towards its list, so the cache finds out by
//! itself whether recency or frequency serves it better.
//!
//! N. Megiddo and D. S. Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003, figure 4. The
//! paper's T1, T2, B1 and B2 are `ONCE` and `AGAIN` among the cached copies and among the ghosts here. As in
//! libCacheSim, sizes are counted in bytes and the balance moves by one byte or a few, so it moves slowly with
//! large files.

use dataverse_sdk::slots::{Ghosts, Queues, Victims};
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about};

/// Read once recently.
const ONCE: u32 = 0;
/// Read at least twice recently.
const AGAIN: u32 = 1;

/// What space is needed for.
#[derive(Clone, Copy)]
struct Purpose {
    size: u64,
    /// The list of the ghost that was read again, if it was one.
    ghost: Option<u32>,
}

/// Adaptive replacement cache.
pub struct Arc {
    capacity: u64,
    /// In order of the last read; the item is the file.
    lists: Queues<u64>,
    ghosts: Ghosts,
    /// Target bytes of the copies read once.
    target: f64,
}

impl Arc {
    /// Moves the balance towards the list of a ghost that was read again (cases II and III). Called while the
    /// ghost is still in its list.
    fn adapt(&mut self, ghost: u32) {
        let [once, again] = [ONCE, AGAIN].map(|list| self.ghosts.bytes(list) as f64);
        // Both have at least one byte unless all their copies were empty; then there is nothing to balance.
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

    /// Case IV: keeps each list with its ghosts within the capacity, and all of them within twice the capacity, as
    /// far as copies of different sizes allow.
    fn forget_and_replace(&mut self, incoming: u64) -> Option<(Slot, u64)> {
        let bytes = |list| {
            self.lists
                .bytes(list)
                .saturating_add(self.ghosts.bytes(list))
        };
        let (once, again) = (bytes(ONCE), bytes(AGAIN));
        if once.saturating_add(incoming) > self.capacity {
            if self.ghosts.is_empty(ONCE) && !self.lists.is_empty(ONCE) {
                // Leaves no ghost, because there is no space for one.
                let coldest = self.lists.pop(ONCE)?;
                return Some((coldest.slot, coldest.size));
            }
            self.ghosts.pop(ONCE);
        } else if once.saturating_add(again) >= self.capacity.saturating_mul(2) {
            self.ghosts.pop(AGAIN);
        }
        self.replace(false)
    }

    /// Subroutine REPLACE: turns the oldest copy of the list that exceeds its share into a ghost.
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
        // Twice, because for a moment the ghosts of one list may take that much, while copies of different sizes
        // change places.
        for list in [ONCE, AGAIN] {
            self.ghosts.trim(list, bytes.saturating_mul(2));
        }
    }

    /// Restored copies count as read once.
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

    /// A cache of four after reads of these files.
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
        // 3 is evicted for 5 and read again: copies read once deserve more space.
        let mut cache = after([1, 2, 1, 2, 3, 4, 5, 3]);
        assert!(cache.policy().target == 1.0 && cache.contains(3));
        // So 1 is evicted for 6, and when it is read again, the balance moves back.
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
