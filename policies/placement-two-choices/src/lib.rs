//! The power of two choices: draws a few nodes and places the copy on the least loaded of them.
//!
//! Mitzenmacher, "The power of two choices in randomized load balancing", IEEE Transactions on Parallel and
//! Distributed Systems, 2001. Two draws keep the fullest node much closer to the average than one does. Since not
//! every file goes to the least loaded node of all, outdated load figures do not cause a herd (Mitzenmacher, "How
//! useful is old information?", same journal, 2000).
//!
//! Each place in the order is drawn in this way from the nodes that have no place yet, by the file's id: a file
//! gets the same draws every time it is written, and the load decides between them. Zones take turns.
//!
//! It promises balance and not stability: draws depend on a node's index among the candidates, and the load of a
//! node depends on the files that others were given. When a node joins, leaves or changes its size, most answers
//! change. Files already written stay where they are.

use std::cmp::Ordering;

use dataverse_sdk::ranking::over_zones;
use dataverse_sdk::serde::Deserialize;
use dataverse_sdk::{About, Node, PlacementPolicy, Random, Request, VERDICT_ENTRIES_MAX, about};

/// Maximum number of nodes drawn per copy: 4096 places with this many draws fit into the fuel of one decision.
const CHOICES_MAX: u32 = 16;

/// The least loaded of a few drawn nodes.
#[derive(Clone, Copy, Debug)]
pub struct TwoChoices {
    config: Config,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", default, deny_unknown_fields)]
pub struct Config {
    /// Nodes drawn per copy. 1 draws uniformly, whatever the load.
    pub choices: u32,
    /// The criterion for the better node.
    pub by: By,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            choices: 2,
            by: By::Space,
        }
    }
}

/// The criterion for the better node. The other criterion breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "dataverse_sdk::serde", rename_all = "kebab-case")]
pub enum By {
    /// A greater share of its bytes is free.
    Space,
    /// It answered fewer requests recently.
    Load,
}

const CONFIG_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "choices": {
      "type": "integer", "minimum": 1, "maximum": 16, "default": 2,
      "description": "nodes drawn for each copy"
    },
    "by": {
      "enum": ["space", "load"], "default": "space",
      "description": "the best of them has the greatest part of its bytes free, or answered the fewest requests lately"
    }
  }
}"#;

impl PlacementPolicy for TwoChoices {
    type Config = Config;

    fn about() -> About {
        about!(
            "keeps each copy on the emptiest or least busy of two nodes drawn",
            CONFIG_SCHEMA
        )
    }

    fn new(config: Config, _: u64) -> Result<Self, String> {
        if !(1..=CHOICES_MAX).contains(&config.choices) {
            return Err(format!(
                "`choices` is {}; it has to be from 1 to {CHOICES_MAX}",
                config.choices
            ));
        }
        Ok(Self { config })
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        let mut draws = Random::new(request.file.id);
        let count = candidates.len().min(VERDICT_ENTRIES_MAX);
        let mut left: Vec<u32> = (0..count as u32).collect();
        let mut order = Vec::with_capacity(count);
        while !left.is_empty() {
            let best = self.draw(&mut left, candidates, &mut draws);
            order.push(left.swap_remove(best));
        }
        over_zones(order, candidates)
    }
}

impl TwoChoices {
    /// Draws nodes to the front of those that are left and returns the index of the best one.
    fn draw(self, left: &mut [u32], candidates: &[Node], draws: &mut Random) -> usize {
        let mut best = 0;
        for place in 0..left.len().min(self.config.choices as usize) {
            left.swap(
                place,
                place + draws.below((left.len() - place) as u64) as usize,
            );
            let [drawn, so_far] = [place, best].map(|at| &candidates[left[at] as usize]);
            // The first one drawn wins a tie, so equal nodes are chosen uniformly.
            if self.compare(drawn, so_far).is_lt() {
                best = place;
            }
        }
        best
    }

    /// The better node compares as less.
    fn compare(self, one: &Node, other: &Node) -> Ordering {
        let space = by_free_part(other, one);
        let load = one.load.cmp(&other.load);
        match self.config.by {
            By::Space => space.then(load),
            By::Load => load.then(space),
        }
    }
}

