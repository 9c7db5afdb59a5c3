//! Compares holdings with the other members, as `dataverse_replication::anti_entropy` decides: which member is next, what
//! to ask it, and which differences to act on (`differences`). The comparisons of others are answered in `answer`.
//!
//! One loop, [`Driver::keep_reconciled`], takes the turns, a few members at a time. `Reconciling` owns the versions in
//! flight and the filter last built.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::filter::Filter;
use dataverse_core::reconcile::{ReconcileAnswer, ReconcileAsk};
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, TransportExt};
use dataverse_replication::anti_entropy::{
    Event, InFlight, Reconciliation, Step, Turn, TurnOutcome, Turns,
};
use dataverse_replication::upkeep::At;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::driver::Driver;
use crate::metrics::{Direction, Reconciled};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Comparisons answered concurrently; another node that asks beyond that tries again later.
const ANSWERS_AT_ONCE_MAX: usize = 4;
/// Members compared with concurrently.
const COMPARISONS_AT_ONCE_MAX: usize = 4;

/// State that reconciliation keeps between rounds.
pub(in crate::driver) struct Reconciling {
    pub(super) answering: Semaphore,
    pub(super) memory: Mutex<Memory>,
}

#[derive(Default)]
pub(super) struct Memory {
    pub(super) in_flight: InFlight,
    pub(super) filter: Option<MadeFilter>,
}

/// A filter of what is held here, and when it was built.
pub(super) struct MadeFilter {
    pub(super) filter: Arc<Filter>,
    pub(super) tag: u128,
    /// How often the index had changed.
    pub(super) changes: u64,
    pub(super) made: At,
}

impl Default for Reconciling {
    fn default() -> Self {
        Self {
            answering: Semaphore::new(ANSWERS_AT_ONCE_MAX),
            memory: Mutex::default(),
        }
    }
}

impl Driver {
    /// Takes the turns that are due, for as long as the node runs: one comparison with a member at a time, and with a
    /// few members at once, so that one that answers slowly holds up no other.
    pub(in crate::driver) async fn keep_reconciled(self: Arc<Self>) {
        let jittered = |pause| self.entropy.jittered(pause);
        let settings = &self.settings;
        let mut turns = Turns::new(settings.reconcile_every, settings.reconcile_survey);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut under_way = FuturesUnordered::new();
        loop {
            let now = self.running();
            while under_way.len() < COMPARISONS_AT_ONCE_MAX
                && let Some((peer, turn)) = turns.next(now)
            {
                under_way.push(self.compare_with(peer, turn));
            }
            let woken = async {
                tokio::select! {
                    biased;
                    Some(taken) = under_way.next(), if !under_way.is_empty() => Some(taken),
                    _ = look.tick() => None,
                }
            };
            match self.still_runs(woken).await {
                Some(Some((peer, turn, outcome))) => {
                    turns.taken(peer.id, turn, &outcome, self.running(), jittered);
                }
                Some(None) => turns.follow(self.living_members(), self.running(), jittered),
                None => return,
            }
        }
    }

    /// For how long this node has been running.
    pub(super) fn running(&self) -> At {
        self.started.elapsed()
    }

    async fn compare_with(&self, peer: Peer, turn: Turn) -> (Peer, Turn, TurnOutcome) {
        let mut reconciliation = Reconciliation::new(peer.id, turn);
        let ended = self.reconcile(&peer, &mut reconciliation).await;
        let outcome = reconciliation.outcome();
        self.metrics.buckets_differ(outcome.buckets);
        if let Err(error) = ended {
            self.metrics.reconciled(Reconciled::Failed);
            tracing::debug!(node = %peer.name, %error, "a comparison with another node failed");
            return (peer, turn, TurnOutcome::failed());
        }
        self.metrics.reconciled(match outcome.differed {
            true => Reconciled::Differed,
            false => Reconciled::Agreed,
        });
        if outcome.acted > 0 {
            tracing::info!(node = %peer.name, ?outcome, "reconciled differences with another node");
        }
        (peer, turn, outcome)
    }

    async fn reconcile(
        &self,
        peer: &Peer,
        reconciliation: &mut Reconciliation,
    ) -> Result<(), CallError> {
        let mut event = Event::Resumed;
        loop {
            let step = {
                let node = self.state.node();
                reconciliation.step(&node, event, || self.entropy.seed())
            };
            event = match step {
                Step::Ask(ask) => Event::Answered(self.ask_to_reconcile(peer, ask).await?),
                Step::Yield => {
                    tokio::task::yield_now().await;
                    Event::Resumed
                }
                Step::Act(difference) => Event::Acted(self.act_on(peer, &difference).await),
                Step::End => return Ok(()),
                Step::OutOfProtocol(reason) => {
                    return Err(CallError::Protocol {
                        address: peer.address.to_string(),
                        reason: reason.to_owned(),
                    });
                }
            };
        }
    }

    /// Sends one message of a comparison and returns the answer.
    async fn ask_to_reconcile(
        &self,
        peer: &Peer,
        ask: ReconcileAsk,
    ) -> Result<ReconcileAnswer, CallError> {
        self.metrics
            .reconcile_bytes(Direction::Out, ask.payload_bytes());
        let answer = self.transport.ask(peer, self.message(ask)).await;
        let answer = answer.and_then(|answer| self.answer_of(peer, answer))?;
        self.metrics
            .reconcile_bytes(Direction::In, answer.payload_bytes());
        Ok(answer)
    }
}
