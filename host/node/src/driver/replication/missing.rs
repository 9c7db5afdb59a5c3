//! `MissingReplicas`: replicas of this node whose content is bad or gone.
//!
//! Whatever finds a bad replica (a scrub, a read, another node's fetch, the start of the node) adds it here. While
//! it is listed the node neither serves nor promises it, and its version is a floor. It leaves the list when the
//! content is back, however it came, or when a newer version or a layout without this node takes its place;
//! nothing else removes it. `heal` has it copied again.
//!
//! The store keeps the same list across restarts. This one is bounded by [`limits::HEAL_FILES_MAX`]; what exceeds
//! it is taken up at the next start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataverse_core::backoff::Backoff;
use dataverse_core::holdings::Role;
use dataverse_core::id::FileId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use dataverse_replication::Queue;
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

#[derive(Clone)]
struct Case {
    record: Arc<Record>,
    stage: Stage,
}

/// The missing replicas of this node.
pub(in crate::driver) struct MissingReplicas {
    cases: Mutex<Cases>,
    healed: AtomicU64,
    pub(super) more: Notify,
}

struct Cases {
    /// All that are known, those that have waited longest first.
    queue: Queue<Key, Case, (), Instant>,
    /// Files beyond the bound.
    left_out: BTreeSet<FileId>,
}

impl Default for MissingReplicas {
    fn default() -> Self {
        let pauses = Backoff::from_millis(limits::HEAL_RETRY_MS_MIN, limits::HEAL_RETRY_MS_MAX);
        Self {
            cases: Mutex::new(Cases {
                queue: Queue::new(limits::HEAL_FILES_MAX, pauses),
                left_out: BTreeSet::new(),
            }),
            healed: AtomicU64::new(0),
            more: Notify::new(),
        }
    }
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
        let is_known = cases.queue.get(&record.key);
        if is_known.is_some_and(|case| case.record.version >= record.version) {
            return;
        }
        let file = record.key.file_id();
        let case = Case {
            record: Arc::clone(&record),
            stage: Stage::Fresh,
        };
        if cases
            .queue
            .put(record.key.clone(), case, (), Instant::now())
        {
            cases.left_out.remove(&file);
            drop(cases);
            self.more.notify_one();
        } else if cases.left_out.len() < limits::HEAL_FILES_MAX {
            cases.left_out.insert(file);
        }
    }

    /// Called when this version of a file is stored here: removes what it settles.
    pub(in crate::driver) fn held(&self, key: &Key, version: Version, role: Role) {
        let mut cases = self.cases.lock();
        if !cases.left_out.is_empty() {
            cases.left_out.remove(&key.file_id());
        }
        let case = cases.queue.get(key);
        let Some(case) = case.filter(|case| case.record.version <= version) else {
            return;
        };
        if case.record.version == version && role == Role::Replica {
            self.healed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%key, %version, "healed a replica");
        }
        cases.queue.remove(key);
    }

    /// The missing replica of this file, if there is one.
    pub(in crate::driver) fn find(&self, key: &Key) -> Option<Arc<Record>> {
        let cases = self.cases.lock();
        let case = cases.queue.get(key);
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
            waiting: cases.left_out.len() as u64,
            ..MissingCounts::default()
        };
        for (key, case) in cases.queue.iter() {
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
        let queue = &mut self.cases.lock().queue;
        let due = queue.take_due(at_most, now).into_iter();
        let due = due.map(|(_, case)| case.record).collect();
        (due, queue.next_due())
    }

    /// Records the result of an attempt. True if the file has just been found to be lost.
    pub(super) fn tried(&self, record: &Record, tried: Tried, now: Instant) -> bool {
        let queue = &mut self.cases.lock().queue;
        let key = &record.key;
        let is_this = |case: &&mut Case| case.record.version == record.version;
        // A later version may be missing by now; it waits for its own turn.
        let Some(case) = queue.get_mut(key).filter(is_this) else {
            return false;
        };
        let stage = match tried {
            Tried::Settled => {
                queue.remove(key);
                return false;
            }
            Tried::Waits => Stage::Waiting,
            Tried::Lost => Stage::Lost,
        };
        let is_newly_lost = stage == Stage::Lost && case.stage != stage;
        case.stage = stage;
        queue.again(key, (), now);
        is_newly_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::record;

    fn numbered(number: usize) -> Arc<Record> {
        Arc::new(record(&format!("ada/{number}"), 5))
    }

    #[test]
    fn what_is_beyond_the_bound_counts_as_waiting_until_it_is_back() {
        let missing = MissingReplicas::default();
        for number in 0..limits::HEAL_FILES_MAX + 2 {
            missing.add(numbered(number));
        }
        // It is found a second time, for example by a reader.
        let last = numbered(limits::HEAL_FILES_MAX + 1);
        missing.add(Arc::clone(&last));
        assert_eq!(missing.counts().waiting, 2);
        missing.held(&last.key, last.version, Role::Replica);
        assert_eq!(missing.counts().waiting, 1);
        // There is space again.
        missing.held(&numbered(0).key, last.version, Role::Replica);
        missing.add(numbered(limits::HEAL_FILES_MAX));
        let counts = missing.counts();
        assert_eq!((counts.waiting, missing.healed()), (0, 1));
    }
}
