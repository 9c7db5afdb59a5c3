//! Commits a record on every node of its layout, and settles the layout on those that made it durable.

use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use futures_util::future::join_all;

use super::Driver;
use super::face::WriteError;
use super::preparing::{Readied, Ready};
use super::write::refused_by_store;
use crate::store::{Applied, Change, Prepared};
use crate::transport::{CallError, CommitAnswer, CommitAsk};

impl Driver {
    /// Commits a new version on the nodes that are ready and, where the layout names it, here. Returns
    /// the record with the layout of those on which it is durable.
    pub(super) async fn commit_everywhere(
        &self,
        record: Arc<Record>,
        content: Prepared,
        readied: Readied,
    ) -> Result<Arc<Record>, WriteError> {
        let own = record.layout.names(self.me.id);
        let mut spare = None;
        let commit_own = async {
            if !own {
                spare = Some(content);
                return Ok(false);
            }
            self.hold(&record, Role::Replica, Some(content))
                .await
                .map(|()| true)
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
            Err(error) if durable.is_empty() => return Err(error),
            Err(error) => {
                tracing::error!(key = %record.key, %error, "this node could not keep its own replica");
            }
        }
        let record = self.settle_layout(record, durable, &mut spare).await?;
        if let Some(content) = spare {
            self.keep_cached(&record, content).await;
        }
        Ok(record)
    }

    /// Commits a record that needs no content (a tombstone, a newer layout) on a node.
    pub(super) async fn commit_record(
        &self,
        peer: &Peer,
        record: &Arc<Record>,
    ) -> Result<(), CallError> {
        let ask = CommitAsk::Commit {
            preparation: None,
            record: Arc::clone(record),
        };
        let answer = self.transport.commit(peer, self.message(ask)).await?;
        self.answer_of(peer, answer).map(|_| ())
    }

    async fn commit_on(&self, ready: &Ready, record: &Arc<Record>) -> Option<NodeId> {
        let ask = CommitAsk::Commit {
            preparation: Some(ready.preparation),
            record: Arc::clone(record),
        };
        let answer = self.transport.commit(&ready.peer, self.message(ask)).await;
        match answer.and_then(|answer| self.answer_of(&ready.peer, answer)) {
            // A greater record there means that a later write has already replaced this one.
            Ok(CommitAnswer::Done | CommitAnswer::Superseded(_)) => Some(ready.peer.id),
            Err(error) => {
                tracing::warn!(key = %record.key, node = %ready.peer.name, %error, "a prepared replica was not committed");
                None
            }
        }
    }

    /// Where every holder committed, the layout stands. Else the next layout names those that did, and
    /// this node, which still has the content, in place of one that did not.
    async fn settle_layout(
        &self,
        record: Arc<Record>,
        mut durable: Vec<NodeId>,
        spare: &mut Option<Prepared>,
    ) -> Result<Arc<Record>, WriteError> {
        if durable.len() == record.layout.holders.len() {
            return Ok(record);
        }
        let takes_own = spare.is_some();
        if takes_own {
            durable.insert(0, self.me.id);
        }
        if durable.is_empty() {
            return Err(WriteError::Unavailable(format!(
                "{} was not made durable on any node; try again",
                record.key
            )));
        }
        let layout = self.state.node().next_layout(&record.layout, durable);
        let record = Arc::new(Record {
            layout,
            ..(*record).clone()
        });
        if record.layout.names(self.me.id) {
            let content = spare.take();
            let kept = self.hold(&record, Role::Replica, content).await;
            if takes_own && record.layout.holders.len() == 1 {
                kept?;
            }
        }
        let peers = record
            .layout
            .holders
            .iter()
            .filter(|id| **id != self.me.id)
            .filter_map(|id| self.peer_of(*id));
        for peer in peers {
            if let Err(error) = self.commit_record(&peer, &record).await {
                tracing::warn!(key = %record.key, node = %peer.name, %error, "a replica did not hear of its newer layout");
            }
        }
        Ok(record)
    }

    /// Makes a record durable in this node's own index, content and all.
    pub(super) async fn hold(
        &self,
        record: &Arc<Record>,
        role: Role,
        content: Option<Prepared>,
    ) -> Result<(), WriteError> {
        let now = self.now();
        let change = Change::Put {
            record: Arc::clone(record),
            role,
            content,
            validated: now,
            verified: now,
        };
        match self.store.apply(change).await.map_err(refused_by_store)? {
            Applied::Done { .. } | Applied::Superseded(_) => Ok(()),
            Applied::Nothing => Err(WriteError::Failed(format!(
                "the content of {} is not here",
                record.key
            ))),
        }
    }
}
