//! `ReReplication`: keeps every file at its factor. Re-replicates files whose holder is gone, completes degraded
//! writes, and moves everything away while an operator drains this node. All three are relayouts; this module
//! decides when, in which order and how fast.
//!
//! The node scans its replicas when members come or go, and at least every [`SCAN_ANYWAY_EVERY`], and adds the most
//! endangered files to the backlog: those with the fewest live holders, small ones before large ones. A short outage
//! moves nothing: a holder counts as gone after `repair.after`.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::holdings::Total;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::{self, Need};
use dataverse_replication::protocol::NotRelaid;
use dataverse_replication::upkeep::{Kind, Outcome, Rank};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pace::Pace;
use crate::driver::Driver;
use crate::driver::client::api::RepairStatus;
use crate::limits;

/// What was done and what remains.
pub(in crate::driver) struct ReReplication {
    /// Files found to need something and not finished.
    waiting: Mutex<Total>,
    copies: AtomicU64,
    copied_bytes: AtomicU64,
    failed: AtomicU64,
    /// Since when this node is being drained, and whether a scan since then found it empty.
    drain: Mutex<(Instant, bool)>,
    /// Wakes the loop for an immediate scan.
    look: Notify,
    /// Whether it was logged that draining can't finish on its own.
    warned_stuck: AtomicBool,
    /// What the last scan saw.
    scanned: Mutex<Surroundings>,
    pace: Pace,
}

impl Default for ReReplication {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            copies: AtomicU64::new(0),
            copied_bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            drain: Mutex::new((Instant::now(), false)),
            look: Notify::new(),
            warned_stuck: AtomicBool::new(false),
            scanned: Mutex::default(),
            pace: Pace::default(),
        }
    }
}

impl ReReplication {
    /// Requests a scan of all replicas soon.
    pub(in crate::driver) fn look_soon(&self) {
        self.look.notify_one();
    }

    /// Draining begins or ends.
    pub(in crate::driver) fn drain_changed(&self) {
        *self.drain() = (Instant::now(), false);
        self.warned_stuck.store(false, Ordering::Relaxed);
    }

    /// Whether the last scan found nothing left here. Only a scan counts that began after all other nodes could
    /// know that nothing is placed here.
    pub(in crate::driver) fn found_this_node_empty(&self) -> bool {
        self.drain().1
    }

    fn drain(&self) -> parking_lot::MutexGuard<'_, (Instant, bool)> {
        self.drain.lock()
    }

    pub(in crate::driver) fn waiting(&self) -> Total {
        *self.waiting.lock()
    }

    fn set_waiting(&self, total: Total) {
        *self.waiting.lock() = total;
    }

    fn done_with(&self, bytes: u64) {
        let mut waiting = self.waiting.lock();
        waiting.files = waiting.files.saturating_sub(1);
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }
}

/// What decides which files need something.
#[derive(PartialEq, Eq, Default)]
struct Surroundings {
    gone: Vec<NodeId>,
    draining: bool,
}

/// Decides when to scan again because other nodes may take copies than before. A member can bring that about as often
/// as it likes. So these scans are further and further apart, until the candidates have stayed the same for a while.
struct Rescans {
    candidates: Vec<NodeId>,
    pauses: Backoff,
    not_before: Option<Instant>,
}

impl Default for Rescans {
    fn default() -> Self {
        Self {
            candidates: Vec::new(),
            pauses: Backoff::new(RESCAN_EVERY_MIN, SCAN_ANYWAY_EVERY),
            not_before: None,
        }
    }
}

impl Rescans {
    /// Whether to scan now that these are the candidates.
    fn are_due(&mut self, candidates: Vec<NodeId>, now: Instant) -> bool {
        let not_before = *self.not_before.get_or_insert(now);
        if candidates == self.candidates || now < not_before {
            return false;
        }
        if now >= not_before + SCAN_ANYWAY_EVERY {
            self.pauses.reset();
        }
        self.candidates = candidates;
        self.not_before = Some(now + self.pauses.next_pause());
        true
    }
}

