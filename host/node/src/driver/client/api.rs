//! What people ask of a node and what it answers: the vocabulary of the driver's face.
//!
//! HTTP and gRPC for clients speak in these types and nothing deeper.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::holdings::{Role, Total};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::pattern::Pattern;
use dataverse_core::record::Record;
use dataverse_core::version::{Millis, Version};
use futures_util::stream::BoxStream;

use super::read::Origin;

/// Content on its way to or from a client.
pub type Body = BoxStream<'static, Result<Bytes, BodyError>>;

/// Why content stopped on its way.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// The client went away or sent something broken.
    #[error("the upload ended early: {0}")]
    Client(String),
    /// Nothing came for too long.
    #[error("the upload stalled: nothing arrived for {seconds} s")]
    Stalled {
        /// How long was waited.
        seconds: u64,
    },
    /// Every holder failed in mid-transfer.
    #[error("{0}")]
    Source(String),
    /// The node's own disk failed.
    #[error("{0}")]
    Failed(String),
}

/// When a write is to happen at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    #[default]
    Always,
    /// Only if there is no such file (`If-None-Match: *`).
    Absent,
    /// Only if the file is there (`If-Match: *`).
    Present,
    /// Only if the file's content has one of these digests (`If-Match: "…"`).
    Matches(Vec<Digest>),
}

/// How to write.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Replicas wanted; the node's default when `None`.
    pub factor: Option<u32>,
    /// Guessed from the name and the content when `None`.
    pub content_type: Option<String>,
    /// When to write at all.
    pub condition: Condition,
    /// Bytes to come, where known beforehand.
    pub size: Option<u64>,
}

/// A write that was acknowledged.
#[derive(Debug, Clone)]
pub struct Written {
    /// What is known of the file now.
    pub record: Arc<Record>,
    /// Names of the nodes that hold its replicas, in the layout's order.
    pub replicas: Vec<String>,
    /// Whether an earlier version was there, as far as the replicas knew.
    pub replaced: bool,
    /// The same content was there already and nothing was written.
    pub unchanged: bool,
}

/// The node does as much of this at once as it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Busy(pub String);

/// Why a write was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A header or option that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The condition did not hold.
    #[error("{0}")]
    Condition(String),
    /// The file is larger than any file may be.
    #[error("{0}")]
    TooLarge(String),
    /// No room here.
    #[error("{0}")]
    NoSpace(String),
    /// The body broke off.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Too few nodes took it, or it can't be known whether the condition holds.
    #[error("{0}")]
    Unavailable(String),
    /// The node takes in as many uploads as it can.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The node's own disk failed.
    #[error("{0}")]
    Failed(String),
}

/// How fresh a read has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// As fresh as the node knows.
    #[default]
    Usual,
    /// Not without a replica's word (`consistency=newest`).
    Newest,
}

/// A file that was found, before its content flows.
pub struct Located {
    /// What is known of it.
    pub record: Arc<Record>,
    /// Name of the node that the content comes from.
    pub source: String,
    /// Links between this node and that one.
    pub hops: u32,
    /// It could not be confirmed that this is the newest version.
    pub stale: bool,
    pub(crate) origin: Origin,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The whole reachable graph said no.
    #[error("no node that can be reached has {key}")]
    NotFound {
        /// The file.
        key: Key,
    },
    /// It may exist: the search could not know.
    #[error(
        "{key} was not found, but the search could not ask every node ({outcome}); it may exist, try again{silent}"
    )]
    Unknown {
        /// The file.
        key: Key,
        /// How the search ended.
        outcome: &'static str,
        /// Who gave no answer.
        silent: Silent,
    },
    /// It exists, and there is no copy of it that can be read.
    #[error(
        "{} is known, but every copy of it that can be reached is bad or gone; it may be on a node that is away",
        record.key
    )]
    Lost {
        /// What is known of it.
        record: Arc<Record>,
    },
    /// A version was heard of, every node that is there was asked, and none of them has it.
    #[error(
        "{key} is known to exist, but no node that can be reached has it; it may be on a node that is away, else write it again, without a condition"
    )]
    Away {
        /// The file.
        key: Key,
        /// The version that was heard of.
        version: Version,
    },
    /// `consistency=newest` was asked and no replica could be reached.
    #[error("no replica of {key} can be reached to confirm that the copy here is the newest")]
    Unconfirmed {
        /// The file.
        key: Key,
    },
    /// It was replaced between being found and being read; finding it again may do.
    #[error("{key} was replaced while it was read; try again")]
    Superseded {
        /// The file.
        key: Key,
    },
    /// No node that has it sent it, or what they sent was wrong.
    #[error("{0}")]
    Source(String),
    /// The copy on the node's own disk could not be read, and there is no other.
    #[error("{0}")]
    Failed(String),
}

