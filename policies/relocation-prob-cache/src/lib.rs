//! ProbCache: each node on the path keeps a copy with some probability, so that flows on the same path share its
//! caches.
//!
//! Psaras, Chai and Pavlou, "Probabilistic in-network caching for information-centric networks", ICN 2012. The
//! node `x` hops from the holder, on a path of `c` hops, keeps a copy with the probability
//!
//! ```text
//! TimesIn(x) * CacheWeight(x) = (N_1 + … + N_{c-(x-1)}) / (T_tw * N_x)  *  x / c
//! ```
//!
//! where the sum is the capacity of the nodes from it to the reader (how often the rest of the path could hold the
//! file), `N_x` is its own capacity, and `T_tw` is the time window over which the caches of a path should be
//! shared. The weight favours nodes near the reader and the sum those near the holder, which balances the two.

use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Random, Read, RelocationPolicy, VERDICT_ENTRIES_MAX, Verdict, about};

/// Each node on the path keeps a copy with some probability.
#[derive(Clone, Debug)]
pub struct ProbCache {
    random: Random,
    window: f64,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// `T_tw` of the paper: the greater, the fewer copies.
    pub window: f64,
}

impl Default for Config {
    fn default() -> Self {
        // As in the paper's evaluation.
        Self { window: 10.0 }
    }
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "window": {
      "type": "number", "exclusiveMinimum": 0, "default": 10,
      "description": "the paper's target time window: the greater, the rarer a copy; 1: always at the reader"
    }
  }
}"#;

impl RelocationPolicy for ProbCache {
    type Config = Config;

    fn about() -> About {
        about!(
            "nodes on the way keep a copy by chance, more likely where the way has room for it",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, seed: u64) -> Result<Self, String> {
        if !(config.window.is_finite() && config.window > 0.0) {
            return Err(format!(
                "`window` is {}; it has to be above 0",
                config.window
            ));
        }
        Ok(Self {
            random: Random::new(seed),
            window: config.window,
        })
    }

    fn on_read(&mut self, read: &Read) -> Verdict {
        let hops = read.path.len().saturating_sub(1);
        let mut copy_to = Vec::new();
        let mut towards_reader = 0.0;
        for (node, index) in read.path[..hops]
            .iter()
            .zip(0u32..)
            .take(VERDICT_ENTRIES_MAX)
        {
            let own = node.capacity as f64;
            towards_reader += own;
            let weight = (hops - index as usize) as f64 / hops as f64;
            // Drawn for every node, so that a node without known capacity does not change the draws of the others.
            let drawn = self.random.unit();
            // Written as a product: a node whose capacity is unknown, and therefore 0, keeps no copy.
            if drawn * self.window * own < towards_reader * weight && own > 0.0 {
                copy_to.push(index);
            }
        }
        Verdict {
            copy_to,
            move_to: None,
        }
    }
}

dataverse_sdk::export!(relocation: ProbCache);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::testing::{check_relocation, file, path, relocation_storm};
    use dataverse_sdk::{Node, parse_config};

    const READS: u32 = 20_000;

    fn prob_cache(config: &str, seed: u64) -> Result<ProbCache, String> {
        ProbCache::new(parse_config(config)?, seed)
    }

    /// How often each node of the path kept a copy, as a share of all reads.
    fn shares(config: &str, path: Vec<Node>) -> Vec<f64> {
        let mut policy = prob_cache(config, 11).expect("the test's configuration is valid");
        let mut copies = vec![0u32; path.len()];
        let read = Read {
            file: file(1),
            reads: 1,
            path,
            now: 0,
        };
        for _ in 0..READS {
            let verdict = check_relocation(&mut policy, &read);
            assert_eq!(verdict.move_to, None);
            verdict
                .copy_to
                .into_iter()
                .for_each(|index| copies[index as usize] += 1);
        }
        copies
            .into_iter()
            .map(|count| f64::from(count) / f64::from(READS))
            .collect()
    }

    fn check_shares(shares: &[f64], expected: &[f64]) {
        assert_eq!(shares.len(), expected.len());
        for (share, probability) in shares.iter().zip(expected) {
            // Four standard deviations of a binomial share are at most 1.42 % here.
            assert!(
                (share - probability).abs() < 0.0142,
                "{shares:?} for {expected:?}"
            );
        }
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        relocation_storm(|| prob_cache("", 1).expect("the default is valid"));
        relocation_storm(|| prob_cache(r#"{"window": 0.01}"#, 1).expect("it is above 0"));
    }

    #[test]
    fn equal_nodes_have_the_chances_of_the_paper() {
        // From the reader to the holder, which has the file: (c - x + 1) / T_tw * x / c.
        let expected = [
            1.0 / 10.0,
            2.0 / 10.0 * 3.0 / 4.0,
            3.0 / 10.0 * 2.0 / 4.0,
            4.0 / 10.0 / 4.0,
            0.0,
        ];
        check_shares(&shares("", path(5)), &expected);
        check_shares(&shares("", path(2)), &[0.1, 0.0]);
    }

    #[test]
    fn a_small_node_is_given_what_its_way_can_hold() {
        let mut way = path(3);
        (way[0].capacity, way[1].capacity) = (300, 100);
        check_shares(&shares("", way), &[0.1, 4.0 / 10.0 / 2.0, 0.0]);
    }

    #[test]
    fn with_a_window_of_one_the_reader_always_keeps_a_copy() {
        check_shares(&shares(r#"{"window": 1}"#, path(2)), &[1.0, 0.0]);
    }

    #[test]
    fn a_node_of_which_nothing_is_known_keeps_none() {
        let mut way = path(3);
        way[1].capacity = 0;
        check_shares(&shares("", way), &[0.1, 0.0, 0.0]);
    }

    #[test]
    fn where_there_is_no_way_there_is_no_copy() {
        check_shares(&shares("", path(1)), &[0.0]);
        check_shares(&shares("", path(0)), &[]);
    }

    #[test]
    fn a_window_of_nothing_is_refused() {
        for window in ["0", "-1", "1e999", "null"] {
            assert!(prob_cache(&format!(r#"{{"window": {window}}}"#), 1).is_err());
        }
    }
}
