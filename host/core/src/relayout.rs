//! Relayout: the only way in which replicas change nodes. This module decides what a file needs and which node
//! acts; the driver copies, commits and releases.
//!
//! Re-replication, draining, moving a replica and completing a degraded write are the same question: which holders
//! stay ([`Need::keep`]), and how many copies have to be made on other nodes ([`Need::wanted`]). Only one holder
//! acts: the first live one. If two act concurrently, because each believes that the other is gone, no harm is
//! done: the greater layout wins, and a node releases its copy only when every holder of the greater layout has
//! confirmed its own (docs/decisions/0011).

use crate::id::NodeId;
use crate::record::Record;

/// The state of a holder, as far as the deciding node knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HolderState {
    /// It is live.
    Here,
    /// It is silent, but not yet long enough to count as gone.
    Away,
    /// It has been silent for longer than `repair.after`.
    Gone,
}

/// What the deciding node has to do for a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// The holders that stay, in the order of the layout.
    pub keep: Vec<NodeId>,
    /// Copies to make on other nodes.
    pub wanted: usize,
    /// Holders that are live now: the fewer, the more urgent.
    pub live: usize,
    /// The new layout must have at least this many holders, or the file would be worse off than before.
    pub holders_min: usize,
}

/// What node `me`, which holds a replica, has to do for this file. `None` when the file needs nothing or another
/// holder is responsible.
///
/// `leaving` says that `me` is being drained: its replica then moves to another node in any case.
#[must_use]
pub fn need(
    record: &Record,
    me: NodeId,
    leaving: bool,
    standing: impl Fn(NodeId) -> HolderState,
) -> Option<Need> {
    let holders = &record.layout.holders;
    if !record.layout.names(me) {
        return None;
    }
    let state_of = |id: NodeId| {
        if id == me {
            HolderState::Here
        } else {
            standing(id)
        }
    };
    let live = holders
        .iter()
        .filter(|id| state_of(**id) == HolderState::Here)
        .count();
    let stays = |id: &&NodeId| state_of(**id) != HolderState::Gone && !(leaving && **id == me);
    let keep: Vec<NodeId> = holders.iter().filter(stays).copied().collect();
    let wanted = (record.factor as usize).saturating_sub(keep.len());
    let first_living = holders
        .iter()
        .find(|id| state_of(**id) == HolderState::Here);
    // A layout that names a node which is gone, or never was, is confirmed by nobody, however many others it names.
    let is_whole = keep.len() == holders.len() || record.deleted;
    if !leaving && ((wanted == 0 && is_whole) || first_living != Some(&me)) {
        return None;
    }
    Some(Need {
        holders_min: if leaving && record.deleted {
            // One node must remember the deletion.
            1
        } else if leaving {
            live.min(record.factor as usize).max(1)
        } else {
            keep.len() + usize::from(wanted > 0)
        },
        keep,
        wanted,
        live,
    })
}

/// What it takes to move the replica of node `from` to node `to`. `None` when there is nothing to move, or when
/// `to` already holds a replica.
#[must_use]
pub fn move_away(record: &Record, from: NodeId, to: NodeId) -> Option<Need> {
    let layout = &record.layout;
    if record.deleted || !layout.names(from) || layout.names(to) {
        return None;
    }
    let others = layout.holders.iter().filter(|id| **id != from);
    Some(Need {
        keep: others.copied().collect(),
        wanted: 1,
        live: layout.holders.len(),
        holders_min: layout.holders.len(),
    })
}

#[cfg(test)]
mod tests {
    use HolderState::{Away, Gone, Here};

    use super::*;
    use crate::content::Digest;
    use crate::key::Key;
    use crate::record::Layout;
    use crate::version::{Stamp, Version};

    fn id(number: u128) -> NodeId {
        NodeId::from(number)
    }

    fn record(holders: &[u128], factor: u32) -> Record {
        Record {
            version: Version {
                stamp: Stamp(1),
                writer: id(9),
            },
            layout: Layout {
                counter: 0,
                author: id(9),
                holders: holders.iter().copied().map(id).collect(),
            },
            deleted: false,
            size: 3,
            digest: Digest::of(b"abc"),
            content_type: "text/plain".into(),
            factor,
            key: Key::parse("ada/x").expect("it is a key"),
        }
    }

    /// What node `me` of the holders 1, 2 and 3 has to do: which holders stay, copies wanted, minimum number of
    /// holders.
    fn check(
        me: u128,
        leaving: bool,
        states: [HolderState; 3],
        expected: Option<(&[u128], usize, usize)>,
    ) {
        let standing = |node: NodeId| {
            let at = (1..=3).position(|number| id(number) == node);
            states[at.expect("only holders are asked about")]
        };
        let need = need(&record(&[1, 2, 3], 3), id(me), leaving, standing);
        let found = need.map(|need| (need.keep, need.wanted, need.holders_min));
        let expected = expected
            .map(|(keep, wanted, least)| (keep.iter().copied().map(id).collect(), wanted, least));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_holder_that_lives_makes_up_for_those_that_are_gone() {
        check(1, false, [Here, Here, Gone], Some((&[1, 2], 1, 3)));
        check(2, false, [Here, Here, Gone], None);
        check(2, false, [Gone, Here, Here], Some((&[2, 3], 1, 3)));
        check(3, false, [Gone, Gone, Here], Some((&[3], 2, 2)));
    }

    #[test]
    fn a_holder_that_is_gone_leaves_the_layout_even_when_enough_others_live() {
        let standing = |node| if node == id(3) { Gone } else { Here };
        let of = |me, deleted| {
            let record = Record {
                deleted,
                ..record(&[1, 2, 3], 2)
            };
            need(&record, id(me), false, standing)
        };
        let laid_anew = of(1, false).expect("node 3 is named and gone");
        assert_eq!(
            (laid_anew.keep, laid_anew.wanted, laid_anew.holders_min),
            (vec![id(1), id(2)], 0, 2)
        );
        assert_eq!(of(2, false), None);
        // That one of many that remember a deletion is gone changes nothing.
        assert_eq!(of(1, true), None);
    }

    #[test]
    fn a_brief_outage_moves_nothing() {
        check(1, false, [Here, Here, Away], None);
        check(2, false, [Away, Here, Here], None);
        // The holder that is away stays a holder and is not waited for.
        check(2, false, [Away, Here, Gone], Some((&[1, 2], 1, 3)));
    }

    #[test]
    fn a_node_that_is_emptied_moves_its_own_replicas_and_never_lessens_the_copies() {
        check(2, true, [Here, Here, Here], Some((&[1, 3], 1, 3)));
        check(2, true, [Here, Here, Gone], Some((&[1], 2, 2)));
        check(2, true, [Gone, Here, Gone], Some((&[], 3, 1)));
    }

    #[test]
    fn a_degraded_write_is_completed_by_its_first_holder() {
        let of = |me| need(&record(&[1], 2), id(me), false, |_| Here);
        let completed = of(1).expect("it lacks a copy");
        assert_eq!((completed.keep, completed.wanted), (vec![id(1)], 1));
        assert_eq!(of(2), None);
    }

    #[test]
    fn a_replica_moves_to_a_node_that_has_none() {
        let record = record(&[1, 2], 2);
        let moved = move_away(&record, id(1), id(5)).expect("it moves");
        assert_eq!(
            (moved.keep, moved.wanted, moved.holders_min),
            (vec![id(2)], 1, 2)
        );
        assert_eq!(move_away(&record, id(1), id(2)), None);
        assert_eq!(move_away(&record, id(7), id(5)), None);
    }
}
