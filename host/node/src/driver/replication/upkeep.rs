//! Works through what the node has still to do so that replicas are right (`dataverse_replication::upkeep`).
//!
//! Whatever finds that something has to be done adds a task. One loop takes those whose turn has come, as far as there
//! are slots, and each is done in a task of its own: what it takes is in `rereplication`, `relayout`, `heal`,
//! `release`, `verification`, `hints` and, for copies that reconciliation found missing, in `copies`.
//!
//! All is in memory and bounded. What does not fit is found again: by the next scan, by reconciliation or at the next
//! start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::id::{FileId, NodeId};
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use dataverse_replication::upkeep::{
    Added, Counts, Job, Kind, Outcome, Rank, TASKS_MAX, Task, TaskId, Upkeep,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::driver::Driver;
use crate::limits;

/// The tasks of this node.
pub(in crate::driver) struct Backlog {
    tasks: Mutex<Tasks>,
    /// The beginning of time, for the tasks.
    began: Instant,
    /// Notified when a task may have become due.
    more: Notify,
    /// Notified after every attempt.
    tried: Notify,
    healed: AtomicU64,
}

struct Tasks {
    upkeep: Upkeep,
    /// Missing replicas for which there is no room among the tasks. What is beyond the bound of these too is taken up at
    /// the next start.
    left_out: BTreeMap<FileId, Arc<Record>>,
}

/// So many tasks of healing make room for those that were left out.
const HEALS_FEW: usize = TASKS_MAX / 2;

impl Tasks {
    fn heal(&mut self, record: Arc<Record>, now: Duration) -> Added {
        let others = record.layout.holders.len().saturating_sub(1);
        let rank = Rank::of(others, record.size);
        let file = record.key.file_id();
        let added = self.upkeep.add(Task::Heal(Arc::clone(&record)), rank, now);
        match added {
            Added::Full if self.left_out.len() < TASKS_MAX => {
                self.left_out.insert(file, record);
            }
            Added::Full | Added::Known => {}
            Added::Waiting => {
                self.left_out.remove(&file);
            }
        }
        added
    }

    /// Takes up missing replicas that were left out, once there is room.
    fn take_up(&mut self, now: Duration) {
        while self.upkeep.count(Kind::Heal) < HEALS_FEW {
            let Some((_, record)) = self.left_out.pop_first() else {
                return;
            };
            self.heal(record, now);
        }
    }
}

/// Missing replicas, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::driver) struct MissingCounts {
    pub(in crate::driver) healing: u64,
    pub(in crate::driver) waiting: u64,
    pub(in crate::driver) lost: u64,
    /// The first lost ones by key.
    pub(in crate::driver) lost_keys: Vec<Key>,
}

