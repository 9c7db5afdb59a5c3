//! Copysets: places copies on few distinct sets of nodes, so that few combinations of failures lose a file.
//!
//! Cidon, Rumble, Stutsman, Katti, Ousterhout and Rosenblum, "Copysets: Reducing the frequency of data loss in
//! cloud storage", USENIX ATC 2013, section 4. The nodes are permuted `S / (R - 1)` times, for factor `R` and
//! scatter width `S`, and each permutation is cut into sets of `R`. A file's first node is drawn, here by weighted
//! rendezvous hashing, and its copies go to one of the sets that contain that node. When `R` nodes fail at the
//! same time, a file loses all its copies only if those `R` nodes are one of these few sets. The price is that the
//! files of a failed node are recovered from at most `S` other nodes.
//!
//! The permutations depend on the ids and zones of the nodes and not on the policy's seed: every node that sees
//! the same candidates builds the same sets. A weight only affects how often a node is drawn first. When a weight
//! changes, the sets stay the same, and only files whose first node changes move, with all their copies. When a
//! node joins or leaves, all sets change. That moves far more than the minimum and is the price of having few
//! sets. Files stay on the set to which they were written, so a network that changes often has more sets than the
//! paper counts.

use std::collections::BTreeSet;

use dataverse_sdk::ranking::{by_rendezvous, over_zones};
use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{
    About, Node, PlacementPolicy, Random, Request, VERDICT_ENTRIES_MAX, about, mix,
};

/// Few distinct sets of nodes.
#[derive(Clone, Copy, Debug)]
pub struct Copyset {
    scatter_width: Option<u32>,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// The number of nodes that share files with any one node; by default twice the number of a file's other
    /// copies.
    pub scatter_width: Option<u32>,
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "scatter_width": {
      "type": ["integer", "null"], "minimum": 1, "default": null,
      "description": "nodes that share files with any one node: more recover faster and lose a file more often; 2 * (factor - 1) when null"
    }
  }
}"#;

impl PlacementPolicy for Copyset {
    type Config = Config;

    fn about() -> About {
        about!(
            "keeps copies on few sets of nodes, so that few failures at once lose a file",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        if config.scatter_width == Some(0) {
            return Err("`scatter_width` is 0; it has to be 1 or more".to_owned());
        }
        Ok(Self {
            scatter_width: config.scatter_width,
        })
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        let candidates = &candidates[..candidates.len().min(VERDICT_ENTRIES_MAX)];
        let order = by_rendezvous(request.file.id, candidates);
        let factor = request.factor as usize;
        if factor < 2 || order.len() <= factor {
            // There is only one set, or each node is a set of its own.
            return over_zones(order, candidates);
        }
        let permutation = self.permutation(request);
        let set = set_of(order[0], factor, permutation, candidates);
        // Both keep the order; the first node stays first.
        let (mut verdict, spares): (Vec<u32>, Vec<u32>) =
            order.into_iter().partition(|index| set.contains(index));
        verdict.extend(over_zones(spares, candidates));
        verdict
    }
}

impl Copyset {
    /// The permutation from which this file's set is cut.
    fn permutation(self, request: &Request) -> u64 {
        let others = request.factor - 1;
        let width = self.scatter_width.unwrap_or(others.saturating_mul(2));
        let permutations = u64::from(width.div_ceil(others));
        Random::new(request.file.id).below(permutations)
    }
}

/// The set of `size` nodes that contains this node.
///
/// A permutation is dealt to the sets like cards, so neighbours in it end up in different sets. If the nodes
/// cannot be divided evenly, short sets borrow nodes from others, the same ones for every file.
fn set_of(node: u32, size: usize, permutation: u64, candidates: &[Node]) -> BTreeSet<u32> {
    let permuted = permuted(permutation, candidates);
    let sets = permuted.len().div_ceil(size);
    let place = permuted.iter().position(|&index| index == node);
    let own = place.expect("every candidate is permuted") % sets;
    let mut set: BTreeSet<u32> = permuted.iter().skip(own).step_by(sets).copied().collect();

    let zone = |index: &u32| candidates[*index as usize].zone.as_str();
    let mut zones: BTreeSet<&str> = set.iter().map(zone).collect();
    let next = permuted.iter().cycle().skip(own + 1).take(permuted.len());
    // From other zones first, then from any zone.
    for index in next.clone() {
        if set.len() < size && (zone(index).is_empty() || zones.insert(zone(index))) {
            set.insert(*index);
        }
    }
    for index in next {
        if set.len() < size {
            set.insert(*index);
        }
    }
    set
}

/// The candidates in the order of this permutation, zone by zone.
///
/// The nodes of a zone are thereby dealt to different sets: two of them share a set only if the zone has more
/// nodes than there are sets. Without zones the order is a uniform shuffle.
fn permuted(permutation: u64, candidates: &[Node]) -> Vec<u32> {
    let salt = mix(permutation);
    let mut keyed: Vec<(u64, u64, u32)> = (candidates.iter().zip(0..))
        .map(|(node, index)| {
            let own = mix(node.id ^ salt);
            let of_zone = |hash, byte| mix(hash ^ u64::from(byte));
            let zone = match node.zone.as_str() {
                "" => own,
                zone => zone.bytes().fold(salt, of_zone),
            };
            (zone, own, index)
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, _, index)| index).collect()
}

dataverse_sdk::export!(placement: Copyset);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::parse_config;
    use dataverse_sdk::testing::{check_placement, file, nodes, placement_storm};
    use std::collections::BTreeMap;

