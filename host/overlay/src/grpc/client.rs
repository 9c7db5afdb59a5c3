//! `GrpcTransport`: the transport port over gRPC.
//!
//! A call takes a connection from the [`Pool`], converts core types to messages and the answer back. It ends by its own
//! deadline; a stream of content ends when it stalls. Nothing is retried: the caller knows better whether that makes
//! sense.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_identity::credentials::Credentials;
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::time::timeout;
use tonic::{Response, Status, Streaming};

use super::convert::{FetchStart, fetched_bytes};
use super::pool::{Lane, Pool};
use super::proto;
use super::proto::fetch_part::Part as FetchedPart;
use super::proto::overlay_client::OverlayClient;
use super::proto::prepare_part::Part as PreparedPart;
use super::status::{call_error, late, protocol};
use super::streams::{exactly, in_pieces, paced, unstalled};
use super::tls::connect::OtherEnd;
use crate::deadlines::Deadlines;
use crate::limits;
use crate::timings::Timings;
use crate::transport::{
    Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, PrepareBroken, Reply,
    Sender, Target, Transport,
};

type Client = OverlayClient<tonic::transport::Channel>;

/// A way to call a node, and which node that is.
struct Line {
    client: Client,
    other_end: Option<Arc<OtherEnd>>,
}

impl Line {
    /// Checks that an answer comes from the node in the certificate of the connection. Without TLS nobody knows.
    fn check(&self, address: &str, sender: &Sender) -> Result<(), CallError> {
        match &self.other_end {
            Some(end) if end.node() != Some(sender.node.id) => Err(protocol(
                address,
                "its answer says that it comes from another node than its certificate",
            )),
            _ => Ok(()),
        }
    }
}

/// Calls to other nodes over gRPC. One serves a whole node; its connections close when it is dropped.
pub struct GrpcTransport {
    pool: Pool,
    deadlines: Deadlines,
}

impl GrpcTransport {
    /// A transport without connections; the calls that need them make them. With credentials, all of them are TLS.
    #[must_use]
    pub fn new(timings: &Timings, credentials: Option<Arc<Credentials>>) -> Self {
        Self {
            pool: Pool::new(timings.call_connect, credentials),
            deadlines: Deadlines::new(timings),
        }
    }

    fn line(&self, to: Target<'_>, lane: Lane) -> Result<Line, CallError> {
        let node: Option<NodeId> = match to {
            Target::Node(peer) => Some(peer.id),
            Target::Address(_) => None,
        };
        let (channel, other_end) = self.pool.channel(to.address(), node, lane)?;
        let client = OverlayClient::new(channel)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
        Ok(Line { client, other_end })
    }

    /// Sends one small message and receives one.
    async fn unary<A, B, F>(
        &self,
        to: Target<'_>,
        deadline: Duration,
        call: impl FnOnce(Client) -> F,
    ) -> Result<Message<B>, CallError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
        A: TryInto<Message<B>, Error: ToString>,
    {
        let address = to.address();
        let line = self.line(to, Lane::Calls)?;
        let reply = timeout(deadline, caught(call(line.client.clone()))).await;
        let reply = reply.map_err(|_| late(address))?;
        let reply = reply.map_err(|status| call_error(address, &status))?;
        let reply: Result<Message<B>, _> = reply.into_inner().try_into();
        let reply = reply.map_err(|wrong| protocol(address, wrong))?;
        line.check(address, &reply.sender)?;
        Ok(reply)
    }
}