impl Backlog {
    /// The backlog of the node `me`, of which `contents_max` tasks move contents at the same time.
    pub(in crate::driver) fn new(me: NodeId, contents_max: u32) -> Self {
        Self {
            tasks: Mutex::new(Tasks {
                upkeep: Upkeep::new(me, contents_max as usize),
                left_out: BTreeMap::new(),
            }),
            began: Instant::now(),
            more: Notify::new(),
            tried: Notify::new(),
            healed: AtomicU64::new(0),
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Adds a task that is due now.
    pub(in crate::driver) fn add(&self, task: Task, rank: Rank) -> Added {
        let added = self.tasks.lock().upkeep.add(task, rank, self.now());
        if added == Added::Waiting {
            self.more.notify_one();
        }
        added
    }

    /// Something greater than what is held of this file is said to exist.
    pub(in crate::driver) fn release(&self, key: &Key, greater: Option<Arc<Record>>) {
        self.add(Task::Release(key.clone(), greater), Rank::default());
    }

    /// A replica of this node is bad or gone. Until it is back, the node neither serves nor promises it.
    pub(in crate::driver) fn heal(&self, record: Arc<Record>) {
        let added = self.tasks.lock().heal(record, self.now());
        if added == Added::Waiting {
            self.more.notify_one();
        }
    }

    /// Called when this version of a file is stored here: it is not missing any more.
    pub(in crate::driver) fn held(&self, key: &Key, version: Version, role: Role) {
        let mut tasks = self.tasks.lock();
        if !tasks.left_out.is_empty() {
            tasks.left_out.remove(&key.file_id());
        }
        if tasks.upkeep.count(Kind::Heal) == 0 {
            return;
        }
        let id = TaskId::of(Kind::Heal, key);
        let Some(Task::Heal(missing)) = tasks.upkeep.get(&id) else {
            return;
        };
        if missing.version > version {
            return;
        }
        if missing.version == version && role == Role::Replica {
            self.healed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%key, %version, "healed a replica");
        }
        tasks.upkeep.remove(&id);
    }

    /// The missing replica of this file, if there is one.
    pub(in crate::driver) fn missing(&self, key: &Key) -> Option<Arc<Record>> {
        let tasks = self.tasks.lock();
        match tasks.upkeep.get(&TaskId::of(Kind::Heal, key)) {
            Some(Task::Heal(record)) => Some(Arc::clone(record)),
            _ => None,
        }
    }

    /// Whether the replica of this file is missing here and was found to be lost.
    pub(in crate::driver) fn is_lost(&self, key: &Key) -> bool {
        let tasks = self.tasks.lock();
        let last = tasks.upkeep.last(&TaskId::of(Kind::Heal, key));
        last == Some(Outcome::Lost)
    }

    /// Replicas healed since the node started.
    pub(in crate::driver) fn healed(&self) -> u64 {
        self.healed.load(Ordering::Relaxed)
    }

    /// Counts of missing replicas, and the lost keys.
    pub(in crate::driver) fn missing_counts(&self) -> MissingCounts {
        let tasks = self.tasks.lock();
        let mut counts = MissingCounts {
            waiting: tasks.left_out.len() as u64,
            ..MissingCounts::default()
        };
        let of = |last| tasks.upkeep.with_last(Kind::Heal, last);
        let lost = of(Some(Outcome::Lost));
        counts.healing = of(None).len() as u64;
        counts.waiting += of(Some(Outcome::Again)).len() as u64;
        counts.lost = lost.len() as u64;
        let lost = lost.take(limits::LOST_KEYS_TOLD_MAX);
        counts.lost_keys = lost.map(|id| id.key.clone()).collect();
        counts
    }

    /// The tasks of each kind.
    pub(in crate::driver) fn counts(&self) -> [(Kind, Counts); Kind::ALL.len()] {
        let tasks = self.tasks.lock();
        Kind::ALL.map(|kind| (kind, tasks.upkeep.counts(kind)))
    }

    pub(in crate::driver) fn count(&self, kind: Kind) -> usize {
        self.tasks.lock().upkeep.count(kind)
    }

    pub(in crate::driver) fn active(&self, kind: Kind) -> usize {
        self.tasks.lock().upkeep.counts(kind).active
    }

    /// Of the tasks of this kind, how many last ended like that.
    pub(in crate::driver) fn count_last(&self, kind: Kind, outcome: Outcome) -> usize {
        let tasks = self.tasks.lock();
        tasks.upkeep.with_last(kind, Some(outcome)).len()
    }

    /// Whether every task of this kind was tried and none is under way.
    pub(in crate::driver) fn is_idle(&self, kind: Kind) -> bool {
        let tasks = self.tasks.lock();
        let untried = tasks.upkeep.with_last(kind, None).len();
        untried == 0 && tasks.upkeep.counts(kind).active == 0
    }

    /// Adds a file to re-replicate, or changes its rank. `at_once`: something has changed, so that one that failed is
    /// tried again.
    pub(in crate::driver) fn rereplicate(&self, record: Arc<Record>, rank: Rank, at_once: bool) {
        let now = self.now();
        let id = TaskId::of(Kind::ReReplicate, &record.key);
        let upkeep = &mut self.tasks.lock().upkeep;
        if upkeep.add(Task::ReReplicate(record), rank, now) == Added::Known {
            upkeep.rank(&id, rank, at_once.then_some(now));
        }
        self.more.notify_one();
    }

    /// Waits, for at most this long, until the first attempt with this file is over, if it is listed.
    pub(in crate::driver) async fn first_release(&self, key: &Key, patience: Duration) {
        let id = TaskId::of(Kind::Release, key);
        let waiting = async {
            loop {
                let tried = self.tried.notified();
                if !self.tasks.lock().upkeep.is_untried(&id) {
                    return;
                }
                tried.await;
            }
        };
        // After that it is read as if nothing had been heard.
        let _ = tokio::time::timeout(patience, waiting).await;
    }

    /// A node knows of this record: it need not be told any more.
    pub(in crate::driver) fn has_heard(&self, node: NodeId, record: &Record) {
        let mut tasks = self.tasks.lock();
        if tasks.upkeep.count(Kind::Hint) > 0 {
            tasks.upkeep.has_heard(node, &record.key, record.version);
        }
    }

    /// Adds a hint. If there are too many, it takes the place of those for the node that is chosen of all that have some;
    /// returns that node and how many there were.
    pub(in crate::driver) fn hint(
        &self,
        hint: Task,
        choose: impl FnOnce(&[NodeId]) -> Option<NodeId>,
    ) -> Option<(NodeId, usize)> {
        let now = self.now();
        let upkeep = &mut self.tasks.lock().upkeep;
        let mut forgotten = None;
        if upkeep.add(hint.clone(), Rank::last(), now) == Added::Full {
            let hinted: Vec<NodeId> = upkeep.hinted().collect();
            let node = choose(&hinted)?;
            forgotten = Some((node, upkeep.forget_hints(node)));
            upkeep.add(hint, Rank::last(), now);
        }
        self.more.notify_one();
        forgotten
    }

    /// A member came or went, or has published something new. If one came, it may have what is lost.
    pub(in crate::driver) fn members_changed(&self, one_came: bool) {
        if one_came {
            self.tasks.lock().upkeep.retry_lost(self.now());
        }
        self.more.notify_one();
    }
}

impl Driver {
    /// Works through the tasks for as long as the node runs, beginning with the replicas that were missing when it
    /// started.
    pub(in crate::driver) async fn keep_up(self: Arc<Self>, missing: Vec<Arc<Record>>) {
        for record in missing {
            if record.layout.names(self.me.id) {
                self.state.backlog.heal(record);
            } else {
                // A missing cached copy is no loss.
                self.give_up(&record).await;
            }
        }
        let backlog = &self.state.backlog;
        let mut under_way = FuturesUnordered::new();
        loop {
            let (jobs, next) = self.jobs();
            for job in jobs {
                let driver = Arc::clone(&self);
                let begun = job.clone();
                let work = self.spawn(async move {
                    let outcome = driver.work_on(&begun.task);
                    driver.still_runs(outcome).await
                });
                under_way.push(async move { (job, work.await) });
            }
            let wait = async {
                match next {
                    Some(next) => sleep(next).await,
                    None => std::future::pending().await,
                }
            };
            let woken = async {
                tokio::select! {
                    biased;
                    Some(ended) = under_way.next(), if !under_way.is_empty() => Some(ended),
                    () = backlog.more.notified() => None,
                    () = wait => None,
                }
            };
            match self.still_runs(woken).await {
                None | Some(Some((_, Ok(None)))) => return,
                Some(None) => {}
                // An attempt that panicked has said so already.
                Some(Some((job, ended))) => {
                    let outcome = ended.ok().flatten().unwrap_or(Outcome::Again);
                    self.ended(&job, outcome);
                }
            }
        }
    }

