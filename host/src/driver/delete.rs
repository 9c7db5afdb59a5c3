//! The delete flow: a tombstone is written as a version on every reachable holder, spares making up the
//! factor, and announced. It counts once it is durable.

use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use futures_util::future::join_all;

use super::Driver;
use super::face::{Consistency, DeleteError, WriteError};

impl Driver {
    /// Deletes a file.
    ///
    /// # Errors
    /// [`DeleteError`].
    pub async fn delete(&self, key: &Key) -> Result<(), DeleteError> {
        let located = self.locate(key, Consistency::Usual).await?;
        let driver = self.shared();
        let record = located.record;
        let buried = self.spawn(async move { driver.bury(&record).await });
        buried
            .await
            .map_err(|_| DeleteError::Unavailable("the node is stopping".to_owned()))?
    }

    async fn bury(&self, record: &Arc<Record>) -> Result<(), DeleteError> {
        let unavailable = |error: WriteError| DeleteError::Unavailable(error.to_string());
        let known = self.state.node().known(&record.key);
        let above = known.max(Some(dataverse_core::floors::Heard {
            version: record.version,
            deleted: false,
        }));
        let version = self.version_above(above).await.map_err(unavailable)?;
        let tombstone = Arc::new(Record {
            version,
            layout: self
                .state
                .node()
                .first_layout(record.layout.holders.clone()),
            deleted: true,
            size: 0,
            digest: Digest::of(&[]),
            content_type: Arc::clone(&record.content_type),
            factor: record.factor,
            key: record.key.clone(),
        });
        let mut durable = self
            .commit_tombstone(&tombstone, tombstone.layout.holders.clone())
            .await;
        let missing = (tombstone.factor as usize).saturating_sub(durable.len());
        if missing > 0 {
            let spares = self.spares_for(&tombstone, missing);
            durable.extend(self.commit_tombstone(&tombstone, spares).await);
        }
        if durable.is_empty() {
            return Err(DeleteError::Unavailable(format!(
                "no node could make the deletion of {} durable; try again",
                record.key
            )));
        }
        let settled = self.settle_tombstone(tombstone, durable).await;
        self.announce(&settled).await;
        Ok(())
    }

    /// Nodes that do not hold the file yet and are to remember that it is gone.
    fn spares_for(&self, tombstone: &Record, missing: usize) -> Vec<NodeId> {
        self.candidates(0)
            .into_iter()
            .map(|candidate| candidate.id)
            .filter(|id| !tombstone.layout.names(*id))
            .take(missing)
            .collect()
    }

    /// Commits the tombstone on these nodes and returns those on which it is durable.
    async fn commit_tombstone(&self, record: &Arc<Record>, nodes: Vec<NodeId>) -> Vec<NodeId> {
        let commits = nodes.into_iter().map(|id| async move {
            if id == self.me.id {
                return match self.hold(record, Role::Replica, None).await {
                    Ok(()) => Some(id),
                    Err(error) => {
                        tracing::error!(key = %record.key, %error, "a deletion was not kept here");
                        None
                    }
                };
            }
            let peer = self.peer_of(id)?;
            match self.commit_record(&peer, record).await {
                Ok(()) => Some(id),
                Err(error) => {
                    tracing::warn!(key = %record.key, node = %peer.name, %error, "a holder did not take a deletion");
                    None
                }
            }
        });
        join_all(commits).await.into_iter().flatten().collect()
    }

    /// The layout names exactly the nodes on which the tombstone is durable.
    async fn settle_tombstone(&self, tombstone: Arc<Record>, durable: Vec<NodeId>) -> Arc<Record> {
        if tombstone.layout.holders == durable {
            return tombstone;
        }
        let layout = self.state.node().next_layout(&tombstone.layout, durable);
        let holders = layout.holders.clone();
        let settled = Arc::new(Record {
            layout,
            ..(*tombstone).clone()
        });
        self.commit_tombstone(&settled, holders).await;
        settled
    }
}
