//! Relayout: the one way in which replicas change nodes. Here it is decided what a file needs and by whom;
//! copying, committing and letting go are the driver's.
//!
//! Repair, drain, move and the making up of a degraded write are the same question: which of the holders stay
//! ([`Need::keep`]), and how many copies are to be made elsewhere ([`Need::wanted`]). Of all holders only one acts: the first
//! that lives. Two that act at once, because each takes the other for gone, do no harm: the greater of their layouts wins, and a node
//! lets go only when every holder of the greater one has said that it holds (docs/decisions/0011).

use crate::id::NodeId;
use crate::record::Record;

/// How a holder stands, as far as the node that decides knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HolderState {
    /// It lives.
    Here,
    /// It is silent, but not for long enough to count as gone.
    Away,
    /// It has been silent for longer than `repair.after`.
    Gone,
}

/// What a file needs of the node that decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// The holders that stay, in the layout's order.
    pub keep: Vec<NodeId>,
    /// Copies to be made on other nodes.
    pub wanted: usize,
    /// Holders that live now: the fewer, the more endangered the file.
    pub lifetime: usize,
    /// Fewer holders than this would leave the file worse off than it is.
    pub holders_min: usize,
}

/// What this file needs of node `me`, which holds a replica of it. `None` when it needs nothing, or when another
/// holder sees to it.
///
/// `leaving` says that `me` is being emptied: its replica then goes elsewhere whatever else is the matter.
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
    let stands = |id: NodeId| {
        if id == me {
            HolderState::Here
        } else {
            standing(id)
        }
    };
    let lifetime = holders
        .iter()
        .filter(|id| stands(**id) == HolderState::Here)
        .count();
    let stays = |id: &&NodeId| stands(**id) != HolderState::Gone && !(leaving && **id == me);
    let keep: Vec<NodeId> = holders.iter().filter(stays).copied().collect();
    let wanted = (record.factor as usize).saturating_sub(keep.len());
    let first_living = holders.iter().find(|id| stands(**id) == HolderState::Here);
    if !leaving && (wanted == 0 || first_living != Some(&me)) {
        return None;
    }
    Some(Need {
        holders_min: if leaving && record.deleted {
            // That a file is gone has to be remembered by one.
            1
        } else if leaving {
            lifetime.min(record.factor as usize).max(1)
        } else {
            keep.len() + 1
        },
        keep,
        wanted,
        lifetime,
    })
}

/// What it takes to move the replica of node `from` to another. `None` when there is nothing to move, or when the other
/// holds one already.
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
        lifetime: layout.holders.len(),
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

    /// What node `me` of the holders 1, 2 and 3 is to do: who stays, copies wanted, holders at least.
    fn check(
        me: u128,
        leaving: bool,
        standings: [HolderState; 3],
        expected: Option<(&[u128], usize, usize)>,
    ) {
        let standing = |node: NodeId| {
            let at = (1..=3).position(|number| id(number) == node);
            standings[at.expect("only holders are asked about")]
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
    fn a_brief_outage_moves_nothing() {
        check(1, false, [Here, Here, Away], None);
        check(2, false, [Away, Here, Here], None);
        // The one that is away stays a holder, and is not waited for.
        check(2, false, [Away, Here, Gone], Some((&[1, 2], 1, 3)));
    }

    #[test]
    fn a_node_that_is_emptied_moves_its_own_replicas_and_never_lessens_the_copies() {
        check(2, true, [Here, Here, Here], Some((&[1, 3], 1, 3)));
        check(2, true, [Here, Here, Gone], Some((&[1], 2, 2)));
        check(2, true, [Gone, Here, Gone], Some((&[], 3, 1)));
    }

    #[test]
    fn a_degraded_write_is_made_up_by_its_first_holder() {
        let of = |me| need(&record(&[1], 2), id(me), false, |_| Here);
        let made_up = of(1).expect("it lacks a copy");
        assert_eq!((made_up.keep, made_up.wanted), (vec![id(1)], 1));
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
