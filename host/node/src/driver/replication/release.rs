//! Letting a replica go: only when every holder of the greater layout has said that it holds.
//!
//! An announcement is a rumour; before a copy that was promised is given up, its holders are asked themselves. Each makes the
//! greater layout and its own copy durable before it says yes (a commit without content does just that), so
//! two nodes that laid the same file at once can not both be let go of. A holder that lacks the content is
//! offered it. Whoever does not answer is asked again later; until then this node keeps what it has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_overlay::transport::PullAsk;
use dataverse_store::crash;
use dataverse_store::{Applied, Change, StoreError};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::driver::Driver;
use crate::driver::client::commit::Held;
use crate::driver::client::space::Occasion;
use crate::limits;

/// How often is tried again what could not be let go of, or told, before.
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(2);

/// Replicas that a greater layout does not name, and that layout's record.
#[derive(Default)]
pub(in crate::driver) struct PendingReleases {
    records: Mutex<BTreeMap<Key, Arc<Record>>>,
    wake: Notify,
}

impl PendingReleases {
    /// Remembers one. What does not fit is found again when the holders next compare what they hold.
    fn add(&self, record: &Arc<Record>) {
        let mut pending_releases = self.lock();
        if pending_releases.len() >= limits::PENDING_RELEASES_MAX
            && !pending_releases.contains_key(&record.key)
        {
            return;
        }
        let known = pending_releases
            .entry(record.key.clone())
            .or_insert_with(|| Arc::clone(record));
        if **known < **record {
            *known = Arc::clone(record);
        }
    }

    /// It is settled, unless a greater layout came meanwhile.
    fn settle(&self, record: &Record) {
        let mut pending_releases = self.lock();
        if pending_releases
            .get(&record.key)
            .is_some_and(|known| **known <= *record)
        {
            pending_releases.remove(&record.key);
        }
    }

    fn all(&self) -> Vec<Arc<Record>> {
        self.lock().values().cloned().collect()
    }

    pub(in crate::driver) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Record>>> {
        self.records.lock()
    }
}

impl Driver {
    /// The greater layout of `record` does not name this node: its replica goes as soon as that is safe.
    pub(in crate::driver) fn release_soon(&self, record: &Arc<Record>) {
        self.pending_releases.add(record);
        self.pending_releases.wake.notify_one();
    }

    /// Lets go of what may go, and tells nodes that are back what they are owed, for as long as the node runs.
    pub(in crate::driver) async fn keep_releasing(self: Arc<Self>) {
        loop {
            let turn = async {
                tokio::select! {
                    biased;
                    () = self.pending_releases.wake.notified() => {}
                    () = tokio::time::sleep(TRY_AGAIN_EVERY) => {}
                }
                self.deliver_hints().await;
                self.release_pending().await;
            };
            if self.still_runs(turn).await.is_none() {
                return;
            }
        }
    }

    /// Tries again to let go of what could not be let go of before.
    async fn release_pending(&self) {
        let pending_releases = self.pending_releases.all();
        stream::iter(pending_releases)
            .for_each_concurrent(limits::RELEASES_AT_ONCE_MAX, |record| async move {
                self.release(&record).await;
            })
            .await;
    }

    async fn release(&self, record: &Arc<Record>) {
        if !self.outlived_by(record) {
            self.pending_releases.settle(record);
            return;
        }
        let holders = &record.layout.holders;
        let asked = holders.iter().map(|id| self.holds_under(*id, record));
        let held = join_all(asked).await;
        let greater = held.iter().filter_map(|held| match held {
            Ok(Held::Greater(greater)) => Some(greater),
            _ => None,
        });
        if let Some(greater) = greater.max() {
            // There is a later layout still, or a later version: that one counts.
            self.pending_releases.settle(record);
            self.learn_from_holder(greater);
            return;
        }
        if holders.is_empty() || !held.iter().all(|held| matches!(held, Ok(Held::Here))) {
            return;
        }
        crash::point("release.confirmed");
        match self.demote(Arc::clone(record)).await {
            Ok(()) => {
                crash::point("release.done");
                self.pending_releases.settle(record);
            }
            Err(error) => {
                tracing::warn!(key = %record.key, %error, "a replica that is held elsewhere could not be let go of; it stays until the next try");
            }
        }
    }

    /// In a task of its own, because it may lead back to letting go. That one holder has a greater version does not
    /// say that it is durable: that is looked into before anything goes.
    fn learn_from_holder(&self, record: &Arc<Record>) {
        let (driver, record) = (self.shared(), Arc::clone(record));
        self.spawn(async move { driver.take_greater(&record, None).await });
    }

    /// Whether this node still holds a replica that this record's layout is greater than and does not name.
    fn outlived_by(&self, record: &Record) -> bool {
        let node = self.state.node();
        node.holding(&record.key).is_some_and(|holding| {
            holding.role == Role::Replica
                && holding.record.version == record.version
                && holding.record.layout < record.layout
                && !record.layout.names(self.me.id)
        })
    }

    /// Asks a holder to make the record durable over what it has, and offers it the content if it has none.
    async fn holds_under(&self, id: NodeId, record: &Arc<Record>) -> Result<Held, String> {
        let held = self.commit_at(id, record).await;
        if let Err(error) = &held {
            tracing::debug!(key = %record.key, node = %self.name_of(id), error, "a replica is kept until this holder has one");
            self.offer(id, record).await;
        }
        held
    }

    /// Lets a node fetch a file from here that it is to hold.
    pub(in crate::driver) async fn offer(&self, id: NodeId, record: &Arc<Record>) {
        let Some(peer) = self.peer_of(id).filter(|_| !record.deleted) else {
            return;
        };
        let ask = PullAsk {
            record: Arc::clone(record),
            from: self.me.clone(),
            hops: 1,
        };
        let answer = self.transport.pull(&peer, self.message(ask)).await;
        if let Err(error) = answer.and_then(|answer| self.answer_of(&peer, answer)) {
            tracing::debug!(key = %record.key, node = %peer.name, %error, "a holder was not offered its copy");
        }
    }

    /// The replica stays as a cached copy, if the eviction policy wants it.
    async fn demote(&self, record: Arc<Record>) -> Result<(), StoreError> {
        // Its bytes are counted as a replica's until it is demoted.
        let cached = !record.deleted && self.admit(&record, 1, record.size, Occasion::Other).await;
        if !cached {
            let change = Change::Release {
                record: Arc::clone(&record),
            };
            return self.store.apply(change).await.map(|_| ());
        }
        let change = Change::Demote {
            record: Arc::clone(&record),
        };
        let applied = self.store.apply(change).await;
        if !matches!(applied, Ok(Applied::Done { .. })) {
            self.not_cached(&record);
        }
        applied.map(|_| ())
    }
}
