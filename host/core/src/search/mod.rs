//! One breadth-first search over the links, as a state machine.
//!
//! The entry node runs it: [`Search`] says which nodes to ask next and is told their answers. This file defines
//! the questions and answers. `machine` is the state machine, `frontier` the nodes that it has discovered, `judge`
//! validates answers, `finds` keeps the hits, and `report` is the result. Nothing here knows a network or a clock:
//! probes are returned; answers and times are arguments.

mod finds;
mod frontier;
mod judge;
mod machine;
mod report;

use std::sync::Arc;

pub use finds::FoundHit;
pub use machine::Search;
pub use report::{Report, SearchOutcome};

use crate::floors::Heard;
use crate::holdings::Role;
use crate::id::NodeId;
use crate::key::Key;
use crate::pattern::Pattern;
use crate::record::Record;
use crate::version::{Millis, Version};

/// A node as another node describes it: its id, name and address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// Its name, for people.
    pub name: Arc<str>,
    /// `host:port` of its gRPC port.
    pub address: Arc<str>,
}

/// What a search asks each node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// Does the node have this file, at this version or a later one?
    Exact {
        /// The file.
        key: Key,
        /// The highest version that the asking node has heard of; an older one does not count.
        floor: Option<Version>,
        /// The version of a conditional write that asks whether a write of the file with a lower one is pending.
        pending_before: Option<Version>,
    },
    /// Which of the node's files match?
    Pattern {
        /// Matched against the whole key.
        pattern: Pattern,
        /// Maximum number of hits.
        limit: u32,
    },
}

/// A file that a node has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// The file's record on that node.
    pub record: Arc<Record>,
    /// In which role it is held.
    pub role: Role,
    /// Milliseconds since a cached copy was known to be the newest; 0 for a replica, and
    /// [`UNVERIFIED_AGE_MS`](crate::limits::UNVERIFIED_AGE_MS) for a copy that its own node has not verified.
    pub validated_age_ms: u64,
}

impl Hit {
    /// Whether the node was away for so long that it does not know whether the file still exists.
    #[must_use]
    pub const fn is_unverified(&self) -> bool {
        self.validated_age_ms == crate::limits::UNVERIFIED_AGE_MS
    }
}

/// Whether a node holds the deletion of a file, as durably as others hold a replica. What it has only heard of does
/// not count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Deletion {
    /// A node of an earlier release does not say.
    #[default]
    Unsaid,
    /// It holds none.
    None,
    /// It holds this tombstone.
    Held(Arc<Record>),
}

impl Deletion {
    /// The tombstone.
    #[must_use]
    pub const fn held(&self) -> Option<&Arc<Record>> {
        match self {
            Self::Held(record) => Some(record),
            Self::Unsaid | Self::None => None,
        }
    }
}

/// The answer to a [`Question`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The files that the node has; at most one for an exact question. Never a tombstone.
    pub hits: Vec<Hit>,
    /// Whether these are all its hits for a pattern. Only relevant when there are as many hits as were asked for.
    pub hits_are_all: bool,
    /// What the node has heard of the file of an exact question.
    pub known: Option<Heard>,
    /// A copy of the file of an exact question that does not count because a greater version was heard of, and no
    /// deletion of it. If `known` is no greater, only the asking node has heard of that version, and this node serves
    /// its copy. Used when no node has the greater version.
    pub overtaken: Option<Hit>,
    /// A write of the file through the node has no known outcome yet, and a lower version than the conditional write
    /// that asks.
    pub pending: bool,
    /// The deletion of the file of an exact question that the node itself holds.
    pub deletion: Deletion,
    /// Requests that the node answered per second, recently.
    pub load: u32,
    /// The nodes that it is linked to.
    pub neighbours: Vec<Peer>,
}

/// The bounds of a search. The number of hits wanted by a pattern search is part of its question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Maximum number of links crossed; 0 asks only the node itself.
    pub hops: u32,
    /// Maximum number of concurrent probes; 0 counts as 1.
    pub fanout: u32,
    /// How long one node may take to answer.
    pub probe_deadline_ms: u64,
    /// How long the whole search may take.
    pub deadline_ms: u64,
    /// Maximum number of nodes asked over the network, up to
    /// [`SEARCH_BUDGET_MAX`](crate::limits::SEARCH_BUDGET_MAX).
    pub budget: u32,
    /// How long to wait for the rest of a level after its first hit.
    pub settle_ms: u64,
}

/// A question to send to a node now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The node to ask.
    pub peer: Peer,
    /// Links between the searching node and that one.
    pub level: u32,
    /// The question, with the current floor.
    pub question: Question,
    /// When the search stops waiting for the answer.
    pub deadline: Millis,
}
