//! What is on the disks: nothing that nobody wrote, everything that was acknowledged.

use dataverse_core::content::Digest;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;

use crate::history::{History, Observation};
use crate::snapshot::Snapshot;
use crate::watched::brief;

/// Every entry belongs to a file that some client tried to write or delete, through the node that stamped it, and
/// its bytes are that client's.
pub(super) fn nothing_is_invented(history: &History, snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    for node in &snapshot.nodes {
        for (key, held) in &node.held {
            let record = &held.holding.record;
            let asked = match record.deleted {
                true => {
                    let mut deletions = history.deletions.values();
                    deletions.any(|it| it.key == *key && it.entry == record.version.writer)
                }
                false => {
                    let mut puts = history.puts.values();
                    puts.any(|put| {
                        put.key == *key
                            && put.digest == record.digest
                            && put.size == record.size
                            && put.entry == record.version.writer
                            && put.told != Observation::Refused
                    })
                }
            };
            if !asked {
                let record = brief(record);
                wrong.push(format!(
                    "{} holds {key} as nobody wrote it: {record}",
                    node.name
                ));
            }
            let expected = match record.deleted {
                true => Digest::of(&[]),
                false => record.digest,
            };
            if held.content != expected {
                wrong.push(format!(
                    "{} holds {key} with other bytes than its record says",
                    node.name
                ));
            }
        }
    }
    wrong
}

/// Some node holds the greatest acknowledged version of a file, or a later one, as a replica, unless every node on
/// which it was acknowledged is lost.
///
/// A node that confirms what it does not store counts for nothing: what was acknowledged on it alone was never
/// promised, and beside it one other node is the only one that has the file. If the only replica was moved to it, there
/// may be none.
pub(super) fn acknowledged_writes_survive(history: &History, snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    for key in history.keys() {
        let is_lost = |holder: &NodeId| snapshot.lost.contains(holder);
        let newest = history.acknowledged(&key, None);
        if newest.is_some_and(|(_, holders)| holders.iter().all(is_lost)) {
            continue;
        }
        let Some((version, holders)) = history.acknowledged(&key, snapshot.untrusted) else {
            continue;
        };
        // Its only replica may have moved since then.
        let lost_since = snapshot.lost_replicas.iter().any(|(node, record)| {
            let named = &record.layout.holders;
            let others = named.iter().filter(|id| *id != node);
            let others: Vec<NodeId> = others.copied().collect();
            let alone = (record.factor == 1 && others.is_empty())
                || snapshot.untrusted.is_some_and(|it| others == [it]);
            record.key == key && named.contains(node) && alone && record.version == version
        });
        if lost_since || holders.iter().all(|holder| snapshot.is_excused(holder)) {
            continue;
        }
        // The only node that remembered the deletion may be lost; the file is still gone.
        let is_deleted = !snapshot.lost.is_empty() && history.may_be_deleted_since(&key, version);
        match snapshot.greatest(&key) {
            None if is_deleted || snapshot.was_moved_to_untrusted(&key, version) => {}
            None => wrong.push(format!(
                "{key} was acknowledged as {version} and no replica is left"
            )),
            Some(record) if record.version < version => wrong.push(format!(
                "{key} was acknowledged as {version}; the newest that is left is {}",
                brief(record)
            )),
            Some(record) if record.deleted && !history.was_deleted(&key) => {
                wrong.push(format!("{key} is deleted, but nobody deleted it"));
            }
            Some(_) => {}
        }
    }
    for node in &snapshot.nodes {
        for (key, held) in &node.held {
            if held.holding.record.deleted && held.holding.role == Role::Cached {
                wrong.push(format!(
                    "{} holds the deletion of {key} as a cached copy",
                    node.name
                ));
            }
        }
    }
    wrong
}
