//! Random: draws nodes uniformly, regardless of size, distance and load. The baseline for comparing other
//! policies.
//!
//! Random replication is the starting point of HDFS, GFS and RAMCloud: Cidon et al., "Copysets: Reducing the
//! frequency of data loss in cloud storage", USENIX ATC 2013, section 2. The order is shuffled for every question
//! (Fisher and Yates), from the policy's seed. The policy promises nothing about what moves when nodes change:
//! even if nothing changes, a file that is asked about again gets other nodes.

use dataverse_sdk::ranking::over_zones;
use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Node, PlacementPolicy, Random, Request, VERDICT_ENTRIES_MAX, about};

/// Uniformly drawn nodes.
#[derive(Clone, Debug)]
pub struct RandomNodes {
    random: Random,
    spread_zones: bool,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Take a node of each zone before a second one of any zone.
    pub spread_zones: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { spread_zones: true }
    }
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "spread_zones": {
      "type": "boolean", "default": true,
      "description": "a node of each zone before a second one of any; false: zones do not matter"
    }
  }
}"#;

impl PlacementPolicy for RandomNodes {
    type Config = Config;

    fn about() -> About {
        about!("keeps copies on nodes drawn evenly", CONFIG_SCHEMA)
    }

    fn new(config: Config, seed: u64) -> Result<Self, String> {
        Ok(Self {
            random: Random::new(seed),
            spread_zones: config.spread_zones,
        })
    }

    fn place(&mut self, _: &Request, candidates: &[Node]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..candidates.len() as u32).collect();
        self.random.shuffle(&mut order);
        order.truncate(VERDICT_ENTRIES_MAX);
        if self.spread_zones {
            over_zones(order, candidates)
        } else {
            order
        }
    }
}

dataverse_sdk::export!(placement: RandomNodes);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::parse_config;
    use dataverse_sdk::testing::{check_placement, file, nodes, placement_storm};

    fn random(config: &str, seed: u64) -> RandomNodes {
        let config = parse_config(config).expect("the test's configuration is valid");
        RandomNodes::new(config, seed).expect("it takes any configuration")
    }

    fn placed(policy: &mut RandomNodes, candidates: &[Node]) -> Vec<u32> {
        let request = Request {
            file: file(1),
            factor: 2,
            now: 0,
        };
        check_placement(policy, &request, candidates)
    }

    /// How often each of the candidates came first.
    fn firsts(policy: &mut RandomNodes, candidates: &[Node], questions: u32) -> Vec<u32> {
        let mut firsts = vec![0; candidates.len()];
        (0..questions).for_each(|_| firsts[placed(policy, candidates)[0] as usize] += 1);
        firsts
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        placement_storm(|| random("", 1));
        placement_storm(|| random(r#"{"spread_zones": false}"#, 1));
    }

    #[test]
    fn every_node_comes_first_equally_often() {
        let firsts = firsts(&mut random("", 7), &nodes(6), 6000);
        // Six standard deviations of a binomial count are 173 here.
        assert!(
            firsts.iter().all(|count| count.abs_diff(1000) < 173),
            "{firsts:?}"
        );
    }

    #[test]
    fn the_seed_alone_makes_the_order() {
        let drawn = |seed| {
            let mut policy = random("", seed);
            [(); 4].map(|()| placed(&mut policy, &nodes(12)))
        };
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        let [first, second, ..] = drawn(3);
        assert_ne!(first, second);
    }

    #[test]
    fn zones_matter_unless_it_is_told_that_they_do_not() {
        let candidates = nodes(6);
        let shared = |config| {
            let mut policy = random(config, 5);
            (0..500)
                .map(|_| placed(&mut policy, &candidates))
                .filter(|order| {
                    candidates[order[0] as usize].zone == candidates[order[1] as usize].zone
                })
                .count()
        };
        assert_eq!(shared(""), 0);
        // One of the five others is in the same zone.
        assert!((50..150).contains(&shared(r#"{"spread_zones": false}"#)));
    }
}
