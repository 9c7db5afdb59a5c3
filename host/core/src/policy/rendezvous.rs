//! `Rendezvous`, the placement baseline: weighted rendezvous hashing, spread over zones.
//!
//! Each node gets a score from the file's id and its own id; the highest scores win (Thaler and Ravishankar,
//! "Using name-based mappings to increase hit rates", 1998). With `-w / ln(u)` as the score, `u` uniform in (0,
//! 1), a node wins in proportion to its weight `w` (Schindelhauer and Schomaker, "Weighted distributed hash
//! tables", 2005, the logarithmic method). The weight is the node's capacity. A score depends on no other node:
//! when a node joins or grows, files move only to it; when it leaves or shrinks, only its own files move.
//!
//! Zones take turns: first the best node of each zone, then the second best of each, and so on.

use std::collections::BTreeMap;

use super::{Fault, NodeView, Placement, PlacementRequest};
use crate::limits;

/// Weighted rendezvous hashing over zones. Ranks every candidate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rendezvous;

impl Rendezvous {
    /// Indices of the candidates for this file, best first, each once.
    #[must_use]
    pub fn rank(file: u64, candidates: &[NodeView]) -> Vec<u32> {
        let mut scored: Vec<(f64, u32)> = (0u32..)
            .zip(candidates.iter().take(limits::VERDICT_ENTRIES_MAX))
            .map(|(index, node)| (score(file, node), index))
            .collect();
        // The index breaks ties, so the order is total and does not depend on the sort algorithm.
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));

        let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
        let mut rounds: Vec<(u32, u32)> = Vec::with_capacity(scored.len());
        for (_, index) in scored {
            let zone = candidates[index as usize].zone.as_str();
            // A node without a zone counts as a zone of its own, so it is always that zone's first.
            let round = if zone.is_empty() {
                0
            } else {
                let used = taken.entry(zone).or_default();
                *used += 1;
                *used - 1
            };
            rounds.push((round, index));
        }
        // A stable sort keeps the order of the scores within a round.
        rounds.sort_by_key(|&(round, _)| round);
        rounds.into_iter().map(|(_, index)| index).collect()
    }
}

impl Placement for Rendezvous {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        Ok(Self::rank(request.file.id, candidates))
    }
}

fn score(file: u64, node: &NodeView) -> f64 {
    // 52 bits plus one half: every value is exact, and none is 0 or 1.
    let even = ((mix(file ^ mix(node.id)) >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    // `libm` instead of the platform's logarithm: the last bit must be the same on every machine.
    node.capacity as f64 / -libm::log(even)
}

/// The finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014) after its increment.
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn node(id: u64, zone: &str, capacity: u64) -> NodeView {
        NodeView {
            id: mix(id),
            zone: zone.to_owned(),
            hops: 1,
            capacity,
            free: capacity,
            load: 0,
        }
    }

    /// Ids of the nodes in ranking order.
    fn ranked(file: u64, nodes: &[NodeView]) -> Vec<u64> {
        Rendezvous::rank(file, nodes)
            .into_iter()
            .map(|index| nodes[index as usize].id)
            .collect()
    }

    fn nodes() -> impl Strategy<Value = Vec<NodeView>> {
        let zones = prop::sample::select(vec!["", "a", "b", "c"]);
        prop::collection::vec((zones, 0u64..4), 1..20).prop_map(|drawn| {
            (0u64..)
                .zip(drawn)
                .map(|(id, (zone, capacity))| node(id, zone, capacity << 30))
                .collect()
        })
    }

    #[test]
    fn a_node_wins_in_proportion_to_its_capacity() {
        let nodes = [
            node(1, "", 1 << 30),
            node(2, "", 2 << 30),
            node(3, "", 5 << 30),
        ];
        let files = 20_000u64;
        let mut wins = [0u64; 3];
        for file in 0..files {
            wins[Rendezvous::rank(mix(file), &nodes)[0] as usize] += 1;
        }
        // Four standard deviations of a binomial share are at most 1.42 % here.
        for (won, eighths) in wins.into_iter().zip([1.0, 2.0, 5.0]) {
            let share = won as f64 / files as f64;
            assert!((share - eighths / 8.0).abs() < 0.0142, "{wins:?}");
        }
    }

    #[test]
    fn the_order_is_the_same_on_every_machine() {
        let nodes: Vec<_> = (0..8).map(|id| node(id, "", (id + 1) << 30)).collect();
        assert_eq!(Rendezvous::rank(7, &nodes), FIXED_ORDER);
    }

    /// Computed by another program from the description alone. A change would move files in every network.
    const FIXED_ORDER: [u32; 8] = [5, 1, 6, 7, 0, 3, 4, 2];

    #[test]
    fn nodes_without_room_of_their_own_come_last_in_order_of_index() {
        let nodes = [node(1, "", 0), node(2, "", 1), node(3, "", 0)];
        assert_eq!(Rendezvous::rank(5, &nodes), [1, 0, 2]);
    }

    proptest! {
        #[test]
        fn every_candidate_is_ranked_once(file: u64, nodes in nodes()) {
            let order: BTreeSet<u32> = Rendezvous::rank(file, &nodes).into_iter().collect();
            prop_assert_eq!(order, (0..nodes.len() as u32).collect::<BTreeSet<_>>());
        }

        #[test]
        fn zones_are_distinct_while_there_are_enough(file: u64, nodes in nodes()) {
            let own = |index: u32| nodes[index as usize].zone.is_empty();
            let zones = nodes.iter().map(|node| &node.zone).filter(|zone| !zone.is_empty());
            let named = zones.collect::<BTreeSet<_>>().len();
            let lone = (0..nodes.len() as u32).filter(|&index| own(index)).count();
            let first = &Rendezvous::rank(file, &nodes)[..named + lone];
            let used: BTreeSet<_> = first.iter().filter(|&&index| !own(index))
                .map(|&index| &nodes[index as usize].zone).collect();
            prop_assert_eq!(used.len(), named);
            prop_assert_eq!(first.iter().filter(|&&index| own(index)).count(), lone);
        }

        #[test]
        fn a_node_that_joins_takes_files_and_moves_no_others(
            file: u64, nodes in nodes(), zone in prop::sample::select(vec!["", "a", "d"]), factor in 1usize..6
        ) {
            let joining = node(1000, zone, 2 << 30);
            let mut more = nodes.clone();
            more.push(joining.clone());
            let top = |nodes: &[NodeView]| -> BTreeSet<u64> {
                ranked(file, nodes).into_iter().take(factor).collect()
            };
            let (before, after) = (top(&nodes), top(&more));
            prop_assert!(after.difference(&before).all(|&id| id == joining.id));
            prop_assert!(before.difference(&after).count() <= 1);
        }

        #[test]
        fn the_order_of_candidates_does_not_matter(
            file: u64, nodes in nodes().prop_map(|mut nodes| {
                nodes.retain(|node| node.capacity > 0);
                nodes
            })
        ) {
            let reversed: Vec<_> = nodes.iter().rev().cloned().collect();
            prop_assert_eq!(ranked(file, &nodes), ranked(file, &reversed));
        }
    }
}
