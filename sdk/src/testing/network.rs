//! Networks and files for questions to placement and relocation policies, and the rules for their verdicts.

use std::collections::BTreeSet;

use crate::{
    File, Node, PlacementPolicy, Read, RelocationPolicy, Request, VERDICT_ENTRIES_MAX, Verdict, mix,
};

const GIB: u64 = 1 << 30;

/// This many nodes, the deciding node first and each one hop further away: uniform ids, three zones in turn, 100
/// GiB of which half is free, no load. Change what matters for a test.
#[must_use]
pub fn nodes(count: u32) -> Vec<Node> {
    (0..count)
        .map(|number| Node {
            id: mix(u64::from(number)),
            zone: format!("zone-{}", number % 3),
            hops: number,
            capacity: 100 * GIB,
            free: 50 * GIB,
            load: 0,
        })
        .collect()
}

/// The path of a read over this many nodes, from the node that was asked to the one that has the file.
#[must_use]
pub fn path(count: u32) -> Vec<Node> {
    nodes(count)
}

/// A file with an id, a name and a size (1 KiB to 1 MiB) that depend only on this number.
#[must_use]
pub fn file(number: u64) -> File {
    File {
        id: mix(number),
        user: "user".to_owned(),
        name: format!("file-{number}"),
        size: super::file_size(number),
    }
}

/// Asks where the copies go, judges the verdict as a node does, and returns it.
///
/// # Panics
/// When the verdict breaks a rule.
pub fn check_placement<P: PlacementPolicy>(
    policy: &mut P,
    request: &Request,
    candidates: &[Node],
) -> Vec<u32> {
    let ranking = policy.place(request, candidates);
    check_indices("candidate", &ranking, candidates.len());
    ranking
}

/// Asks whether data moves, judges the verdict as a node does, and returns it.
///
/// # Panics
/// When the verdict breaks a rule.
pub fn check_relocation<P: RelocationPolicy>(policy: &mut P, read: &Read) -> Verdict {
    let verdict = policy.on_read(read);
    check_indices("node", &verdict.copy_to, read.path.len());
    check_indices("node", verdict.move_to.as_slice(), read.path.len());
    verdict
}

fn check_indices(what: &str, indices: &[u32], count: usize) {
    let named = indices.len();
    assert!(
        named <= VERDICT_ENTRIES_MAX,
        "it names {named} {what}s; at most {VERDICT_ENTRIES_MAX} are allowed"
    );
    let mut seen = BTreeSet::new();
    for &index in indices {
        assert!(
            (index as usize) < count,
            "{what} {index} is named, but there are only {count}, counted from 0"
        );
        assert!(seen.insert(index), "{what} {index} is named twice");
    }
}
