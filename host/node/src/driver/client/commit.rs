//! Commits a record on every node of its layout, and settles the layout on those nodes that made it durable.
//!
//! Used by writes and deletions. A layout that this module announces names only nodes that said they hold the
//! record durably.

use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::plural::plural;
use dataverse_core::record::Record;
use dataverse_store::Prepared;
use futures_util::future::join_all;

use super::preparing::{Readied, Ready};
use crate::driver::Driver;
use crate::driver::client::api::WriteError;

impl Driver {
    /// Commits a new version on the nodes that are ready and, where the layout names it, on this one. Returns the
    /// record with the layout of the nodes on which it is durable.
    pub(in crate::driver) async fn commit_everywhere(
        &self,
        record: Arc<Record>,
        content: Prepared,
        readied: Readied,
    ) -> Result<Arc<Record>, WriteError> {
        let own = record.layout.names(self.me.id);
        // The content, if this node is none of the holders.
        let mut spare = None;
        let commit_own = async {
            if !own {
                spare = Some(content);
                return Ok(false);
            }
            let now = self.now();
            self.hold(&record, Role::Replica, Some(content), now)
                .await
                .map(|_| true)
        };
        let others = readied
            .others
            .iter()
            .map(|ready| self.commit_on(ready, &record));
        let (own, others) = tokio::join!(commit_own, join_all(others));
        let mut durable: Vec<NodeId> = others.into_iter().flatten().collect();
        match own {
            Ok(true) => durable.insert(0, self.me.id),
            Ok(false) => {}
            Err(error) if durable.is_empty() => return Err(error.into()),
            Err(error) => {
                tracing::error!(key = %record.key, %error, "this node could not store its own replica");
            }
        }
        let record = self.settle_layout(record, durable, &mut spare).await?;
        if let Some(content) = spare {
            self.keep_cached(&record, content).await;
        }
        Ok(record)
    }

    /// Commits a record on a node that is ready, and returns its id if the record is durable there.
    pub(in crate::driver) async fn commit_on(
        &self,
        ready: &Ready,
        record: &Arc<Record>,
    ) -> Option<NodeId> {
        match self.commit_surely(ready, record).await {
            // A greater record there means that a later write has replaced this one.
            Ok(_) => Some(ready.peer.id),
            Err(error) => {
                tracing::warn!(key = %record.key, node = %ready.peer.name, %error, "a prepared replica was not committed");
                None
            }
        }
    }

    /// Keeps the layout if every holder committed. Otherwise makes the next layout, which names those that did and
    /// this node if it still has the content and can make it durable. Nothing is named that is not durable.
    pub(in crate::driver) async fn settle_layout(
        &self,
        record: Arc<Record>,
        durable: Vec<NodeId>,
        spare: &mut Option<Prepared>,
    ) -> Result<Arc<Record>, WriteError> {
        if durable.len() == record.layout.holders.len() {
            return Ok(record);
        }
        let mut record = record;
        if let Some(content) = spare.take() {
            let with_own = std::iter::once(self.me.id).chain(durable.iter().copied());
            record = self.laid_anew(&record, with_own.collect()).await?;
            let now = self.now();
            match self.hold(&record, Role::Replica, Some(content), now).await {
                Ok(_) if record.layout.holders.len() >= self.min_replicas() => {
                    self.spread_layout(&record).await;
                    return Ok(record);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(key = %record.key, %error, "this node could not store a replica in place of a holder that failed");
                }
            }
        }
        if durable.len() < self.min_replicas() {
            return Err(WriteError::Unavailable(format!(
                "{} was made durable on only {}, and {} required; try again",
                record.key,
                plural(durable.len() as u64, "node", "nodes"),
                plural(self.min_replicas() as u64, "is", "are")
            )));
        }
        let record = self.laid_anew(&record, durable).await?;
        self.spread_layout(&record).await;
        Ok(record)
    }

    pub(in crate::driver) fn min_replicas(&self) -> usize {
        self.settings.write_min_replicas.max(1) as usize
    }
}
