//! How a search ended, and what it found.

use crate::floors::Heard;
use crate::search::{FoundHit, Peer};

/// How a search ended.
///
/// Where several would do, the first of this order is told: `Found`, `Deadline`, `Budget`, `Horizon`,
/// `Partial`, `NotFound`. So `Partial` means that nothing but silent nodes kept the search from knowing,
/// while a search that met a bound may have met silent nodes too: [`Report::unanswered`] lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SearchOutcome {
    /// An exact search has its hit. A pattern search has as many hits as were wanted and knows of more, or has at
    /// least one and the whole reachable graph answered.
    Found,
    /// The whole reachable graph answered no.
    NotFound,
    /// There are nodes beyond the hops allowed.
    Horizon,
    /// Every reachable node was asked, and some gave no answer.
    Partial,
    /// Time ran out.
    Deadline,
    /// As many nodes were asked as are allowed, and there are more.
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

/// How a search ended, and what it found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: SearchOutcome,
    /// Nothing that was not asked could change the answer. A hit of an exact search: every nearer node
    /// said no, so no nearer copy exists. A pattern search, and every miss: the whole reachable graph
    /// answered. A pattern search that stopped at its limit is never exact, since there may be more.
    pub exact: bool,
    /// Exact: every hit of the level that has one, all of one version, the best first; the reader goes on
    /// with the next when one fails. Pattern: one hit for each key, nearest first, then by key; also when
    /// the outcome is not `Found`.
    pub hits: Vec<FoundHit>,
    /// More files match a pattern than were wanted, or a node that told as many as were wanted could not say that it
    /// has no more. Where it is `false` and the search is exact, the hits are all there are.
    pub truncated: bool,
    /// From the asking node to the first hit of an exact search, both included, by who first named whom;
    /// empty without a hit and for patterns.
    pub path: Vec<Peer>,
    /// Nodes asked over the network.
    pub probes: u32,
    /// Levels asked, the node itself (level 0) not counted.
    pub levels: u32,
    /// Nodes that were asked and gave no answer that can be relied on, in the order in which that was
    /// known. Those that a hit's level did not wait for are not among them.
    pub unanswered: Vec<Peer>,
    /// What was heard of an exact search's file, hits and tombstones included.
    pub floor: Option<Heard>,
    /// Replicas of an exact search's file that their nodes do not serve because a greater version was heard of: those of
    /// the greatest such version that was told of, the best first; none when that was deleted since.
    pub overtaken: Vec<FoundHit>,
}
