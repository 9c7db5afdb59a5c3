//! `Confirmation`: asks the replicas of a version whether it is the newest.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Hit};

use super::Consistency;
use crate::protocol::Asked;

/// What the replicas say about a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is the newest, as far as the replicas that answered know.
    Newest {
        /// Every replica answered, and every other node.
        by_all: bool,
    },
    /// A node has heard of a newer version, or has it.
    Newer(Heard),
    /// No replica answered.
    Unknown,
}

/// Questions to the replicas of one version, and what has been answered so far.
#[derive(Debug)]
pub struct Confirmation {
    record: Arc<Record>,
    /// The copy itself is a replica: then any answer that knows of nothing newer confirms it, and none is needed if
    /// there is no other replica.
    is_replica: bool,
    consistency: Consistency,
    others: Vec<NodeId>,
    answers: usize,
    is_confirmed: bool,
}

impl Confirmation {
    /// Confirms a copy of this record for the node `me`: by all replicas for [`Consistency::Newest`], else by one.
    #[must_use]
    pub fn new(
        me: NodeId,
        record: Arc<Record>,
        is_replica: bool,
        consistency: Consistency,
    ) -> Self {
        let others = record.layout.holders.iter().copied();
        let others: Vec<_> = others.filter(|id| *id != me).collect();
        Self {
            is_confirmed: is_replica && others.is_empty(),
            record,
            is_replica,
            consistency,
            others,
            answers: 0,
        }
    }

    /// The nodes to ask, all at once.
    #[must_use]
    pub fn whom_to_ask(&self) -> &[NodeId] {
        &self.others
    }

    /// One of them has answered. Returns the word if no other answer is needed.
    pub fn answered(&mut self, answer: &Answer) -> Option<Word> {
        self.answers += 1;
        let version = self.record.version;
        if let Some(newer) = answer.known.filter(|known| known.version > version) {
            return Some(Word::Newer(newer));
        }
        let confirms = |hit: &Hit| hit.role == Role::Replica && hit.record.version == version;
        self.is_confirmed |= self.is_replica || answer.hits.iter().any(confirms);
        let is_enough = self.is_confirmed && self.consistency == Consistency::Usual;
        is_enough.then_some(Word::Newest { by_all: false })
    }

    /// The word, once there are no more answers; `None` if the whole graph must be searched for a newer version first:
    /// the layout may not name every replica, for example after a partition.
    #[must_use]
    pub const fn word(&self) -> Option<Word> {
        match (self.is_confirmed, self.consistency) {
            (false, _) => Some(Word::Unknown),
            (true, Consistency::Usual) => Some(Word::Newest { by_all: false }),
            (true, Consistency::Newest) => None,
        }
    }

    /// The word after that search, which asked so many nodes and heard of this version.
    #[must_use]
    pub fn searched(&self, heard: Option<Heard>, asked: Asked) -> Word {
        match heard.filter(|heard| heard.version > self.record.version) {
            Some(newer) => Word::Newer(newer),
            None => Word::Newest {
                by_all: self.answers == self.others.len() && asked == Asked::All,
            },
        }
    }
}
