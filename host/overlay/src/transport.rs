//! The transport port: what a node says to another, in core types.
//!
//! The driver knows only this trait. gRPC stands behind it in production (`net`); tests put a network
//! in memory behind it. Whoever implements it carries messages and streams and decides nothing.
//!
//! Every message carries its [`Sender`], so that clocks meet on every call and a node of another network
//! is noticed at the first word.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::filter::Filter;
use dataverse_core::floors::Heard;
use dataverse_core::key::Key;
use dataverse_core::reconcile::{BucketRange, Compared, DigestEntry};
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Peer, Question};
use dataverse_core::secret::{Nonce, Proof};
use dataverse_core::version::{Stamp, Version};
use futures_util::stream::BoxStream;

/// Who speaks: part of every message in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its node.
    pub node: Peer,
    /// Its hybrid logical clock.
    pub clock: Stamp,
    /// The network it belongs to.
    pub network: Arc<str>,
    /// The version of the overlay protocol that it speaks.
    pub protocol: u32,
    /// Which of the node's runs it is: later runs have greater numbers, and no two the same. Two runs that
    /// answer under one id at once are two nodes. 0 when it does not say, as earlier releases don't.
    pub instance: u64,
}

/// A message and who sent it.
#[derive(Clone, Debug)]
pub struct Message<T> {
    /// Who.
    pub sender: Sender,
    /// What.
    pub body: T,
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke.
    #[error("{address} can not be reached: {reason}")]
    Unreachable {
        /// Where the call went.
        address: String,
        /// What the connection said.
        reason: String,
    },
    /// No answer in time.
    #[error("{address} did not answer in time")]
    Deadline {
        /// Where the call went.
        address: String,
    },
    /// The peer understood and said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The peer said something that is no answer.
    #[error("{address} answered out of protocol: {reason}")]
    Protocol {
        /// Where the call went.
        address: String,
        /// What was wrong.
        reason: String,
    },
}

/// Why a peer said no. The text is for people and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message itself is wrong: another network or protocol, a clock too far ahead, a bad field.
    #[error("{0}")]
    Invalid(String),
    /// What was asked for is not there.
    #[error("{0}")]
    Absent(String),
    /// There is no room for it.
    #[error("{0}")]
    NoSpace(String),
    /// The node is too busy or is stopping; later may do.
    #[error("{0}")]
    Busy(String),
    /// The content that it has is bad.
    #[error("{0}")]
    Corrupt(String),
    /// Something failed there.
    #[error("{0}")]
    Failed(String),
}

/// Asks for a link between the sender and the node asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAsk {
    /// A person (or a flag) asked for this link now: it lifts an earlier refusal. False when a node
    /// takes up a link it already has.
    pub explicit: bool,
    /// The sender says good-bye: it was emptied and is about to stop. Whoever hears it asks back.
    pub leaving: bool,
    /// The sender wants it proved that the node asked, which goes by the sender's own id, runs in a copy of its
    /// data folder.
    pub nonce: Option<Nonce>,
}

impl LinkAsk {
    /// Takes up a link that is there already.
    pub const AGAIN: Self = Self {
        explicit: false,
        leaving: false,
        nonce: None,
    };
    /// A person asked for it now.
    pub const EXPLICIT: Self = Self {
        explicit: true,
        leaving: false,
        nonce: None,
    };
    /// Good-bye.
    pub const GOODBYE: Self = Self {
        explicit: false,
        leaving: true,
        nonce: None,
    };

    /// Asks a node that goes by the sender's own id to prove that it has the sender's secret.
    #[must_use]
    pub const fn to_prove(nonce: Nonce) -> Self {
        Self {
            explicit: false,
            leaving: false,
            nonce: Some(nonce),
        }
    }
}

/// What became of a [`LinkAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAnswer {
    /// Both ends keep it now.
    Linked,
    /// The other end cut it; only an explicit link brings it back.
    Cut,
    /// The node that answers was emptied and is about to stop.
    Leaving,
    /// Another node answers under the asker's id: of the two only that one is linked with.
    Taken {
        /// Where that one listens.
        by: Arc<str>,
        /// That it is the node that answers, and has the secret of the asker. Only where the ask had a nonce.
        proof: Option<Proof>,
    },
    /// The node that answers knows that another one goes by its id, and keeps away.
    Isolated {
        /// That it has the secret of the asker, whose id it goes by. Only where the ask had a nonce.
        proof: Option<Proof>,
    },
}

