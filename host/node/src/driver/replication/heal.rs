//! `Healing`: replicas of this node whose content is bad or gone, and how they are copied again from other
//! holders.
//!
//! Whatever finds a bad replica (a scrub, a read, another node's fetch, the start of the node) adds it here. While
//! it is listed the node neither serves nor promises it, and its version is a floor. It leaves the list when the
//! content is back, however it came, or when a newer version or a layout without this node takes its place;
//! nothing else removes it. If there is no space for it here, another holder is asked for such a layout. If every
//! other holder says that it has none and no reachable node has a copy, the file is reported as lost and tried
//! again at intervals, since someone may bring back a node or a disk.
//!
//! The store keeps the same list across restarts. This one is bounded by [`limits::HEAL_FILES_MAX`]; what exceeds
//! it is taken up at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::search::{Peer, SearchOutcome};
use dataverse_core::version::Version;
use dataverse_store::Change;
use dataverse_store::crash;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::driver::Driver;
use crate::driver::client::space::Occasion;
use crate::driver::client::transfer::Wanted;
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
    tries: u32,
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
pub(in crate::driver) struct Healing {
    cases: Mutex<Cases>,
    /// Missing replicas beyond the bound.
    left_out: AtomicU64,
    healed: AtomicU64,
    more: Notify,
}

/// Missing replicas, by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::driver) struct Missing {
    pub(in crate::driver) healing: u64,
    pub(in crate::driver) waiting: u64,
    pub(in crate::driver) lost: u64,
    /// The first lost ones by key.
    pub(in crate::driver) lost_keys: Vec<Key>,
}

/// Result of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    /// It is here, or no longer this node's concern.
    Settled,
    /// Not available now.
    Waits,
    /// No copy is left.
    Lost,
}

/// What other nodes have of a version that is missing here.
struct Elsewhere {
    /// The record, with the greatest layout heard of.
    record: Arc<Record>,
    sources: Vec<Peer>,
    newer: Option<Heard>,
    /// Every node that might have it was asked and has answered.
    all_answered: bool,
}

impl Elsewhere {
    fn of(record: &Arc<Record>) -> Self {
        Self {
            record: Arc::clone(record),
            sources: Vec::new(),
            newer: None,
            all_answered: true,
        }
    }

    fn hear_of(&mut self, heard: Heard) {
        if heard.version > self.record.version {
            self.newer = Heard::merged([self.newer, Some(heard)]);
        }
    }

    fn found(&mut self, peer: &Peer, record: &Arc<Record>) {
        self.hear_of(Heard::of(record));
        if record.version != self.record.version || record.digest != self.record.digest {
            return;
        }
        self.sources.push(peer.clone());
        if record.layout > self.record.layout {
            self.record = Arc::clone(record);
        }
    }
}

impl Healing {
    /// Adds a replica whose content is bad or gone.
    pub(in crate::driver) fn add(&self, record: Arc<Record>) {
        let mut cases = self.lock();
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
            tries: 0,
            due: Instant::now(),
        });
        drop(cases);
        self.more.notify_one();
    }

    /// Called when this version of a file is stored here: removes what it settles.
    pub(in crate::driver) fn held(&self, key: &Key, version: Version, role: Role) {
        let mut cases = self.lock();
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
        let cases = self.lock();
        let case = cases.by_key.get(key);
        case.map(|case| Arc::clone(&case.record))
    }

    /// Replicas healed since the node started.
    pub(in crate::driver) fn healed(&self) -> u64 {
        self.healed.load(Ordering::Relaxed)
    }

    /// Counts of missing replicas, and the lost keys.
    pub(in crate::driver) fn missing(&self) -> Missing {
        let cases = self.lock();
        let mut missing = Missing {
            waiting: self.left_out.load(Ordering::Relaxed),
            ..Missing::default()
        };
        for (key, case) in &cases.by_key {
            match case.stage {
                Stage::Fresh => missing.healing += 1,
                Stage::Waiting => missing.waiting += 1,
                Stage::Lost => {
                    missing.lost += 1;
                    if missing.lost_keys.len() < limits::LOST_KEYS_TOLD_MAX {
                        missing.lost_keys.push(key.clone());
                    }
                }
            }
        }
        missing
    }

    /// Takes up to `at_most` due replicas off the queue, those that have waited longest first. Also returns when
    /// the next one is due.
    fn take_due(&self, at_most: usize, now: Instant) -> (Vec<Arc<Record>>, Option<Instant>) {
        let mut cases = self.lock();
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
    fn tried(&self, record: &Record, tried: Tried, now: Instant) -> bool {
        let mut cases = self.lock();
        let case = cases.by_key.remove(&record.key);
        let Some(case) = case else { return false };
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
        cases.put(Case {
            stage,
            due: now + pause(case.tries),
            tries: case.tries.saturating_add(1),
            ..case
        });
        is_newly_lost
    }

    fn lock(&self) -> MutexGuard<'_, Cases> {
        self.cases.lock()
    }
}

