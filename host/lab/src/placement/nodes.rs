//! The nodes of a study: ids, zones and sizes, before and after a change.

use std::str::FromStr;

use dataverse_core::id::NodeId;
use dataverse_core::placement::{Candidate, nearest};
use dataverse_core::policy::NodeView;

use super::{Change, Study};
use crate::seed::derive;

/// Bytes of a node of weight one. A power of two, as capacities mostly are.
const WEIGHT_BYTES: u64 = 1 << 40;
/// The maximum weight of a node; times [`WEIGHT_BYTES`] it still fits a number of bytes.
const WEIGHT_MAX: u32 = 1_000_000;
/// The maximum number of weights in a list.
const WEIGHTS_MAX: usize = 65_536;

/// The relative sizes of the nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// These, repeated in turn.
    List(Vec<u32>),
    /// By Zipf's law with this exponent: the first node is the largest, and none is smaller than a thousandth of
    /// it.
    Zipf(f64),
}

/// The text does not describe weights.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not describe weights; give `equal`, a list such as `1,1,4` or `1x8,4x2` with numbers from 1 to 1000000, \
     or `zipf:EXPONENT` with an exponent from 0 to 4"
)]
pub struct WeightsError(String);

impl Default for Weights {
    fn default() -> Self {
        Self::List(vec![1])
    }
}

impl FromStr for Weights {
    type Err = WeightsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || WeightsError(text.to_owned());
        if text == "equal" {
            return Ok(Self::default());
        }
        if let Some(exponent) = text.strip_prefix("zipf:") {
            let exponent: f64 = exponent.parse().map_err(|_| wrong())?;
            return if (0.0..=4.0).contains(&exponent) {
                Ok(Self::Zipf(exponent))
            } else {
                Err(wrong())
            };
        }
        let mut list = Vec::new();
        for item in text.split(',') {
            let (weight, times) = item.split_once('x').unwrap_or((item, "1"));
            let weight: u32 = weight.trim().parse().map_err(|_| wrong())?;
            let times: usize = times.trim().parse().map_err(|_| wrong())?;
            if !(1..=WEIGHT_MAX).contains(&weight) || times > WEIGHTS_MAX - list.len() {
                return Err(wrong());
            }
            list.extend(std::iter::repeat_n(weight, times));
        }
        if list.is_empty() {
            return Err(wrong());
        }
        Ok(Self::List(list))
    }
}

impl Weights {
    /// The weight of this node.
    fn of(&self, node: u32) -> u32 {
        match self {
            Self::List(list) => list[node as usize % list.len()],
            Self::Zipf(exponent) => {
                let weight = 1000.0 * libm::pow(f64::from(node) + 1.0, -exponent);
                (weight as u32).max(1)
            }
        }
    }
}

/// The nodes of a study, and which of them are candidates.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    /// By node.
    weights: Vec<u32>,
    /// Zones, 0 for none; node `i` is in zone `i % zones`.
    pub(super) zones: u32,
    /// The nearest nodes, in the order in which a policy sees them.
    candidates: Vec<Candidate>,
}