/// Why a file was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is no such file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The deletion could not be made durable on enough nodes.
    #[error("{0}")]
    Unavailable(String),
}

/// What is searched for.
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
    /// Links crossed at most.
    pub hops: Option<u32>,
    /// Hits wanted at most.
    pub limit: Option<u32>,
}

/// How a search ended and what it found.
#[derive(Debug, Clone)]
pub struct SearchReport {
    /// `found`, `not_found`, `horizon`, `partial`, `deadline` or `budget`.
    pub outcome: &'static str,
    /// No nearer copy can exist: every nearer node said no.
    pub exact: bool,
    /// What was found, nearest first.
    pub hits: Vec<FoundHit>,
    /// More files match than were wanted; `hits` is not all.
    pub truncated: bool,
    /// Names of the nodes from this one to the hit of an exact query.
    pub path: Vec<String>,
    /// Nodes asked over the network.
    pub probes: u32,
    /// Levels asked, the node itself (level 0) not counted.
    pub levels: u32,
    /// Nodes that gave no answer.
    pub unanswered: Vec<SilentNode>,
    /// How long it took.
    pub elapsed_ms: f64,
}

/// One hit of a [`SearchReport`].
#[derive(Debug, Clone)]
pub struct FoundHit {
    /// What is known of the file.
    pub record: Arc<Record>,
    /// Name of the node that has it.
    pub node: String,
    /// Links from here.
    pub hops: u32,
    /// As what it is held there.
    pub role: Role,
}

/// A link of this node.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// The neighbour's name.
    pub name: String,
    /// The neighbour's id.
    pub id: NodeId,
    /// Where it listens.
    pub address: String,
    /// Whether it answers.
    pub up: bool,
    /// How it stands.
    pub state: LinkState,
    /// For how long it has not answered, if it does not; the node itself has not run for longer.
    pub silent_for: Option<Duration>,
    /// Tries that failed since it last answered.
    pub attempts: u32,
    /// What came of the last of them.
    pub last_error: Option<String>,
}

/// How a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// The other end answers.
    Up,
    /// It does not answer.
    Down,
    /// It was emptied, said good-bye and stopped: nobody waits for it.
    Left,
    /// It was asked for at start and has not come about yet: name and id are not known.
    Connecting,
}

impl LinkState {
    /// As it is shown.
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

/// A node that is not heard.
#[derive(Debug, Clone)]
pub struct SilentNode {
    /// Its name; empty when it never was heard.
    pub name: String,
    /// Its id, where it is known.
    pub id: Option<NodeId>,
    /// Where it was last known to listen.
    pub address: String,
    /// `down`, `connecting`, `gone` or `silent`.
    pub state: &'static str,
    /// For how long it has been silent, as far as that is known; this node has not run for longer.
    pub silent_for: Option<Duration>,
    /// What came of the last try to reach it.
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

/// Those who gave a search no answer, in a sentence.
#[derive(Debug, Clone, Default)]
pub struct Silent(pub Vec<SilentNode>);

/// Silent nodes named in a sentence at most.
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

/// Something that an operator has to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeProblem {
    /// What it is about: `store` or `identity`.
    pub kind: &'static str,
    /// The node takes nothing in because of it.
    pub blocks: bool,
    /// What happened, what is safe and what to do.
    pub detail: String,
}

/// Why a link was not made or cut.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The other node said no: itself, another network, another protocol.
    #[error("{0}")]
    Refused(String),
    /// The other node can't be reached.
    #[error("{0}")]
    Unreachable(String),
    /// What listens there failed, or is no node, or answers what makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// There is no such link.
    #[error("{0}")]
    Unknown(String),
    /// The name fits several neighbours.
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
    /// Where it listens for nodes.
    pub address: String,
    /// Where it listens for HTTP.
    pub http: String,
    /// Its failure domain; may be empty.
    pub zone: String,
    /// Links from here; `None` when there is no way over links.
    pub hops: Option<u32>,
    /// Bytes that it may use.
    pub capacity: u64,
    /// Bytes that it has left.
    pub free: u64,
    /// Requests it answered per second, lately.
    pub load: u32,
    /// `alive`, `suspect`, `gone`, or `left`: emptied and stopped.
    pub state: &'static str,
    /// For how long it has been silent, if it is.
    pub silent_for: Option<Duration>,
}