/// The pause after this many earlier attempts.
fn pause(tries: u32) -> Duration {
    let doubled = limits::HEAL_RETRY_MS_MIN.saturating_mul(1 << tries.min(32));
    Duration::from_millis(doubled.min(limits::HEAL_RETRY_MS_MAX))
}

impl Driver {
    /// Heals listed replicas for as long as the node runs, starting with what was missing when it started.
    pub(in crate::driver) async fn keep_healing(self: Arc<Self>, missing: Vec<Arc<Record>>) {
        for record in missing {
            if record.layout.names(self.me.id) {
                self.state.healing.add(record);
            } else {
                // A missing cached copy is no loss.
                self.give_up(&record).await;
            }
        }
        let healing = &self.state.healing;
        let mut tries = FuturesUnordered::new();
        loop {
            let free = limits::HEAL_AT_ONCE_MAX - tries.len();
            let (due, next) = healing.take_due(free, Instant::now());
            tries.extend(due.into_iter().map(|record| self.heal(record)));
            let is_full = tries.len() == limits::HEAL_AT_ONCE_MAX;
            let wait = async {
                match next.filter(|_| !is_full) {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            let woken = async {
                tokio::select! {
                    biased;
                    Some(()) = tries.next(), if !tries.is_empty() => {}
                    () = healing.more.notified(), if !is_full => {}
                    () = wait => {}
                }
            };
            if self.still_runs(woken).await.is_none() {
                return;
            }
        }
    }

    async fn heal(&self, record: Arc<Record>) {
        let tried = self.try_to_heal(&record).await;
        if self.state.healing.tried(&record, tried, Instant::now()) {
            tracing::error!(key = %record.key, version = %record.version, "a file is lost: its replica here is bad or gone, and no reachable node has a good copy; bring back a node or a disk that has one, or write the file again");
        }
    }

    async fn try_to_heal(&self, record: &Arc<Record>) -> Tried {
        if self.holds(record) {
            // It came back before it was listed.
            return Tried::Settled;
        }
        let found = self.look_elsewhere(record).await;
        if let Some(newer) = found.newer {
            self.heard_of_newer(record, newer).await;
        }
        if found.newer.is_some() || !found.record.layout.names(self.me.id) {
            self.give_up(record).await;
            return Tried::Settled;
        }
        if found.sources.is_empty() {
            return if found.all_answered {
                Tried::Lost
            } else {
                Tried::Waits
            };
        }
        let wanted = Wanted {
            record: Arc::clone(&found.record),
            sources: found.sources,
            hops: 1,
            validated: self.now(),
            occasion: Occasion::Other,
        };
        self.keep_copy(wanted).await;
        self.transfers.ended(record).await;
        crash::point("heal.done");
        if !self.holds(record) && self.store.usage().free_for_replicas() < record.size {
            // The resulting layout names another node and takes this off the list.
            self.ask_to_be_relieved(&found.record).await;
        }
        // If it arrived, it has already left the list.
        Tried::Waits
    }

    /// Asks the other holders, and if none of them has it every reachable node.
    async fn look_elsewhere(&self, record: &Arc<Record>) -> Elsewhere {
        let mut found = Elsewhere::of(record);
        if let Some(known) = self.state.node().known(&record.key) {
            found.hear_of(known);
        }
        let others = record.layout.holders.iter().filter(|id| **id != self.me.id);
        let asked = others.map(|id| async move {
            let peer = self.peer_of(*id)?;
            let answer = self.ask_version(peer.clone(), &record.key).await?;
            Some((peer, answer))
        });
        for answer in join_all(asked).await {
            let Some((peer, answer)) = answer else {
                found.all_answered = false;
                continue;
            };
            if let Some(known) = answer.known {
                found.hear_of(known);
            }
            for hit in &answer.hits {
                found.found(&peer, &hit.record);
            }
        }
        if !found.sources.is_empty() {
            return found;
        }
        let report = self
            .search_elsewhere(&record.key, Some(record.version), &Default::default())
            .await;
        if let Some(floor) = report.floor {
            found.hear_of(floor);
        }
        for hit in &report.hits {
            found.found(&hit.peer, &hit.hit.record);
        }
        found.all_answered &= report.outcome == SearchOutcome::NotFound;
        found
    }

    /// Stops missing a replica that is no longer this node's concern. If it has come back meanwhile, it stays.
    async fn give_up(&self, record: &Record) {
        let change = Change::Drop {
            key: record.key.clone(),
            version: record.version,
            only: Some(Role::Cached),
        };
        if let Err(error) = self.store.apply(change).await {
            tracing::warn!(key = %record.key, %error, "a missing replica could not be taken off the list");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_two_tries_doubles_up_to_a_bound() {
        let of = |tries| pause(tries).as_millis() as u64;
        assert_eq!(of(0), limits::HEAL_RETRY_MS_MIN);
        assert_eq!(of(3), limits::HEAL_RETRY_MS_MIN * 8);
        assert_eq!(of(u32::MAX), limits::HEAL_RETRY_MS_MAX);
    }
}