/// The node behind a candidate: [`Nodes`] keeps its number in the last bytes of the id, which no policy sees.
pub(super) fn node_of(id: NodeId) -> u32 {
    let [.., a, b, c, d] = *id.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl Nodes {
    /// The nodes before any change.
    pub(super) fn new(study: &Study) -> Self {
        let weights = (0..study.nodes).map(|node| study.weights.of(node));
        Self::of(study, weights.collect(), None)
    }

    /// The nodes after this change.
    pub(super) fn after(&self, change: Change, study: &Study) -> Self {
        let mut weights = self.weights.clone();
        let node = change.node(study);
        match change {
            Change::Again => self.clone(),
            Change::Join => {
                weights.push(study.weights.of(node));
                Self::of(study, weights, None)
            }
            Change::Leave => Self::of(study, weights, Some(node)),
            Change::Double => {
                weights[node as usize] *= 2;
                Self::of(study, weights, None)
            }
        }
    }

    fn of(study: &Study, weights: Vec<u32>, gone: Option<u32>) -> Self {
        let candidate = |(node, &weight): (u32, &u32)| {
            let even = derive(study.seed, &["node", &node.to_string()]);
            let id = NodeId::from(u128::from(even) << 64 | u128::from(node));
            let capacity = u64::from(weight) * WEIGHT_BYTES;
            let zone = match study.zones {
                0 => String::new(),
                zones => format!("zone-{}", node % zones),
            };
            let view = NodeView {
                id: id.short(),
                zone,
                hops: 1,
                capacity,
                free: capacity,
                load: 0,
            };
            Candidate { id, view }
        };
        let all = (0u32..).zip(&weights);
        let live = all.filter(|&(node, _)| Some(node) != gone);
        Self {
            candidates: nearest(live.map(candidate).collect()),
            zones: study.zones,
            weights,
        }
    }

    /// The candidates, in the order in which a policy sees them.
    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Bytes of all candidates.
    pub(super) fn capacity(&self) -> u128 {
        let capacity = |it: &Candidate| u128::from(it.view.capacity);
        self.candidates.iter().map(capacity).sum()
    }

    /// The share of all copies that each node would hold if they were spread evenly: by weight, except that no
    /// node holds two copies of one file. By node; 0 for a node that is not a candidate.
    pub(super) fn fair_shares(&self, factor: usize) -> Vec<f64> {
        let mut shares = vec![0.0; self.weights.len()];
        let mut by_weight: Vec<u32> = self.candidates.iter().map(|it| node_of(it.id)).collect();
        let weight = |node: u32| u64::from(self.weights[node as usize]);
        by_weight.sort_by_key(|&node| (std::cmp::Reverse(weight(node)), node));
        let most = 1.0 / factor as f64;
        let mut left = 1.0;
        let mut weight_left: u64 = by_weight.iter().map(|&node| weight(node)).sum();
        // The heaviest first: once one is below the bound, all later ones are too.
        for node in by_weight {
            let even = left * weight(node) as f64 / weight_left as f64;
            let share = f64::min(even, most);
            shares[node as usize] = share;
            left = f64::max(left - share, 0.0);
            weight_left -= weight(node);
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[u32]) {
        let weights: Weights = text.parse().expect("the text describes weights");
        let found: Vec<u32> = (0..expected.len() as u32)
            .map(|node| weights.of(node))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn weights_are_said_in_a_few_ways() {
        check("equal", &[1, 1, 1]);
        check("1,2", &[1, 2, 1, 2, 1]);
        check("1x2, 4", &[1, 1, 4, 1, 1, 4]);
        check("zipf:1", &[1000, 500, 333, 250]);
        check("zipf:0", &[1000, 1000]);
    }

    #[test]
    fn text_that_says_no_weights_is_refused() {
        for text in [
            "", "0", "1,", "a", "-1", "1000001", "1x0", "1x65537", "zipf:5", "zipf:nan",
        ] {
            let refused = text.parse::<Weights>().expect_err(text).to_string();
            assert!(
                refused.starts_with(&format!("`{text}` does not describe weights")),
                "{refused}"
            );
        }
    }

    fn nodes(weights: &str, count: u32) -> Nodes {
        Nodes::new(&Study {
            nodes: count,
            zones: 0,
            weights: weights.parse().expect("the text describes weights"),
            factor: 1,
            files: 1,
            fail: Vec::new(),
            changes: Vec::new(),
            seed: 1,
        })
    }

    #[test]
    fn a_fair_share_goes_by_weight_up_to_one_copy_of_each_file() {
        assert_eq!(nodes("1,3", 2).fair_shares(1), [0.25, 0.75]);
        assert_eq!(nodes("1,3", 2).fair_shares(2), [0.5, 0.5]);
        // The node of weight 8 gets one copy of each file, the others share the second one.
        assert_eq!(nodes("8,1,1", 3).fair_shares(2), [0.5, 0.25, 0.25]);
    }
}
