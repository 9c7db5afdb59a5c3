//! Places copies on the deciding node and on the nearest nodes, as the first version of Dataverse did.
//!
//! Candidates are ordered by hops. Equally distant ones are ordered by weighted rendezvous hashing of the file id
//! (see `dataverse_sdk::ranking`), so that neighbours share the files written here in proportion to their
//! capacity.
//!
//! When a node joins or changes its capacity, copies move only to it or away from it. Distances are different:
//! they are measured from the node that decides, so each node gives its own answer, and a new or removed link may
//! bring many nodes nearer or farther away at the same time.

use dataverse_sdk::ranking::{over_zones, rendezvous_score, sorted};
use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Node, PlacementPolicy, Request, about};

/// The deciding node and the nearest nodes.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    spread_zones: bool,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Take the nearest node of each zone before a second one of any zone.
    pub spread_zones: bool,
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "spread_zones": {
      "type": "boolean", "default": false,
      "description": "the nearest node of each zone before a second one of any"
    }
  }
}"#;

impl PlacementPolicy for Near {
    type Config = Config;

    fn about() -> About {
        about!("keeps copies here and on the nearest nodes", CONFIG_SCHEMA)
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        Ok(Self {
            spread_zones: config.spread_zones,
        })
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        let distance = |node: &Node| (node.hops, rendezvous_score(request.file.id, node));
        let order = sorted(candidates, distance, |a, b| {
            a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))
        });
        if self.spread_zones {
            over_zones(order, candidates)
        } else {
            order
        }
    }
}

dataverse_sdk::export!(placement: Near);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::parse_config;
    use dataverse_sdk::testing::{check_placement, file, nodes, placement_storm};

    fn near(config: &str) -> Near {
        let config = parse_config(config).expect("the test's configuration is valid");
        Near::new(config, 0).expect("it takes any configuration")
    }

    fn placed(config: &str, number: u64, candidates: &[Node]) -> Vec<u32> {
        let request = Request {
            file: file(number),
            factor: 2,
            now: 0,
        };
        check_placement(&mut near(config), &request, candidates)
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        placement_storm(|| near(""));
        placement_storm(|| near(r#"{"spread_zones": true}"#));
    }

    #[test]
    fn the_nearest_come_first() {
        let mut candidates = nodes(5);
        candidates.reverse();
        assert_eq!(placed("", 1, &candidates), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn nodes_equally_far_share_the_files() {
        let mut candidates = nodes(5);
        candidates[1..].iter_mut().for_each(|node| node.hops = 1);
        let mut seconds = [0u32; 5];
        for number in 0..4000 {
            let order = placed("", number, &candidates);
            assert_eq!(order[0], 0);
            seconds[order[1] as usize] += 1;
        }
        // Six standard deviations of a binomial count are 164 here.
        assert!(
            seconds[1..].iter().all(|count| count.abs_diff(1000) < 164),
            "{seconds:?}"
        );
    }

    #[test]
    fn zones_are_spread_when_it_is_told_so() {
        let mut candidates = nodes(4);
        candidates[1].zone = candidates[0].zone.clone();
        assert_eq!(placed("", 1, &candidates), [0, 1, 2, 3]);
        assert_eq!(
            placed(r#"{"spread_zones": true}"#, 1, &candidates),
            [0, 2, 1, 3]
        );
    }
}
