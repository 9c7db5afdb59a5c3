//! 2Q: new copies enter a queue of a quarter of the cache, in order of arrival. They are evicted from it even if
//! they are read there, but remembered. A copy that is read again while it is remembered enters the main part,
//! which evicts the least recently used copy.
//!
//! T. Johnson and D. Shasha, "2Q: a low overhead high performance buffer management replacement algorithm", VLDB
//! 1994, the full version (section 3). The paper's A1in, A1out and Am are `IN`, the ghosts and `MAIN` here.

use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::slots::{Ghosts, Queues, Victims, share};
use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, Slot, about};

/// New copies, in order of arrival.
const IN: u32 = 0;
/// Copies that were read again while remembered, in order of the last read.
const MAIN: u32 = 1;
/// The only queue of ghosts.
const OUT: u32 = 0;

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "in": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.25,
      "description": "share of the budget for newcomers" },
    "out": { "type": "number", "minimum": 0, "maximum": 10, "default": 0.5,
      "description": "bytes of what is remembered after it left, as a share of the budget" }
  }
}"#;

/// The configuration of 2Q.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Share of the budget for new copies.
    #[serde(rename = "in")]
    pub newcomers: f64,
    /// Bytes of ghosts, as a share of the budget.
    #[serde(rename = "out")]
    pub remembered: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            newcomers: 0.25,
            remembered: 0.5,
        }
    }
}

/// 2Q.
pub struct TwoQ {
    config: Config,
    /// The item is the file.
    queues: Queues<u64>,
    ghosts: Ghosts,
    in_max: u64,
    main_max: u64,
    out_max: u64,
}

impl TwoQ {
    fn push(&mut self, queue: u32, entry: &Entry) {
        self.queues.push(queue, entry.slot, entry.size, entry.file);
    }

    fn victims(&mut self, needed: u64) -> Victims {
        Victims::gather(needed, || {
            let from_in = self.queues.bytes(IN) > self.in_max || self.queues.is_empty(MAIN);
            let victim = self.queues.pop(if from_in { IN } else { MAIN })?;
            if from_in {
                self.ghosts
                    .push_within(self.out_max, OUT, victim.item, victim.size);
            }
            Some((victim.slot, victim.size))
        })
    }
}

impl EvictionPolicy for TwoQ {
    type Config = Config;

    fn about() -> About {
        about!("newcomers prove themselves in a queue of a quarter", SCHEMA)
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        let Config {
            newcomers,
            remembered,
        } = config;
        if !(0.0..=1.0).contains(&newcomers) {
            return Err(format!("in is a share between 0 and 1, not {newcomers}"));
        }
        if !(0.0..=10.0).contains(&remembered) {
            return Err(format!(
                "out is between 0 and 10 times the budget, not {remembered}"
            ));
        }
        Ok(Self {
            config,
            queues: Queues::new(2),
            ghosts: Ghosts::new(1),
            in_max: 0,
            main_max: 0,
            out_max: 0,
        })
    }

    fn set_capacity(&mut self, bytes: u64) {
        self.in_max = share(bytes, self.config.newcomers);
        self.main_max = bytes.saturating_sub(self.in_max);
        self.out_max = share(bytes, self.config.remembered);
        self.ghosts.trim(OUT, self.out_max);
    }

    /// Restored copies fill the main part first: the least recently used are evicted first, the most recently used
    /// count as new.
    fn restore(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.ghosts.take(entry.file);
            let fits = self.queues.bytes(MAIN).saturating_add(entry.size) <= self.main_max;
            self.push(if fits { MAIN } else { IN }, entry);
        }
    }

    fn hit(&mut self, slots: &[Slot]) {
        for &slot in slots {
            if self
                .queues
                .find(slot)
                .is_some_and(|read| read.queue == MAIN)
            {
                self.queues.move_to(MAIN, slot);
            }
        }
    }

    fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
        let remembered = self.ghosts.take(incoming.file).is_some();
        let victims = self.victims(needed);
        self.push(if remembered { MAIN } else { IN }, &incoming);
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

dataverse_sdk::export!(eviction: TwoQ);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::parse_config;
    use dataverse_sdk::testing::{Cache, storm};

    fn two_q() -> TwoQ {
        TwoQ::new(Config::default(), 0).expect("the defaults are accepted")
    }

    /// A cache of eight after reads of these files.
    fn after(files: impl IntoIterator<Item = u64>) -> Cache<TwoQ> {
        let mut cache = Cache::new(two_q(), 8);
        cache.replay(files.into_iter().map(|file| (file, 1)));
        cache
    }

    #[test]
    fn a_newcomer_leaves_although_it_was_read() {
        let cache = after([1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 9]);
        assert!(!cache.contains(1) && cache.contains(9));
    }

    #[test]
    fn what_comes_back_while_it_is_remembered_stays() {
        // 1 to 4 are evicted and remembered; 4 is read again, then many new copies pass.
        let cache = after((1..=12).chain([4]).chain(20..=40));
        assert!(cache.contains(4) && cache.contains(40));
        // Of twelve evicted copies, only the last four are remembered.
        let cache = after((1..=20).chain([4]).chain(20..=40));
        assert!(!cache.contains(4));
    }

    #[test]
    fn the_coldest_of_what_it_takes_over_goes_first() {
        let mut cache = after([1, 2, 3, 4, 5, 6, 7, 8, 2]).hand_over(two_q());
        cache.request(9, 1);
        assert_eq!(cache.files(), [3, 4, 5, 6, 7, 8, 2, 9]);
    }

    #[test]
    fn a_configuration_out_of_bounds_is_refused() {
        let refused = |json| TwoQ::new(parse_config(json).expect("its form is right"), 0).is_err();
        assert!(refused(r#"{"in": 1.1}"#) && refused(r#"{"out": -0.1}"#));
        assert!(!refused(r#"{"in": 0.3, "out": 2}"#));
    }

    #[test]
    fn every_verdict_keeps_to_the_rules() {
        storm(two_q(), two_q(), 7);
    }
}