#[async_trait]
impl Transport for GrpcTransport {
    async fn call(&self, to: Target<'_>, call: Message<Call>) -> Result<Message<Reply>, CallError> {
        let deadline = self.deadlines.of(call.body.kind());
        let Message { sender, body } = call;
        macro_rules! send {
            ($ask:ident, $request:ident, $method:ident, $reply:ident) => {{
                let request = proto::$request::from(Message { sender, body: $ask });
                let call = |mut client: Client| async move { client.$method(request).await };
                let reply = self.unary(to, deadline, call).await?;
                Ok(reply.map(Reply::$reply))
            }};
        }
        match body {
            Call::Link(ask) => send!(ask, LinkRequest, link, Link),
            Call::Introduce(ask) => send!(ask, IntroduceRequest, introduce, Introduce),
            Call::Unlink(ask) => send!(ask, UnlinkRequest, unlink, Unlink),
            Call::Probe(ask) => send!(ask, ProbeRequest, probe, Probe),
            Call::Commit(ask) => send!(ask, CommitRequest, commit, Commit),
            Call::Pull(ask) => send!(ask, PullRequest, pull, Pull),
            Call::Move(ask) => send!(ask, MoveRequest, r#move, Move),
            Call::Reconcile(ask) => send!(ask, ReconcileRequest, reconcile, Reconcile),
            Call::Announce(ask) => send!(ask, AnnounceRequest, announce, Announce),
            Call::Trust(ask) => send!(ask, TrustRequest, trust, Trust),
            Call::Gossip(ask) => send!(ask, GossipRequest, gossip, Gossip),
        }
    }

    async fn fetch(
        &self,
        to: &Peer,
        ask: Message<FetchAsk>,
    ) -> Result<Message<Fetched>, CallError> {
        let address = &*to.address;
        let line = self.line(to.into(), Lane::Content)?;
        let mut client = line.client.clone();
        let wanted = ask.body.clone();
        let start = async {
            let call = client.fetch(proto::FetchRequest::from(ask));
            let parts = caught(call).await;
            let mut parts = parts
                .map_err(|status| call_error(address, &status))?
                .into_inner();
            let start = fetch_start(address, &mut parts, &wanted).await?;
            line.check(address, &start.sender)?;
            Ok((start, parts))
        };
        let start = timeout(self.deadlines.call, start).await;
        let (start, mut parts) = start.unwrap_or_else(|_| Err(late(address)))?;
        let tree = fetch_tree(
            address,
            &mut parts,
            start.tree_bytes,
            self.deadlines.read_stall,
        );
        let tree = tree.await?;
        let from = || address.to_owned();
        let chunks = unstalled(
            fetch_chunks(from(), parts),
            self.deadlines.read_stall,
            from(),
        );
        Ok(Message {
            sender: start.sender,
            body: Fetched {
                record: start.record,
                tree,
                chunks: exactly(chunks, start.content_bytes, from()),
            },
        })
    }

    async fn prepare(
        &self,
        to: &Peer,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError> {
        let address = &*to.address;
        let line = self.line(to.into(), Lane::Content)?;
        let mut client = line.client.clone();
        let (chunks, mut pace) = paced(in_pieces(chunks));
        let parts = prepare_parts(ask.into(), chunks);
        let call = client.prepare(parts);
        let reply = tokio::select! {
            reply = caught(call) => reply.map_err(|status| call_error(address, &status))?,
            () = pace.too_slow(self.deadlines.prepare) => return Err(late(address)),
        };
        if pace.is_broken() {
            return Err(protocol(address, "it accepted a broken stream as complete"));
        }
        let reply: Result<Message<PrepareAnswer>, _> = reply.into_inner().try_into();
        let reply = reply.map_err(|wrong| protocol(address, wrong))?;
        line.check(address, &reply.sender)?;
        Ok(reply)
    }
}

/// The outcome of a call. The gRPC library panics on a status with malformed details; that is the peer's fault and
/// must end the call, not the node.
async fn caught<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let ended = AssertUnwindSafe(call).catch_unwind().await;
    ended.unwrap_or_else(|_| Err(Status::unknown("a status that cannot be read")))
}

type FetchParts = Streaming<proto::FetchPart>;

async fn next_part(
    address: &str,
    parts: &mut FetchParts,
) -> Result<Option<FetchedPart>, CallError> {
    let part = caught(parts.message()).await;
    match part.map_err(|status| call_error(address, &status))? {
        None => Ok(None),
        Some(proto::FetchPart { part: Some(part) }) => Ok(Some(part)),
        Some(proto::FetchPart { part: None }) => Err(protocol(address, "it sent an empty part")),
    }
}

/// The header of a fetch, which must match what was asked for.
async fn fetch_start(
    address: &str,
    parts: &mut FetchParts,
    wanted: &FetchAsk,
) -> Result<FetchStart, CallError> {
    let Some(FetchedPart::Header(header)) = next_part(address, parts).await? else {
        return Err(protocol(address, "a fetch must begin with its header"));
    };
    let start = FetchStart::try_from(header).map_err(|wrong| protocol(address, wrong))?;
    if start.record.key != wanted.key || start.record.version != wanted.version {
        return Err(protocol(
            address,
            "it sent a different file or version than was asked for",
        ));
    }
    if start.content_bytes != fetched_bytes(start.record.size, wanted.offset, wanted.length) {
        return Err(protocol(
            address,
            "it sent a different part of the file than was asked for",
        ));
    }
    Ok(start)
}

/// The group tree, which follows the header.
async fn fetch_tree(
    address: &str,
    parts: &mut FetchParts,
    size: u64,
    stall: Duration,
) -> Result<Vec<u8>, CallError> {
    let mut tree = Vec::new();
    while (tree.len() as u64) < size {
        let part = timeout(stall, next_part(address, parts)).await;
        let part = part.unwrap_or_else(|_| Err(late(address)))?;
        let Some(FetchedPart::Tree(piece)) = part else {
            return Err(protocol(address, "the group tree ended early"));
        };
        let piece = sized(address, piece)?;
        if (tree.len() + piece.len()) as u64 > size {
            return Err(protocol(address, "the group tree is longer than announced"));
        }
        tree.extend_from_slice(&piece);
    }
    Ok(tree)
}

/// The content, which follows the group tree. The caller checks its length and its pace.
fn fetch_chunks(
    address: String,
    parts: FetchParts,
) -> BoxStream<'static, Result<Bytes, CallError>> {
    stream::try_unfold((address, parts), |(address, mut parts)| async move {
        match next_part(&address, &mut parts).await? {
            Some(FetchedPart::Chunk(chunk)) => {
                Ok(Some((sized(&address, chunk)?, (address, parts))))
            }
            Some(_) => Err(protocol(
                &address,
                "content must be followed by content only",
            )),
            None => Ok(None),
        }
    })
    .boxed()
}

