//! One breadth-first search over the links, as a state machine.
//!
//! The entry node runs it: [`Search`] says whom to ask next, and is told what they answered. Here are the
//! words of the conversation; the machine is in `machine`, what it believes of an answer in `judge`, what
//! it keeps of the hits in `finds`, whom it knows in `frontier`, and how it ended in `report`. Nothing
//! here knows a network or a clock: probes are returned, answers and times are arguments.

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

/// A node as another names it: who it is, what people call it, where it listens.
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
    /// Has it this file, at this version or a later one?
    Exact {
        /// The file.
        key: Key,
        /// The highest version that the asker has heard of; less is no answer.
        floor: Option<Version>,
    },
    /// Which files that it has match?
    Pattern {
        /// Matched against the whole key.
        pattern: Pattern,
        /// Hits wanted at most.
        limit: u32,
    },
}

/// A file that a node has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// What is known of it there.
    pub record: Arc<Record>,
    /// As what it is held.
    pub role: Role,
    /// Milliseconds since a cached copy was known to be the newest; 0 for a replica, and
    /// [`UNVERIFIED_AGE_MS`](crate::limits::UNVERIFIED_AGE_MS) for a copy that its own node doubts.
    pub validated_age_ms: u64,
}

impl Hit {
    /// Whether the node that has it was away for so long that it doesn't know whether the file still exists.
    #[must_use]
    pub const fn is_unverified(&self) -> bool {
        self.validated_age_ms == crate::limits::UNVERIFIED_AGE_MS
    }
}

/// What a node answers to a [`Question`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The files that it has; at most one for an exact question. Never a tombstone.
    pub hits: Vec<Hit>,
    /// Whether a pattern's hits are all that it has. Counts only where there are as many as were asked for.
    pub hits_are_all: bool,
    /// What it has heard of an exact question's file.
    pub known: Option<Heard>,
    /// A replica of an exact question's file that it has and does not serve, because a greater version was heard of, and no
    /// deletion of it. For the case that nobody has the greater one any more.
    pub overtaken: Option<Hit>,
    /// Requests that it answered per second, lately.
    pub load: u32,
    /// The nodes that it is linked with.
    pub neighbours: Vec<Peer>,
}

/// What a search may spend. How many hits a pattern search wants is part of its question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Links crossed at most; 0 asks only the node itself.
    pub hops: u32,
    /// Probes under way at once; 0 counts as 1.
    pub fanout: u32,
    /// How long one node may take to answer.
    pub probe_deadline_ms: u64,
    /// How long the whole search may take.
    pub deadline_ms: u64,
    /// Nodes asked over the network at most; no more than [`SEARCH_BUDGET_MAX`](crate::limits::SEARCH_BUDGET_MAX).
    pub budget: u32,
    /// How long to wait for the rest of a level after its first hit.
    pub settle_ms: u64,
}

/// A question to be put to a node now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Whom to ask.
    pub peer: Peer,
    /// Links between the asking node and that one.
    pub level: u32,
    /// What to ask, with the floor as it is now.
    pub question: Question,
    /// When the search stops waiting for the answer.
    pub deadline: Millis,
}