impl Driver {
    /// Scans for as long as the node runs: when members come or go, when woken, and when what the last scan found is
    /// done or nothing has happened for long.
    pub(in crate::driver) async fn keep_replicas(self: Arc<Self>) {
        let pause = (self.settings.repair_after / 4).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
        let mut looked = None;
        let mut rescans = Rescans::default();
        loop {
            let woken = self.still_runs(async {
                tokio::select! {
                    biased;
                    () = self.rereplication.look.notified() => true,
                    () = tokio::time::sleep(pause) => false,
                }
            });
            let Some(woken) = woken.await else { return };
            let surroundings = self.surroundings();
            let has_changed = woken
                || self.is_outdated_by(&surroundings)
                || rescans.are_due(self.candidate_ids(), Instant::now());
            let is_due = looked.is_none_or(|looked: Instant| looked.elapsed() >= SCAN_ANYWAY_EVERY);
            let emptying = surroundings.draining && !self.rereplication.found_this_node_empty();
            let unfinished = self.rereplication.waiting().files > 0 || emptying;
            let is_idle = self.state.backlog.is_idle(Kind::ReReplicate);
            let none_left = self.state.backlog.count(Kind::ReReplicate) == 0;
            // What failed waits out its pause, unless the node is to be empty soon.
            let is_worth_it = none_left || is_idle && surroundings.draining;
            if has_changed || is_due || unfinished && is_worth_it {
                looked = Some(Instant::now());
                let scan = self.scan(surroundings, has_changed);
                if self.still_runs(scan).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Progress of re-replication.
    pub(in crate::driver) fn repair_status(&self) -> RepairStatus {
        let repair = &self.rereplication;
        let backlog = &self.state.backlog;
        RepairStatus {
            waiting: repair.waiting(),
            active: backlog.active(Kind::ReReplicate) as u64,
            releasing: backlog.count(Kind::Release) as u64,
            copies: repair.copies.load(Ordering::Relaxed),
            bytes: repair.copied_bytes.load(Ordering::Relaxed),
            failed: repair.failed.load(Ordering::Relaxed),
        }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            gone: self.liveness().long_gone(),
            draining: self.lifetime.now().draining,
        }
    }

    /// The nodes that may take a copy.
    fn candidate_ids(&self) -> Vec<NodeId> {
        let candidates = self.candidates(0).into_iter();
        let mut ids: Vec<NodeId> = candidates.map(|candidate| candidate.id).collect();
        ids.sort_unstable();
        ids
    }

    /// What this file needs of this node now, if anything.
    fn need_of(&self, record: &Record) -> Option<Need> {
        let leaving = self.lifetime.now().draining;
        let liveness = self.liveness();
        relayout::need(record, self.me.id, leaving, |id| liveness.state_of(id))
    }

    /// Whether other files may be endangered than the last scan found, or in another order.
    pub(super) fn is_scan_outdated(&self) -> bool {
        self.is_outdated_by(&self.surroundings())
    }

    fn is_outdated_by(&self, surroundings: &Surroundings) -> bool {
        *self.rereplication.scanned.lock() != *surroundings
    }

    /// Scans all replicas and adds the most endangered files to the backlog.
    async fn scan(&self, surroundings: Surroundings, has_changed: bool) {
        let began = Instant::now();
        let draining = surroundings.draining;
        *self.rereplication.scanned.lock() = surroundings;
        let (found, total) = self.endangered().await;
        let before = self.rereplication.waiting();
        self.rereplication.set_waiting(total);
        self.note_whether_empty(began, total.files == 0);
        if draining {
            let overtaken = self
                .state
                .backlog
                .count_last(Kind::ReReplicate, Outcome::Overtaken);
            self.warn_if_stuck(overtaken);
        }
        if before != total && total.files > 0 {
            tracing::info!(
                files = total.files,
                bytes = total.bytes,
                "files lack replicas or have to leave this node"
            );
        }
        self.state.backlog.members_changed(false);
        for (rank, record) in found {
            self.state
                .backlog
                .rereplicate(record, rank, has_changed || draining);
        }
    }

    /// A draining node counts as empty when a scan finds nothing that began after all other nodes could have heard
    /// of the drain, and no earlier preparation awaits its commit.
    fn note_whether_empty(&self, began: Instant, found_nothing: bool) {
        let mut drain = self.rereplication.drain();
        let all_told = began.saturating_duration_since(drain.0) >= self.settings.gossip_status * 3;
        drain.1 = self.lifetime.now().draining
            && found_nothing
            && all_told
            && self.preparations.is_empty();
    }

    /// Logs once that overtaken replicas keep this node from being drained: nobody has their newer version, and no
    /// other node takes the old one.
    fn warn_if_stuck(&self, files: usize) {
        let warned = &self.rereplication.warned_stuck;
        if files > 0 && !warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                files,
                "other nodes refuse some files left on this draining node, because they know of a newer version that perhaps nobody has any more; `dataverse get` reports such files as \"stale\": write them again or delete them to finish draining"
            );
        }
    }

