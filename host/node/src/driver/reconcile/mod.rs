//! Reconciliation: in rounds a node compares what it holds with each of the others, and makes up what was missed.
//!
//! A *round* compares what both are to hold, by sums that cost nothing to have (see the core's `reconcile`). A *survey*
//! looks for files that both hold though no layout says so: two halves of a cut network wrote the same file on
//! different nodes, or a cached copy missed that its file was written anew or deleted. Both begin soon after another node
//! appears, and go on at their own pace, one node after the other. `turns` says whose turn it is, `round` and `survey`
//! ask, `answer` answers, `differences` acts.

mod answer;
mod differences;
mod grace;
mod round;
mod survey;
mod turns;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::filter::Filter;
use dataverse_core::id::FileId;
use dataverse_core::key::Key;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, ReconcileAnswer, ReconcileAsk};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Driver;
use crate::limits;
use crate::metrics::{Direction, Reconciled};
use grace::InFlight;
use turns::{Kind, Turns};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Comparisons that are answered at once; whoever asks beyond that comes again.
const ANSWERS_AT_ONCE_MAX: usize = 4;

/// What reconciliation keeps between its rounds.
pub(super) struct Reconciling {
    /// Files whose copies are being made good.
    making: Mutex<BTreeSet<Key>>,
    making_turns: Arc<Semaphore>,
    answering: Semaphore,
    filter: Mutex<Option<MadeFilter>>,
    in_flight: InFlight,
}

/// A filter over what is held here, and when it was made.
struct MadeFilter {
    filter: Arc<Filter>,
    tag: u128,
    changes: u64,
    made: Instant,
}

impl Default for Reconciling {
    fn default() -> Self {
        Self {
            making: Mutex::default(),
            making_turns: Arc::new(Semaphore::new(limits::RECONCILE_COPIES_AT_ONCE_MAX)),
            answering: Semaphore::new(ANSWERS_AT_ONCE_MAX),
            filter: Mutex::default(),
            in_flight: InFlight::default(),
        }
    }
}

impl Reconciling {
    fn making(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.making.lock()
    }

    fn filter(&self) -> MutexGuard<'_, Option<MadeFilter>> {
        self.filter.lock()
    }
}

/// What a comparison with another node has led to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoundOutcome {
    /// Something differed.
    differed: bool,
    /// Records learned or told, copies made good.
    acted: usize,
    /// Differences that have to wait.
    left: usize,
}

impl RoundOutcome {
    fn add(&mut self, other: Self) {
        self.differed |= other.differed;
        self.acted += other.acted;
        self.left += other.left;
    }
}

impl Driver {
    /// Compares with the other members, each in its turn, for as long as the node runs.
    pub(super) async fn keep_reconciled(self: Arc<Self>) {
        let mut turns = Turns::new(
            self.settings.reconcile_every,
            self.settings.reconcile_survey,
            self.entropy.clone(),
        );
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.still_runs(look.tick()).await.is_some() {
            turns.follow(self.living_members(), Instant::now());
            while let Some((peer, kind)) = turns.next(Instant::now()) {
                let turn = async {
                    match kind {
                        Kind::Round => self.round_with(&peer).await,
                        Kind::Survey { seen } => self.survey(&peer, seen, &mut turns).await,
                    }
                };
                let Some(outcome) = self.still_runs(turn).await else {
                    return;
                };
                self.count_round(&peer, &outcome);
                // What came to nothing is not done.
                let outcome = outcome.unwrap_or(RoundOutcome {
                    left: 1,
                    ..RoundOutcome::default()
                });
                turns.taken(peer.id, kind, &outcome, Instant::now());
            }
        }
    }

    fn count_round(&self, peer: &Peer, outcome: &Result<RoundOutcome, CallError>) {
        let counted = match outcome {
            Ok(outcome) if outcome.differed => Reconciled::Differed,
            Ok(_) => Reconciled::Agreed,
            Err(_) => Reconciled::Failed,
        };
        self.metrics.reconciled(counted);
        match outcome {
            Ok(RoundOutcome { acted: 1.., .. }) => {
                tracing::info!(node = %peer.name, ?outcome, "made up what one of two nodes had missed");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(node = %peer.name, %error, "a comparison came to nothing")
            }
        }
    }

    /// One message of a comparison and its answer.
    pub(super) async fn ask_to_reconcile(
        &self,
        peer: &Peer,
        ask: ReconcileAsk,
    ) -> Result<ReconcileAnswer, CallError> {
        self.metrics
            .reconcile_bytes(Direction::Out, ask.payload_bytes());
        let answer = self.transport.reconcile(peer, self.message(ask)).await;
        let answer = answer.and_then(|answer| self.answer_of(peer, answer))?;
        self.metrics
            .reconcile_bytes(Direction::In, answer.payload_bytes());
        Ok(answer)
    }
}

fn out_of_protocol(peer: &Peer, reason: &str) -> CallError {
    CallError::Protocol {
        address: peer.address.to_string(),
        reason: reason.to_owned(),
    }
}

/// The last file there can be.
const LAST_FILE: FileId = FileId(u64::MAX);
