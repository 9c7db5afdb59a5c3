//! The service that other nodes call: converts messages, calls the driver's [`Serve`], converts the answers.
//!
//! Malformed messages are refused here, before they reach the driver, and so is every message whose sender is not the node
//! in the certificate of the connection. A stream flows only as fast as the driver (or the
//! node that asked) takes it, and it either breaks visibly or ends completely.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::Question;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status, Streaming};

use super::connections::{Caller, Over};
use super::convert::{FetchStart, Malformed, PrepareStart, chunk, fetched_bytes, group_tree_bytes};
use super::proto;
use super::proto::fetch_part::Part as FetchedPart;
use super::proto::overlay_server::Overlay;
use super::proto::prepare_part::Part as PreparedPart;
use super::status::{gave_up, protocol, source_failed};
use super::streams::{Chunks, exactly, in_pieces, pieces, unstalled};
use crate::deadlines::Deadlines;
use crate::timings::Timings;
use crate::transport::{
    Announcement, Ask, CallError, CommitAsk, FetchAsk, Fetched, GossipPacket, IntroduceAsk,
    LinkAsk, Message, MoveAsk, PullAsk, ReconcileAsk, Refusal, Sender, Serve, ServeExt, TrustAsk,
    UnlinkAsk,
};

/// Answers other nodes.
pub(super) struct OverlayService {
    overlay: Arc<dyn Serve>,
    deadlines: Deadlines,
}

impl OverlayService {
    pub(super) fn new(overlay: Arc<dyn Serve>, timings: &Timings) -> Self {
        Self {
            overlay,
            deadlines: Deadlines::new(timings),
        }
    }

    async fn unary<A, Q, R>(&self, request: Request<Q>) -> Result<Response<R>, Status>
    where
        A: Ask,
        Message<A>: TryFrom<Q, Error = Malformed>,
        R: From<Message<A::Answer>>,
    {
        let over = over(&request);
        let ask = Message::<A>::try_from(request.into_inner())?;
        check_caller(over.as_ref(), &ask.sender)?;
        Ok(Response::new(self.overlay.answer(ask).await?.into()))
    }
}

#[async_trait]
impl Overlay for OverlayService {
    type FetchStream = BoxStream<'static, Result<proto::FetchPart, Status>>;

    async fn link(
        &self,
        request: Request<proto::LinkRequest>,
    ) -> Result<Response<proto::LinkReply>, Status> {
        self.unary::<LinkAsk, _, _>(request).await
    }

    async fn introduce(
        &self,
        request: Request<proto::IntroduceRequest>,
    ) -> Result<Response<proto::Ack>, Status> {
        self.unary::<IntroduceAsk, _, _>(request).await
    }

    async fn unlink(
        &self,
        request: Request<proto::UnlinkRequest>,
    ) -> Result<Response<proto::Ack>, Status> {
        self.unary::<UnlinkAsk, _, _>(request).await
    }

    async fn probe(
        &self,
        request: Request<proto::ProbeRequest>,
    ) -> Result<Response<proto::ProbeReply>, Status> {
        self.unary::<Question, _, _>(request).await
    }

    async fn fetch(
        &self,
        request: Request<proto::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let over = over(&request);
        let ask: Message<FetchAsk> = request.into_inner().try_into()?;
        check_caller(over.as_ref(), &ask.sender)?;
        let (offset, length) = (ask.body.offset, ask.body.length);
        let answer = self.overlay.fetch(ask).await?;
        Ok(Response::new(fetch_parts(answer, offset, length)?))
    }

    async fn prepare(
        &self,
        request: Request<Streaming<proto::PreparePart>>,
    ) -> Result<Response<proto::PrepareReply>, Status> {
        let over = over(&request);
        let mut parts = request.into_inner();
        let first = timeout(self.deadlines.call, parts.message()).await;
        let first = first.map_err(|_| {
            let wanted = "the header of a preparation did not arrive in time";
            Status::deadline_exceeded(wanted)
        })??;
        let Some(PreparedPart::Header(header)) = first.and_then(|first| first.part) else {
            return Err(Malformed::new("header", "a preparation must begin with it").into());
        };
        let ask = PrepareStart::try_from(header)?;
        check_caller(over.as_ref(), &ask.sender)?;
        let from = ask.sender.node.address.to_string();
        let chunks = prepared_chunks(parts, ask.body.size, from.clone());
        let chunks = unstalled(chunks, self.deadlines.prepared_stall, from);
        Ok(Response::new(
            self.overlay.prepare(ask, chunks).await?.into(),
        ))
    }

    async fn commit(
        &self,
        request: Request<proto::CommitRequest>,
    ) -> Result<Response<proto::CommitReply>, Status> {
        self.unary::<CommitAsk, _, _>(request).await
    }

    async fn pull(
        &self,
        request: Request<proto::PullRequest>,
    ) -> Result<Response<proto::Ack>, Status> {
        self.unary::<PullAsk, _, _>(request).await
    }

