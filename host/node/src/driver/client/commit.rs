//! Commits a record on every node of its layout, and settles the layout on those nodes that made it durable.
//!
//! Used by writes, deletions and relayouts. A layout that this module announces names only nodes that said they
//! hold the record durably.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::plural::plural;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_core::version::Millis;
use dataverse_core::version::Stamp;
use dataverse_overlay::transport::{CallError, CommitAnswer, CommitAsk, Refusal, TransportExt};
use dataverse_store::{Applied, Change, Prepared, StoreError};
use futures_util::future::join_all;

use super::preparing::{Readied, Ready};
use super::write::refused_by_store;
use crate::driver::Driver;
use crate::driver::client::api::WriteError;
use crate::limits;
use crate::metrics::Copied;

/// Pause before a commit without an answer is retried.
const COMMIT_AGAIN_AFTER: Duration = Duration::from_millis(200);

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
            Err(error) if durable.is_empty() => return Err(error),
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

    /// Commits a record on another node, with the content prepared there or without any (a tombstone, or a newer
    /// layout for content the node has).
    pub(in crate::driver) async fn commit_record(
        &self,
        peer: &Peer,
        preparation: Option<u128>,
        record: &Arc<Record>,
    ) -> Result<Held, CallError> {
        let ask = CommitAsk::Commit {
            preparation,
            record: Arc::clone(record),
        };
        let answer = self.transport.ask(peer, self.message(ask)).await?;
        Ok(match self.answer_of(peer, answer)? {
            CommitAnswer::Done => Held::Here,
            CommitAnswer::Superseded(greater) => {
                self.check_stamp(&greater).map_err(CallError::Refused)?;
                Held::Greater(greater)
            }
        })
    }

    /// Commits what is prepared, and retries when no answer comes: a commit that was carried out but whose answer
    /// was lost is not a failure. Its preparation is gone by then, so the retry commits the record alone and the
    /// answer says whether the node holds it.
    pub(in crate::driver) async fn commit_surely(
        &self,
        ready: &Ready,
        record: &Arc<Record>,
    ) -> Result<Held, CallError> {
        let mut preparation = ready.preparation;
        for _ in 1..limits::COMMIT_TRIES_MAX {
            let error = match self.commit_record(&ready.peer, preparation, record).await {
                Ok(held) => return Ok(held),
                Err(error) => error,
            };
            match error {
                CallError::Refused(Refusal::Absent(_)) if preparation.is_some() => {
                    preparation = None;
                    continue;
                }
                CallError::Unreachable { .. }
                | CallError::Deadline { .. }
                | CallError::Refused(Refusal::Busy(_)) => {}
                other => return Err(other),
            }
            tokio::time::sleep(COMMIT_AGAIN_AFTER).await;
        }
        self.commit_record(&ready.peer, preparation, record).await
    }

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
            let laid = self.laid_anew(&record, with_own.collect()).await;
            record = laid.map_err(refused_by_store)?;
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
        let laid = self.laid_anew(&record, durable).await;
        let record = laid.map_err(refused_by_store)?;
        self.spread_layout(&record).await;
        Ok(record)
    }

    pub(in crate::driver) fn min_replicas(&self) -> usize {
        self.settings.write_min_replicas.max(1) as usize
    }

    /// The same record with these holders, in the layout that follows.
    pub(in crate::driver) async fn laid_anew(
        &self,
        record: &Record,
        holders: Vec<NodeId>,
    ) -> Result<Arc<Record>, StoreError> {
        // Stamp above the layout being replaced. If that layout is from too far ahead, its counter is only
        // incremented.
        let before = Stamp(record.layout.counter);
        let _ = self.state.node().observe(before, self.now());
        let at = self.stamp().await?;
        let layout = self.state.node().next_layout(&record.layout, at, holders);
        Ok(Arc::new(Record {
            layout,
            ..record.clone()
        }))
    }

    /// Commits a layout on all its holders, this node included.
    pub(in crate::driver) async fn spread_layout(&self, record: &Arc<Record>) {
        let commits = record.layout.holders.iter().map(|id| async move {
            if let Err(error) = self.commit_at(*id, record).await {
                tracing::warn!(key = %record.key, node = %self.name_of(*id), error, "a holder did not take a newer layout");
            }
        });
        join_all(commits).await;
    }

    /// Commits a record that needs no content on a node, which may be this one.
    pub(in crate::driver) async fn commit_at(
        &self,
        id: NodeId,
        record: &Arc<Record>,
    ) -> Result<Held, String> {
        let Some(peer) = self.peer_of(id) else {
            return Err("the address of the node is unknown".to_owned());
        };
        if id == self.me.id {
            let held = self.hold(record, Role::Replica, None, self.now()).await;
            return held.map_err(|error| error.to_string());
        }
        let held = self.commit_record(&peer, None, record).await;
        held.map_err(|error| error.to_string())
    }

    /// Drops what has just been committed here if a greater version was announced before: the announcement that
    /// would have dropped it is already over.
    pub(in crate::driver) async fn release_if_late(&self, record: &Record) {
        if !self.state.node().came_late(record) {
            return;
        }
        let change = Change::Drop {
            key: record.key.clone(),
            version: record.version,
            only: None,
        };
        if let Err(error) = self.store.apply(change).await {
            tracing::warn!(key = %record.key, %error, "a replica of an overtaken version was not dropped");
        }
    }

    /// Makes a record durable in this node's index, with its content.
    pub(in crate::driver) async fn hold(
        &self,
        record: &Arc<Record>,
        role: Role,
        content: Option<Prepared>,
        validated: Millis,
    ) -> Result<Held, WriteError> {
        let change = Change::Put {
            record: Arc::clone(record),
            role,
            content,
            validated,
            verified: self.checked_now(record),
        };
        match self.store.apply(change).await.map_err(refused_by_store)? {
            Applied::Done { .. } => {
                if role == Role::Replica {
                    self.metrics.copied(Copied::Replica);
                    self.policy_slots
                        .file_is_replica(&record.key, record.version);
                }
                self.release_if_late(record).await;
                Ok(Held::Here)
            }
            Applied::Superseded(greater) => Ok(Held::Greater(greater)),
            Applied::Nothing => Ok(Held::Not),
        }
    }
}

/// Result of storing a record.
#[derive(Debug)]
pub(in crate::driver) enum Held {
    /// It is durable.
    Here,
    /// A greater record was already durable.
    Greater(Arc<Record>),
    /// Not stored: something that takes precedence is in its place.
    Not,
}

impl Held {
    pub(in crate::driver) const fn is_here(&self) -> bool {
        matches!(self, Self::Here)
    }
}
