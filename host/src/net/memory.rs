//! The transport port without sockets: whole networks of live drivers in one thread, with faults.
//!
//! A [`MemoryNetwork`] is the wire. Nodes listen on it under addresses, stop, fall silent and come back;
//! links between them are cut, healed and slowed. Calls keep the promises of the port, with the same
//! deadlines and by the same rules for streams as over gRPC. All waiting is on tokio's clock, which a
//! test may pause. For tests and experiments only: a real node never uses it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::search::{Answer, Peer, Question};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::convert::fetched_bytes;
use super::deadlines::Deadlines;
use super::status::{gave_up, late, protocol};
use super::streams::{Chunks, exactly, in_pieces, paced, unstalled};
use crate::settings::Settings;
use crate::transport::{
    Announcement, CallError, CommitAnswer, CommitAsk, FetchAsk, Fetched, IntroduceAsk, LinkAnswer,
    LinkAsk, Message, PrepareAnswer, PrepareAsk, PrepareBroken, PullAsk, Refusal, Serve, Transport,
};

/// A network in memory. Clones are the same network.
#[derive(Clone)]
pub struct MemoryNetwork {
    world: Arc<World>,
}

struct World {
    state: Mutex<State>,
    /// Counts the changes of `state`, for whoever waits for one.
    changes: watch::Sender<u64>,
    deadlines: Deadlines,
}

#[derive(Default)]
struct State {
    nodes: HashMap<String, Listening>,
    stopped: HashSet<String>,
    silent: HashSet<String>,
    cut: HashSet<(String, String)>,
    delays: HashMap<(String, String), Duration>,
    started: u64,
}

#[derive(Clone)]
struct Listening {
    node: Arc<dyn Serve>,
    /// Tells a node from the one that listened here before it.
    start: u64,
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.min(b).to_owned(), a.max(b).to_owned())
}

impl MemoryNetwork {
    /// A network without nodes, whose calls end by the deadlines of these settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let world = World {
            state: Mutex::default(),
            changes: watch::Sender::default(),
            deadlines: Deadlines::new(settings),
        };
        Self {
            world: Arc::new(world),
        }
    }

    /// What the node at this address calls others with.
    #[must_use]
    pub fn transport(&self, address: &str) -> MemoryTransport {
        MemoryTransport {
            world: Arc::clone(&self.world),
            here: address.to_owned(),
        }
    }

    /// A node listens at this address from now on, in place of whoever did before.
    pub fn listen(&self, address: &str, node: Arc<dyn Serve>) {
        self.world.change(|state| {
            state.started += 1;
            let start = state.started;
            state
                .nodes
                .insert(address.to_owned(), Listening { node, start });
            state.stopped.remove(address);
            state.silent.remove(address);
        });
    }

    /// The node is gone, as if killed: what is under way with it breaks, and calls are refused.
    pub fn stop(&self, address: &str) {
        self.world.change(|state| {
            state.nodes.remove(address);
            state.stopped.insert(address.to_owned());
        });
    }

    /// The node takes calls and says nothing any more, as if its machine hung.
    pub fn silence(&self, address: &str) {
        self.world.change(|state| {
            state.silent.insert(address.to_owned());
        });
    }

    /// The node speaks again.
    pub fn wake(&self, address: &str) {
        self.world.change(|state| {
            state.silent.remove(address);
        });
    }

    /// Nothing passes between the two any more, and what is under way breaks.
    pub fn cut(&self, a: &str, b: &str) {
        self.world.change(|state| {
            state.cut.insert(pair(a, b));
        });
    }

    /// Undoes [`MemoryNetwork::cut`].
    pub fn heal(&self, a: &str, b: &str) {
        self.world.change(|state| {
            state.cut.remove(&pair(a, b));
        });
    }

    /// A message between the two takes so long in each direction.
    pub fn delay(&self, a: &str, b: &str, each_way: Duration) {
        self.world.change(|state| {
            state.delays.insert(pair(a, b), each_way);
        });
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits until `wanted` holds.
    async fn until<T>(&self, wanted: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let found = wanted(&self.state());
            if let Some(found) = found {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl State {
    /// Who listens at `to`, as `from` sees it.
    fn route(&self, from: &str, to: &str) -> Result<Listening, CallError> {
        let unreachable = |reason: &str| CallError::Unreachable {
            address: to.to_owned(),
            reason: reason.to_owned(),
        };
        if self.stopped.contains(from) {
            return Err(unreachable("this node is stopped"));
        }
        if self.cut.contains(&pair(from, to)) {
            return Err(unreachable("no route to host"));
        }
        let listening = self.nodes.get(to).cloned();
        listening.ok_or_else(|| unreachable("connection refused"))
    }

    /// Why what is under way between the two breaks, if it does.
    fn broken(&self, from: &str, to: &str, start: u64) -> Option<CallError> {
        match self.route(from, to) {
            Ok(listening) if listening.start == start => None,
            Ok(_) => Some(CallError::Unreachable {
                address: to.to_owned(),
                reason: "connection reset".to_owned(),
            }),
            Err(error) => Some(error),
        }
    }
}

/// The calls of one node over a [`MemoryNetwork`].
pub struct MemoryTransport {
    world: Arc<World>,
    here: String,
}

impl MemoryTransport {
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

    async fn announce(
        &self,
        to: &Peer,
        ask: Message<Announcement>,
    ) -> Result<Message<()>, CallError> {
        let serve = |node: Arc<dyn Serve>| async move { node.announce(ask).await };
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
