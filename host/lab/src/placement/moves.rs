//! Which copies move after a change of the nodes.

use serde::Serialize;

use super::Study;
use super::ask::Placed;
use super::balance::copies;
use super::nodes::Nodes;
use crate::seed::derive;

/// A change of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// No change, but another instance of the policy is asked.
    Again,
    /// A node joins: the next in the order of weights and zones.
    Join,
    /// A node leaves.
    Leave,
    /// A node doubles its weight.
    Double,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 4] = [Self::Again, Self::Join, Self::Leave, Self::Double];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Double => "double",
        }
    }

    /// The node that changes, drawn from the seed. Node and file ids are drawn too, so no node is special.
    pub(super) fn node(self, study: &Study) -> u32 {
        match self {
            Self::Join => study.nodes,
            _ => {
                let drawn = derive(study.seed, &["changes", self.as_str()]);
                (drawn % u64::from(study.nodes)) as u32
            }
        }
    }

    /// Whether the change justifies a new copy on this node.
    fn calls_for(self, changed: u32, node: u32) -> bool {
        matches!(self, Self::Join | Self::Double) && node == changed
    }
}

/// Which copies move after a change. Everything except `files` is a share of all copies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moves {
    /// The change.
    pub change: Change,
    /// Share of the files with a copy on a node that held none before.
    pub files: f64,
    /// Copies on a node that held none of that file before.
    pub copies: f64,
    /// The minimum that the change requires: what a node that joins or grows should hold by its weight, or what
    /// the node that left held.
    pub least: f64,
    /// Of the copies that moved, the share that moved between two nodes that did not change.
    pub stray: f64,
}

/// Compares `before` with `after`, the copies before and after the change.
pub(super) fn moves(
    change: Change,
    nodes: &Nodes,
    study: &Study,
    before: &Placed,
    after: &Placed,
) -> Moves {
    let changed = change.node(study);
    let (mut files, mut moved, mut stray) = (0u64, 0u64, 0u64);
    for (old, new) in before.files().zip(after.files()) {
        let came: Vec<u32> = new.iter().filter(|it| !old.contains(it)).copied().collect();
        let wanted = came.iter().any(|&node| change.calls_for(changed, node))
            || (change == Change::Leave && old.contains(&changed) && !came.is_empty());
        files += u64::from(!came.is_empty());
        moved += came.len() as u64;
        stray += came.len() as u64 - u64::from(wanted);
    }
    let all = before.nodes.len() as f64;
    Moves {
        change,
        files: files as f64 / before.files().len() as f64,
        copies: moved as f64 / all,
        least: least(change, changed, nodes, study, before),
        stray: stray as f64 / all,
    }
}

fn least(change: Change, changed: u32, nodes: &Nodes, study: &Study, before: &Placed) -> f64 {
    let node = changed as usize;
    match change {
        Change::Again => 0.0,
        Change::Leave => {
            let held = copies(before, study.nodes as usize)[node];
            held as f64 / before.nodes.len() as f64
        }
        Change::Join | Change::Double => {
            let fair = |nodes: &Nodes| nodes.fair_shares(before.factor).get(node).copied();
            let now = fair(&nodes.after(change, study)).unwrap_or(0.0);
            (now - fair(nodes).unwrap_or(0.0)).max(0.0)
        }
    }
}
