//! Links: both ends keep them.

use crate::snapshot::Snapshot;

/// If a node has a link with another running node, that node has it too.
pub(super) fn are_symmetric(snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    for node in &snapshot.nodes {
        for other in snapshot
            .nodes
            .iter()
            .filter(|other| node.links.contains(&other.id))
        {
            if !other.links.contains(&node.id) {
                wrong.push(format!(
                    "{} has a link with {}, which has none with it",
                    node.name, other.name
                ));
            }
        }
    }
    wrong
}
