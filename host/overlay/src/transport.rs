//! The transport port: the calls that one node makes to another, in core types.
//!
//! The driver knows only this module's traits. gRPC stands behind them in production (`grpc`), a network in memory in
//! tests. An implementation carries messages and streams and decides nothing.
//!
//! Every message carries its [`Sender`]. So every call synchronizes the hybrid logical clocks, and a node of another
//! network is noticed with its first message.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Peer, Question};
use dataverse_core::secret::{Nonce, Proof};
use dataverse_core::version::{Stamp, Version};
use futures_util::stream::BoxStream;

pub use dataverse_core::reconcile::{ReconcileAnswer, ReconcileAsk};

/// The sender of a message; part of every message in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The node.
    pub node: Peer,
    /// Its hybrid logical clock.
    pub clock: Stamp,
    /// The network it belongs to.
    pub network: Arc<str>,
    /// The version of the overlay protocol that it speaks.
    pub protocol: u32,
    /// The run of the node: later runs have greater numbers, and no two are equal. Two different runs that answer
    /// under one id at the same time are two nodes. 0 when unknown: earlier releases don't send it.
    pub instance: u64,
}

/// A message and its sender.
#[derive(Clone, Debug)]
pub struct Message<T> {
    /// The sender.
    pub sender: Sender,
    /// The content of the message.
    pub body: T,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// The address that was called.
        address: String,
        /// Why the connection failed.
        reason: String,
    },
    /// No answer in time.
    #[error("{address} did not answer in time")]
    Deadline {
        /// The address that was called.
        address: String,
    },
    /// The peer understood the call and refused it.
    #[error("{0}")]
    Refused(Refusal),
    /// The peer's answer breaks the protocol.
    #[error("{address} broke the protocol: {reason}")]
    Protocol {
        /// The address that was called.
        address: String,
        /// What was wrong with the answer.
        reason: String,
    },
}

/// Why a peer refused a call. The text is for people and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message itself is wrong: another network or protocol, a clock too far ahead, a bad field.
    #[error("{0}")]
    Invalid(String),
    /// What was asked for does not exist there.
    #[error("{0}")]
    Absent(String),
    /// There is not enough space for it.
    #[error("{0}")]
    NoSpace(String),
    /// The node is too busy, or is stopping; try again later.
    #[error("{0}")]
    Busy(String),
    /// The node's copy of the content is bad.
    #[error("{0}")]
    Corrupt(String),
    /// Something failed there.
    #[error("{0}")]
    Failed(String),
}

/// Asks for a link between the sender and the receiving node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAsk {
    /// A person (or a flag) asks for this link now, which lifts an earlier refusal. False when a node resumes a link
    /// that it already has.
    pub explicit: bool,
    /// The sender leaves: it was drained and is about to stop. The receiver verifies this by asking back.
    pub leaving: bool,
    /// Asks the receiver, which uses the sender's own id, to prove that it runs on a copy of the sender's data
    /// folder.
    pub nonce: Option<Nonce>,
}

impl LinkAsk {
    /// Resumes an existing link.
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
    /// Announces that the sender leaves.
    pub const GOODBYE: Self = Self {
        explicit: false,
        leaving: true,
        nonce: None,
    };

    /// Asks a node that uses the sender's own id to prove that it has the sender's secret.
    #[must_use]
    pub const fn to_prove(nonce: Nonce) -> Self {
        Self {
            explicit: false,
            leaving: false,
            nonce: Some(nonce),
        }
    }
}

/// The result of a [`LinkAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAnswer {
    /// Both ends now keep the link.
    Linked,
    /// The other end cut the link; only an explicit link restores it.
    Cut,
    /// The answering node was drained and is about to stop.
    Leaving,
    /// Another node runs under the sender's id, and the answering node is linked only with that one.
    Taken {
        /// The address of that node.
        by: Arc<str>,
        /// Proof that the answering node is that node and has the sender's secret. Only for an ask with a nonce.
        proof: Option<Proof>,
    },
    /// The answering node knows that another node runs under its id, and has isolated itself.
    Isolated {
        /// Proof that it has the secret of the sender, whose id it uses. Only for an ask with a nonce.
        proof: Option<Proof>,
    },
}

impl LinkAnswer {
    /// The proof in this answer.
    #[must_use]
    pub const fn proof(&self) -> Option<&Proof> {
        match self {
            Self::Taken { proof, .. } | Self::Isolated { proof } => proof.as_ref(),
            Self::Linked | Self::Cut | Self::Leaving => None,
        }
    }
}

/// Asks a node to link with the node at another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntroduceAsk {
    /// `host:port` of the other node.
    pub other: String,
}

/// Begins a stream of content to a node that should hold a replica. The commit, which follows later, names the
/// preparation by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareAsk {
    /// The number of the preparation; drawn by the sender.
    pub preparation: u128,
    /// The file.
    pub key: Key,
    /// Bytes to come, if known.
    pub size: Option<u64>,
}

