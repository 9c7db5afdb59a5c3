//! Follow demand: moves a file's replica to the node through which it is read often.
//!
//! Based on the switch test in Wolfson, Jajodia and Huang, "An adaptive data replication algorithm", ACM
//! Transactions on Database Systems, 1997: a single copy moves to the neighbour that requests it most. A threshold
//! replaces the comparison here, because a node knows only its own readers.
//!
//! No copy is kept until a file was read here often enough, so that every read is counted on its way; see
//! `copy_early`. From then on the reader keeps a copy and asks for the replica, and the copy becomes the replica.
//! The holder validates the request and moves the replica if it can; otherwise the cached copy is the only effect.
//! After a request the file rests for a while, so that two nodes that both read it do not move it back and forth.

use std::collections::VecDeque;

use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Millis, Read, RelocationPolicy, Verdict, about};

/// How many resting files are remembered; the one that has rested longest is dropped first.
const RESTING_MAX: usize = 4096;

/// Moves the replica to the node through which it is read often.
#[derive(Clone, Debug)]
pub struct FollowDemand {
    config: Config,
    /// Files for which a move was requested, and when; the earliest first.
    resting: VecDeque<(u64, Millis)>,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Recent reads (the count halves every ten minutes) from which on a file is wanted here.
    pub reads: u32,
    /// In bytes: larger files are copied but do not move. `None`: any size moves.
    pub size_max: Option<u64>,
    /// Seconds until this node asks for the same file again.
    pub rest_s: u64,
    /// Keep a copy from the first read on. Files then move only when they outlive their copy here.
    pub copy_early: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reads: 8,
            size_max: None,
            rest_s: 600,
            copy_early: false,
        }
    }
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "reads": {
      "type": "integer", "minimum": 1, "default": 8,
      "description": "reads lately, worth half after ten minutes, from which on a file is wanted here"
    },
    "size_max": {
      "type": ["integer", "null"], "minimum": 0, "default": null,
      "description": "bytes; larger files are copied and do not move; null: any size moves"
    },
    "rest_s": {
      "type": "integer", "minimum": 0, "default": 600,
      "description": "seconds until this node asks for the same file again"
    },
    "copy_early": {
      "type": "boolean", "default": false,
      "description": "keep a copy from the first read on; files then move only when they outlive their copy here"
    }
  }
}"#;

impl RelocationPolicy for FollowDemand {
    type Config = Config;

    fn about() -> About {
        about!(
            "a file's replica moves to the node through which it is read often",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        if config.reads == 0 {
            return Err("`reads` is 0; it has to be 1 or more".to_owned());
        }
        Ok(Self {
            config,
            resting: VecDeque::new(),
        })
    }

    fn on_read(&mut self, read: &Read) -> Verdict {
        // With no other node on the path, the file is already here.
        if read.path.len() < 2 {
            return Verdict::default();
        }
        let wanted = read.reads >= self.config.reads;
        let fits = self
            .config
            .size_max
            .is_none_or(|most| read.file.size <= most);
        let moves = wanted && fits && self.rest(read.file.id, read.now);
        Verdict {
            copy_to: if wanted || self.config.copy_early {
                vec![0]
            } else {
                Vec::new()
            },
            move_to: moves.then_some(0),
        }
    }
}

impl FollowDemand {
    /// Starts the rest period of this file; false if it is still resting.
    fn rest(&mut self, file: u64, now: Millis) -> bool {
        let rest_ms = self.config.rest_s.saturating_mul(1000);
        // An entry with a time after `now` comes from a clock that was set back; it does not delay the file.
        let rested = |since: Millis| since > now || now - since >= rest_ms;
        while self
            .resting
            .front()
            .is_some_and(|&(_, since)| rested(since))
        {
            self.resting.pop_front();
        }
        if self
            .resting
            .iter()
            .any(|&(resting, since)| resting == file && !rested(since))
        {
            return false;
        }
        if self.resting.len() == RESTING_MAX {
            self.resting.pop_front();
        }
        self.resting.push_back((file, now));
        true
    }
}

dataverse_sdk::export!(relocation: FollowDemand);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::parse_config;
    use dataverse_sdk::testing::{check_relocation, file, path, relocation_storm};

