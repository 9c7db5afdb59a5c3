//! How evenly the copies are spread over the nodes.

use serde::Serialize;

use super::ask::Placed;
use super::nodes::{Nodes, node_of};

/// How evenly the copies are spread over the nodes. A node's load is the number of copies it holds divided by its
/// fair share: by weight, except that no node holds two copies of one file. A load of 1 is fair, whatever the
/// weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Balance {
    /// The greatest load divided by the mean load, which is 1.
    pub max_over_mean: f64,
    /// The least load divided by the mean load.
    pub min_over_mean: f64,
    /// Standard deviation of the loads divided by their mean; each node counts in proportion to its fair share.
    pub coefficient_of_variation: f64,
    /// Copies on the node with the most.
    pub copies_max: u64,
    /// Copies on the node with the fewest.
    pub copies_min: u64,
}

/// Copies on each node.
pub(super) fn copies(placed: &Placed, nodes: usize) -> Vec<u64> {
    let mut copies = vec![0; nodes];
    for &node in &placed.nodes {
        copies[node as usize] += 1;
    }
    copies
}

/// The balance of these copies, over the nodes that the policy could choose from.
pub(super) fn balance(nodes: &Nodes, placed: &Placed) -> Balance {
    let fair = nodes.fair_shares(placed.factor);
    let copies = copies(placed, fair.len());
    let all = placed.nodes.len() as f64;
    let mut balance = Balance {
        max_over_mean: 0.0,
        min_over_mean: f64::INFINITY,
        coefficient_of_variation: 0.0,
        copies_max: 0,
        copies_min: u64::MAX,
    };
    let mut variance = 0.0;
    for candidate in nodes.candidates() {
        let node = node_of(candidate.id) as usize;
        let load = copies[node] as f64 / (all * fair[node]);
        variance += fair[node] * (load - 1.0) * (load - 1.0);
        balance.max_over_mean = balance.max_over_mean.max(load);
        balance.min_over_mean = balance.min_over_mean.min(load);
        balance.copies_max = balance.copies_max.max(copies[node]);
        balance.copies_min = balance.copies_min.min(copies[node]);
    }
    balance.coefficient_of_variation = libm::sqrt(variance);
    balance
}
