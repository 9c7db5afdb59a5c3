//! The node's API for clients and operators: requests, answers, errors and status.
//!
//! HTTP and gRPC for clients use these types and nothing deeper in the driver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::holdings::{Role, Total};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::pattern::Pattern;
use dataverse_core::record::Record;
use dataverse_core::version::{ClockAhead, Millis, Version};
use dataverse_store::StoreError;
use futures_util::stream::BoxStream;

use super::origin::Origin;

pub use dataverse_replication::reading::Consistency;
pub use dataverse_replication::upkeep::{Counts, Kind};
pub use dataverse_replication::{Condition, Unmet};

/// Content on its way to or from a client.
pub type Body = BoxStream<'static, Result<Bytes, BodyError>>;

/// Why content stopped on its way.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// The client went away or sent something broken.
    #[error("the upload ended early: {0}")]
    Client(String),
    /// Nothing arrived for `write.stall`.
    #[error("the upload stalled: nothing arrived for {seconds} s")]
    Stalled {
        /// How long the node waited.
        seconds: u64,
    },
    /// It arrived slower than `limit.upload_rate` allows.
    #[error(
        "the content arrives too slowly: at least {bytes_per_second} bytes per second are required, on average over a minute (limit.upload_rate)"
    )]
    TooSlow {
        /// The least rate.
        bytes_per_second: u32,
    },
    /// Every holder failed during the transfer.
    #[error("{0}")]
    Source(String),
    /// The node's own disk failed.
    #[error("{0}")]
    Failed(String),
}

/// Options of a write.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Replicas wanted; `None` for the node's default.
    pub factor: Option<u32>,
    /// `None` to guess it from the name and the content.
    pub content_type: Option<String>,
    /// When to write at all.
    pub condition: Condition,
    /// Size of the body, where known beforehand.
    pub size: Option<u64>,
}

/// An acknowledged write.
#[derive(Debug, Clone)]
pub struct Written {
    /// The file's record after the write.
    pub record: Arc<Record>,
    /// Names of the nodes that hold its replicas, in the layout's order.
    pub replicas: Vec<String>,
    /// Whether this replaced an earlier version, as far as the replicas knew.
    pub replaced: bool,
    /// The node already held the same content and wrote nothing.
    pub unchanged: bool,
}

/// The node is at its limit for this kind of work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Busy(pub String);

/// A condition that did not hold: nothing was written or deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {unmet}")]
pub struct ConditionFailed {
    /// The file.
    pub key: Key,
    /// What is there instead.
    pub unmet: Unmet,
}

/// Why a write was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// An invalid header or option.
    #[error("{0}")]
    Invalid(String),
    /// The condition did not hold.
    #[error("{0}")]
    Condition(ConditionFailed),
    /// The file is larger than any file may be.
    #[error("{0}")]
    TooLarge(String),
    /// No space on this node.
    #[error("{0}")]
    NoSpace(String),
    /// The body ended early or stalled.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Too few nodes made it durable, or the condition can't be decided.
    #[error("{0}")]
    Unavailable(String),
    /// The node is at its limit of concurrent uploads.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The node's own disk failed.
    #[error("{0}")]
    Failed(String),
}

impl From<ClockAhead> for WriteError {
    fn from(error: ClockAhead) -> Self {
        Self::Unavailable(format!(
            "no version can be stamped above the current one: {error}"
        ))
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSpace { .. } | StoreError::DiskFull(_) => {
                Self::NoSpace(error.to_string())
            }
            StoreError::Unfit(_) => Self::Unavailable(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// A file that was found, before its content is streamed.
pub struct Located {
    /// The file's record.
    pub record: Arc<Record>,
    /// Name of the node that the content comes from.
    pub source: String,
    /// Hops to that node.
    pub hops: u32,
    /// Nobody confirmed that this is the newest version.
    pub stale: bool,
    pub(crate) origin: Origin,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Every reachable node said no.
    #[error("no reachable node has {key}")]
    NotFound {
        /// The file.
        key: Key,
    },
    /// It may exist: the search could not ask every node.
    #[error(
        "{key} was not found, but the search could not ask every node ({outcome}); it may exist, try again{silent}"
    )]
    Unknown {
        /// The file.
        key: Key,
        /// How the search ended.
        outcome: &'static str,
        /// Nodes that did not answer.
        silent: Silent,
    },
    /// It exists, but no reachable copy is readable.
    #[error(
        "{} is known, but every reachable copy of it is bad or gone; a node that is down may have one",
        record.key
    )]
    Lost {
        /// The file's record.
        record: Arc<Record>,
    },
    /// This node has heard of a version, every node that is up was asked, and none has it.
    #[error(
        "{key} is known to exist, but no reachable node has it; a node that is down may have it, else write it again, without a condition"
    )]
    Away {
        /// The file.
        key: Key,
        /// The version this node has heard of.
        version: Version,
    },
    /// `consistency=newest` was asked for and no replica is reachable.
    #[error("no replica of {key} is reachable to confirm that the copy here is the newest")]
    Unconfirmed {
        /// The file.
        key: Key,
    },
    /// It was replaced after it was found; locating it again may help.
    #[error("{key} was replaced while it was being read; try again")]
    Superseded {
        /// The file.
        key: Key,
    },
    /// No holder sent it, or what they sent was wrong.
    #[error("{0}")]
    Source(String),
    /// The copy on this node's disk could not be read, and there is no other.
    #[error("{0}")]
    Failed(String),
}

