//! A circuit breaker for each peer: a peer that failed several times in a row is not called for a while.
//!
//! A peer that hangs costs each caller its whole deadline. After [`limits::CIRCUIT_FAILURES`] failures in a row its
//! circuit opens: calls fail immediately. After a pause, which doubles each time, one trial call is let through to see
//! whether the peer answers again (Nygard: *Release It!*, 2007, section 5.2). Any answer, including a refusal, closes
//! the circuit. Links and gossip are never held back: their purpose is to find out whether a peer is back.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::plural::plural;
use dataverse_core::search::Peer;
use futures_util::stream::BoxStream;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::counters::Counters;
use crate::limits;
use crate::transport::{
    Call, CallError, FetchAsk, Fetched, Message, PrepareAnswer, PrepareAsk, PrepareBroken, Reply,
    Target, Transport,
};

/// The recent failures of a peer.
#[derive(Debug, Default)]
struct Circuit {
    /// Failures in a row.
    failures: u32,
    /// Calls are refused until then.
    open_until: Option<Instant>,
    /// The pauses since it first opened.
    backoff: Option<Backoff>,
    /// A trial call is under way.
    trying: bool,
}

/// Whether this node currently calls no other node, because another node runs under its id.
pub type KeepsAway = Arc<dyn Fn() -> bool + Send + Sync>;

/// A transport that fails calls to peers that keep failing, without calling them.
pub struct Breaker {
    calls: Arc<dyn Transport>,
    counters: Arc<Counters>,
    keeps_away: KeepsAway,
    circuits: Mutex<BTreeMap<NodeId, Circuit>>,
}

/// A call that was let through. If it is dropped before it ends, it says nothing about the peer.
struct Passage<'a> {
    breaker: &'a Breaker,
    peer: &'a Peer,
    is_trial: bool,
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.is_trial
            && let Some(circuit) = self.breaker.lock().get_mut(&self.peer.id)
        {
            circuit.trying = false;
        }
    }
}

impl Breaker {
    /// Wraps a transport in a breaker for each peer.
    #[must_use]
    pub fn around(
        calls: Arc<dyn Transport>,
        counters: Arc<Counters>,
        keeps_away: KeepsAway,
    ) -> Self {
        Self {
            calls,
            counters,
            keeps_away,
            circuits: Mutex::default(),
        }
    }

    async fn guarded<T>(
        &self,
        peer: &Peer,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        self.guarded_as(peer, true, call).await
    }

    /// A call that may take as long as somebody's upload must not be the trial call: other calls would wait for it.
    async fn guarded_as<T>(
        &self,
        peer: &Peer,
        may_try: bool,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        self.refuse_isolated(&peer.address)?;
        let _passage = self.pass(peer, may_try)?;
        let outcome = call.await;
        match &outcome {
            Err(CallError::Unreachable { .. } | CallError::Deadline { .. }) => self.failed(peer),
            Ok(_) | Err(CallError::Refused(_) | CallError::Protocol { .. }) => self.answered(peer),
        }
        outcome
    }

    /// An isolated node calls nobody.
    fn refuse_isolated(&self, address: &str) -> Result<(), CallError> {
        if !(self.keeps_away)() {
            return Ok(());
        }
        Err(CallError::Unreachable {
            address: address.to_owned(),
            reason: "this node is isolated, because another node runs under its id".to_owned(),
        })
    }

    fn pass<'a>(&'a self, peer: &'a Peer, may_try: bool) -> Result<Passage<'a>, CallError> {
        let mut circuits = self.lock();
        let mut is_trial = false;
        if let Some(circuit) = circuits.get_mut(&peer.id)
            && let Some(until) = circuit.open_until
        {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() || circuit.trying {
                return Err(CallError::Unreachable {
                    address: peer.address.to_string(),
                    reason: format!(
                        "it failed {} in a row and will be called again in {} ms",
                        plural(circuit.failures, "time", "times"),
                        left.as_millis()
                    ),
                });
            }
            circuit.trying = may_try;
            is_trial = may_try;
        }
        Ok(Passage {
            breaker: self,
            peer,
            is_trial,
        })
    }

    fn failed(&self, peer: &Peer) {
        let mut circuits = self.lock();
        if circuits.len() >= limits::CIRCUITS_MAX && !circuits.contains_key(&peer.id) {
            return;
        }
        let circuit = circuits.entry(peer.id).or_default();
        circuit.failures = circuit.failures.saturating_add(1);
        // Failures of calls that were already under way when the circuit opened add nothing.
        let is_open = circuit
            .open_until
            .is_some_and(|until| until > Instant::now());
        if circuit.failures < limits::CIRCUIT_FAILURES || is_open {
            return;
        }
        if circuit.open_until.is_none() {
            self.counters.circuits_opened.increment(1);
            tracing::warn!(node = %peer.name, failures = circuit.failures, "a node does not answer and is not called for a while");
        }
        let (least, most) = (limits::CIRCUIT_PAUSE_MS_MIN, limits::CIRCUIT_PAUSE_MS_MAX);
        let backoff = circuit
            .backoff
            .get_or_insert_with(|| Backoff::from_millis(least, most));
        circuit.open_until = Some(Instant::now() + backoff.next_pause());
    }

