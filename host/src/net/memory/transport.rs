//! The calls of one node over a network in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::{Answer, Peer, Question};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::{sleep, timeout};

use super::{State, World, pair};
use crate::net::convert::fetched_bytes;
use crate::net::status::{gave_up, late, protocol};
use crate::net::streams::{Chunks, exactly, in_pieces, paced, unstalled};
use crate::transport::{
    Announcement, CallError, CommitAnswer, CommitAsk, FetchAsk, Fetched, IntroduceAsk, LinkAnswer,
    LinkAsk, Message, MoveAsk, PrepareAnswer, PrepareAsk, PrepareBroken, PullAsk, ReconcileAnswer,
    ReconcileAsk, Refusal, Serve, Transport,
};

/// The calls of one node over a [`MemoryNetwork`](super::MemoryNetwork).
pub struct MemoryTransport {
    world: Arc<World>,
    here: String,
}

impl MemoryTransport {
    pub(super) fn new(world: Arc<World>, here: &str) -> Self {
        let here = here.to_owned();
        Self { world, here }
    }

    fn route(&self, to: &str) -> Result<(Arc<dyn Serve>, Wire), CallError> {
        let listening = self.world.state().route(&self.here, to)?;
        let wire = Wire {
            world: Arc::clone(&self.world),
            from: self.here.clone(),
            to: to.to_owned(),
            start: listening.start,
        };
        Ok((listening.node, wire))
    }

    async fn call<A, F>(
        &self,
        to: &str,
        deadline: Duration,
        serve: impl FnOnce(Arc<dyn Serve>) -> F,
    ) -> Result<A, CallError>
    where
        F: Future<Output = Result<A, Refusal>>,
    {
        let (node, wire) = self.route(to)?;
        let called = timeout(deadline, wire.carry(serve(node))).await;
        called.unwrap_or_else(|_| Err(late(to)))
    }
}

/// One way between two nodes, as long as both stay and nobody cuts it.
struct Wire {
    world: Arc<World>,
    from: String,
    to: String,
    start: u64,
}

impl Wire {
    /// Ends when the way is gone.
    async fn broken(&self) -> CallError {
        let broken = |state: &State| state.broken(&self.from, &self.to, self.start);
        self.world.until(broken).await
    }

    /// Waits while either side is silent.
    async fn heard(&self) {
        let heard = |state: &State| {
            let silent = state.silent.contains(&self.from) || state.silent.contains(&self.to);
            (!silent).then_some(())
        };
        self.world.until(heard).await;
    }

    /// Lets one message pass: it takes its time, and stays away as long as either side is silent.
    async fn pass(&self) {
        let delay = self
            .world
            .state()
            .delays
            .get(&pair(&self.from, &self.to))
            .copied();
        if let Some(delay) = delay {
            sleep(delay).await;
        }
        self.heard().await;
    }

    async fn carry<A>(
        &self,
        answer: impl Future<Output = Result<A, Refusal>>,
    ) -> Result<A, CallError> {
        let exchange = async {
            self.pass().await;
            let answer = answer.await;
            self.pass().await;
            answer.map_err(CallError::Refused)
        };
        tokio::select! {
            answer = exchange => answer,
            broken = self.broken() => Err(broken),
        }
    }

    /// The stream, as long as the way lasts. Each chunk waits while a side is silent; the delay of the
    /// way is paid by the call, not by every chunk.
    fn stream(self, chunks: Chunks) -> Chunks {
        stream::unfold(Some((self, chunks)), |state| async move {
            let (wire, mut chunks) = state?;
            let next = async {
                let next = chunks.next().await;
                wire.heard().await;
                next
            };
            let next = tokio::select! {
                next = next => next,
                broken = wire.broken() => Some(Err(broken)),
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
    async fn link(
        &self,
        address: &str,
        ask: Message<LinkAsk>,
    ) -> Result<Message<LinkAnswer>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.link(ask).await };
        self.call(address, self.world.deadlines.call, serve).await
    }

    async fn introduce(
        &self,
        address: &str,
        ask: Message<IntroduceAsk>,
    ) -> Result<Message<()>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.introduce(ask).await };
        self.call(address, self.world.deadlines.introduce, serve)
            .await
    }

    async fn unlink(&self, to: &Peer, ask: Message<()>) -> Result<Message<()>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.unlink(ask).await };
        self.call(&to.address, self.world.deadlines.call, serve)
            .await
    }

    async fn probe(&self, to: &Peer, ask: Message<Question>) -> Result<Message<Answer>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.probe(ask).await };
        self.call(&to.address, self.world.deadlines.probe, serve)
            .await
    }

    async fn fetch(
        &self,
        to: &Peer,
        ask: Message<FetchAsk>,
    ) -> Result<Message<Fetched>, CallError> {
        let (offset, length) = (ask.body.offset, ask.body.length);
        let deadlines = self.world.deadlines;
        let (node, wire) = self.route(&to.address)?;
        let answer = timeout(deadlines.call, wire.carry(node.fetch(ask))).await;
        let Message { sender, body } = answer.unwrap_or_else(|_| Err(late(&to.address)))?;
        let from = || to.address.to_string();
        let expected = fetched_bytes(body.record.size, offset, length);
        let chunks = wire.stream(in_pieces(body.chunks));
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
        let (node, wire) = self.route(&to.address)?;
        let (_, content_wire) = self.route(&to.address)?;
        let (chunks, mut pace) = paced(in_pieces(chunks));
        let whole = whole(chunks, ask.body.size, self.here.clone());
        let stall = deadlines.prepared_stall;
        let chunks = unstalled(content_wire.stream(whole), stall, self.here.clone());
        let answer = tokio::select! {
            answer = wire.carry(node.prepare(ask, chunks)) => answer?,
            () = pace.too_slow(deadlines.prepare) => return Err(late(&to.address)),
        };
        if pace.is_broken() {
            return Err(protocol(
                &to.address,
                "it took a broken stream for a whole one",
            ));
        }
        Ok(answer)
    }

    async fn commit(
        &self,
        to: &Peer,
        ask: Message<CommitAsk>,
    ) -> Result<Message<CommitAnswer>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.commit(ask).await };
        self.call(&to.address, self.world.deadlines.call, serve)
            .await
    }

    async fn pull(&self, to: &Peer, ask: Message<PullAsk>) -> Result<Message<()>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.pull(ask).await };
        self.call(&to.address, self.world.deadlines.call, serve)
            .await
    }

    async fn move_replica(
        &self,
        to: &Peer,
        ask: Message<MoveAsk>,
    ) -> Result<Message<()>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.move_replica(ask).await };
        self.call(&to.address, self.world.deadlines.call, serve)
            .await
    }

    async fn announce(
        &self,
        to: &Peer,
        ask: Message<Announcement>,
    ) -> Result<Message<()>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.announce(ask).await };
        self.call(&to.address, self.world.deadlines.call, serve)
            .await
    }

    async fn reconcile(
        &self,
        to: &Peer,
        ask: Message<ReconcileAsk>,
    ) -> Result<Message<ReconcileAnswer>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.reconcile(ask).await };
        self.call(&to.address, self.world.deadlines.call, serve)
            .await
    }

    async fn gossip(&self, address: &str, ask: Message<Bytes>) -> Result<Message<()>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.gossip(ask).await };
        self.call(address, self.world.deadlines.probe, serve).await
    }
}

/// The content of a preparation as its receiver sees it: a break is no end, and other than the declared
/// bytes are none either.
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
