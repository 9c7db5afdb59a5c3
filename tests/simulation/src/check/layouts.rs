//! Replicas and what layouts say about them.

use std::collections::BTreeSet;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;

use crate::history::History;
use crate::snapshot::Snapshot;
use crate::watched::brief;

/// Every holder of a file has the same record, whose layout names exactly the nodes that hold a replica. No older
/// copy is left. Further nodes may remember a deletion.
pub(super) fn name_exactly_those_that_hold(history: &History, snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    for key in history.keys() {
        let Some(newest) = newest_of(history, snapshot, &key) else {
            continue;
        };
        let mut holders = BTreeSet::new();
        for node in &snapshot.nodes {
            let Some(held) = node.held.get(&key) else {
                continue;
            };
            let record = &held.holding.record;
            if record.deleted && newest.deleted {
                // Rounds of reconciliation don't compare deletions: a node may remember an earlier one, or one
                // under a lesser layout. All agree about the file.
                if record.version == newest.version {
                    holders.insert(node.id);
                }
                continue;
            }
            if record.version < newest.version {
                let role = held.holding.role.as_str();
                wrong.push(format!(
                    "{} still has {key} as {role} of {} where {} is the newest",
                    node.name,
                    brief(record),
                    brief(newest)
                ));
                continue;
            }
            if held.holding.role == Role::Replica {
                holders.insert(node.id);
                if **record != *newest {
                    wrong.push(format!(
                        "{} has {key} as {}, others as {}",
                        node.name,
                        brief(record),
                        brief(newest)
                    ));
                }
            }
        }
        let named = newest.layout.holders.iter();
        let named = named.filter(|id| snapshot.runs(id));
        let named: BTreeSet<NodeId> = named.copied().collect();
        // A node that held the deleted file adopts the deletion when it hears of it, whether it is named or not:
        // further nodes that remember it do no harm and cost next to nothing. Of an unacknowledged deletion, not
        // all named nodes need to hear: one that lost its copy for another reason has nothing to replace.
        let right = match newest.deleted {
            true => {
                let mut named = named.iter().filter(|id| snapshot.untrusted != Some(**id));
                named.all(|id| holders.contains(id)) || !history.was_acknowledged_deleted(newest)
            }
            false => named == holders,
        };
        if !right {
            let names = |ids: &BTreeSet<NodeId>| {
                let names: Vec<String> = ids.iter().map(|id| id.default_name()).collect();
                names.join(" ")
            };
            wrong.push(format!(
                "the layout of {key} names [{}], and [{}] hold it: {}",
                names(&named),
                names(&holders),
                brief(newest)
            ));
        }
    }
    wrong
}

/// Every file has as many replicas as requested, or one on every node.
pub(super) fn have_their_factor(history: &History, snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    for key in history.keys() {
        let Some(newest) = newest_of(history, snapshot, &key) else {
            continue;
        };
        // What was asked for, and not what a record says that may have been changed.
        let put = history.put_as(&key, newest.version);
        let factor = put.map_or(newest.factor, |put| put.factor);
        let wanted = (factor as usize).min(snapshot.nodes.len());
        let has = snapshot.nodes.iter().filter(|node| {
            let replica = node.replica(&key);
            replica.is_some_and(|record| record.version == newest.version)
        });
        let has = has.count();
        // The nodes that were up remember a deletion; others need not learn of it.
        if has < wanted && !newest.deleted {
            wrong.push(format!(
                "{key} has {has} replicas of {wanted}: {}",
                brief(newest)
            ));
        }
    }
    wrong
}

/// The greatest record of a file that is held as a replica. None for a file that was overwritten by a write that
/// only lost nodes had: it is kept and served, but no longer copied. None either if only an untrusted node has it, or if
/// a liar was the first to hold it alone: what it says of such a write is all that others can know of it.
fn newest_of<'a>(history: &History, snapshot: &'a Snapshot, key: &Key) -> Option<&'a Record> {
    let newest = snapshot.greatest(key)?;
    let is_overtaken = snapshot.is_overtaken(history, newest);
    let is_promised = !snapshot.rests_on_untrusted(newest);
    let is_known = !history.was_acknowledged_on(key, newest.version, snapshot.liar.as_slice());
    (is_promised && is_known && (newest.deleted || !is_overtaken)).then_some(newest)
}
