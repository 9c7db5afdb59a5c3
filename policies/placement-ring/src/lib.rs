//! Consistent hashing: nodes and files are points on a ring, and a file goes to the nodes that follow it.
//!
//! Karger et al., "Consistent hashing and random trees", STOC 1997, with many points per node (virtual nodes). The
//! first distinct nodes after the file hold it, as in DeCandia et al., "Dynamo: Amazon's highly available
//! key-value store", SOSP 2007, section 4.3. Zones take turns.
//!
//! A larger node has no more points than a small one; instead, distances to its points count for less:
//! Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005, the logarithmic method. How
//! strongly a node attracts a file therefore depends only on the node's own id and capacity. So this policy
//! promises: **when a node joins or grows, copies move only to it; when it leaves or shrinks, only its own copies
//! move.** This holds for any change of weight, any number of nodes, and with zones. Among nodes of equal capacity
//! the order is that of the plain ring.
//!
//! All nodes that see the same candidates give the same answer.

mod points;

use dataverse_sdk::ranking::{over_zones, sorted, weighted_score};
use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Node, PlacementPolicy, Request, about, mix};
use points::Points;

/// Maximum number of points per node.
const NODE_POINTS_MAX: u32 = 4096;

/// Consistent hashing with virtual nodes.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    points: u32,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Points per node. More points distribute files more evenly and make a decision slightly slower.
    pub points: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { points: 128 }
    }
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "points": {
      "type": "integer", "minimum": 1, "maximum": 4096, "default": 128,
      "description": "points of each node on the ring; more spread the files more evenly"
    }
  }
}"#;

impl PlacementPolicy for Ring {
    type Config = Config;

    fn about() -> About {
        about!(
            "keeps copies on the nodes that follow the file on a hash ring",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        if !(1..=NODE_POINTS_MAX).contains(&config.points) {
            return Err(format!(
                "`points` is {}; it has to be from 1 to {NODE_POINTS_MAX}",
                config.points
            ));
        }
        Ok(Self {
            points: config.points,
        })
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        let file = mix(request.file.id);
        let attraction = |node: &Node| self.attraction(file, node);
        let order = sorted(candidates, attraction, |a, b| b.total_cmp(a));
        over_zones(order, candidates)
    }
}

impl Ring {
    /// How strongly a node attracts the file at this position: the nearer the node's next point and the larger the
    /// node, the more.
    fn attraction(self, file: u64, node: &Node) -> f64 {
        let next = Points::new(node.id, self.points).next_from(file);
        let way = next.wrapping_sub(file);
        weighted_score(u64::MAX - way, node.capacity)
    }
}

dataverse_sdk::export!(placement: Ring);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::parse_config;
    use dataverse_sdk::testing::{check_placement, file, nodes, placement_storm};
    use std::collections::BTreeSet;

    fn ring_of(config: &str) -> Result<Ring, String> {
        Ring::new(parse_config(config)?, 0)
    }

    fn default_ring() -> Ring {
        ring_of("").expect("the default is valid")
    }

    fn placed(policy: &mut Ring, number: u64, candidates: &[Node]) -> Vec<u32> {
        let request = Request {
            file: file(number),
            factor: 2,
            now: 0,
        };
        check_placement(policy, &request, candidates)
    }

    fn without_zones(count: u32) -> Vec<Node> {
        let mut nodes = nodes(count);
        nodes.iter_mut().for_each(|node| node.zone.clear());
        nodes
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        placement_storm(default_ring);
        placement_storm(|| ring_of(r#"{"points": 4096}"#).expect("it is the greatest number"));
    }

    #[test]
    fn every_candidate_is_met_once_and_zones_are_spread() {
        let candidates = nodes(12);
        for number in 0..200 {
            let order = placed(&mut default_ring(), number, &candidates);
            assert_eq!(order.len(), 12);
            let zones = order[..3]
                .iter()
                .map(|&index| &candidates[index as usize].zone);
            assert_eq!(zones.collect::<BTreeSet<_>>().len(), 3);
        }
    }

    #[test]
    fn a_node_that_joins_takes_files_and_moves_no_others() {
        let (before, after) = (without_zones(9), without_zones(10));
        let (mut old, mut new) = (default_ring(), default_ring());
        let mut moved = 0;
        for number in 0..2000 {
            let was = placed(&mut old, number, &before);
            let mut is = placed(&mut new, number, &after);
            moved += u32::from(is[0] == 9);
            is.retain(|&index| index != 9);
            assert_eq!(was, is);
        }
        assert!(moved > 0);
    }

    #[test]
    fn larger_nodes_get_more() {
        let mut candidates = without_zones(8);
        candidates[0].capacity *= 4;
        let mut policy = ring_of(r#"{"points": 4096}"#).expect("it is the greatest number");
        let files = 11_000;
        let mut firsts = [0u32; 8];
        for number in 0..files {
            firsts[placed(&mut policy, number, &candidates)[0] as usize] += 1;
        }
        // Four of eleven parts; the shares vary by 2 % because of the random points.
        assert!((3600..4400).contains(&firsts[0]), "{firsts:?}");
        assert!(
            firsts[1..].iter().all(|count| (800..1200).contains(count)),
            "{firsts:?}"
        );
    }

    #[test]
    fn among_equal_nodes_the_one_with_the_next_point_comes_first() {
        let candidates = without_zones(40);
        for number in 0..200 {
            let from = mix(file(number).id);
            let way = |index: u32| {
                let points = Points::new(candidates[index as usize].id, 128);
                points.next_from(from).wrapping_sub(from)
            };
            let ways: Vec<u64> = placed(&mut default_ring(), number, &candidates)
                .into_iter()
                .map(way)
                .collect();
            assert!(ways.is_sorted());
        }
    }

    #[test]
    fn a_node_that_grows_takes_files_and_moves_no_others() {
        // One byte more, somewhat more, and more than all others: no step moves more files than the growth
        // requires.
        for (factor, parts) in [(1, 1 << 30), (3, 2), (2, 1), (1000, 1)] {
            let before = without_zones(30);
            let mut after = before.clone();
            after[7].capacity = (before[7].capacity * factor / parts).max(before[7].capacity + 1);
            let grown = after[7].capacity as f64 / before[7].capacity as f64;
            let files = 4000;
            let mut moved = 0;
            for number in 0..files {
                let was = placed(&mut default_ring(), number, &before);
                let is = placed(&mut default_ring(), number, &after);
                moved += u32::from(was[0] != is[0]);
                let others = |order: Vec<u32>| -> Vec<u32> {
                    order.into_iter().filter(|&index| index != 7).collect()
                };
                assert!(was[0] == is[0] || is[0] == 7);
                assert_eq!(others(was), others(is));
            }
            let least = grown / (29.0 + grown) - 1.0 / 30.0;
            let share = f64::from(moved) / f64::from(files as u32);
            assert!(share <= 1.5 * least + 0.005, "{share} for {least}");
        }
    }

    #[test]
    fn a_node_without_capacity_comes_last() {
        let mut candidates = without_zones(5);
        candidates[2].capacity = 0;
        for number in 0..50 {
            assert_eq!(placed(&mut default_ring(), number, &candidates)[4], 2);
        }
    }

    #[test]
    fn a_number_of_points_out_of_bounds_is_refused() {
        for config in [r#"{"points": 0}"#, r#"{"points": 4097}"#, r#"{"point": 1}"#] {
            assert!(ring_of(config).is_err_and(|error| error.contains("point")));
        }
    }
}
