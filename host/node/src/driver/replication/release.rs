//! Gives up what this node holds for a greater record, as the protocol `Release` decides, and does what that asks for.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::key::Key;
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_replication::protocol::Release;
use dataverse_replication::upkeep::Outcome;
use dataverse_store::{Applied, Change, StoreError};

use super::perform::Means;
use crate::driver::Driver;
use crate::driver::client::fetch::Groups;
use crate::driver::client::space::Occasion;

impl Driver {
    /// Asks the holders of a greater record, and gives up what is held here as soon as that is safe.
    pub(in crate::driver) fn release_soon(&self, record: &Arc<Record>) {
        let greater = Some(Arc::clone(record));
        self.state.backlog.release(&record.key, greater);
    }

    /// Takes note of a version that another node has heard of. If it is greater than the one held here, it is searched
    /// for.
    pub(in crate::driver) fn hear(&self, key: &Key, heard: Heard) {
        let is_greater = self.state.node().hear(key, heard);
        if is_greater {
            self.state.backlog.release(key, None);
        }
    }

    /// Waits until the holders of a greater version that was heard of just now have answered, so that this node does
    /// not serve its old copy in the meantime.
    pub(in crate::driver) async fn await_first_verification(&self, key: &Key) {
        let patience = self.settings.search_probe_deadline;
        self.state.backlog.first_release(key, patience).await;
    }

    /// Verifies something greater, or finds it.
    pub(super) async fn try_release(&self, key: &Key, greater: Option<Arc<Record>>) -> Outcome {
        let release = Release::new(self.me.id, greater);
        self.run(release, &mut Means::of(key)).await
    }

    /// Whether one of these nodes has the content of the record: it sends a group of it that matches the digest.
    pub(in crate::driver) async fn has_shown(
        &self,
        nodes: impl IntoIterator<Item = Peer>,
        record: &Arc<Record>,
    ) -> bool {
        let nodes: Vec<Peer> = nodes.into_iter().collect();
        if record.size == 0 {
            return !nodes.is_empty();
        }
        // Another one for every version.
        let group = record.version.stamp.0 % record.size.div_ceil(GROUP_BYTES);
        let begin = group * GROUP_BYTES;
        let mut groups = Groups::new(self.shared(), Arc::clone(record), nodes, begin, 1);
        let shown = tokio::time::timeout(self.settings.call_deadline, groups.next()).await;
        matches!(shown, Ok(Some(Ok(_))))
    }

    /// Takes in a greater record in a task of its own, because that may lead back to a release.
    pub(super) fn take_greater_soon(&self, record: &Arc<Record>) {
        let (driver, record) = (self.shared(), Arc::clone(record));
        self.spawn(async move { driver.take_greater(&record, None).await });
    }

    /// Gives up an older version that is held here for a record that its holders have confirmed. Returns whether it has.
    ///
    /// The word of one node is no floor: it could hide what honest nodes hold.
    pub(super) async fn replace(&self, record: &Arc<Record>, is_certain: bool) -> bool {
        let effect = {
            let mut node = self.state.node();
            match is_certain {
                true => node.confirm(&record.key, Heard::of(record)),
                false => {
                    node.hear(&record.key, Heard::of(record));
                }
            }
            node.replacement(record)
        };
        let Some(effect) = effect else {
            return false;
        };
        let replaced = self.perform_effect(effect, 0, None).await;
        is_released(record, replaced)
    }

    /// Turns the replica into a cached copy if the eviction policy admits it, and drops it otherwise.
    pub(super) async fn demote(&self, record: &Arc<Record>) -> bool {
        // Its bytes count as a replica's until it is demoted.
        let cached = !record.deleted && self.admit(record, 1, record.size, Occasion::Other).await;
        let change = match cached {
            true => Change::Demote {
                record: Arc::clone(record),
            },
            false => Change::Release {
                record: Arc::clone(record),
            },
        };
        let applied = self.store.apply(change).await;
        if cached && !matches!(applied, Ok(Applied::Done { .. })) {
            self.not_cached(record);
        }
        is_released(record, applied.map(drop))
    }
}

fn is_released(record: &Record, applied: Result<(), StoreError>) -> bool {
    applied
        .inspect_err(|error| {
            tracing::warn!(key = %record.key, %error, "a replica could not be released; it stays until the next try");
        })
        .is_ok()
}