/// The content has arrived there completely, and is invisible until it is committed. It is durable; small content
/// becomes so with its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareAnswer {
    /// Digest of what arrived, computed there.
    pub digest: Digest,
    /// Bytes that arrived.
    pub size: u64,
    /// The highest version of the key that the receiving node has heard of.
    pub known: Option<Heard>,
}

/// Commits or abandons a preparation, or delivers a record that needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAsk {
    /// Make the content visible as a replica under this record. Without a preparation, either the node already has
    /// the content of that version, or the record is a tombstone.
    Commit {
        /// The prepared content, if any.
        preparation: Option<u128>,
        /// The record of the file from now on.
        record: Arc<Record>,
    },
    /// Drop the prepared content.
    Abandon {
        /// The number of the preparation.
        preparation: u128,
    },
}

/// The result of a [`CommitAsk`]. When it arrives, the record (or a greater one) is durable there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAnswer {
    /// The node holds the record.
    Done,
    /// The node already had a greater record.
    Superseded(Arc<Record>),
}

/// Asks for content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchAsk {
    /// The file.
    pub key: Key,
    /// Exactly this version.
    pub version: Version,
    /// First byte wanted; the beginning of a group.
    pub offset: u64,
    /// Bytes wanted from there; the node that holds the content rounds up to whole groups.
    pub length: u64,
}

/// The answer to a [`FetchAsk`].
pub struct Fetched {
    /// The record of the file there.
    pub record: Arc<Record>,
    /// Its group tree as received, not yet verified.
    pub tree: Vec<u8>,
    /// The bytes from the offset on, in chunks of any size, not yet verified.
    pub chunks: BoxStream<'static, Result<Bytes, CallError>>,
}

/// Asks a node to keep a cached copy; it fetches in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullAsk {
    /// The version to keep.
    pub record: Arc<Record>,
    /// The node to fetch it from.
    pub from: Peer,
    /// Links between the two nodes, as far as the sender knows.
    pub hops: u32,
}

/// Asks a node that holds a replica of a file to have one moved to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveAsk {
    /// The file.
    pub key: Key,
    /// True: move the sender's replica, for which it has no space or which it can't read. False: move the replica of
    /// the receiving node.
    pub relieves: bool,
    /// The node that is to hold it instead.
    pub to: Peer,
}

/// A record that is flooded over the links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The record that changed.
    pub record: Arc<Record>,
    /// Links that it may still cross.
    pub hops_left: u32,
}

/// Cuts the link between the sender and the node asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnlinkAsk;

/// One packet of the membership protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipPacket(pub Bytes);

/// Tells a node what the authorities of the network have stated, and asks for what it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAsk {
    /// The SHA-256 of all statements that the sender knows.
    pub digest: [u8; 32],
    /// Some of them, as bytes: all that the receiver may lack.
    pub statements: Vec<Bytes>,
}

/// The answer to a [`TrustAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnswer {
    /// The SHA-256 of all statements that the answering node knows.
    pub digest: [u8; 32],
    /// All of them, unless the asking node knows the same.
    pub statements: Vec<Bytes>,
}

/// The body of a unary call: one message there, one back.
pub trait Ask: Sized + Send {
    /// The body of the answer.
    type Answer: Send;

    /// The call that carries it.
    fn into_call(self) -> Call;

    /// The answer, if `reply` is one to such a call.
    fn answer_in(reply: Reply) -> Option<Self::Answer>;
}

