//! Common orders of nodes for placement policies: by a score, and spread over zones.
//!
//! Everything here depends only on its arguments: no seed, no state, and the same answer on every machine.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::{Node, VERDICT_ENTRIES_MAX, mix};

/// How strongly this node attracts this file: the score of weighted rendezvous hashing.
///
/// Each node gets uniform bits from the file's id and its own, and the highest [`weighted_score`] wins (Thaler and
/// Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking, 1998). The
/// score depends on no other node: when a node joins or grows, files move only to it; when it leaves or shrinks,
/// only its own files move.
#[must_use]
pub fn rendezvous_score(file: u64, node: &Node) -> f64 {
    weighted_score(mix(file ^ mix(node.id)), node.capacity)
}

/// The score of a node with this capacity and these uniform bits. Among nodes with independent bits, the highest
/// score wins.
///
/// With `u` as the bits in (0, 1) and `-w / ln(u)` as the score, a node wins in proportion to its weight `w`
/// (Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005, the logarithmic method). The
/// weight is the node's capacity. Without capacity the score is 0.
#[must_use]
pub fn weighted_score(bits: u64, capacity: u64) -> f64 {
    // 52 bits plus one half: every value is exact, and none is 0 or 1.
    let even = ((bits >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    // `libm` instead of the platform's logarithm: the last bit must be the same on every machine.
    capacity as f64 / -libm::log(even)
}

/// Indices of the candidates, lowest key first; equal keys in the order of their indices.
///
/// Candidates beyond [`VERDICT_ENTRIES_MAX`] are left out, because no verdict may name more.
pub fn sorted<K>(
    candidates: &[Node],
    key: impl Fn(&Node) -> K,
    compare: impl Fn(&K, &K) -> Ordering,
) -> Vec<u32> {
    let mut keyed: Vec<(K, u32)> = candidates
        .iter()
        .take(VERDICT_ENTRIES_MAX)
        .map(key)
        .zip(0..)
        .collect();
    // The index breaks ties, so the order is total and does not depend on the sort algorithm.
    keyed.sort_unstable_by(|a, b| compare(&a.0, &b.0).then(a.1.cmp(&b.1)));
    keyed.into_iter().map(|(_, index)| index).collect()
}

/// Indices of the candidates, the one that attracts this file most first; see [`rendezvous_score`].
#[must_use]
pub fn by_rendezvous(file: u64, candidates: &[Node]) -> Vec<u32> {
    let score = |node: &Node| rendezvous_score(file, node);
    sorted(candidates, score, |a, b| b.total_cmp(a))
}

/// How often each zone was taken. Networks have few zones, and a linear search through a few is faster than a
/// tree.
#[derive(Default)]
struct Taken<'a> {
    few: Vec<(&'a str, u64)>,
    more: BTreeMap<&'a str, u64>,
}

impl<'a> Taken<'a> {
    const FEW: usize = 8;

    /// Takes a zone; returns how often it was taken before.
    fn count(&mut self, zone: &'a str) -> u64 {
        let place = self.few.iter().position(|(it, _)| *it == zone);
        let times = match place {
            Some(place) => &mut self.few[place].1,
            None if self.few.len() < Self::FEW => {
                self.few.push((zone, 1));
                return 0;
            }
            None => self.more.entry(zone).or_default(),
        };
        *times += 1;
        *times - 1
    }
}

/// The same nodes, spread over zones: the first of each zone, then the second of each, and so on; the order within
/// a round is kept. A node without a zone counts as a zone of its own.
///
/// # Panics
/// When `order` names a node that is not among the candidates.
#[must_use]
pub fn over_zones(order: Vec<u32>, candidates: &[Node]) -> Vec<u32> {
    let mut taken = Taken::default();
    let mut rounds: Vec<u64> = Vec::with_capacity(order.len());
    let mut last_round = 0;
    for (&index, place) in order.iter().zip(0u64..) {
        let zone = candidates[index as usize].zone.as_str();
        let mut round = 0;
        if !zone.is_empty() {
            round = taken.count(zone);
        }
        last_round = last_round.max(round);
        // Round and position in one number: sorting it keeps the order within a round.
        rounds.push(round << 32 | place);
    }
    if last_round == 0 {
        return order;
    }
    rounds.sort_unstable();
    let place = |round: u64| order[(round & u64::from(u32::MAX)) as usize];
    rounds.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{file, nodes};

    fn in_zones(zones: &[&str]) -> Vec<Node> {
        let mut nodes = nodes(zones.len() as u32);
        for (node, zone) in nodes.iter_mut().zip(zones) {
            node.zone = (*zone).to_owned();
        }
        nodes
    }

    fn check_spread(zones: &[&str], expected: &[u32]) {
        let order = (0..zones.len() as u32).collect();
        assert_eq!(over_zones(order, &in_zones(zones)), expected);
    }

    #[test]
    fn zones_go_round_by_round() {
        check_spread(&["a", "a", "b", "a", "b", "c"], &[0, 2, 5, 1, 4, 3]);
        check_spread(&["a", "a", "a"], &[0, 1, 2]);
        check_spread(&[], &[]);
    }

    #[test]
    fn many_zones_go_round_by_round_as_few_do() {
        let zones: Vec<String> = (0..40).map(|at| format!("zone-{}", at * at % 13)).collect();
        let names: Vec<&str> = zones.iter().map(String::as_str).collect();
        let round = |at: usize| names[..at].iter().filter(|it| **it == names[at]).count();
        let mut expected: Vec<u32> = (0..40).collect();
        expected.sort_by_key(|&at| round(at as usize));
        let many: Vec<String> = (0..40).map(|at| format!("zone-{}", at % 20)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check_spread(&names, &expected);
        check_spread(&many, &(0..40).collect::<Vec<u32>>());
    }

    #[test]
    fn a_node_without_a_zone_is_a_zone_of_its_own() {
        check_spread(&["", "a", "", "a", ""], &[0, 1, 2, 4, 3]);
    }

    #[test]
    fn equal_keys_stay_in_the_order_of_their_indices() {
        let mut nodes = nodes(4);
        nodes[3].hops = 0;
        assert_eq!(sorted(&nodes, |node| node.hops, Ord::cmp), [0, 3, 1, 2]);
    }

    #[test]
    fn no_more_nodes_are_ranked_than_a_verdict_may_name() {
        let order = by_rendezvous(1, &nodes(VERDICT_ENTRIES_MAX as u32 + 1));
        assert_eq!(order.len(), VERDICT_ENTRIES_MAX);
    }

    #[test]
    fn a_node_wins_in_proportion_to_its_capacity() {
        let mut nodes = nodes(3);
        for (node, eighths) in nodes.iter_mut().zip([1, 2, 5]) {
            node.capacity = eighths << 30;
        }
        let files = 20_000;
        let mut wins = [0u32; 3];
        for number in 0..files {
            wins[by_rendezvous(file(number).id, &nodes)[0] as usize] += 1;
        }
        // Four standard deviations of a binomial share are at most 1.42 % here.
        for (won, eighths) in wins.into_iter().zip([1.0, 2.0, 5.0]) {
            let share = f64::from(won) / files as f64;
            assert!((share - eighths / 8.0).abs() < 0.0142, "{wins:?}");
        }
    }
}
