//! The result of a search.

use std::sync::Arc;

use crate::floors::Heard;
use crate::record::Record;
use crate::search::{FoundHit, Peer};

/// How a search ended.
///
/// If several apply, the first in this order is reported: `Found`, `Deadline`, `Budget`, `Horizon`, `Partial`,
/// `NotFound`. So `Partial` means that only silent nodes kept the search from knowing, while a search that reached
/// a bound may have met silent nodes too: [`Report::unanswered`] lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SearchOutcome {
    /// An exact search has its hit. A pattern search has as many hits as wanted and knows of more, or has at least
    /// one and the whole reachable graph answered.
    Found,
    /// The whole reachable graph answered no.
    NotFound,
    /// There are nodes beyond the hop limit.
    Horizon,
    /// Every reachable node was asked, and some did not answer.
    Partial,
    /// The deadline passed.
    Deadline,
    /// The maximum number of nodes was asked, and there are more.
    Budget,
}

impl SearchOutcome {
    /// The outcome's name, as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::Horizon => "horizon",
            Self::Partial => "partial",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }
}

/// The result of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: SearchOutcome,
    /// No node that was not asked could change the result. For a hit of an exact search: every nearer node said
    /// no, so no nearer copy exists. For a pattern search, and for every miss: the whole reachable graph answered.
    /// A pattern search that stopped at its limit is never exact, since there may be more.
    pub exact: bool,
    /// Exact search: every hit of the level that has one, all of one version, best first; the reader tries the
    /// next when one fails. Pattern search: one hit per key, nearest first, then by key, even when the outcome is
    /// not `Found`.
    pub hits: Vec<FoundHit>,
    /// More files match a pattern than wanted, or a node that returned as many as wanted could not say that it has
    /// no more. If it is `false` and the search is exact, these are all hits that exist.
    pub truncated: bool,
    /// From the asking node to the first hit of an exact search, both included, along the nodes that first named
    /// each other. Empty without a hit and for patterns.
    pub path: Vec<Peer>,
    /// Nodes asked over the network.
    pub probes: u32,
    /// Levels asked, without level 0, the node itself.
    pub levels: u32,
    /// Nodes that were asked and gave no usable answer, in the order in which this became known. Nodes that the
    /// level of a hit did not wait for are not included.
    pub unanswered: Vec<Peer>,
    /// What was heard of the file of an exact search, hits and tombstones included.
    pub floor: Option<Heard>,
    /// What a node that has it itself said of the file of an exact search: hits and the tombstones that nodes hold.
    pub held: Option<Heard>,
    /// The greatest tombstone of the file of an exact search that a node holds.
    pub deletion: Option<Arc<Record>>,
    /// Copies of the file of an exact search that their nodes do not serve because they know of a greater version:
    /// those of the greatest such version, best first; none when a node holds a deletion since.
    pub overtaken: Vec<FoundHit>,
    /// The same for copies that their nodes serve, and that are below what others have heard of.
    pub below: Vec<FoundHit>,
}
