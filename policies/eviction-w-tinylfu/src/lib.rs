//! W-TinyLFU: a small window takes every new copy. A copy that leaves the window enters the main part only if it
//! was requested more often recently than the copy that would be evicted for it. So a copy read once never
//! displaces one that is read often.
//!
//! G. Einziger, R. Friedman and B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM Transactions
//! on Storage 13(4), 2017, section 4: a window of 1 %, of the rest 80 % protected (a segmented LRU), and counts
//! that are halved after a sample of ten requests per cached copy. There is no doorkeeper: it would save memory
//! (section 3.4.2), but half a byte per counter is little enough.
//!
//! Sizes are handled as in G. Einziger, O. Eytan, R. Friedman and B. Manes, "Lightweight robust size aware cache
//! management", 2021: a copy that is too large for the window must have been requested more often than all copies
//! that would be evicted for it together; otherwise it is refused.
//!
//! Every request is counted, whatever its outcome. libCacheSim, with which the miss ratios of the other policies
//! here are compared, differs: it counts reads in the main part, admissions and, once more, copies that leave the
//! window; it increments all counters of a file, and has so few that with many files they soon all say the same;
//! it remembers longer; and it never admits a file larger than the window. Its miss ratio is therefore up to 0.02
//! higher on `web07`, also with files of different sizes. On a steady Zipf trace, which a longer memory suits, it
//! is up to 0.01 lower.

mod sketch;

use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::slots::{Queued, Queues, Victims, share};
use dataverse_sdk::{
    About, Admission, Entry, EvictionPolicy, Millis, Slot, VERDICT_ENTRIES_MAX, about,
};
use sketch::Sketch;

/// New copies.
const WINDOW: u32 = 0;
/// In the main part, but not read there yet.
const PROBATION: u32 = 1;
/// Read in the main part.
const PROTECTED: u32 = 2;
/// How many copies one question or one read moves between queues, so that no decision costs too much after a
/// change of the budget.
const MOVED_MAX: u32 = 64;

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "window": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.01,
      "description": "share of the budget for newcomers" },
    "protected": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.8,
      "description": "share of the rest for what was read there" }
  }
}"#;

/// The configuration of W-TinyLFU.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Share of the budget for new copies.
    pub window: f64,
    /// Share of the rest for copies that were read there.
    pub protected: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: 0.01,
            protected: 0.8,
        }
    }
}

/// W-TinyLFU.
pub struct WTinyLfu {
    config: Config,
    /// Each in order of the last read; the item is the file.
    queues: Queues<u64>,
    sketch: Sketch,
    window_max: u64,
    main_max: u64,
    protected_max: u64,
}

impl WTinyLfu {
    fn push(&mut self, queue: u32, entry: &Entry) {
        self.queues.push(queue, entry.slot, entry.size, entry.file);
        self.sketch.widen(self.copies());
    }

    /// The number of cached copies. The budget is in bytes, so this stands for the capacity that the paper counts
    /// in copies.
    fn copies(&self) -> usize {
        let copies = [WINDOW, PROBATION, PROTECTED].map(|queue| self.queues.len(queue) as usize);
        copies.iter().sum()
    }

    fn count(&mut self, file: u64) {
        self.sketch.count(file, self.copies());
    }

    fn main_has_room_for(&self, size: u64) -> bool {
        let main = self.queues.bytes(PROBATION) + self.queues.bytes(PROTECTED);
        main.saturating_add(size) <= self.main_max
    }

    /// The next victim of the main part.
    fn coldest_of_main(&self) -> Option<Queued<u64>> {
        let coldest = self.queues.oldest(PROBATION);
        let coldest = coldest.or(self.queues.oldest(PROTECTED))?;
        self.queues.find(coldest)
    }

    /// The oldest copy of the window, if the window would exceed its share with `more` bytes added.
    fn candidate(&self, more: u64) -> Option<Queued<u64>> {
        let over = self.queues.bytes(WINDOW).saturating_add(more) > self.window_max;
        let oldest = self.queues.oldest(WINDOW).filter(|_| over)?;
        self.queues.find(oldest)
    }

    /// Moves copies that no longer fit from the window to the main part, while that has space.
    fn settle(&mut self) {
        for _ in 0..MOVED_MAX {
            match self.candidate(0) {
                Some(candidate) if self.main_has_room_for(candidate.size) => {
                    self.queues.move_to(PROBATION, candidate.slot);
                }
                _ => break,
            }
        }
    }

