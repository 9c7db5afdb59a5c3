//! The checkers: what must hold in a quiet world, given what its clients observed.
//!
//! Each takes the history and a snapshot and describes what is wrong. They know the promises of the design and
//! nothing about how they are kept. [`linearizable`] judges the operations on one file alone, without a snapshot.

mod accounts;
mod content;
mod layouts;
pub mod linearizable;
mod links;
mod reads;

use dataverse_core::id::NodeId;

use crate::history::History;
use crate::snapshot::Snapshot;

/// What must hold in addition to what holds in every world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// Every node knows the newest version of every file: all readers get it, no node keeps an older replica, and
    /// every holder has the same record, which names exactly the holders.
    pub converged: bool,
    /// Every file has as many replicas as requested.
    pub whole_factor: bool,
    /// No node's clock was ever set and no node restarted, which puts its clock ahead. Otherwise, of a write and a
    /// deletion that did not know of each other, the one with the greater stamp wins, even if it came first.
    pub clocks_agree: bool,
}

impl Expect {
    /// All of it.
    pub const EVERYTHING: Self = Self {
        converged: true,
        whole_factor: true,
        clocks_agree: true,
    };

    /// After lost messages or absent nodes: background work must have restored everything.
    pub const AFTER_FAULTS: Self = Self {
        clocks_agree: false,
        ..Self::EVERYTHING
    };
}

/// Everything that is wrong.
#[must_use]
pub fn all(history: &History, snapshot: &Snapshot, expect: Expect) -> Vec<String> {
    let mut wrong = content::nothing_is_invented(history, snapshot);
    wrong.extend(content::acknowledged_writes_survive(history, snapshot));
    wrong.extend(reads::readers_get_what_is_right(history, snapshot));
    wrong.extend(reads::nobody_serves_less_than_it_has(history, snapshot));
    wrong.extend(accounts::capacity_is_kept(snapshot));
    wrong.extend(accounts::every_byte_is_accounted_for(snapshot));
    wrong.extend(links::are_symmetric(snapshot));
    if expect.converged {
        wrong.extend(reads::all_get_the_newest(history, snapshot));
        wrong.extend(reads::nothing_comes_back(snapshot));
        if expect.clocks_agree {
            wrong.extend(reads::what_was_deleted_stays_deleted(history, snapshot));
        }
        wrong.extend(layouts::name_exactly_those_that_hold(history, snapshot));
    }
    if expect.whole_factor {
        wrong.extend(layouts::have_their_factor(history, snapshot));
    }
    wrong
}

/// The readers from which a lie hides no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Those at every node.
    All,
    /// Those at nodes with a replica. A node that claims a copy which it can't send hides the file from the others
    /// for as long as it says so (docs/decisions/0020).
    AtReplicas,
}

/// What is wrong while this node goes on lying and nothing else is wrong: other nodes hold a file and can be reached,
/// and a reader does not get it. `before` is the state before the reads in the snapshot, which make copies.
#[must_use]
pub fn while_lied_to(
    history: &History,
    before: &Snapshot,
    snapshot: &Snapshot,
    liar: NodeId,
    readers: Readers,
) -> Vec<String> {
    reads::nothing_is_hidden(history, before, snapshot, liar, readers)
}