/// What a node says of itself.
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
    /// Bytes that it may use.
    pub capacity: u64,
    /// Bytes that it has left.
    pub free: u64,
    /// What it holds as replicas.
    pub replicas: Total,
    /// What it holds as cached copies.
    pub cached: Total,
    /// How many links it has.
    pub links: usize,
    /// Whom it would hear and does not.
    pub silent: Vec<SilentNode>,
    /// What an operator has to see to.
    pub problems: Vec<NodeProblem>,
    /// How far repair is.
    pub repair: RepairStatus,
    /// Whether it is being emptied.
    pub drain: DrainStatus,
    /// How far the check of all content is.
    pub scrub: ScrubStatus,
}

/// Replicas that this node makes anew elsewhere: after a node is gone, after a degraded write, and when it is
/// emptied.
#[derive(Debug, Clone, Copy, Default)]
pub struct RepairStatus {
    /// Files that need something of this node.
    pub waiting: Total,
    /// Files that are seen to just now.
    pub active: u64,
    /// Replicas here that are held elsewhere now, and stay until every holder has confirmed it.
    pub releasing: u64,
    /// Copies made since the node started.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Times that no node could take a copy.
    pub failed: u64,
}

/// How far the emptying of a node is.
#[derive(Debug, Clone, Copy)]
pub struct DrainStatus {
    /// It is being emptied: nothing is placed on it.
    pub draining: bool,
    /// It holds no replica any more and can be stopped.
    pub drained: bool,
    /// Replicas that it still holds.
    pub left: Total,
}

/// Why a node is not emptied.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The others can't take what it holds.
    #[error("{0}")]
    Refused(String),
    /// The node's own disk failed.
    #[error("{0}")]
    Failed(String),
}

/// How far the check of all content is, and what became of copies that were found to be bad, whoever found them.
#[derive(Debug, Clone, Default)]
pub struct ScrubStatus {
    /// A pass is under way.
    pub running: bool,
    /// When the last pass began; 0 when none ever did.
    pub began: Millis,
    /// When a pass last ended; 0 when none ever did.
    pub ended: Millis,
    /// What the pass has checked since it began, or since the node started.
    pub done: Total,
    /// That, and what it has still to check.
    pub total: Total,
    /// Bad copies found in that time.
    pub bad: u64,
    /// Copies that could not be read in that time, and stay.
    pub unreadable: u64,
    /// Replicas that were made good in that time.
    pub healed: u64,
    /// Replicas that are being made good.
    pub healing: u64,
    /// Replicas that can't be made good now, because nobody who is there has them.
    pub waiting: u64,
    /// Replicas of which no good copy is left.
    pub lost: u64,
    /// Of those the first by key, at most [`LOST_KEYS_TOLD_MAX`](crate::limits::LOST_KEYS_TOLD_MAX).
    pub lost_keys: Vec<Key>,
    /// The pace, if there is one.
    pub bytes_per_second: Option<u64>,
    /// What was checked since the node started.
    pub checked_since_start: Total,
    /// Bad copies found since the node started.
    pub bad_since_start: u64,
    /// Replicas made good since the node started.
    pub healed_since_start: u64,
}
