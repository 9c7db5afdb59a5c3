//! `ReReplication`: keeps every file at its factor. Re-replicates files whose holder is gone, completes degraded
//! writes, and moves everything away while an operator drains this node. All three are relayouts; this module
//! decides when, in which order and how fast.
//!
//! The node scans its replicas when members come or go, and at least every [`SCAN_ANYWAY_EVERY`]. The most
//! endangered files come first: those with the fewest live holders, small ones before large ones. A short outage
//! moves nothing: a holder counts as gone after `repair.after`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::holdings::Total;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::recent::Recent;
use dataverse_core::record::Record;
use dataverse_core::relayout::{self, Need};
use dataverse_core::version::Version;
use futures_util::{StreamExt, future, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pace::Pace;
use super::relayout::RelayoutError;
use crate::driver::Driver;
use crate::driver::client::api::RepairStatus;
use crate::limits;

/// What was done and what remains.
pub(in crate::driver) struct ReReplication {
    /// Files found to need something and not finished.
    waiting: Mutex<Total>,
    active: AtomicU64,
    copies: AtomicU64,
    copied_bytes: AtomicU64,
    failed: AtomicU64,
    /// Since when this node is being drained, and whether a scan since then found it empty.
    drain: Mutex<(Instant, bool)>,
    /// Wakes the loop for an immediate scan.
    look: Notify,
    /// Whether it was logged that draining can't finish on its own.
    warned_stuck: AtomicBool,
    /// Files that no node took because it knows of a greater version, and when that was.
    overtaken: Mutex<Recent<Key, (Version, Instant)>>,
    pace: Pace,
}

impl Default for ReReplication {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            active: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            copied_bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            drain: Mutex::new((Instant::now(), false)),
            look: Notify::new(),
            warned_stuck: AtomicBool::new(false),
            overtaken: Mutex::new(Recent::new(limits::REPAIR_QUEUE_MAX)),
            pace: Pace::default(),
        }
    }
}

impl ReReplication {
    /// Requests a scan of all replicas soon.
    pub(in crate::driver) fn look_soon(&self) {
        self.look.notify_one();
    }

    /// Records that the candidates for this replica know of a greater version and would not keep it.
    fn note_overtaken(&self, record: &Record) {
        let now = (record.version, Instant::now());
        self.overtaken.lock().put(record.key.clone(), now);
    }

    /// Whether that was recorded within [`OVERTAKEN_LEFT_ALONE`].
    fn was_overtaken(&self, record: &Record) -> bool {
        let overtaken = self.overtaken.lock();
        let noted = overtaken.get(&record.key);
        noted.is_some_and(|(version, at)| {
            *version == record.version && at.elapsed() < OVERTAKEN_LEFT_ALONE
        })
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

/// A file that needs something. Sorts by danger, the most endangered first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Endangered {
    live_holders: usize,
    size: u64,
    key: Key,
}

/// Everything a scan's result depends on: while it is the same, the result stays valid.
#[derive(PartialEq, Eq, Default)]
struct Surroundings {
    gone: Vec<NodeId>,
    candidates: Vec<NodeId>,
    draining: bool,
}

impl Driver {
    /// Scans and re-replicates for as long as the node runs.
    pub(in crate::driver) async fn keep_replicas(self: Arc<Self>) {
        let usual = (self.settings.repair_after / 4).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
        let mut backoff = Backoff::new(usual, SCAN_ANYWAY_EVERY);
        let mut pause = backoff.next_pause();
        let mut before = None;
        let mut looked = Instant::now();
        loop {
            let woken = self.still_runs(async {
                tokio::select! {
                    biased;
                    () = self.rereplication.look.notified() => true,
                    () = tokio::time::sleep(pause) => false,
                }
            });
            let Some(woken) = woken.await else { return };
            let work = async {
                let surroundings = self.surroundings();
                let is_due = looked.elapsed() >= SCAN_ANYWAY_EVERY;
                let emptying = surroundings.draining && !self.rereplication.found_this_node_empty();
                let unfinished = self.rereplication.waiting().files > 0 || emptying;
                let has_changed = before.as_ref() != Some(&surroundings);
                if woken || is_due || unfinished || has_changed {
                    looked = Instant::now();
                    let made = self.rereplication_round(&surroundings).await;
                    // If nothing could be done now, an immediate retry won't help: the pause grows.
                    if made || woken || has_changed || surroundings.draining {
                        backoff.reset();
                    }
                    pause = backoff.next_pause();
                    before = Some(surroundings);
                }
            };
            if self.still_runs(work).await.is_none() {
                return;
            }
        }
    }

    /// Progress of re-replication.
    pub(in crate::driver) fn repair_status(&self) -> RepairStatus {
        let repair = &self.rereplication;
        RepairStatus {
            waiting: repair.waiting(),
            active: repair.active.load(Ordering::Relaxed),
            releasing: self.pending_releases.count() as u64,
            copies: repair.copies.load(Ordering::Relaxed),
            bytes: repair.copied_bytes.load(Ordering::Relaxed),
            failed: repair.failed.load(Ordering::Relaxed),
        }
    }

    fn surroundings(&self) -> Surroundings {
        let candidates = self.candidates(0).into_iter();
        let mut candidates: Vec<NodeId> = candidates.map(|candidate| candidate.id).collect();
        candidates.sort_unstable();
        Surroundings {
            gone: self.long_gone(),
            candidates,
            draining: self.lifetime.now().draining,
        }
    }

    /// What this file needs of this node now, if anything.
    fn need_of(&self, record: &Record) -> Option<Need> {
        let leaving = self.lifetime.now().draining;
        relayout::need(record, self.me.id, leaving, |id| self.standing_of(id))
    }

