//! What readers get.

use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::version::Version;

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
pub(super) fn nobody_serves_less_than_it_has(snapshot: &Snapshot) -> Vec<String> {
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
                if !record.deleted && is_greatest(snapshot, node, key) =>
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
pub(super) fn all_get_the_newest(snapshot: &Snapshot) -> Vec<String> {
    each_read(snapshot, |node, key, read| {
        let newest = snapshot.greatest(key);
        match (newest, read) {
            (Some(record), Read::Content { version, .. })
                if !record.deleted && *version == record.version =>
            {
                None
            }
            (Some(record), Read::Missing) if record.deleted => None,
            // A node that has heard of it reports that it is unreachable.
            (None, Read::Missing | Read::Failed(_)) => None,
            // Its only replica was on a lost disk. A copy that somebody still has is luck, not an error.
            (None, Read::Content { version, .. })
                if newest_copy(snapshot, key) == Some(*version) =>
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