    /// The tasks whose turn has come, and how long it is until the next one is due.
    fn jobs(&self) -> (Vec<Job>, Option<Duration>) {
        let liveness = self.liveness();
        let state_of = |id| liveness.state_of(id);
        let backlog = &self.state.backlog;
        // While members come or go other files may be more endangered, or these not any more: the next scan says.
        let is_outdated = backlog.count(Kind::ReReplicate) > 0 && self.is_scan_outdated();
        let now = backlog.now();
        let mut tasks = backlog.tasks.lock();
        if !tasks.left_out.is_empty() {
            tasks.take_up(now);
        }
        let upkeep = &mut tasks.upkeep;
        upkeep.pause(Kind::ReReplicate, is_outdated);
        upkeep.follow(now, state_of);
        let jobs = std::iter::from_fn(|| upkeep.next(now, state_of)).collect();
        let next = upkeep.next_due().map(|due| due.saturating_sub(now));
        (jobs, next)
    }

    fn ended(&self, job: &Job, outcome: Outcome) {
        let backlog = &self.state.backlog;
        let now = backlog.now();
        let kind = job.id.kind.as_str();
        tracing::trace!(kind, key = %job.id.key, outcome = outcome.as_str(), "an attempt at upkeep is over");
        backlog.tasks.lock().upkeep.ended(job, outcome, now);
        backlog.tried.notify_waiters();
    }

    async fn work_on(&self, task: &Task) -> Outcome {
        match task {
            Task::ReReplicate(record) => self.rereplicate(&record.key).await,
            Task::Heal(record) => self.heal(record).await,
            Task::Fetch { record, from } => self.fetch_replica(record, from.as_ref()).await,
            Task::Send { record, to } => self.send_replica(record, to).await,
            Task::Move { record, from, to } => self.move_replica(record, *from, to).await,
            Task::Release(key, greater) => self.try_release(key, greater.clone()).await,
            Task::Verify(record) => self.verify_copy(record).await,
            Task::Hint { key, version, to } => self.deliver_hint(key, *version, *to).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::record;

    fn numbered(number: usize) -> Arc<Record> {
        Arc::new(record(&format!("ada/{number}"), 5))
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_replica_beyond_the_bound_counts_as_waiting_until_it_is_back() {
        let backlog = Backlog::new(NodeId::from(1), 4);
        for number in 0..TASKS_MAX + 2 {
            backlog.heal(numbered(number));
        }
        // It is found a second time, for example by a reader.
        let last = numbered(TASKS_MAX + 1);
        backlog.heal(Arc::clone(&last));
        assert_eq!(backlog.missing_counts().waiting, 2);
        backlog.held(&last.key, last.version, Role::Replica);
        assert_eq!(backlog.missing_counts().waiting, 1);
        // There is space again, first for the one that is found once more, and then for any.
        backlog.held(&numbered(0).key, last.version, Role::Replica);
        backlog.heal(numbered(TASKS_MAX));
        let counts = backlog.missing_counts();
        assert_eq!((counts.waiting, backlog.healed()), (0, 1));
        backlog.heal(numbered(TASKS_MAX + 2));
        assert_eq!(backlog.missing_counts().waiting, 1);
        for number in 1..=TASKS_MAX / 2 {
            backlog.tasks.lock().take_up(backlog.now());
            assert_eq!(backlog.missing_counts().waiting, 1, "{number}");
            backlog.held(&numbered(number).key, last.version, Role::Replica);
        }
        backlog.held(&numbered(TASKS_MAX).key, last.version, Role::Replica);
        backlog.tasks.lock().take_up(backlog.now());
        assert_eq!(backlog.missing_counts().waiting, 0);
        let again = numbered(TASKS_MAX + 2);
        assert_eq!(backlog.missing(&again.key), Some(again));
    }
}
