//! S3-FIFO: three queues in order of arrival. A new copy starts in a small queue and moves to the main queue only
//! if it was read there often enough. Otherwise it is evicted soon but remembered; if it is read again, it goes
//! directly to the main queue. In the main queue, copies that were read are reinserted.
//!
//! J. Yang, Y. Zhang, Z. Qiu, Y. Yue and K. V. Rashmi, "FIFO queues are all you need for cache eviction", SOSP
//! 2023, section 4 and algorithm 1. Like libCacheSim, it also fills the main queue before the first eviction, and
//! counts ghosts by bytes.

use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::slots::{Ghosts, Queues, Victims, share};
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, Slot, about};

/// The queue of new copies.
const SMALL: u32 = 0;
/// The main queue.
const MAIN: u32 = 1;
/// The only queue of ghosts.
const GONE: u32 = 0;
/// The maximum read count.
const READS_MAX: u8 = 3;
/// How many copies one verdict may spare. In a cache of millions of copies that were all read, going through them
/// would exceed the limits of a decision; after this many, read copies are evicted too.
const SPARED_MAX: u32 = 1 << 18;

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "small": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.1,
      "description": "share of the budget for the small queue" },
    "ghost": { "type": "number", "minimum": 0, "maximum": 10, "default": 0.9,
      "description": "bytes of what is remembered after it left, as a share of the budget" },
    "reads": { "type": "integer", "minimum": 1, "maximum": 3, "default": 2,
      "description": "reads in the small queue that lead to the main one" }
  }
}"#;

/// The configuration of S3-FIFO.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Share of the budget for the small queue.
    pub small: f64,
    /// Bytes of ghosts, as a share of the budget.
    pub ghost: f64,
    /// Reads in the small queue that move a copy to the main one.
    pub reads: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            small: 0.1,
            ghost: 0.9,
            reads: 2,
        }
    }
}

/// S3-FIFO.
pub struct S3Fifo {
    config: Config,
    /// In order of arrival. The mark counts reads; the item is the file.
    queues: Queues<u64>,
    ghosts: Ghosts,
    small_max: u64,
    main_max: u64,
    ghost_max: u64,
    /// Whether anything has been evicted yet.
    full_once: bool,
}

impl S3Fifo {
    /// Adds a copy of a file that has no ghost.
    fn insert(&mut self, entry: &Entry) {
        let warming_up = !self.full_once && self.queues.bytes(SMALL) >= self.small_max;
        let queue = if warming_up { MAIN } else { SMALL };
        self.queues.push(queue, entry.slot, entry.size, entry.file);
    }

    fn victims(&mut self, needed: u64) -> Victims {
        let mut spared = 0;
        self.full_once |= needed > 0;
        Victims::gather(needed, || self.next_victim(&mut spared))
    }

    fn next_victim(&mut self, spared: &mut u32) -> Option<(Slot, u64)> {
        loop {
            let from_main = self.queues.bytes(MAIN) > self.main_max || self.queues.is_empty(SMALL);
            let victim = if from_main {
                self.leave_main(spared)
            } else {
                self.leave_small(spared)
            };
            if victim.is_some() || self.queues.is_empty(SMALL) && self.queues.is_empty(MAIN) {
                return victim;
            }
        }
    }

    /// Removes the first copy of the small queue that was not read often enough; those before it move to the main
    /// queue.
    fn leave_small(&mut self, spared: &mut u32) -> Option<(Slot, u64)> {
        loop {
            let slot = self.queues.oldest(SMALL)?;
            let first = self.queues.find(slot)?;
            if first.mark < self.config.reads || *spared == SPARED_MAX {
                self.queues.remove(slot);
                self.ghosts
                    .push_within(self.ghost_max, GONE, first.item, first.size);
                return Some((slot, first.size));
            }
            *spared += 1;
            self.queues.set_mark(slot, 0);
            self.queues.move_to(MAIN, slot);
        }
    }

    /// Removes the first copy of the main queue that was not read; those before it are reinserted.
    fn leave_main(&mut self, spared: &mut u32) -> Option<(Slot, u64)> {
        loop {
            let slot = self.queues.oldest(MAIN)?;
            let first = self.queues.find(slot)?;
            if first.mark == 0 || *spared == SPARED_MAX {
                self.queues.remove(slot);
                return Some((slot, first.size));
            }
            *spared += 1;
            self.queues.set_mark(slot, first.mark - 1);
            self.queues.move_to(MAIN, slot);
        }
    }
}

impl EvictionPolicy for S3Fifo {
    type Config = Config;

    fn about() -> About {
        about!("newcomers prove themselves in a small queue", SCHEMA)
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        let Config {
            small,
            ghost,
            reads,
        } = config;
        if !(0.0..=1.0).contains(&small) {
            return Err(format!("small is a share between 0 and 1, not {small}"));
        }
        if !(0.0..=10.0).contains(&ghost) {
            return Err(format!(
                "ghost is between 0 and 10 times the budget, not {ghost}"
            ));
        }
        if !(1..=READS_MAX).contains(&reads) {
            return Err(format!(
                "reads are counted from 1 to {READS_MAX}, not {reads}"
            ));
        }
        Ok(Self {
            config,
            queues: Queues::new(2),
            ghosts: Ghosts::new(1),
            small_max: 0,
            main_max: 0,
            ghost_max: 0,
            full_once: false,
        })
    }

    fn set_capacity(&mut self, bytes: u64) {
        self.small_max = share(bytes, self.config.small);
        self.main_max = bytes.saturating_sub(self.small_max);
        self.ghost_max = share(bytes, self.config.ghost);
        self.ghosts.trim(GONE, self.ghost_max);
    }

    /// Restored copies fill the small queue first, so the least recently used ones have to prove themselves.
    fn restore(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.ghosts.take(entry.file);
            self.insert(entry);
        }
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            if let Some(read) = self.queues.find(slot) {
                self.queues.set_mark(slot, (read.mark + 1).min(READS_MAX));
            }
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let remembered = self.ghosts.take(incoming.file).is_some();
        let victims = self.victims(needed);
        if remembered {
            let Entry {
                slot, size, file, ..
            } = incoming;
            self.queues.push(MAIN, slot, size, file);
        } else {
            self.insert(&incoming);
        }
        Admission::Admit(victims.into_slots())
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> {
        self.victims(needed).into_slots()
    }

    fn removed(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.queues.remove(slot);
        }
    }
}

dataverse_sdk::export!(eviction: S3Fifo);

#[cfg(test)]
mod tests;
