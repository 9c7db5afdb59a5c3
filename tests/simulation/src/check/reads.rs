//! What readers get.

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::version::Version;

use super::Readers;
use crate::history::History;
use crate::snapshot::{NodeShot, Read, Snapshot};

/// Readers get only what somebody wrote under that name, to the byte.
pub(super) fn readers_get_what_is_right(history: &History, snapshot: &Snapshot) -> Vec<String> {
    each_read(snapshot, |node, key, read| {
        let Read::Content { promised, came, .. } = read else {
            return None;
        };
        let right = promised == came && history.put_of(key, *came).is_some();
        (!right).then(|| format!("{} serves wrong bytes of {key}", node.name))
    })
}

/// A node serves nothing older than its own replica or deletion, and a node with the newest version serves it.
pub(super) fn nobody_serves_less_than_it_has(
    history: &History,
    snapshot: &Snapshot,
) -> Vec<String> {
    each_read(snapshot, |node, key, read| {
        let held = node.held.get(key)?;
        if held.holding.role != Role::Replica {
            return None;
        }
        let record = &held.holding.record;
        match read {
            Read::Content { version, .. } if *version < record.version => Some(format!(
                "{} has {key} as {} and serves {version}",
                node.name, record.version
            )),
            Read::Missing | Read::Failed(_)
                if !record.deleted
                    && is_greatest(snapshot, node, key)
                    && !is_excused(history, snapshot, node, key) =>
            {
                Some(format!(
                    "{} has the newest {key} and does not serve it: {read:?}",
                    node.name
                ))
            }
            _ => None,
        }
    })
}

/// Every reader gets the newest version, or learns that the file is deleted.
pub(super) fn all_get_the_newest(history: &History, snapshot: &Snapshot) -> Vec<String> {
    each_read(snapshot, |node, key, read| {
        let newest = snapshot.greatest(key);
        if newest.is_some_and(|newest| snapshot.rests_on_untrusted(newest)) {
            return None;
        }
        if matches!(read, Read::Missing | Read::Failed(_))
            && is_excused(history, snapshot, node, key)
        {
            return None;
        }
        match (newest, read) {
            (Some(record), Read::Content { version, .. })
                if !record.deleted && *version == record.version =>
            {
                None
            }
            (Some(record), Read::Missing) if record.deleted => None,
            // A node that has heard of it reports that it is unreachable.
            (None, Read::Missing | Read::Failed(_)) => None,
            // Its only replica was on a lost disk, or a liar confirmed it. A copy that somebody still has is luck, not an
            // error.
            (_, Read::Content { version, .. })
                if newest_copy(snapshot, key) == Some(*version)
                    && newest.is_none_or(|newest| snapshot.is_overtaken(history, newest)) =>
            {
                None
            }
            (newest, read) => Some(format!(
                "the newest {key} is {}, and a reader at {} gets {read:?}",
                newest.map_or("nowhere".to_owned(), crate::watched::brief),
                node.name
            )),
        }
    })
}

/// The greatest version of which any node has the content.
fn newest_copy(snapshot: &Snapshot, key: &Key) -> Option<Version> {
    let held = snapshot.nodes.iter().filter_map(|node| node.held.get(key));
    let records = held.map(|held| &held.holding.record);
    records
        .filter(|record| !record.deleted)
        .map(|record| record.version)
        .max()
}

/// A file whose last operation was a deletion is gone for every reader.
pub(super) fn what_was_deleted_stays_deleted(
    history: &History,
    snapshot: &Snapshot,
) -> Vec<String> {
    each_read(snapshot, |node, key, read| {
        let comes = matches!(read, Read::Content { .. });
        (comes && history.ends_deleted(key)).then(|| {
            format!(
                "{key} was deleted, that was acknowledged, and {} serves it",
                node.name
            )
        })
    })
}

/// No version is served that is older than a deletion that was durable anywhere. One that was durable only on a
/// lost node may be forgotten with it.
pub(super) fn nothing_comes_back(snapshot: &Snapshot) -> Vec<String> {
    each_read(snapshot, |node, key, read| {
        let Read::Content { version, .. } = read else {
            return None;
        };
        let buried = snapshot
            .buried
            .get(key)
            .filter(|buried| *version < **buried);
        buried.map(|buried| {
            format!(
                "{key} was deleted as {buried}, and {} serves {version}",
                node.name
            )
        })
    })
}

/// What honest nodes hold, before anybody reads, is read at each of them, in that version or a greater one. What the
/// liar alone has may stay with it.
pub(super) fn nothing_is_hidden(
    history: &History,
    before: &Snapshot,
    snapshot: &Snapshot,
    liar: NodeId,
    readers: Readers,
) -> Vec<String> {
    each_read(snapshot, |node, key, read| {
        let honest = before.nodes.iter().filter(|node| node.id != liar);
        let held = honest.filter_map(|node| node.replica(key));
        let newest = held.max_by_key(|record| record.version)?;
        let greatest = before.greatest(key)?;
        let is_counted = node.id != liar
            && !newest.deleted
            && greatest.version == newest.version
            && (readers == Readers::All || node.replica(key).is_some())
            && !is_excused(history, snapshot, node, key);
        let is_read = matches!(read, Read::Content { version, .. } if *version >= newest.version);
        (is_counted && !is_read).then(|| {
            format!(
                "{key} is {} on honest nodes, and a reader at {} gets {read:?} while one lies",
                crate::watched::brief(newest),
                node.name
            )
        })
    })
}

/// Whether a write through this node was acknowledged on a node alone that confirms what it does not store. This node
/// knows of it, and answers that it is nowhere.
fn is_excused(history: &History, snapshot: &Snapshot, node: &NodeShot, key: &Key) -> bool {
    let rests_on = |untrusted| history.may_rest_on(untrusted, key, node.id);
    snapshot.untrusted.is_some_and(rests_on)
}

fn is_greatest(snapshot: &Snapshot, node: &NodeShot, key: &Key) -> bool {
    let own = node.replica(key).map(|record| record.version);
    own == snapshot.greatest(key).map(|record| record.version)
}

fn each_read(
    snapshot: &Snapshot,
    wrong: impl Fn(&NodeShot, &Key, &Read) -> Option<String>,
) -> Vec<String> {
    let reads = snapshot.nodes.iter().flat_map(|node| {
        let reads = node.reads.iter();
        reads.map(move |(key, read)| (node, key, read))
    });
    reads
        .filter_map(|(node, key, read)| wrong(node, key, read))
        .collect()
}