fn sized(address: &str, chunk: Bytes) -> Result<Bytes, CallError> {
    super::convert::chunk(chunk).map_err(|wrong| protocol(address, wrong))
}

/// A preparation as it is sent. A stream that breaks simply stops, and without its end part the receiver counts it as
/// broken.
fn prepare_parts(
    header: proto::PrepareHeader,
    chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
) -> PrepareParts {
    let content = stream::unfold(Some((chunks, 0)), |state| async move {
        let (mut chunks, sent) = state?;
        match chunks.next().await {
            Some(Ok(bytes)) => {
                let sent = sent + bytes.len() as u64;
                Some((PreparedPart::Chunk(bytes), Some((chunks, sent))))
            }
            Some(Err(PrepareBroken)) => None,
            None => Some((PreparedPart::End(proto::PrepareEnd { size: sent }), None)),
        }
    });
    let parts = stream::iter([PreparedPart::Header(header)])
        .chain(content)
        .map(|part| proto::PreparePart { part: Some(part) });
    PrepareParts(parts.boxed())
}

/// A type of its own, because the compiler can't follow the lifetime of a bare boxed stream through the generated
/// client.
struct PrepareParts(BoxStream<'static, proto::PreparePart>);

impl Stream for PrepareParts {
    type Item = proto::PreparePart;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}