/// Why a file was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The file can't be found, or can't be searched for.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The condition did not hold.
    #[error("{0}")]
    Condition(ConditionFailed),
    /// The deletion could not be made durable on enough nodes, or the condition can't be decided.
    #[error("{0}")]
    Unavailable(String),
}

impl From<WriteError> for DeleteError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Condition(reason) => Self::Condition(reason),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// What to search for.
#[derive(Debug, Clone)]
pub enum Query {
    /// One file.
    Exact(Key),
    /// Every file that matches.
    Pattern(Pattern),
}

/// How to search; `None` is the node's setting.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchOptions {
    /// Maximum number of hops.
    pub hops: Option<u32>,
    /// Maximum number of hits.
    pub limit: Option<u32>,
}

/// How a search ended and what it found.
#[derive(Debug, Clone)]
pub struct SearchReport {
    /// `found`, `not_found`, `horizon`, `partial`, `deadline` or `budget`.
    pub outcome: &'static str,
    /// No nearer copy exists: every nearer node said no.
    pub exact: bool,
    /// The hits, nearest first.
    pub hits: Vec<FoundHit>,
    /// More files match than the limit allows; `hits` is incomplete.
    pub truncated: bool,
    /// Names of the nodes on the path from this one to the hit of an exact query.
    pub path: Vec<String>,
    /// Nodes asked over the network.
    pub probes: u32,
    /// Levels asked, not counting the node itself (level 0).
    pub levels: u32,
    /// Nodes that did not answer.
    pub unanswered: Vec<SilentNode>,
    /// Duration in milliseconds.
    pub elapsed_ms: f64,
}

/// One hit of a [`SearchReport`].
#[derive(Debug, Clone)]
pub struct FoundHit {
    /// The file's record.
    pub record: Arc<Record>,
    /// Name of the node that has it.
    pub node: String,
    /// Hops from this node.
    pub hops: u32,
    /// Whether it is a replica or a cached copy there.
    pub role: Role,
}

/// A link of this node.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// The neighbour's name.
    pub name: String,
    /// The neighbour's id.
    pub id: NodeId,
    /// Its address.
    pub address: String,
    /// Whether it answers.
    pub up: bool,
    /// The link's state.
    pub state: LinkState,
    /// How long it has not answered, if it doesn't; at most this node's uptime.
    pub silent_for: Option<Duration>,
    /// Failed attempts since it last answered.
    pub attempts: u32,
    /// The error of the last attempt.
    pub last_error: Option<String>,
}

/// State of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// The neighbour answers.
    Up,
    /// It does not answer.
    Down,
    /// It was drained, announced that it leaves and stopped; nobody waits for it.
    Left,
    /// It was requested at start and is not made yet; name and id are unknown.
    Connecting,
}

impl LinkState {
    /// The word shown to users.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Left => "left",
            Self::Connecting => "connecting",
        }
    }
}

/// A node that does not answer.
#[derive(Debug, Clone)]
pub struct SilentNode {
    /// Its name; empty if it never answered.
    pub name: String,
    /// Its id, where known.
    pub id: Option<NodeId>,
    /// Its last known address.
    pub address: String,
    /// `down`, `connecting`, `gone` or `silent`.
    pub state: &'static str,
    /// How long it has been silent, where known; at most this node's uptime.
    pub silent_for: Option<Duration>,
    /// The error of the last attempt to reach it.
    pub last_error: Option<String>,
}

impl std::fmt::Display for SilentNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.address)?,
            name => write!(f, "{name} at {}", self.address)?,
        }
        match self.silent_for.map(|silent_for| silent_for.as_secs()) {
            None | Some(0) => Ok(()),
            Some(seconds @ ..120) => write!(f, ", silent for {seconds} s"),
            Some(seconds @ 120..7200) => write!(f, ", silent for {} min", seconds / 60),
            Some(seconds) => write!(f, ", silent for {} h", seconds / 3600),
        }
    }
}

/// The nodes that did not answer a search, as a clause for an error message.
#[derive(Debug, Clone, Default)]
pub struct Silent(pub Vec<SilentNode>);

/// Silent nodes named in one message.
const SILENT_NAMED_MAX: usize = 5;

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, silent) in self.0.iter().take(SILENT_NAMED_MAX).enumerate() {
            f.write_str(if at == 0 { "; no answer from " } else { "; " })?;
            silent.fmt(f)?;
        }
        match self.0.len().saturating_sub(SILENT_NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// A problem that an operator must fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeProblem {
    /// What it concerns: `store`, `identity` or `insecure`.
    pub kind: &'static str,
    /// Whether the node refuses writes because of it.
    pub blocks: bool,
    /// What happened, what is safe and what to do.
    pub detail: String,
}