    /// The most endangered files, and the total of all that need something.
    async fn endangered(&self) -> (BinaryHeap<(Rank, Arc<Record>)>, Total) {
        let mut worst = BinaryHeap::new();
        let mut total = Total::default();
        let mut after: Option<Key> = None;
        loop {
            let page = self.state.node().replicas_after(after.as_ref());
            let leaving = self.lifetime.now().draining;
            let liveness = self.liveness();
            for record in page.items {
                let state_of = |id| liveness.state_of(id);
                let Some(need) = relayout::need(&record, self.me.id, leaving, state_of) else {
                    continue;
                };
                total.files += 1;
                total.bytes += record.size;
                worst.push((Rank::of(need.live, record.size), record));
                if worst.len() > limits::REPAIR_QUEUE_MAX {
                    worst.pop();
                }
            }
            after = page.resume_after;
            if after.is_none() {
                return (worst, total);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until upkeep may copy this many bytes under `repair.bytes_per_second`.
    pub(super) async fn pace(&self, bytes: u64) {
        if let Some(rate) = self.settings.repair_bytes_per_second {
            self.rereplication.pace.take(bytes, rate).await;
        }
    }

    /// Does what a file needs now.
    pub(super) async fn rereplicate(&self, key: &Key) -> Outcome {
        let held = self.state.node().holding(key).cloned();
        let Some(record) = held.map(|holding| holding.record) else {
            return Outcome::Done;
        };
        let Some(need) = self.need_of(&record) else {
            return Outcome::Done;
        };
        match self.relayout(&record, &need).await {
            Ok(copies) => {
                self.rereplication.done_with(record.size);
                let bytes = record.size * copies as u64;
                let done = &self.rereplication;
                done.copies.fetch_add(copies as u64, Ordering::Relaxed);
                done.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.metrics.relaid(copies as u64, bytes);
                tracing::debug!(key = %record.key, copies, "re-replicated a file");
                Outcome::Done
            }
            Err(NotRelaid::Changed) => Outcome::Again,
            Err(NotRelaid::Overtaken) => Outcome::Overtaken,
            Err(error @ (NotRelaid::NoTaker { .. } | NotRelaid::Unnumbered(_))) => {
                self.rereplication.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(key = %record.key, %error, "a file still lacks replicas");
                if !need.keep.contains(&self.me.id) && !record.deleted {
                    self.ask_to_be_relieved(&record).await;
                }
                Outcome::Again
            }
        }
    }
}

/// Shortest and longest pause between two checks whether members came or went.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(50);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// Shortest pause between two scans because other nodes may take copies than before.
const RESCAN_EVERY_MIN: Duration = Duration::from_secs(1);
/// How often all replicas are scanned even if no member came or went.
const SCAN_ANYWAY_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// A member takes copies and takes none in turns, second for second.
    #[test]
    fn scans_for_a_member_that_comes_and_goes_are_further_and_further_apart() {
        let mut rescans = Rescans::default();
        let began = Instant::now();
        let mut is_due = |second: u64, candidates: u128| {
            let candidates = (0..candidates).map(NodeId::from).collect();
            rescans.are_due(candidates, began + Duration::from_secs(second))
        };
        assert!(!is_due(0, 0), "nothing has changed");
        assert!(is_due(0, 1), "at once");
        let due = (1..600).filter(|second| is_due(*second, u128::from(second % 2)));
        let due: Vec<u64> = due.collect();
        assert_eq!(due[..4], [2, 5, 10, 19], "{due:?}");
        assert!(due.len() < 16, "{due:?}");
        assert!(!is_due(800, 1), "nothing has changed");
        assert!(is_due(801, 2) && is_due(802, 3), "it was calm for long");
    }
}
