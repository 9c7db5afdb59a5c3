//! Consistent hashing: nodes and files lie on a ring, and a file goes to the nodes that follow it.
//!
//! Karger et al., "Consistent hashing and random trees", STOC 1997. Each node lies on the ring at many
//! points (virtual nodes), the more the larger it is: DeCandia et al., "Dynamo: Amazon's highly available
//! key-value store", SOSP 2007, sections 4.2 and 4.3; as there, the walk passes over nodes it has met. Zones
//! are spread round by round.
//!
//! The ring is kept between questions and built anew when the candidates are others. It is a function of
//! the candidates alone, so every node that sees the same ones names the same ones.

use dataverse_sdk::ranking::over_zones;
use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{
    About, Node, PlacementPolicy, Random, Request, VERDICT_ENTRIES_MAX, about, mix,
};

/// Points on the ring at most: what can be built well within one decision's fuel.
const RING_POINTS_MAX: usize = 1 << 16;
/// Points of one node at most.
const NODE_POINTS_MAX: u32 = 4096;

/// Consistent hashing with virtual nodes.
#[derive(Clone, Debug)]
pub struct Ring {
    points: u32,
    /// Ids and capacities of the nodes that the ring was built of, in the order of the candidates.
    members: Vec<(u64, u64)>,
    /// Where the points lie and which candidate each belongs to, in the order of the ring.
    ring: Vec<(u64, u32)>,
}

/// What it can be told.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Points of the largest node. More spread the files more evenly and cost more to build.
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
      "description": "points of the largest node on the ring; more spread the files more evenly"
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
            members: Vec::new(),
            ring: Vec::new(),
        })
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        let candidates = &candidates[..candidates.len().min(VERDICT_ENTRIES_MAX)];
        let members = || candidates.iter().map(|node| (node.id, node.capacity));
        if !self.members.iter().copied().eq(members()) {
            self.members = members().collect();
            self.ring = ring(&self.members, self.points);
        }
        over_zones(
            walk(&self.ring, mix(request.file.id), candidates.len()),
            candidates,
        )
    }
}

/// The points of all nodes, in the order of the ring.
fn ring(members: &[(u64, u64)], points: u32) -> Vec<(u64, u32)> {
    let points = u128::from(points.min(points_each(members.len())));
    let largest = members.iter().map(|&(_, capacity)| capacity).max();
    // Rounded up to a power of two, so that the points of all others stay when a node joins that is
    // somewhat larger.
    let whole = u128::from(largest.unwrap_or(0)).next_power_of_two();
    let mut ring = Vec::new();
    for (&(id, capacity), index) in members.iter().zip(0..) {
        let own = (points * u128::from(capacity)).div_ceil(whole).max(1);
        // The first points are the same however many there are.
        let mut position = Random::new(id);
        ring.extend((0..own).map(|_| (position.next_u64(), index)));
    }
    ring.sort_unstable();
    ring
}

/// Points a node may have among so many; halved when the nodes double, and not with each node that joins.
const fn points_each(nodes: usize) -> u32 {
    match RING_POINTS_MAX.checked_div(nodes) {
        Some(each) if each > 0 => 1 << each.ilog2(),
        _ => 1,
    }
}

/// The nodes in the order in which they are met from this position on.
fn walk(ring: &[(u64, u32)], from: u64, nodes: usize) -> Vec<u32> {
    let (before, after) = ring.split_at(ring.partition_point(|&(position, _)| position < from));
    let mut met = vec![false; nodes];
    let mut order = Vec::with_capacity(nodes);
    for &(_, index) in after.iter().chain(before) {
        if !met[index as usize] {
            met[index as usize] = true;
            order.push(index);
            if order.len() == nodes {
                break;
            }
        }
    }
    order
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
        // Four of eleven parts; the points of the small nodes scatter their share by 3 %.
        assert!((3600..4400).contains(&firsts[0]), "{firsts:?}");
        assert!(
            firsts[1..].iter().all(|count| (800..1200).contains(count)),
            "{firsts:?}"
        );
    }

    #[test]
    fn what_was_asked_before_changes_no_answer() {
        let mut asked = default_ring();
        for number in 0..60 {
            let mut candidates = nodes(4 + number as u32 % 3);
            candidates[1].capacity <<= number % 2;
            let fresh = placed(&mut default_ring(), number, &candidates);
            assert_eq!(placed(&mut asked, number, &candidates), fresh);
        }
    }

    #[test]
    fn the_ring_is_bounded_however_many_nodes_there_are() {
        for count in [1, 15, 16, 1000, VERDICT_ENTRIES_MAX] {
            let members = vec![(1, 1 << 30); count];
            assert!(ring(&members, NODE_POINTS_MAX).len() <= RING_POINTS_MAX);
        }
    }

    #[test]
    fn a_number_of_points_out_of_bounds_is_refused() {
        for config in [r#"{"points": 0}"#, r#"{"points": 4097}"#, r#"{"point": 1}"#] {
            assert!(ring_of(config).is_err_and(|error| error.contains("point")));
        }
    }
}