    /// The victims when `incoming` bytes enter the window.
    fn victims(&mut self, needed: u64, incoming: u64) -> Victims {
        Victims::gather(needed, || {
            let slot = self.next_victim(incoming)?;
            let victim = self.queues.remove(slot)?;
            Some((slot, victim.size))
        })
    }

    fn next_victim(&mut self, incoming: u64) -> Option<Slot> {
        loop {
            let coldest = self.coldest_of_main();
            let Some(candidate) = self.candidate(incoming) else {
                let coldest = coldest.map(|coldest| coldest.slot);
                return coldest.or(self.queues.oldest(WINDOW));
            };
            if self.main_has_room_for(candidate.size) {
                self.queues.move_to(PROBATION, candidate.slot);
                continue;
            }
            let [asked, against] = [Some(candidate), coldest]
                .map(|copy| copy.map(|copy| self.sketch.estimate(copy.item)));
            // Without an opponent there is no contest: a candidate larger than the main part is evicted.
            return match coldest {
                Some(coldest) if asked > against => Some(coldest.slot),
                _ => Some(candidate.slot),
            };
        }
    }

    /// Whether a copy too large for the window enters the main part, and what is evicted for it.
    fn contest(&mut self, incoming: &Entry, needed: u64) -> Admission {
        let asked = u32::from(self.sketch.estimate(incoming.file));
        let (mut against, mut freed) = (0, 0);
        let mut beaten = Vec::new();
        let coldest_first = |queue| {
            std::iter::successors(self.queues.oldest(queue), |&slot| self.queues.younger(slot))
        };
        let in_order = [PROBATION, PROTECTED, WINDOW]
            .into_iter()
            .flat_map(coldest_first);
        for copy in in_order.filter_map(|slot| self.queues.find(slot)) {
            if freed >= needed || beaten.len() == VERDICT_ENTRIES_MAX {
                break;
            }
            against += u32::from(self.sketch.estimate(copy.item));
            if against >= asked {
                return Admission::Refuse;
            }
            freed += copy.size;
            beaten.push(copy);
        }
        let mut beaten = beaten.into_iter();
        let victims = Victims::gather(needed, || {
            let copy = beaten.next()?;
            self.queues.remove(copy.slot);
            Some((copy.slot, copy.size))
        });
        self.push(PROBATION, incoming);
        Admission::Admit(victims.into_slots())
    }

    /// A read in the main part protects a copy; the copies protected longest ago lose their protection.
    fn protect(&mut self, slot: Slot) {
        self.queues.move_to(PROTECTED, slot);
        for _ in 0..MOVED_MAX {
            match self.queues.oldest(PROTECTED) {
                Some(oldest) if self.queues.bytes(PROTECTED) > self.protected_max => {
                    self.queues.move_to(PROBATION, oldest);
                }
                _ => break,
            }
        }
    }
}

impl EvictionPolicy for WTinyLfu {
    type Config = Config;

    fn about() -> About {
        about!(
            "only what is asked for more often than the victim comes in",
            SCHEMA
        )
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        let Config { window, protected } = config;
        for (name, share) in [("window", window), ("protected", protected)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} is a share between 0 and 1, not {share}"));
            }
        }
        Ok(Self {
            config,
            queues: Queues::new(3),
            sketch: Sketch::new(),
            window_max: 0,
            main_max: 0,
            protected_max: 0,
        })
    }

    fn set_capacity(&mut self, bytes: u64) {
        // Even a cache of fewer than a hundred objects has a window, unless it is configured to have none.
        let least = u64::from(self.config.window > 0.0).min(bytes);
        self.window_max = share(bytes, self.config.window).max(least);
        self.main_max = bytes.saturating_sub(self.window_max);
        self.protected_max = share(self.main_max, self.config.protected);
    }

    /// Restored copies are on probation with a count of zero, so any requested copy displaces the least recently
    /// used ones.
    fn restore(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.push(PROBATION, entry);
        }
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            let Some(read) = self.queues.find(slot) else {
                continue;
            };
            self.count(read.item);
            match read.queue {
                WINDOW => self.queues.move_to(WINDOW, slot),
                _ => self.protect(slot),
            }
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        self.count(incoming.file);
        if needed > 0 && incoming.size > self.window_max {
            return self.contest(&incoming, needed);
        }
        let victims = self.victims(needed, incoming.size);
        self.push(WINDOW, &incoming);
        self.settle();
        Admission::Admit(victims.into_slots())
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> {
        self.victims(needed, 0).into_slots()
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.queues.remove(slot);
        }
    }
}

dataverse_sdk::export!(eviction: WTinyLfu);

#[cfg(test)]
mod exact;
#[cfg(test)]
mod tests;