    fn answered(&self, peer: &Peer) {
        let closed = self.lock().remove(&peer.id);
        if closed.is_some_and(|circuit| circuit.open_until.is_some()) {
            tracing::info!(node = %peer.name, "a node answers again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Circuit>> {
        self.circuits.lock()
    }
}

#[async_trait]
impl Transport for Breaker {
    async fn call(&self, to: Target<'_>, call: Message<Call>) -> Result<Message<Reply>, CallError> {
        match (&call.body, to) {
            (Call::Link(_) | Call::Introduce(_) | Call::Unlink(_), _) => {
                self.calls.call(to, call).await
            }
            (Call::Gossip(_), _) | (_, Target::Address(_)) => {
                self.refuse_isolated(to.address())?;
                self.calls.call(to, call).await
            }
            (_, Target::Node(peer)) => self.guarded(peer, self.calls.call(to, call)).await,
        }
    }

    async fn fetch(
        &self,
        to: &Peer,
        ask: Message<FetchAsk>,
    ) -> Result<Message<Fetched>, CallError> {
        self.guarded(to, self.calls.fetch(to, ask)).await
    }

    async fn prepare(
        &self,
        to: &Peer,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError> {
        let call = self.calls.prepare(to, ask, chunks);
        self.guarded_as(to, false, call).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memory::MemoryNetwork;
    use crate::timings::Timings;
    use crate::transport::Refusal;

    fn peer() -> Peer {
        Peer {
            id: NodeId::from(2),
            name: "B".into(),
            address: "b.test:1".into(),
        }
    }

    fn breaker() -> Breaker {
        let network = MemoryNetwork::new(&Timings::default());
        let transport = Arc::new(network.transport("a.test:1"));
        Breaker::around(transport, Arc::default(), Arc::new(|| false))
    }

    fn unreachable() -> Result<(), CallError> {
        Err(CallError::Deadline {
            address: "b.test:1".to_owned(),
        })
    }

    /// Makes `count` calls with this outcome and returns how many reached the peer.
    async fn calls(breaker: &Breaker, count: u32, outcome: fn() -> Result<(), CallError>) -> u32 {
        let mut arrived = 0;
        for _ in 0..count {
            let call = async {
                arrived += 1;
                outcome()
            };
            let _ = breaker.guarded(&peer(), call).await;
        }
        arrived
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_fails_again_and_again_is_spared_for_a_growing_while() {
        let breaker = breaker();
        let first = calls(&breaker, 50, unreachable).await;
        assert_eq!(first, limits::CIRCUIT_FAILURES);
        let pause = Duration::from_millis(limits::CIRCUIT_PAUSE_MS_MIN);
        tokio::time::sleep(pause).await;
        assert_eq!(calls(&breaker, 50, unreachable).await, 1, "one trial");
        tokio::time::sleep(pause).await;
        assert_eq!(calls(&breaker, 50, unreachable).await, 0, "the pause grew");
        tokio::time::sleep(pause).await;
        assert_eq!(calls(&breaker, 50, || Ok(())).await, 50, "it answers again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_an_answer() {
        let breaker = breaker();
        let refused = || Err(CallError::Refused(Refusal::Busy("busy".to_owned())));
        assert_eq!(calls(&breaker, 50, refused).await, 50);
        let almost = limits::CIRCUIT_FAILURES - 1;
        assert_eq!(calls(&breaker, almost, unreachable).await, almost);
        calls(&breaker, 1, refused).await;
        assert_eq!(calls(&breaker, almost, unreachable).await, almost);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_leaves_the_way_to_the_next() {
        let breaker = breaker();
        calls(&breaker, limits::CIRCUIT_FAILURES, unreachable).await;
        tokio::time::sleep(Duration::from_millis(limits::CIRCUIT_PAUSE_MS_MIN)).await;
        let peer = peer();
        let never = breaker.guarded(&peer, std::future::pending::<Result<(), CallError>>());
        let given_up = tokio::time::timeout(Duration::from_millis(1), never).await;
        assert!(given_up.is_err());
        assert_eq!(calls(&breaker, 1, || Ok(())).await, 1);
    }
}
