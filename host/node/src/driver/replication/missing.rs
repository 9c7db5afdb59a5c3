//! `MissingReplicas`: replicas of this node whose content is bad or gone.
//!
//! Whatever finds a bad replica (a scrub, a read, another node's fetch, the start of the node) adds it here. While
//! it is listed the node neither serves nor promises it, and its version is a floor. It leaves the list when the
//! content is back, however it came, or when a newer version or a layout without this node takes its place;
//! nothing else removes it. `heal` has it copied again.
//!
//! The store keeps the same list across restarts. This one is bounded by [`limits::HEAL_FILES_MAX`]; what exceeds
//! it is taken up at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataverse_core::backoff::Backoff;
use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits;

/// State of a missing replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not tried yet, or being tried for the first time.
    Fresh,
    /// No node that is up can send it; others may.
    Waiting,
    /// Every other holder and every other node said that it has none.
    Lost,
}

struct Case {
    record: Arc<Record>,
    stage: Stage,
    backoff: Backoff,
    due: Instant,
}

/// The missing replicas, and the order in which to try them. Those being tried are not in the queue.
#[derive(Default)]
struct Cases {
    by_key: BTreeMap<Key, Case>,
    queue: BTreeSet<(Instant, Key)>,
}

impl Cases {
    fn put(&mut self, case: Case) {
        self.remove(&case.record.key);
        self.queue.insert((case.due, case.record.key.clone()));
        self.by_key.insert(case.record.key.clone(), case);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(case) = self.by_key.remove(key) {
            self.queue.remove(&(case.due, key.clone()));
        }
    }
}

/// The missing replicas of this node.
#[derive(Default)]
pub(in crate::driver) struct MissingReplicas {
    cases: Mutex<Cases>,
    /// Missing replicas beyond the bound.
    left_out: AtomicU64,
    healed: AtomicU64,
    pub(super) more: Notify,
}

/// Missing replicas, by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::driver) struct MissingCounts {
    pub(in crate::driver) healing: u64,
    pub(in crate::driver) waiting: u64,
    pub(in crate::driver) lost: u64,
    /// The first lost ones by key.
    pub(in crate::driver) lost_keys: Vec<Key>,
}

/// Result of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is here, or no longer this node's concern.
    Settled,
    /// Not available now.
    Waits,
    /// No copy is left.
    Lost,
}

impl MissingReplicas {
    /// Adds a replica whose content is bad or gone.
    pub(in crate::driver) fn add(&self, record: Arc<Record>) {
        let mut cases = self.cases.lock();
        let is_known = cases.by_key.get(&record.key);
        if is_known.is_some_and(|case| case.record.version >= record.version) {
            return;
        }
        if is_known.is_none() && cases.by_key.len() >= limits::HEAL_FILES_MAX {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        cases.put(Case {
            record,
            stage: Stage::Fresh,
            backoff: Backoff::from_millis(limits::HEAL_RETRY_MS_MIN, limits::HEAL_RETRY_MS_MAX),
            due: Instant::now(),
        });
        drop(cases);
        self.more.notify_one();
    }

    /// Called when this version of a file is stored here: removes what it settles.
    pub(in crate::driver) fn held(&self, key: &Key, version: Version, role: Role) {
        let mut cases = self.cases.lock();
        let case = cases.by_key.get(key);
        let Some(case) = case.filter(|case| case.record.version <= version) else {
            return;
        };
        if case.record.version == version && role == Role::Replica {
            self.healed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%key, %version, "healed a replica");
        }
        cases.remove(key);
    }

    /// The missing replica of this file, if there is one.
    pub(in crate::driver) fn find(&self, key: &Key) -> Option<Arc<Record>> {
        let cases = self.cases.lock();
        let case = cases.by_key.get(key);
        case.map(|case| Arc::clone(&case.record))
    }

    /// Replicas healed since the node started.
    pub(in crate::driver) fn healed(&self) -> u64 {
        self.healed.load(Ordering::Relaxed)
    }

    /// Counts of missing replicas, and the lost keys.
    pub(in crate::driver) fn counts(&self) -> MissingCounts {
        let cases = self.cases.lock();
        let mut counts = MissingCounts {
            waiting: self.left_out.load(Ordering::Relaxed),
            ..MissingCounts::default()
        };
        for (key, case) in &cases.by_key {
            match case.stage {
                Stage::Fresh => counts.healing += 1,
                Stage::Waiting => counts.waiting += 1,
                Stage::Lost => {
                    counts.lost += 1;
                    if counts.lost_keys.len() < limits::LOST_KEYS_TOLD_MAX {
                        counts.lost_keys.push(key.clone());
                    }
                }
            }
        }
        counts
    }

    /// Takes up to `at_most` due replicas off the queue, those that have waited longest first. Also returns when
    /// the next one is due.
    pub(super) fn take_due(
        &self,
        at_most: usize,
        now: Instant,
    ) -> (Vec<Arc<Record>>, Option<Instant>) {
        let mut cases = self.cases.lock();
        let mut due = Vec::new();
        while due.len() < at_most
            && let Some((at, _)) = cases.queue.first()
            && *at <= now
            && let Some((_, key)) = cases.queue.pop_first()
        {
            due.extend(cases.by_key.get(&key).map(|case| Arc::clone(&case.record)));
        }
        (due, cases.queue.first().map(|(at, _)| *at))
    }

    /// Records the result of an attempt. True if the file has just been found to be lost.
    pub(super) fn tried(&self, record: &Record, tried: Tried, now: Instant) -> bool {
        let mut cases = self.cases.lock();
        let case = cases.by_key.remove(&record.key);
        let Some(mut case) = case else { return false };
        if case.record.version != record.version {
            // A later version is missing by now and waits for its own turn.
            cases.by_key.insert(record.key.clone(), case);
            return false;
        }
        let stage = match tried {
            Tried::Settled => return false,
            Tried::Waits => Stage::Waiting,
            Tried::Lost => Stage::Lost,
        };
        let is_newly_lost = stage == Stage::Lost && case.stage != stage;
        case.stage = stage;
        case.due = now + case.backoff.next_pause();
        cases.put(case);
        is_newly_lost
    }
}
