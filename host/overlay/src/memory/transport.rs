//! `MemoryTransport`: the calls of one node over a network in memory.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::Peer;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::{sleep, timeout};

use super::{Fate, Lost, SharedNetwork, State, pair};
use crate::grpc::convert::fetched_bytes;
use crate::grpc::status::{gave_up, late, protocol};
use crate::grpc::streams::{Chunks, exactly, in_pieces, paced, unstalled};
use crate::transport::{
    Call, CallError, CallKind, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk,
    PrepareBroken, Refusal, Reply, Serve, Target, Transport,
};

/// The calls of one node over a [`MemoryNetwork`](super::MemoryNetwork), until the node is stopped.
pub struct MemoryTransport {
    world: Arc<SharedNetwork>,
    here: String,
    lifetime: u64,
}

impl MemoryTransport {
    pub(super) fn new(world: Arc<SharedNetwork>, here: &str) -> Self {
        let lifetime = world.state().lifetime(here);
        let here = here.to_owned();
        Self {
            world,
            here,
            lifetime,
        }
    }

    fn route(&self, to: &str, call: CallKind) -> Result<(Arc<dyn Serve>, Wire), CallError> {
        let listening = self.world.state().route(&self.here, self.lifetime, to)?;
        let wire = Wire {
            world: Arc::clone(&self.world),
            from: self.here.clone(),
            lifetime: self.lifetime,
            to: to.to_owned(),
            start: listening.start,
            fate: self.world.fate(&self.here, to, call),
        };
        Ok((listening.node, wire))
    }
}

/// The connection between two nodes for one call, as long as both run and nobody cuts it.
#[derive(Clone)]
struct Wire {
    world: Arc<SharedNetwork>,
    from: String,
    lifetime: u64,
    to: String,
    start: u64,
    fate: Fate,
}

/// The end of a [`Wire`] that sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Caller,
    Called,
}

impl Wire {
    /// Ends when the connection breaks.
    async fn broken(&self) -> CallError {
        let broken = |state: &State| state.broken(&self.from, self.lifetime, &self.to, self.start);
        self.world.state.until(broken).await
    }

    /// Ends when the called node has stopped.
    async fn called_is_gone(&self) {
        let gone = |state: &State| (!state.listens(&self.to, self.start)).then_some(());
        self.world.state.until(gone).await;
    }

    /// Waits while nothing that this end sends arrives.
    async fn heard(&self, speaker: Speaker) {
        let (from, to) = match speaker {
            Speaker::Caller => (&self.from, &self.to),
            Speaker::Called => (&self.to, &self.from),
        };
        let heard = |state: &State| state.hears(from, to).then_some(());
        self.world.state.until(heard).await;
    }

    /// Waits as long as one message takes, and then until messages from this end arrive.
    async fn pass(&self, speaker: Speaker) {
        let way = pair(&self.from, &self.to);
        let delay = self.world.state().delays.get(&way).copied();
        let takes = match speaker {
            Speaker::Caller => self.fate.ask_takes,
            Speaker::Called => self.fate.answer_takes,
        };
        let takes = takes + delay.unwrap_or_default();
        if !takes.is_zero() {
            sleep(takes).await;
        }
        self.heard(speaker).await;
    }

