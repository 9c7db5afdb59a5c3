//! One breadth-first search over the links, as a state machine.

use std::sync::Arc;

use crate::holdings::Role;
use crate::id::NodeId;
use crate::key::Key;
use crate::pattern::Pattern;
use crate::record::Record;
use crate::version::Version;

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
    /// Milliseconds since a cached copy was known to be the newest; 0 for a replica.
    pub validated_age_ms: u64,
}

/// What a node answers to a [`Question`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The files that it has; at most one for an exact question. Never a tombstone.
    pub hits: Vec<Hit>,
    /// The highest version of an exact question's file that it has heard of, tombstones included.
    pub known: Option<Version>,
    /// Requests that it answered per second, lately.
    pub load: u32,
    /// The nodes that it is linked with.
    pub neighbours: Vec<Peer>,
}