    async fn r#move(
        &self,
        request: Request<proto::MoveRequest>,
    ) -> Result<Response<proto::Ack>, Status> {
        self.unary::<MoveAsk, _, _>(request).await
    }

    async fn announce(
        &self,
        request: Request<proto::AnnounceRequest>,
    ) -> Result<Response<proto::Ack>, Status> {
        self.unary::<Announcement, _, _>(request).await
    }

    async fn reconcile(
        &self,
        request: Request<proto::ReconcileRequest>,
    ) -> Result<Response<proto::ReconcileReply>, Status> {
        self.unary::<ReconcileAsk, _, _>(request).await
    }

    async fn trust(
        &self,
        request: Request<proto::TrustRequest>,
    ) -> Result<Response<proto::TrustReply>, Status> {
        self.unary::<TrustAsk, _, _>(request).await
    }

    async fn gossip(
        &self,
        request: Request<proto::GossipRequest>,
    ) -> Result<Response<proto::Ack>, Status> {
        self.unary::<GossipPacket, _, _>(request).await
    }
}

/// The connection over which a call came.
fn over<T>(request: &Request<T>) -> Option<Over> {
    request.extensions().get().cloned()
}

/// Checks that a message comes from the node that it says it comes from.
fn check_caller(over: Option<&Over>, sender: &Sender) -> Result<(), Refusal> {
    match over.map(Over::caller) {
        None | Some(Caller::Unknown) => Ok(()),
        Some(Caller::Client) => Err(Refusal::Invalid(
            "only nodes with a certificate of this network may make this call".to_owned(),
        )),
        Some(Caller::Node(node)) if node.said.node == sender.node.id => Ok(()),
        Some(Caller::Node(node)) => Err(Refusal::Invalid(format!(
            "the message says that it comes from node {}, and the certificate is that of node {}",
            sender.node.id, node.said.node
        ))),
    }
}

/// A fetch as it is sent.
fn fetch_parts(
    answer: Message<Fetched>,
    offset: u64,
    length: u64,
) -> Result<BoxStream<'static, Result<proto::FetchPart, Status>>, Refusal> {
    let Message { sender, body } = answer;
    let Fetched {
        record,
        tree,
        chunks,
    } = body;
    let size = record.size;
    if tree.len() as u64 != group_tree_bytes(size) {
        return Err(Refusal::Corrupt(format!(
            "the group tree of {} is damaged",
            record.key
        )));
    }
    let here = sender.node.name.to_string();
    let start = FetchStart {
        sender,
        record,
        tree_bytes: group_tree_bytes(size),
        content_bytes: fetched_bytes(size, offset, length),
    };
    let content = in_pieces(exactly(chunks, start.content_bytes, here));
    let tree = stream::iter(pieces(Bytes::from(tree)));
    let parts = stream::iter([FetchedPart::Header(start.into())])
        .chain(tree.map(FetchedPart::Tree))
        .map(Ok)
        .chain(content.map_ok(FetchedPart::Chunk).map_err(source_failed))
        .map_ok(|part| proto::FetchPart { part: Some(part) });
    Ok(parts.boxed())
}

/// The content of a preparation. It ends only when the sender sent its end and the byte count is right.
fn prepared_chunks(
    parts: Streaming<proto::PreparePart>,
    declared: Option<u64>,
    from: String,
) -> Chunks {
    let state = Some((parts, 0_u64));
    let whole = stream::unfold((state, from), move |(state, from)| async move {
        let (mut parts, received) = state?;
        match next_bytes(&mut parts, received, declared, &from).await {
            Ok(Some(bytes)) => {
                let received = received + bytes.len() as u64;
                Some((Ok(bytes), (Some((parts, received)), from)))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), (None, from))),
        }
    });
    whole.boxed()
}

async fn next_bytes(
    parts: &mut Streaming<proto::PreparePart>,
    received: u64,
    declared: Option<u64>,
    from: &str,
) -> Result<Option<Bytes>, CallError> {
    let part = parts
        .message()
        .await
        .map_err(|status| match status.code() {
            Code::Aborted => gave_up(from),
            _ => protocol(from, "it sent a message that cannot be read"),
        })?;
    match part.map(|message| message.part) {
        Some(Some(PreparedPart::Chunk(bytes))) => {
            let bytes = chunk(bytes).map_err(|wrong| protocol(from, wrong))?;
            let max = declared.unwrap_or(dataverse_core::limits::FILE_BYTES_MAX);
            if received + bytes.len() as u64 > max {
                return Err(protocol(from, format!("it sent more than {max} bytes")));
            }
            Ok(Some(bytes))
        }
        Some(Some(PreparedPart::End(end))) => {
            if end.size != received || declared.is_some_and(|size| size != received) {
                return Err(protocol(
                    from,
                    "it sent a different number of bytes than it announced",
                ));
            }
            Ok(None)
        }
        Some(_) => Err(protocol(
            from,
            "a preparation must go on with chunks and an end",
        )),
        None => Err(gave_up(from)),
    }
}
