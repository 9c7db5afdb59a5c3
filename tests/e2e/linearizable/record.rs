//! The record of a race: what each client requested of which file, when, and what it observed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dataverse_core::limits::{CLOCK_CEILING_MS, CLOCK_COUNT_MS};
use dataverse_simulation::check::linearizable::{Operation, Outcome, Request, Requires};
use parking_lot::Mutex;

/// Files that are raced for at the same time.
pub(super) const FILES: u64 = 3;
/// Actions on a file before another takes its place. Each is one to three operations; the judge can decide about
/// histories of this length, whatever their outcomes.
const ACTIONS_MAX: u64 = 50;
/// Nodes order writes without a condition by stamps of one wall clock, in milliseconds.
pub(super) const CLOCK_IS_FINE_BY: Duration = Duration::from_millis(2);

/// Everything that racers share.
pub(super) struct Race {
    /// Where files are at each node.
    pub(super) urls: Vec<String>,
    moments: AtomicU64,
    numbers: AtomicU64,
    /// Actions on each of the files.
    actions: [AtomicU64; FILES as usize],
    /// Until when the clock of a node may be ahead of the others'.
    clocks_agree_at: Mutex<Instant>,
    histories: Mutex<BTreeMap<String, Vec<Observed>>>,
}

/// An operation and the node that was asked.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) at: usize,
    pub(super) operation: Operation,
}

impl Race {
    pub(super) fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            moments: AtomicU64::new(1),
            numbers: AtomicU64::new(1),
            actions: Default::default(),
            clocks_agree_at: Mutex::new(Instant::now()),
            histories: Mutex::default(),
        }
    }

    /// What was observed of each file.
    pub(super) fn histories(&self) -> BTreeMap<String, Vec<Observed>> {
        self.histories.lock().clone()
    }

    /// The present name of a file, for one more action.
    pub(super) fn key(&self, file: u64) -> String {
        let actions = self.actions[file as usize].fetch_add(1, Ordering::SeqCst);
        format!("race/{file}-{}", actions / ACTIONS_MAX)
    }

    /// A node was killed. Its clock begins again above every stamp that it may have given out, which is in the
    /// future; the others follow when they hear of it.
    pub(super) fn a_node_was_killed(&self) {
        let mut until = self.clocks_agree_at.lock();
        let counted = *until + Duration::from_millis(CLOCK_COUNT_MS);
        let used = Instant::now() + Duration::from_millis(CLOCK_CEILING_MS);
        *until = counted.max(used) + CLOCK_IS_FINE_BY;
    }

    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
    }

    /// Performs an operation and records it, if it observed anything.
    pub(super) async fn observe(
        &self,
        at: usize,
        key: &str,
        request: Request,
        work: impl Future<Output = Option<Outcome>>,
    ) -> Option<Outcome> {
        let (began, number, invoked) = (Instant::now(), self.number(), self.moment());
        let outcome = work.await?;
        let clocks_agreed = began >= *self.clocks_agree_at.lock();
        let operation = Operation {
            number,
            invoked,
            returned: Some(self.moment()),
            may_be_overtaken: is_unconditional(&request) && !clocks_agreed,
            request,
            outcome,
        };
        let mut histories = self.histories.lock();
        let history = histories.entry(key.to_owned()).or_default();
        history.push(Observed { at, operation });
        Some(outcome)
    }
}

/// Whether it is a write or a deletion without a condition.
pub(super) fn is_unconditional(request: &Request) -> bool {
    match request {
        Request::Write { requires, .. } | Request::Delete { requires } => {
            *requires == Requires::Nothing
        }
        Request::Read => false,
    }
}
