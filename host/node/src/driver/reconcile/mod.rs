//! Reconciliation: compares holdings with the other members, a few at a time, and copies what either one missed.
//! It is what finds lost announcements, missed writes and deletions, and replicas that vanished.
//!
//! - A *round* (`round`) compares the files that both nodes should hold, by sums that are always up to date (see
//!   the core's `reconcile`). Two nodes that agree exchange less than 200 bytes.
//! - A *survey* (`survey`) looks for files that both hold although no layout names both: two halves of a
//!   partitioned network wrote the same file on different nodes, or a cached copy missed an overwrite or a
//!   deletion. It uses a Bloom filter of what the other holds.
//! - `turns` decides which member is next. Rounds come every `reconcile.every`, surveys every `reconcile.survey`,
//!   both soon after a member appears.
//! - `answer` answers the comparisons of others, a few at a time.
//! - `differences` acts on what differs: learns the greater record, tells the other, or adds a missing replica to the
//!   backlog, to be copied here or there.
//! - `grace` leaves alone versions whose write may still be in flight.
//!
//! One loop, [`Driver::keep_reconciled`], takes the turns: root of the sums → sums of the buckets →
//! digest entries of the buckets that differ → records that differ → action. The core weighs each record against
//! what is held.
//!
//! `Turns` owns when each member is due, `Reconciling` the filter last built and the versions in flight. A replica that was overwritten or deleted goes only after a holder confirms that, and a missing
//! one is copied only after a search finds nothing newer.

mod answer;
mod differences;
mod grace;
mod round;
mod survey;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::filter::Filter;
use dataverse_core::id::FileId;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, ReconcileAnswer, ReconcileAsk, TransportExt};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Driver;
use crate::metrics::{Direction, Reconciled};
use grace::InFlight;
use turns::{Kind, Surveyed, Turns};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Comparisons answered concurrently; another node that asks beyond that tries again later.
const ANSWERS_AT_ONCE_MAX: usize = 4;
/// Members compared with concurrently.
const COMPARISONS_AT_ONCE_MAX: usize = 4;

/// State that reconciliation keeps between rounds.
pub(super) struct Reconciling {
    answering: Semaphore,
    filter: Mutex<Option<MadeFilter>>,
    in_flight: InFlight,
}

/// A filter of what is held here, and when it was built.
struct MadeFilter {
    filter: Arc<Filter>,
    tag: u128,
    changes: u64,
    made: Instant,
}

impl Default for Reconciling {
    fn default() -> Self {
        Self {
            answering: Semaphore::new(ANSWERS_AT_ONCE_MAX),
            filter: Mutex::default(),
            in_flight: InFlight::default(),
        }
    }
}

impl Reconciling {
    fn filter(&self) -> MutexGuard<'_, Option<MadeFilter>> {
        self.filter.lock()
    }
}

/// Result of a round or a survey.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoundOutcome {
    /// Something differed.
    differed: bool,
    /// Records learned or sent, and copies begun.
    acted: usize,
    /// Differences that have to wait.
    left: usize,
    /// What a survey has seen.
    surveyed: Option<Surveyed>,
}

impl RoundOutcome {
    fn add(&mut self, other: Self) {
        self.differed |= other.differed;
        self.acted += other.acted;
        self.left += other.left;
        self.surveyed = self.surveyed.or(other.surveyed);
    }
}

impl Driver {
    /// Takes the turns that are due, for as long as the node runs: one comparison with a member at a time, and with a
    /// few members at once, so that one that answers slowly holds up no other.
    pub(super) async fn keep_reconciled(self: Arc<Self>) {
        let mut turns = Turns::new(
            self.settings.reconcile_every,
            self.settings.reconcile_survey,
            self.entropy.clone(),
        );
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut under_way = FuturesUnordered::new();
        loop {
            let now = Instant::now();
            while under_way.len() < COMPARISONS_AT_ONCE_MAX
                && let Some((peer, kind)) = turns.next(now)
            {
                under_way.push(self.compare_with(peer, kind));
            }
            let woken = async {
                tokio::select! {
                    biased;
                    Some(taken) = under_way.next(), if !under_way.is_empty() => Some(taken),
                    _ = look.tick() => None,
                }
            };
            match self.still_runs(woken).await {
                Some(Some((peer, kind, outcome))) => {
                    turns.taken(peer.id, kind, &outcome, Instant::now());
                }
                Some(None) => turns.follow(self.living_members(), Instant::now()),
                None => return,
            }
        }
    }

    async fn compare_with(&self, peer: Peer, kind: Kind) -> (Peer, Kind, RoundOutcome) {
        let outcome = match kind {
            Kind::Round => self.round_with(&peer).await,
            Kind::Survey { seen } => self.survey(&peer, seen).await,
        };
        self.count_round(&peer, &outcome);
        // A failed comparison is due again.
        let outcome = outcome.unwrap_or(RoundOutcome {
            left: 1,
            ..RoundOutcome::default()
        });
        (peer, kind, outcome)
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
                tracing::info!(node = %peer.name, ?outcome, "reconciled differences with another node");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(node = %peer.name, %error, "a comparison with another node failed")
            }
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

fn out_of_protocol(peer: &Peer, reason: &str) -> CallError {
    CallError::Protocol {
        address: peer.address.to_string(),
        reason: reason.to_owned(),
    }
}

/// The greatest possible file id.
const LAST_FILE: FileId = FileId(u64::MAX);