impl LinkAnswer {
    /// The proof in it.
    #[must_use]
    pub const fn proof(&self) -> Option<&Proof> {
        match self {
            Self::Taken { proof, .. } | Self::Isolated { proof } => proof.as_ref(),
            Self::Linked | Self::Cut | Self::Leaving => None,
        }
    }
}

/// Asks a node to link itself with the one that listens at another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntroduceAsk {
    /// `host:port` of the other node.
    pub other: String,
}

/// Streams content to a node that is to hold it, under a number by which it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareAsk {
    /// Names the preparation; drawn by the asker.
    pub preparation: u128,
    /// The file.
    pub key: Key,
    /// Bytes to come, where known beforehand.
    pub size: Option<u64>,
}

/// The content is durable there, invisible until committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareAnswer {
    /// What arrived, hashed there.
    pub digest: Digest,
    /// Bytes that arrived.
    pub size: u64,
    /// The highest version of the key which that node has heard of.
    pub known: Option<Heard>,
}

/// Ends a preparation, or hands over a record that needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAsk {
    /// Make it visible as a replica under this record. Without a preparation the node has the content of
    /// that version already, or the record is a tombstone.
    Commit {
        /// The content, where there is some to come.
        preparation: Option<u128>,
        /// What is known of the file from now on.
        record: Arc<Record>,
    },
    /// Forget it.
    Abandon {
        /// Which.
        preparation: u128,
    },
}

/// What became of a [`CommitAsk`]: once it arrives, the record (or a greater one) is durable there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAnswer {
    /// It holds from now on.
    Done,
    /// A greater record was there already.
    Superseded(Arc<Record>),
}

/// Asks for content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchAsk {
    /// The file.
    pub key: Key,
    /// Exactly this version.
    pub version: Version,
    /// First byte wanted: the beginning of a group.
    pub offset: u64,
    /// Bytes wanted from there; the sender rounds up to whole groups.
    pub length: u64,
}

/// The answer to a [`FetchAsk`].
pub struct Fetched {
    /// What is known of the file there.
    pub record: Arc<Record>,
    /// Its group tree as it was sent, not yet checked.
    pub tree: Vec<u8>,
    /// The bytes from the offset on, in chunks of any size, not yet checked.
    pub chunks: BoxStream<'static, Result<Bytes, CallError>>,
}

/// Asks a node to keep a cached copy; it fetches in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullAsk {
    /// What to keep.
    pub record: Arc<Record>,
    /// Who has it.
    pub from: Peer,
    /// Links between the two, as far as the asker knows.
    pub hops: u32,
}

/// Asks a node that holds a replica of a file to have one moved to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveAsk {
    /// The file.
    pub key: Key,
    /// The one that moves is the asker's own, which it has no room for or can't read; else that of the node that is asked.
    pub relieves: bool,
    /// Who is to hold it instead.
    pub to: Peer,
}

/// A record that floods over the links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// News of a file.
    pub record: Arc<Record>,
    /// Links it may still cross.
    pub hops_left: u32,
}

/// Asks a node to compare what it holds with what the asker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconcileAsk {
    /// Is this the root of what we are both to hold?
    Root(u128),
    /// Which of these files are otherwise there? With a span, what is shared in it and not marked is told as well.
    Compare {
        /// A part of what we are both to hold.
        range: Option<BucketRange>,
        /// Files of the asker.
        entries: Vec<DigestEntry>,
    },
    /// Which files do you hold or remember as deleted, unless it is still this filter?
    Filter {
        /// The tag of a filter, or 0.
        known: u128,
    },
}

/// The answer to a [`ReconcileAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconcileAnswer {
    /// It is just as the asker said: the same root, or still the same filter.
    Agreed,
    /// The sums of every bucket.
    Sums(Vec<u128>),
    /// What was found to differ.
    Compared(Compared),
    /// Which files are held or remembered as deleted.
    Filter(Filter),
}

impl ReconcileAsk {
    /// Bytes of it, beside who asks.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        match self {
            Self::Root(_) | Self::Filter { .. } => 16,
            Self::Compare { range, entries } => {
                let buckets = range.as_ref().map_or(0, |range| range.buckets.len());
                (16 * entries.len() + 2 * buckets + 16) as u64
            }
        }
    }
}