    const FILES: u64 = 4000;

    fn copyset(config: &str, seed: u64) -> Result<Copyset, String> {
        Copyset::new(parse_config(config)?, seed)
    }

    fn placed(policy: &mut Copyset, number: u64, factor: u32, candidates: &[Node]) -> Vec<u32> {
        let request = Request {
            file: file(number),
            factor,
            now: 0,
        };
        check_placement(policy, &request, candidates)
    }

    /// The sets of nodes that hold all copies of some file.
    fn sets(config: &str, factor: u32, candidates: &[Node]) -> BTreeSet<BTreeSet<u64>> {
        let mut policy = copyset(config, 0).expect("the test's configuration is valid");
        let ids = |order: Vec<u32>| {
            let first = &order[..factor as usize];
            first
                .iter()
                .map(|&index| candidates[index as usize].id)
                .collect()
        };
        (0..FILES)
            .map(|number| ids(placed(&mut policy, number, factor, candidates)))
            .collect()
    }

    fn without_zones(count: u32) -> Vec<Node> {
        let mut nodes = nodes(count);
        nodes.iter_mut().for_each(|node| node.zone.clear());
        nodes
    }

    /// Checks that there are at most as many sets as the paper counts, and that no node shares files with more
    /// others than the scatter width.
    fn check_sets(config: &str, factor: u32, count: u32, (width, most): (usize, usize)) {
        for candidates in [nodes(count), without_zones(count)] {
            let sets = sets(config, factor, &candidates);
            assert!(sets.len() <= most, "{} sets", sets.len());
            let mut sharing: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            for set in &sets {
                for &id in set {
                    sharing
                        .entry(id)
                        .or_default()
                        .extend(set.iter().filter(|&&other| other != id));
                }
            }
            assert_eq!(sharing.len(), count as usize);
            assert!(
                sharing.values().all(|others| others.len() <= width),
                "{sharing:?}"
            );
        }
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        for config in [
            "",
            r#"{"scatter_width": 1}"#,
            r#"{"scatter_width": 4294967295}"#,
        ] {
            placement_storm(|| copyset(config, 1).expect("the test's configuration is valid"));
        }
    }

    #[test]
    fn there_are_as_many_sets_as_the_paper_counts() {
        // S / (R - 1) permutations of N nodes give S * N / (R * (R - 1)) sets.
        check_sets("", 3, 24, (4, 16));
        check_sets("", 2, 12, (2, 12));
        check_sets(r#"{"scatter_width": 2}"#, 3, 24, (2, 8));
        check_sets(r#"{"scatter_width": 8}"#, 3, 24, (8, 32));
    }

    #[test]
    fn nodes_that_do_not_go_up_evenly_make_few_sets_too() {
        for (factor, count) in [(3, 25), (3, 5), (2, 7), (5, 6), (4, 7)] {
            for candidates in [nodes(count), without_zones(count)] {
                let most = 2 * count.div_ceil(factor) as usize;
                let sets = sets("", factor, &candidates);
                assert!(
                    sets.len() <= most,
                    "{} sets of {factor} in {count}",
                    sets.len()
                );
            }
        }
    }

    #[test]
    fn a_set_has_no_zone_twice_where_that_can_be() {
        let mut uneven = nodes(20);
        uneven[18].zone = "zone-3".to_owned();
        uneven[19].zone.clear();
        for candidates in [nodes(24), nodes(9), nodes(3), uneven] {
            let zone = |id: &u64| {
                let node = candidates.iter().find(|node| node.id == *id);
                node.expect("the id is a candidate's").zone.clone()
            };
            for set in sets("", 3, &candidates) {
                assert_eq!(set.iter().map(zone).collect::<BTreeSet<_>>().len(), 3);
            }
        }
    }

    #[test]
    fn every_node_makes_the_same_sets_whatever_its_seed_and_its_view() {
        let candidates = nodes(12);
        let mut other_view = candidates.clone();
        other_view.reverse();
        other_view
            .iter_mut()
            .for_each(|node| node.hops = 11 - node.hops);
        for number in 0..200 {
            let [mut one, mut other] =
                [1, 2].map(|seed| copyset("", seed).expect("the default is valid"));
            let here = placed(&mut one, number, 3, &candidates);
            let there = placed(&mut other, number, 3, &other_view);
            assert_eq!(
                here,
                there
                    .into_iter()
                    .map(|index| 11 - index)
                    .collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn the_first_node_is_drawn_by_capacity_and_all_others_are_spares() {
        let mut candidates = without_zones(10);
        candidates[4].capacity *= 11;
        let mut policy = copyset("", 0).expect("the default is valid");
        let mut first = 0;
        for number in 0..FILES {
            let order = placed(&mut policy, number, 3, &candidates);
            assert_eq!(order.len(), 10);
            first += u32::from(order[0] == 4);
        }
        // Eleven of twenty parts; six standard deviations are 189.
        assert!(first.abs_diff(2200) < 189, "{first}");
    }

    #[test]
    fn a_width_of_nothing_is_refused() {
        assert!(copyset(r#"{"scatter_width": 0}"#, 0).is_err());
    }
}
