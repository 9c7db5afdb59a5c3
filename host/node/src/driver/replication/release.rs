//! `PendingReleases`: a node gives up a replica only once every holder of the greater layout confirms its own
//! copy.
//!
//! An announcement is not proof. Before a promised copy is given up, the new holders are asked themselves. Each
//! makes the greater layout and its own copy durable before it confirms (a commit without content does just that),
//! so two nodes that relayout the same file at the same time can't both drop it. A holder that lacks the content
//! is offered it. A holder that does not answer is asked again later; until then this node keeps its copy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_overlay::transport::{PullAsk, TransportExt};
use dataverse_store::crash;
use dataverse_store::{Applied, Change, StoreError};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::commit::Held;
use crate::driver::Driver;
use crate::driver::client::space::Occasion;
use crate::limits;

/// Pause before pending releases and hints are tried again.
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(2);

/// Replicas here that a greater layout does not name, and that layout's record.
#[derive(Default)]
pub(in crate::driver) struct PendingReleases {
    records: Mutex<BTreeMap<Key, Arc<Record>>>,
    wake: Notify,
}

impl PendingReleases {
    /// Adds one. What does not fit is found again when the holders next reconcile.
    fn add(&self, record: &Arc<Record>) {
        let mut pending_releases = self.records.lock();
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

    /// Removes one, unless a greater layout has come meanwhile.
    fn settle(&self, record: &Record) {
        let mut pending_releases = self.records.lock();
        if pending_releases
            .get(&record.key)
            .is_some_and(|known| **known <= *record)
        {
            pending_releases.remove(&record.key);
        }
    }

    fn all(&self) -> Vec<Arc<Record>> {
        self.records.lock().values().cloned().collect()
    }

    pub(in crate::driver) fn count(&self) -> usize {
        self.records.lock().len()
    }
}

impl Driver {
    /// Releases this node's replica as soon as that is safe: the layout of `record` is greater and does not name
    /// this node.
    pub(in crate::driver) fn release_soon(&self, record: &Arc<Record>) {
        self.pending_releases.add(record);
        self.pending_releases.wake.notify_one();
    }

    /// Delivers hints and retries pending releases, for as long as the node runs.
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

    /// Tries every pending release.
    async fn release_pending(&self) {
        let pending_releases = self.pending_releases.all();
        stream::iter(pending_releases)
            .for_each_concurrent(limits::RELEASES_AT_ONCE_MAX, |record| async move {
                self.release(&record).await;
            })
            .await;
    }

    async fn release(&self, record: &Arc<Record>) {
        if !self.is_outdated_by(record) {
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
            // A holder has a later layout or version: that one decides.
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
                tracing::warn!(key = %record.key, %error, "a replica could not be released; it stays until the next try");
            }
        }
    }

    /// Takes in a greater record in a task of its own, because that may lead back to a release. That one holder
    /// has a greater version does not say that it is durable; this is checked before anything is dropped.
    fn learn_from_holder(&self, record: &Arc<Record>) {
        let (driver, record) = (self.shared(), Arc::clone(record));
        self.spawn(async move { driver.take_greater(&record, None).await });
    }

    /// Whether this node still holds a replica under a lesser layout, and this record's layout does not name it.
    fn is_outdated_by(&self, record: &Record) -> bool {
        let node = self.state.node();
        node.holding(&record.key).is_some_and(|holding| {
            holding.role == Role::Replica
                && holding.record.version == record.version
                && holding.record.layout < record.layout
                && !record.layout.names(self.me.id)
        })
    }

    /// Asks a holder to make the record durable over its copy, and offers it the content if it has none.
    async fn holds_under(&self, id: NodeId, record: &Arc<Record>) -> Result<Held, String> {
        let held = self.commit_at(id, record).await;
        if let Err(error) = &held {
            tracing::debug!(key = %record.key, node = %self.name_of(id), error, "a release waits until this holder has its copy");
            self.offer(id, record).await;
        }
        held
    }

    /// Offers a file to a node that should hold it, which then fetches it from here.
    pub(in crate::driver) async fn offer(&self, id: NodeId, record: &Arc<Record>) {
        let Some(peer) = self.peer_of(id).filter(|_| !record.deleted) else {
            return;
        };
        let ask = PullAsk {
            record: Arc::clone(record),
            from: self.me.clone(),
            hops: 1,
        };
        let answer = self.transport.ask(&peer, self.message(ask)).await;
        if let Err(error) = answer.and_then(|answer| self.answer_of(&peer, answer)) {
            tracing::debug!(key = %record.key, node = %peer.name, %error, "a holder could not be offered its copy");
        }
    }

    /// Turns the replica into a cached copy if the eviction policy admits it, and drops it otherwise.
    async fn demote(&self, record: Arc<Record>) -> Result<(), StoreError> {
        // Its bytes count as a replica's until it is demoted.
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
