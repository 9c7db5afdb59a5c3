//! Copies a missing replica of this node again from another holder.
//!
//! Whatever finds a bad replica (a scrub, a read, another node's fetch, the start of the node) adds it to the
//! backlog. While it is there the node neither serves nor promises it, and its version is a floor. It leaves the
//! backlog when the content is back, however it came, or when a newer version or a layout without this node takes its
//! place; nothing else removes it. The store keeps the same list across restarts.
//!
//! If there is no space for a replica here, another holder is asked for a layout without this node. If every other
//! holder says that it has none and no reachable node has a copy, the file is reported as lost and tried again at
//! intervals, since someone may bring back a node or a disk.

use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::record::Record;
use dataverse_replication::protocol::Heal;
use dataverse_replication::upkeep::Outcome;
use dataverse_store::Change;

use super::perform::Means;
use crate::driver::Driver;

impl Driver {
    /// Copies a missing replica again. If it arrives, it has left the backlog by itself.
    pub(super) async fn heal(&self, record: &Arc<Record>) -> Outcome {
        let was_lost = self.state.backlog.is_lost(&record.key);
        let heal = Heal::new(self.me.id, Arc::clone(record));
        let outcome = self.run(heal, &mut Means::of(&record.key)).await;
        if outcome == Outcome::Lost && !was_lost {
            tracing::error!(key = %record.key, version = %record.version, "a file is lost: its replica here is bad or gone, and no reachable node has a good copy; bring back a node or a disk that has one, or write the file again");
        }
        outcome
    }

    /// Asks another holder for a layout without this node, if there is no space here for its replica.
    pub(super) async fn relieve_if_full(&self, record: &Record) {
        if self.store.usage().free_for_replicas() < record.size {
            self.ask_to_be_relieved(record).await;
        }
    }

    /// Stops missing a replica that is no longer this node's concern. If it has come back meanwhile, it stays.
    pub(super) async fn give_up(&self, record: &Record) {
        let change = Change::Drop {
            key: record.key.clone(),
            version: record.version,
            only: Some(Role::Cached),
        };
        if let Err(error) = self.store.apply(change).await {
            tracing::warn!(key = %record.key, %error, "the index entry of a missing replica could not be dropped");
        }
    }
}