    /// An answer about a read: whether the reader keeps a copy, and whether the replica moves there.
    type Says = (bool, bool);
    const NOTHING: Says = (false, false);
    const COPIES: Says = (true, false);
    const MOVES: Says = (true, true);

    fn follow_demand(config: &str) -> Result<FollowDemand, String> {
        FollowDemand::new(parse_config(config)?, 0)
    }

    fn says(policy: &mut FollowDemand, number: u64, reads: u32, now: Millis) -> Says {
        let read = Read {
            file: file(number),
            reads,
            path: path(3),
            now,
        };
        let verdict = check_relocation(policy, &read);
        assert!(
            verdict
                .copy_to
                .iter()
                .chain(&verdict.move_to)
                .all(|&index| index == 0)
        );
        (!verdict.copy_to.is_empty(), verdict.move_to.is_some())
    }

    fn check(config: &str, reads: u32, expected: Says) {
        let mut policy = follow_demand(config).expect("the test's configuration is valid");
        assert_eq!(says(&mut policy, 1, reads, 0), expected);
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        for config in ["", r#"{"reads": 1, "rest_s": 0, "copy_early": true}"#] {
            relocation_storm(|| follow_demand(config).expect("the test's configuration is valid"));
        }
    }

    #[test]
    fn a_file_moves_when_it_is_read_often_enough() {
        check("", 7, NOTHING);
        check("", 8, MOVES);
        check(r#"{"reads": 3}"#, 2, NOTHING);
        check(r#"{"reads": 3}"#, 3, MOVES);
    }

    #[test]
    fn a_copy_is_kept_early_when_it_is_told_so() {
        check(r#"{"copy_early": true}"#, 1, COPIES);
        check(r#"{"copy_early": true}"#, 8, MOVES);
    }

    #[test]
    fn a_file_that_is_too_large_is_copied_instead() {
        let size = file(1).size;
        check(&format!(r#"{{"size_max": {size}}}"#), 8, MOVES);
        check(&format!(r#"{{"size_max": {}}}"#, size - 1), 8, COPIES);
        check(&format!(r#"{{"size_max": {}}}"#, size - 1), 7, NOTHING);
    }

    #[test]
    fn a_file_rests_after_it_was_told_to_move() {
        let mut policy = follow_demand("").expect("the default is valid");
        assert_eq!(says(&mut policy, 1, 8, 1000), MOVES);
        assert_eq!(says(&mut policy, 1, 9, 600_999), COPIES);
        assert_eq!(says(&mut policy, 2, 8, 600_999), MOVES);
        assert_eq!(says(&mut policy, 1, 9, 601_000), MOVES);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_no_file() {
        let mut policy = follow_demand("").expect("the default is valid");
        assert_eq!(says(&mut policy, 1, 8, u64::MAX), MOVES);
        assert_eq!(says(&mut policy, 1, 8, 1000), MOVES);
        assert_eq!(says(&mut policy, 1, 8, 2000), COPIES);
    }

    #[test]
    fn what_rests_is_bounded_and_the_earliest_is_forgotten() {
        let mut policy = follow_demand("").expect("the default is valid");
        for number in 0..=RESTING_MAX as u64 {
            assert_eq!(says(&mut policy, number, 8, number), MOVES);
        }
        assert_eq!(policy.resting.len(), RESTING_MAX);
        assert_eq!(says(&mut policy, 1, 8, 5000), COPIES);
        assert_eq!(says(&mut policy, 0, 8, 5000), MOVES);
    }

    #[test]
    fn a_file_that_is_here_stays() {
        let mut policy = follow_demand("").expect("the default is valid");
        for nodes in 0..2 {
            let read = Read {
                file: file(1),
                reads: 100,
                path: path(nodes),
                now: 0,
            };
            assert_eq!(check_relocation(&mut policy, &read), Verdict::default());
        }
    }

    #[test]
    fn a_threshold_of_nothing_is_refused() {
        assert!(follow_demand(r#"{"reads": 0}"#).is_err());
    }
}