impl ReconcileAnswer {
    /// Bytes of it, beside who answers; records are taken to be as long as their texts and 150 bytes.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Agreed => 0,
            Self::Sums(sums) => 16 * sums.len(),
            Self::Filter(filter) => filter.as_bytes().len(),
            Self::Compared(compared) => {
                let texts = compared.records.iter();
                let texts = texts.map(|it| 150 + it.key.as_str().len() + it.content_type.len());
                texts.sum::<usize>() + 8 * compared.unknown.len() + 8
            }
        };
        bytes as u64
    }
}

/// Calls to other nodes. Each has a deadline of its own, set where the transport is made; a stream ends
/// with an error when it stalls.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Links with whatever node listens at this address.
    async fn link(
        &self,
        address: &str,
        ask: Message<LinkAsk>,
    ) -> Result<Message<LinkAnswer>, CallError>;
    /// Has the node that listens at `address` link itself with another.
    async fn introduce(
        &self,
        address: &str,
        ask: Message<IntroduceAsk>,
    ) -> Result<Message<()>, CallError>;
    /// Cuts the link with that node.
    async fn unlink(&self, to: &Peer, ask: Message<()>) -> Result<Message<()>, CallError>;
    /// Asks one question of a search.
    async fn probe(&self, to: &Peer, ask: Message<Question>) -> Result<Message<Answer>, CallError>;
    /// Asks for content.
    async fn fetch(&self, to: &Peer, ask: Message<FetchAsk>)
    -> Result<Message<Fetched>, CallError>;
    /// Streams content; `chunks` ends early (without its last byte) when the asker gives up, which the
    /// other side sees as a broken stream, never as the end.
    async fn prepare(
        &self,
        to: &Peer,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError>;
    /// Ends a preparation.
    async fn commit(
        &self,
        to: &Peer,
        ask: Message<CommitAsk>,
    ) -> Result<Message<CommitAnswer>, CallError>;
    /// Asks for a cached copy to be kept.
    async fn pull(&self, to: &Peer, ask: Message<PullAsk>) -> Result<Message<()>, CallError>;
    /// Asks for a replica to be moved. The answer says that it is tried, not that it is done.
    async fn move_replica(
        &self,
        to: &Peer,
        ask: Message<MoveAsk>,
    ) -> Result<Message<()>, CallError>;
    /// Passes news on.
    async fn announce(
        &self,
        to: &Peer,
        ask: Message<Announcement>,
    ) -> Result<Message<()>, CallError>;
    /// Compares what two nodes hold.
    async fn reconcile(
        &self,
        to: &Peer,
        ask: Message<ReconcileAsk>,
    ) -> Result<Message<ReconcileAnswer>, CallError>;
    /// Carries one packet of the membership protocol.
    async fn gossip(&self, address: &str, ask: Message<Bytes>) -> Result<Message<()>, CallError>;
}

/// The writer of a streamed preparation gave up; the stream is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender gave up")]
pub struct PrepareBroken;

/// The same calls as they arrive: what the driver answers. Whatever carries messages calls this.
#[async_trait]
pub trait Serve: Send + Sync + 'static {
    /// See [`Transport::link`].
    async fn link(&self, ask: Message<LinkAsk>) -> Result<Message<LinkAnswer>, Refusal>;
    /// See [`Transport::introduce`].
    async fn introduce(&self, ask: Message<IntroduceAsk>) -> Result<Message<()>, Refusal>;
    /// See [`Transport::unlink`].
    async fn unlink(&self, ask: Message<()>) -> Result<Message<()>, Refusal>;
    /// See [`Transport::probe`].
    async fn probe(&self, ask: Message<Question>) -> Result<Message<Answer>, Refusal>;
    /// See [`Transport::fetch`].
    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal>;
    /// See [`Transport::prepare`].
    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal>;
    /// See [`Transport::commit`].
    async fn commit(&self, ask: Message<CommitAsk>) -> Result<Message<CommitAnswer>, Refusal>;
    /// See [`Transport::pull`].
    async fn pull(&self, ask: Message<PullAsk>) -> Result<Message<()>, Refusal>;
    /// See [`Transport::move_replica`].
    async fn move_replica(&self, ask: Message<MoveAsk>) -> Result<Message<()>, Refusal>;
    /// See [`Transport::announce`].
    async fn announce(&self, ask: Message<Announcement>) -> Result<Message<()>, Refusal>;
    /// See [`Transport::reconcile`].
    async fn reconcile(
        &self,
        ask: Message<ReconcileAsk>,
    ) -> Result<Message<ReconcileAnswer>, Refusal>;
    /// See [`Transport::gossip`].
    async fn gossip(&self, ask: Message<Bytes>) -> Result<Message<()>, Refusal>;
}