    async fn carry<A: Send + 'static>(
        &self,
        answer: impl Future<Output = Result<A, Refusal>> + Send + 'static,
    ) -> Result<A, CallError> {
        let exchange = async {
            self.pass(Speaker::Caller).await;
            if self.fate.lost == Some(Lost::Ask) {
                pending::<()>().await;
            }
            let answer = match self.fate.goes_on {
                true => self.served_to_its_end(answer).await,
                false => answer.await,
            };
            if self.fate.lost == Some(Lost::Answer) {
                pending::<()>().await;
            }
            self.pass(Speaker::Called).await;
            answer.map_err(CallError::Refused)
        };
        tokio::select! {
            biased;
            broken = self.broken() => Err(broken),
            answer = exchange => answer,
        }
    }

    /// Runs the called node's work to its end, as long as that node runs, even if the call is dropped.
    async fn served_to_its_end<A: Send + 'static>(
        &self,
        answer: impl Future<Output = Result<A, Refusal>> + Send + 'static,
    ) -> Result<A, Refusal> {
        let wire = self.clone();
        let served = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = wire.called_is_gone() => None,
                answer = answer => Some(answer),
            }
        });
        match served.await {
            Ok(Some(answer)) => answer,
            // The connection is broken, which ends the call.
            Ok(None) => pending().await,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => pending().await,
            },
        }
    }

    /// Delivers the same call once more, later.
    fn repeat<A: Send + 'static>(
        &self,
        after: Duration,
        again: impl Future<Output = Result<A, Refusal>> + Send + 'static,
    ) {
        let wire = self.clone();
        tokio::spawn(async move {
            sleep(after).await;
            tokio::select! {
                biased;
                () = wire.called_is_gone() => {}
                _ = again => {}
            }
        });
    }

    /// The stream, as long as the connection lasts. Each chunk waits while nothing arrives. The delay of the connection
    /// applies once to the call, not to every chunk.
    fn stream(self, speaker: Speaker, chunks: Chunks) -> Chunks {
        stream::unfold(Some((self, chunks)), move |state| async move {
            let (wire, mut chunks) = state?;
            let next = async {
                let next = chunks.next().await;
                if !wire.fate.chunk_takes.is_zero() {
                    sleep(wire.fate.chunk_takes).await;
                }
                wire.heard(speaker).await;
                next
            };
            let next = tokio::select! {
                biased;
                broken = wire.broken() => Some(Err(broken)),
                next = next => next,
            };
            match next {
                Some(Ok(bytes)) => Some((Ok(bytes), Some((wire, chunks)))),
                Some(Err(error)) => Some((Err(error), None)),
                None => None,
            }
        })
        .boxed()
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn call(&self, to: Target<'_>, call: Message<Call>) -> Result<Message<Reply>, CallError> {
        let (to, kind) = (to.address(), call.body.kind());
        let (node, wire) = self.route(to, kind)?;
        if let Some(after) = wire.fate.again_after {
            let (node, call) = (Arc::clone(&node), call.clone());
            wire.repeat(after, async move { node.call(call).await });
        }
        let answer = wire.carry(async move { node.call(call).await });
        let answer = timeout(self.world.deadlines.of(kind), answer).await;
        answer.unwrap_or_else(|_| Err(late(to)))
    }

    async fn fetch(
        &self,
        to: &Peer,
        ask: Message<FetchAsk>,
    ) -> Result<Message<Fetched>, CallError> {
        let (offset, length) = (ask.body.offset, ask.body.length);
        let deadlines = self.world.deadlines;
        let (node, wire) = self.route(&to.address, CallKind::Fetch)?;
        let answer = async move { node.fetch(ask).await };
        let answer = timeout(deadlines.call, wire.carry(answer)).await;
        let Message { sender, body } = answer.unwrap_or_else(|_| Err(late(&to.address)))?;
        let from = || to.address.to_string();
        let expected = fetched_bytes(body.record.size, offset, length);
        let chunks = wire.stream(Speaker::Called, in_pieces(body.chunks));
        let chunks = exactly(
            unstalled(chunks, deadlines.read_stall, from()),
            expected,
            from(),
        );
        Ok(Message {
            sender,
            body: Fetched { chunks, ..body },
        })
    }

    async fn prepare(
        &self,
        to: &Peer,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError> {
        let deadlines = self.world.deadlines;
        let (node, wire) = self.route(&to.address, CallKind::Prepare)?;
        let content_wire = wire.clone();
        let (chunks, mut pace) = paced(in_pieces(chunks));
        let whole = whole(chunks, ask.body.size, self.here.clone());
        let stall = deadlines.prepared_stall;
        let chunks = content_wire.stream(Speaker::Caller, whole);
        let chunks = unstalled(chunks, stall, self.here.clone());
        let answer = async move { node.prepare(ask, chunks).await };
        let answer = tokio::select! {
            biased;
            answer = wire.carry(answer) => answer?,
            () = pace.too_slow(deadlines.prepare) => return Err(late(&to.address)),
        };
        if pace.is_broken() {
            return Err(protocol(
                &to.address,
                "it accepted a broken stream as complete",
            ));
        }
        Ok(answer)
    }
}

/// The content of a preparation as its receiver sees it: a break is an error, not an end, and so is a count other
/// than the declared one.
fn whole(
    chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    declared: Option<u64>,
    from: String,
) -> Chunks {
    let address = from.clone();
    let chunks = chunks
        .map(move |chunk| chunk.map_err(|PrepareBroken| gave_up(&address)))
        .boxed();
    match declared {
        Some(size) => exactly(chunks, size, from),
        None => chunks,
    }
}