/// Why a link was not made or cut.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address is malformed.
    #[error("{0}")]
    Invalid(String),
    /// The other node refused: it is this node itself, or belongs to another network, or speaks another protocol.
    #[error("{0}")]
    Refused(String),
    /// The other node is unreachable.
    #[error("{0}")]
    Unreachable(String),
    /// Whatever listens there failed, is no node, or answered nonsense.
    #[error("{0}")]
    Wrong(String),
    /// There is no such link.
    #[error("{0}")]
    Unknown(String),
    /// Several neighbours have this name.
    #[error("{0}")]
    Ambiguous(String),
    /// The node's own disk failed.
    #[error("{0}")]
    Failed(String),
}

/// A member of the network as this node sees it.
#[derive(Debug, Clone)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: NodeId,
    /// Its address for other nodes.
    pub address: String,
    /// Its address for HTTP.
    pub http: String,
    /// Its failure domain; may be empty.
    pub zone: String,
    /// Hops from this node; `None` if no path of links leads there.
    pub hops: Option<u32>,
    /// Bytes it may use.
    pub capacity: u64,
    /// Bytes free.
    pub free: u64,
    /// Requests per second it answered lately.
    pub load: u32,
    /// `alive`, `suspect`, `gone`, or `left` (drained and stopped).
    pub state: &'static str,
    /// How long it has been silent, if it is.
    pub silent_for: Option<Duration>,
}

/// A node's status.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: NodeId,
    /// Its network.
    pub network: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Bytes it may use.
    pub capacity: u64,
    /// Bytes free.
    pub free: u64,
    /// Replicas it holds.
    pub replicas: Total,
    /// Cached copies it holds.
    pub cached: Total,
    /// Number of links.
    pub links: usize,
    /// Nodes that should answer and don't.
    pub silent: Vec<SilentNode>,
    /// Problems that an operator must fix.
    pub problems: Vec<NodeProblem>,
    /// Progress of re-replication.
    pub repair: RepairStatus,
    /// What the node has still to do so that replicas are right, by kind.
    pub upkeep: Vec<(Kind, Counts)>,
    /// Progress of draining.
    pub drain: DrainStatus,
    /// Progress of scrubbing.
    pub scrub: ScrubStatus,
}

/// Re-replication by this node: after a holder is gone, after a degraded write, and while the node is drained.
#[derive(Debug, Clone, Copy, Default)]
pub struct RepairStatus {
    /// Files that this node still has to re-replicate or move.
    pub waiting: Total,
    /// Files being worked on now.
    pub active: u64,
    /// Replicas that another layout has replaced, kept until every holder of that layout confirms its copy.
    pub releasing: u64,
    /// Copies made since the node started.
    pub copies: u64,
    /// Bytes of those copies.
    pub bytes: u64,
    /// Attempts for which no node could take a copy.
    pub failed: u64,
}

/// Progress of draining a node.
#[derive(Debug, Clone, Copy)]
pub struct DrainStatus {
    /// The node is being drained: nothing is placed on it.
    pub draining: bool,
    /// The node holds no replica any more and can be stopped.
    pub drained: bool,
    /// Replicas it still holds.
    pub left: Total,
}

/// Why a node can't be drained.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The other nodes can't take what it holds.
    #[error("{0}")]
    Refused(String),
    /// The node's own disk failed.
    #[error("{0}")]
    Failed(String),
}

/// Progress of scrubbing, and of healing bad copies, including those that a read found.
#[derive(Debug, Clone, Default)]
pub struct ScrubStatus {
    /// A pass is under way.
    pub running: bool,
    /// When the last pass began; 0 if none ever did.
    pub began: Millis,
    /// When a pass last ended; 0 if none ever did.
    pub ended: Millis,
    /// Content checked since the pass began, or since the node started.
    pub done: Total,
    /// Content checked and still to be checked.
    pub total: Total,
    /// Bad copies found in that time.
    pub bad: u64,
    /// Copies that could not be read in that time; they stay.
    pub unreadable: u64,
    /// Replicas healed in that time.
    pub healed: u64,
    /// Replicas being healed.
    pub healing: u64,
    /// Replicas that can't be healed now, because no reachable node has a good copy.
    pub waiting: u64,
    /// Replicas of which no good copy is left.
    pub lost: u64,
    /// The first of those by key, at most [`LOST_KEYS_TOLD_MAX`](crate::limits::LOST_KEYS_TOLD_MAX).
    pub lost_keys: Vec<Key>,
    /// The rate limit, if there is one.
    pub bytes_per_second: Option<u64>,
    /// Content checked since the node started.
    pub checked_since_start: Total,
    /// Bad copies found since the node started.
    pub bad_since_start: u64,
    /// Replicas healed since the node started.
    pub healed_since_start: u64,
}