    /// The files of a page that need something of this node now, and what. The state of each holder is looked up
    /// once.
    fn needs_of(&self, records: Vec<Arc<Record>>) -> Vec<(Arc<Record>, Need)> {
        let leaving = self.lifetime.now().draining;
        let seen = RefCell::new(BTreeMap::new());
        let standing = |id| {
            let mut seen = seen.borrow_mut();
            *seen.entry(id).or_insert_with(|| self.standing_of(id))
        };
        let needs = records.into_iter().filter_map(|record| {
            let need = relayout::need(&record, self.me.id, leaving, standing)?;
            Some((record, need))
        });
        needs.collect()
    }

    /// Scans all replicas and works through what it finds. Returns whether anything changed.
    async fn rereplication_round(&self, surroundings: &Surroundings) -> bool {
        let (began, copies) = (
            Instant::now(),
            self.rereplication.copies.load(Ordering::Relaxed),
        );
        let (found, total, overtaken) = self.endangered().await;
        let before = self.rereplication.waiting();
        self.rereplication.set_waiting(total);
        self.note_whether_empty(began, total.files == 0);
        if surroundings.draining && overtaken > 0 {
            self.warn_if_stuck(overtaken);
        }
        if found.is_empty() {
            return before.files > 0;
        }
        if before != total {
            tracing::info!(
                files = total.files,
                bytes = total.bytes,
                "files lack replicas or have to leave this node"
            );
        }
        // When a member comes or goes meanwhile, other files may be more endangered: stop and scan again.
        let as_it_was = |_: &Endangered| future::ready(self.surroundings() == *surroundings);
        stream::iter(found)
            .take_while(as_it_was)
            .for_each_concurrent(self.settings.repair_concurrent as usize, |file| {
                self.rereplicate(file.key)
            })
            .await;
        self.rereplication.copies.load(Ordering::Relaxed) > copies
            || self.rereplication.waiting() != total
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
    fn warn_if_stuck(&self, files: u64) {
        if !self
            .rereplication
            .warned_stuck
            .swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                files,
                "other nodes refuse some files left on this draining node, because they know of a newer version that perhaps nobody has any more; `dataverse get` reports such files as \"stale\": write them again or delete them to finish draining"
            );
        }
    }

    /// The most endangered files, in the order to process them; the total that needs something; and how many were
    /// skipped because other nodes know of a greater version. Those are left alone for a while.
    async fn endangered(&self) -> (Vec<Endangered>, Total, u64) {
        let mut overtaken = 0;
        let mut worst = BinaryHeap::new();
        let mut total = Total::default();
        let mut after: Option<Key> = None;
        loop {
            let page = self.state.node().replicas_after(after.as_ref());
            for (record, need) in self.needs_of(page.items) {
                total.files += 1;
                total.bytes += record.size;
                if self.rereplication.was_overtaken(&record) {
                    overtaken += 1;
                    continue;
                }
                worst.push(Endangered {
                    live_holders: need.live,
                    size: record.size,
                    key: record.key.clone(),
                });
                if worst.len() > limits::REPAIR_QUEUE_MAX {
                    worst.pop();
                }
            }
            after = page.resume_after;
            if after.is_none() {
                return (worst.into_sorted_vec(), total, overtaken);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until this many bytes may be copied under `repair.bytes_per_second`.
    pub(in crate::driver) async fn pace_rereplication(&self, bytes: u64) {
        if let Some(rate) = self.settings.repair_bytes_per_second {
            self.rereplication.pace.take(bytes, rate).await;
        }
    }

    async fn rereplicate(&self, key: Key) {
        let held = self.state.node().holding(&key).cloned();
        let Some(record) = held.map(|holding| holding.record) else {
            return self.rereplication.done_with(0);
        };
        let Some(need) = self.need_of(&record) else {
            return self.rereplication.done_with(record.size);
        };
        let bytes = record.size * need.wanted as u64;
        let pace = self.pace_rereplication(bytes);
        self.rereplication.active.fetch_add(1, Ordering::Relaxed);
        let relaid = self.relayout(&record, &need, pace).await;
        self.rereplication.active.fetch_sub(1, Ordering::Relaxed);
        match relaid {
            Ok(copies) => {
                self.rereplication.done_with(record.size);
                let bytes = record.size * copies as u64;
                self.rereplication
                    .copies
                    .fetch_add(copies as u64, Ordering::Relaxed);
                self.rereplication
                    .copied_bytes
                    .fetch_add(bytes, Ordering::Relaxed);
                self.metrics.relaid(copies as u64, bytes);
                tracing::debug!(key = %record.key, copies, "re-replicated a file");
            }
            Err(RelayoutError::Changed | RelayoutError::UnderWay) => {}
            Err(RelayoutError::Overtaken) => self.rereplication.note_overtaken(&record),
            Err(error @ (RelayoutError::NoTaker { .. } | RelayoutError::Unnumbered(_))) => {
                self.rereplication.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(key = %record.key, %error, "a file still lacks replicas");
                if !need.keep.contains(&self.me.id) && !record.deleted {
                    self.ask_to_be_relieved(&record).await;
                }
            }
        }
    }
}

/// Shortest and longest pause between two checks whether members came or went.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(50);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// How long a file that no node would keep is left alone before it is tried again.
const OVERTAKEN_LEFT_ALONE: Duration = Duration::from_secs(600);
/// How often all replicas are scanned even if no member came or went.
const SCAN_ANYWAY_EVERY: Duration = Duration::from_secs(60);
