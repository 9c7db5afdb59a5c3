//! Accounts of bytes: within capacity, and each byte counted once.

use dataverse_core::holdings::Role;

use crate::snapshot::{NodeShot, Snapshot};
use crate::watched::beyond_capacity;

/// No node uses more than its capacity.
pub(super) fn capacity_is_kept(snapshot: &Snapshot) -> Vec<String> {
    let wrong = |node: &NodeShot| {
        beyond_capacity(node.usage).map(|wrong| format!("{}: {wrong}", node.name))
    };
    snapshot.nodes.iter().filter_map(wrong).collect()
}

/// The usage that a quiet node reports matches its disk, and nothing is reserved.
pub(super) fn every_byte_is_accounted_for(snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    for node in &snapshot.nodes {
        let bytes = |role: Role| {
            let held = node.held.values().map(|held| &held.holding);
            let of_role = held.filter(|held| held.role == role && !held.record.deleted);
            of_role.map(|held| held.record.size).sum::<u64>()
        };
        let lie = (bytes(Role::Replica), bytes(Role::Cached), 0);
        let said = (node.usage.replicas, node.usage.cached, node.usage.reserved);
        if lie != said {
            wrong.push(format!(
                "{}: replicas, cached and reserved bytes are {lie:?} but reported as {said:?}",
                node.name
            ));
        }
    }
    wrong
}