/// Compares the free shares as fractions, without division.
fn by_free_part(one: &Node, other: &Node) -> Ordering {
    let whole = |node: &Node| u128::from(node.capacity.max(1));
    let free = |node: &Node| u128::from(node.free.min(node.capacity));
    (free(one) * whole(other)).cmp(&(free(other) * whole(one)))
}

dataverse_sdk::export!(placement: TwoChoices);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::parse_config;
    use dataverse_sdk::testing::{check_placement, file, nodes, placement_storm};

    fn two_choices(config: &str) -> Result<TwoChoices, String> {
        TwoChoices::new(parse_config(config)?, 0)
    }

    fn placed(config: &str, number: u64, candidates: &[Node]) -> Vec<u32> {
        let request = Request {
            file: file(number),
            factor: 2,
            now: 0,
        };
        let mut policy = two_choices(config).expect("the test's configuration is valid");
        check_placement(&mut policy, &request, candidates)
    }

    fn without_zones(count: u32) -> Vec<Node> {
        let mut nodes = nodes(count);
        nodes.iter_mut().for_each(|node| node.zone.clear());
        nodes
    }

    /// Files on the fullest node after each file went to one of 50 nodes that hold at most 1000.
    fn fullest(config: &str) -> u64 {
        let mut candidates = without_zones(50);
        for node in &mut candidates {
            (node.capacity, node.free) = (1000, 1000);
        }
        for number in 0..5000 {
            let first = placed(config, number, &candidates)[0];
            candidates[first as usize].free -= 1;
        }
        candidates
            .iter()
            .map(|node| 1000 - node.free)
            .max()
            .expect("there are 50")
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        for config in ["", r#"{"choices": 16, "by": "load"}"#, r#"{"choices": 1}"#] {
            placement_storm(|| two_choices(config).expect("the test's configuration is valid"));
        }
    }

    #[test]
    fn two_choices_keep_the_fullest_node_near_the_average() {
        // 100 files per node on average; with one choice the fullest has about 20 more.
        assert!(fullest("") <= 104, "{}", fullest(""));
        assert!(fullest(r#"{"choices": 1}"#) >= 112);
    }

    #[test]
    fn with_as_many_choices_as_nodes_the_emptiest_come_first() {
        let mut candidates = without_zones(4);
        for (node, (capacity, free)) in
            candidates
                .iter_mut()
                .zip([(10, 5), (1000, 510), (8, 0), (3, 3)])
        {
            (node.capacity, node.free) = (capacity, free);
        }
        assert_eq!(placed(r#"{"choices": 16}"#, 1, &candidates), [3, 1, 0, 2]);
    }

    #[test]
    fn by_load_the_least_busy_come_first_and_space_breaks_ties() {
        let mut candidates = without_zones(4);
        for (node, load) in candidates.iter_mut().zip([9, 2, 0, 2]) {
            node.load = load;
        }
        candidates[3].free += 1;
        let config = r#"{"choices": 16, "by": "load"}"#;
        assert_eq!(placed(config, 1, &candidates), [2, 3, 1, 0]);
    }

    #[test]
    fn a_file_is_drawn_the_same_nodes_every_time() {
        let candidates = nodes(20);
        assert_eq!(placed("", 1, &candidates), placed("", 1, &candidates));
        assert_ne!(placed("", 1, &candidates), placed("", 2, &candidates));
    }

    #[test]
    fn the_first_copies_are_in_different_zones() {
        let candidates = nodes(9);
        for number in 0..200 {
            let order = placed("", number, &candidates);
            let [first, second] =
                [order[0], order[1]].map(|index| &candidates[index as usize].zone);
            assert_ne!(first, second);
        }
    }

    #[test]
    fn what_it_cannot_do_is_refused() {
        for config in [
            r#"{"choices": 0}"#,
            r#"{"choices": 17}"#,
            r#"{"by": "luck"}"#,
        ] {
            assert!(two_choices(config).is_err());
        }
    }
}