macro_rules! unary_calls {
    ($($(#[$doc:meta])* $name:ident($ask:ty) -> $answer:ty;)+) => {
        /// A unary call.
        #[derive(Debug, Clone)]
        pub enum Call {
            $($(#[$doc])* $name($ask),)+
        }

        /// The reply to a [`Call`], under the same name.
        #[derive(Debug)]
        pub enum Reply {
            $(#[doc = concat!("See [`Call::", stringify!($name), "`].")] $name($answer),)+
        }

        impl Call {
            /// Which call it is.
            #[must_use]
            pub const fn kind(&self) -> CallKind {
                match self {
                    $(Self::$name(_) => CallKind::$name,)+
                }
            }
        }

        $(impl Ask for $ask {
            type Answer = $answer;

            fn into_call(self) -> Call {
                Call::$name(self)
            }

            fn answer_in(reply: Reply) -> Option<$answer> {
                match reply {
                    Reply::$name(answer) => Some(answer),
                    _ => None,
                }
            }
        })+
    };
}

unary_calls! {
    /// Links with the node asked.
    Link(LinkAsk) -> LinkAnswer;
    /// Makes the node asked link with another.
    Introduce(IntroduceAsk) -> ();
    /// Cuts the link with the node asked.
    Unlink(UnlinkAsk) -> ();
    /// Asks one question of a search.
    Probe(Question) -> Answer;
    /// Commits or abandons a preparation.
    Commit(CommitAsk) -> CommitAnswer;
    /// Asks the node to keep a cached copy.
    Pull(PullAsk) -> ();
    /// Asks the node to move a replica. The answer means that it will try, not that it is done.
    Move(MoveAsk) -> ();
    /// Compares what two nodes hold.
    Reconcile(ReconcileAsk) -> ReconcileAnswer;
    /// Passes an announcement on.
    Announce(Announcement) -> ();
    /// Exchanges what the authorities of the network have stated.
    Trust(TrustAsk) -> TrustAnswer;
    /// Carries one packet of the membership protocol.
    Gossip(GossipPacket) -> ();
}

/// Which call: a unary one, or one of the two that carry content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// See [`Call::Link`].
    Link,
    /// See [`Call::Introduce`].
    Introduce,
    /// See [`Call::Unlink`].
    Unlink,
    /// See [`Call::Probe`].
    Probe,
    /// See [`Transport::fetch`].
    Fetch,
    /// See [`Transport::prepare`].
    Prepare,
    /// See [`Call::Commit`].
    Commit,
    /// See [`Call::Pull`].
    Pull,
    /// See [`Call::Move`].
    Move,
    /// See [`Call::Reconcile`].
    Reconcile,
    /// See [`Call::Announce`].
    Announce,
    /// See [`Call::Trust`].
    Trust,
    /// See [`Call::Gossip`].
    Gossip,
}

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// To a node whose id is known.
    Node(&'a Peer),
    /// To the node that listens at this address, whichever it is.
    Address(&'a str),
}

impl<'a> Target<'a> {
    /// The address that it goes to.
    #[must_use]
    pub fn address(&self) -> &'a str {
        match self {
            Self::Node(peer) => &peer.address,
            Self::Address(address) => address,
        }
    }
}

impl<'a> From<&'a Peer> for Target<'a> {
    fn from(peer: &'a Peer) -> Self {
        Self::Node(peer)
    }
}

impl<'a> From<&'a str> for Target<'a> {
    fn from(address: &'a str) -> Self {
        Self::Address(address)
    }
}

impl<'a> From<&'a String> for Target<'a> {
    fn from(address: &'a String) -> Self {
        Self::Address(address)
    }
}

impl<'a> From<&'a Arc<str>> for Target<'a> {
    fn from(address: &'a Arc<str>) -> Self {
        Self::Address(address)
    }
}

/// Calls to other nodes. Each has its own deadline, set when the transport is created; a stream ends with an error
/// when it stalls. [`TransportExt::ask`] is the typed way to make a unary call.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Makes a unary call. The reply has the name of the call.
    async fn call(&self, to: Target<'_>, call: Message<Call>) -> Result<Message<Reply>, CallError>;

    /// Fetches content.
    async fn fetch(&self, to: &Peer, ask: Message<FetchAsk>)
    -> Result<Message<Fetched>, CallError>;

    /// Streams content. When the sender gives up, `chunks` ends in an error; the receiver then sees a broken stream,
    /// never an end.
    async fn prepare(
        &self,
        to: &Peer,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError>;
}

/// Unary calls with the types of their answers.
pub trait TransportExt: Transport {
    /// Asks a node and waits for its answer.
    fn ask<'a, A: Ask + 'a>(
        &'a self,
        to: impl Into<Target<'a>>,
        ask: Message<A>,
    ) -> impl Future<Output = Result<Message<A::Answer>, CallError>> + Send + 'a {
        let to = to.into();
        async move {
            let reply = self.call(to, ask.map(A::into_call)).await?;
            reply.answer::<A>().ok_or_else(|| CallError::Protocol {
                address: to.address().to_owned(),
                reason: "it answered another call".to_owned(),
            })
        }
    }
}

impl<T: Transport + ?Sized> TransportExt for T {}

impl<T> Message<T> {
    /// The same sender with another body.
    pub fn map<U>(self, body: impl FnOnce(T) -> U) -> Message<U> {
        Message {
            sender: self.sender,
            body: body(self.body),
        }
    }
}

impl Message<Reply> {
    fn answer<A: Ask>(self) -> Option<Message<A::Answer>> {
        let body = A::answer_in(self.body)?;
        Some(Message {
            sender: self.sender,
            body,
        })
    }
}

/// The source of a streamed preparation gave up; the stream is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender gave up")]
pub struct PrepareBroken;

/// Answers the same calls when they arrive. The driver implements it; the transports call it.
#[async_trait]
pub trait Serve: Send + Sync + 'static {
    /// See [`Transport::call`].
    async fn call(&self, call: Message<Call>) -> Result<Message<Reply>, Refusal>;

    /// See [`Transport::fetch`].
    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal>;

    /// See [`Transport::prepare`].
    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal>;
}

/// Unary calls as they arrive, with the types of their answers.
pub trait ServeExt: Serve {
    /// Answers a call.
    ///
    /// # Panics
    /// When the node answers another call than it was asked.
    fn answer<'a, A: Ask + 'a>(
        &'a self,
        ask: Message<A>,
    ) -> impl Future<Output = Result<Message<A::Answer>, Refusal>> + Send + 'a {
        async move {
            let reply = self.call(ask.map(A::into_call)).await?;
            Ok(reply
                .answer::<A>()
                .expect("a node answers the call that it was asked"))
        }
    }
}

impl<T: Serve + ?Sized> ServeExt for T {}
