//! What to do about one difference between two nodes: the greater record is taken in here or told there, a missing
//! replica is copied. What may still be in flight is left for the next round.

use std::sync::Arc;

use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::node::{Node, Weighed};
use dataverse_core::record::Record;
use dataverse_core::search::Peer;

use crate::upkeep::Task;

/// A file in which two nodes differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The other node holds this record, and this node another or none.
    Theirs(Arc<Record>),
    /// This node holds this record, and the other one nothing of the file.
    Ours(Arc<Record>),
}

impl Difference {
    /// The record that one of them holds.
    #[must_use]
    pub const fn record(&self) -> &Arc<Record> {
        match self {
            Self::Theirs(record) | Self::Ours(record) => record,
        }
    }
}

/// What a node decides about a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// A newer version than the one held here, which is not served any more as soon as a holder confirms the newer
    /// one.
    pub outdated_by: Option<Arc<Record>>,
    /// What to do.
    pub act: Act,
}

impl From<Act> for Decision {
    fn from(act: Act) -> Self {
        Self {
            outdated_by: None,
            act,
        }
    }
}

/// What to do about a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing follows from it.
    Nothing,
    /// It is too early to tell; the next round handles it.
    Later,
    /// The same record is held here, which verifies the copy.
    Trust(Arc<Record>),
    /// Add this task to the upkeep: a replica has to be copied here ([`Task::Fetch`]) or there ([`Task::Send`]).
    Copy(Task),
    /// Take in this greater record.
    TakeIn {
        /// The record.
        record: Arc<Record>,
        /// Others may have missed the same write, so the record is announced.
        announces: bool,
        /// The node that told of it.
        from: Option<NodeId>,
    },
    /// Commit this tombstone on the other node.
    CommitDeletion {
        /// The tombstone.
        record: Arc<Record>,
        /// The other node.
        to: Peer,
    },
    /// Tell the other node of this greater record.
    Tell {
        /// The record.
        record: Arc<Record>,
        /// The other node.
        to: Peer,
        /// Only if every holder has it; too early otherwise.
        once_settled: bool,
    },
}

/// What a node sees when it decides about a difference.
#[derive(Debug, Clone)]
pub struct View {
    me: NodeId,
    /// The other node.
    peer: Peer,
    /// What is held here of the file.
    held: Option<Holding>,
    /// The other node's record compared with that.
    weighed: Weighed,
}

impl View {
    /// What this node sees of the file now.
    #[must_use]
    pub fn of(node: &Node, me: NodeId, peer: &Peer, difference: &Difference) -> Self {
        Self {
            me,
            peer: peer.clone(),
            held: node.holding(&difference.record().key).cloned(),
            weighed: node.weigh(difference.record()),
        }
    }

    /// What to do. `is_in_flight` says whether a version's write may not have reached all its holders yet; it is asked only
    /// where that matters.
    #[must_use]
    pub fn decide(
        &self,
        difference: &Difference,
        is_in_flight: impl FnOnce(&Record) -> bool,
    ) -> Decision {
        let theirs = match difference {
            Difference::Theirs(theirs) => theirs,
            Difference::Ours(ours) if !self.may_send(ours) => return Act::Nothing.into(),
            Difference::Ours(ours) if is_in_flight(ours) => return Act::Later.into(),
            Difference::Ours(ours) => return self.send(ours).into(),
        };
        match &self.weighed {
            Weighed::Same => Act::Trust(Arc::clone(theirs)).into(),
            Weighed::Greater => {
                let held = self.held.as_ref().map(|held| &*held.record);
                about_greater(self.me, held, theirs, Some(&self.peer), is_in_flight)
            }
            Weighed::Less(ours) => self.about_less(ours, theirs, is_in_flight).into(),
            Weighed::Lacking if is_in_flight(theirs) => Act::Later.into(),
            Weighed::Lacking => fetch(theirs, Some(&self.peer)).into(),
            Weighed::Nothing => Act::Nothing.into(),
        }
    }

    /// The other node has to hear of the greater record that is held here.
    fn about_less(
        &self,
        ours: &Arc<Record>,
        theirs: &Record,
        is_in_flight: impl FnOnce(&Record) -> bool,
    ) -> Act {
        let is_newer_version = ours.version > theirs.version;
        if is_newer_version && is_in_flight(ours) {
            return Act::Later;
        }
        if ours.deleted && !theirs.deleted {
            return Act::CommitDeletion {
                record: Arc::clone(ours),
                to: self.peer.clone(),
            };
        }
        if is_newer_version && !ours.deleted && ours.layout.names(self.peer.id) {
            return match self.may_send(ours) {
                true => self.send(ours),
                false => Act::Nothing,
            };
        }
        Act::Tell {
            record: Arc::clone(ours),
            to: self.peer.clone(),
            once_settled: is_newer_version && !ours.deleted,
        }
    }

    /// Whether this node holds a replica of this version, and the other one should.
    fn may_send(&self, ours: &Record) -> bool {
        self.held.as_ref().is_some_and(|held| {
            held.role == Role::Replica
                && held.record.version == ours.version
                && held.record.layout.names(self.peer.id)
                && !held.record.deleted
        })
    }

    fn send(&self, record: &Arc<Record>) -> Act {
        Act::Copy(Task::Send {
            record: Arc::clone(record),
            to: self.peer.clone(),
        })
    }
}

/// What the node `me` does about a record that is greater than the one held here, if any is, and that `from` told of. For
/// `is_in_flight` see [`View::decide`].
#[must_use]
pub fn about_greater(
    me: NodeId,
    held: Option<&Record>,
    record: &Arc<Record>,
    from: Option<&Peer>,
    is_in_flight: impl FnOnce(&Record) -> bool,
) -> Decision {
    let is_newer_version = held.is_some_and(|held| held.version < record.version);
    let act = if is_newer_version && is_in_flight(record) {
        Act::Later
    } else if is_newer_version && record.layout.names(me) && !record.deleted {
        fetch(record, from)
    } else {
        // A newer layout concerns its holders only.
        Act::TakeIn {
            record: Arc::clone(record),
            announces: is_newer_version,
            from: from.map(|peer| peer.id),
        }
    };
    Decision {
        outdated_by: is_newer_version.then(|| Arc::clone(record)),
        act,
    }
}

fn fetch(record: &Arc<Record>, from: Option<&Peer>) -> Act {
    Act::Copy(Task::Fetch {
        record: Arc::clone(record),
        from: from.cloned(),
    })
}

#[cfg(test)]
mod tests;
