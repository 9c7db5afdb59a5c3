//! A placement policy to start from: near nodes first, of equally near ones the emptier, nearly full ones last.

use dataverse_sdk::ranking::sorted;
use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Node, PlacementPolicy, Request, about, export};

/// The keys that `policies.toml` may set under `config`.
#[derive(Deserialize)]
#[serde(crate = "dataverse_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Nodes with less than this percentage free come last.
    #[serde(default = "ten")]
    low_percent: u64,
}

const fn ten() -> u64 {
    10
}

const CONFIG_SCHEMA: &str = r#"{
    "type": "object",
    "properties": { "low_percent": { "type": "integer", "minimum": 0, "maximum": 100, "default": 10 } },
    "additionalProperties": false
}"#;

/// Ranks nodes by distance and by free space.
pub struct Roomy {
    low_percent: u64,
}

impl Roomy {
    /// The sort key of a node: the smallest comes first.
    fn order(&self, node: &Node) -> (bool, u32, u64, u64) {
        let percent = node.free.saturating_mul(100) / node.capacity.max(1);
        (
            percent < self.low_percent,
            node.hops,
            100 - percent.min(100),
            node.id,
        )
    }
}

impl PlacementPolicy for Roomy {
    type Config = Config;

    fn about() -> About {
        about!(
            "near nodes first, nearly full ones last",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, _seed: u64) -> Result<Self, String> {
        if config.low_percent > 100 {
            return Err(format!(
                "low_percent is {}, but must be at most 100",
                config.low_percent
            ));
        }
        Ok(Self {
            low_percent: config.low_percent,
        })
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        let mut ranking = sorted(candidates, |node| self.order(node), Ord::cmp);
        // Two spares, in case a node refuses.
        ranking.truncate(request.factor.saturating_add(2) as usize);
        ranking
    }
}

export!(placement: Roomy);

#[cfg(test)]
mod tests {
    use dataverse_sdk::testing::{check_placement, file, nodes, placement_storm};

    use super::*;

    fn roomy() -> Roomy {
        Roomy::new(Config { low_percent: 10 }, 7).unwrap()
    }

    #[test]
    fn a_nearly_full_node_comes_last() {
        let mut candidates = nodes(4);
        candidates[0].free = candidates[0].capacity / 20;
        let request = Request {
            file: file(1),
            factor: 2,
            now: 0,
        };
        assert_eq!(
            check_placement(&mut roomy(), &request, &candidates),
            [1, 2, 3, 0]
        );
    }

    #[test]
    fn more_than_all_of_a_node_can_not_be_asked_for() {
        assert!(Roomy::new(Config { low_percent: 101 }, 7).is_err());
    }

    #[test]
    fn it_keeps_to_the_rules_whatever_is_asked() {
        placement_storm(roomy);
    }
}
