//! A placement policy to start from: the nodes with the largest free share come first, near ones before far.

use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Node, PlacementPolicy, Request, about, export};

/// What `policies.toml` may say under `config`.
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

/// Ranks nodes by what they have free.
pub struct Roomy {
    low_percent: u64,
}

impl Roomy {
    /// What orders nodes: the smallest goes first.
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
            "near nodes first, the fuller after the emptier",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, _seed: u64) -> Result<Self, String> {
        if config.low_percent > 100 {
            return Err(format!(
                "low_percent is {}, but at most 100",
                config.low_percent
            ));
        }
        Ok(Self {
            low_percent: config.low_percent,
        })
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        let mut ranking: Vec<u32> = (0..candidates.len() as u32).collect();
        ranking.sort_by_key(|&index| self.order(&candidates[index as usize]));
        // Spares, should some refuse.
        ranking.truncate(request.factor as usize + 2);
        ranking
    }
}

export!(placement: Roomy);

#[cfg(test)]
mod tests {
    use dataverse_sdk::testing::{check_placement, file, nodes};

    use super::*;

    #[test]
    fn a_nearly_full_node_comes_last() {
        let mut candidates = nodes(4);
        candidates[0].free = candidates[0].capacity / 20;
        let request = Request {
            file: file(1),
            factor: 2,
            now: 0,
        };
        let mut policy = Roomy::new(Config { low_percent: 10 }, 7).unwrap();
        assert_eq!(
            check_placement(&mut policy, &request, &candidates),
            [1, 2, 3, 0]
        );
    }

    #[test]
    fn more_than_all_of_a_node_can_not_be_asked_for() {
        assert!(Roomy::new(Config { low_percent: 101 }, 7).is_err());
    }
}
