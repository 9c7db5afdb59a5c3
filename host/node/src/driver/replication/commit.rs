//! Commits a record on one node, which may be this one, and gives a record its next layout.
//!
//! Used by writes, deletions and relayouts.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_core::version::{Millis, Stamp};
use dataverse_overlay::transport::{CallError, CommitAnswer, CommitAsk, Refusal, TransportExt};
use dataverse_store::{Applied, Change, Prepared, StoreError};

use crate::driver::Driver;
use crate::driver::client::preparing::Ready;
use crate::limits;
use crate::metrics::Copied;

/// Pause before a commit without an answer is retried.
const COMMIT_AGAIN_AFTER: Duration = Duration::from_millis(200);

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

impl Driver {
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
            CommitAnswer::Superseded(greater) if greater.key != record.key => {
                // What follows from the answer would be done to that file.
                return Err(CallError::Protocol {
                    address: peer.address.to_string(),
                    reason: format!(
                        "asked about {}, it answered about {}",
                        record.key, greater.key
                    ),
                });
            }
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

    /// Commits a record on a node, which may be this one, without sending content: the node has it, or the record is
    /// a tombstone.
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

    /// Makes a record durable in this node's index, with its content.
    pub(in crate::driver) async fn hold(
        &self,
        record: &Arc<Record>,
        role: Role,
        content: Option<Prepared>,
        validated: Millis,
    ) -> Result<Held, StoreError> {
        let change = Change::Put {
            record: Arc::clone(record),
            role,
            content,
            validated,
            verified: self.checked_now(record),
        };
        match self.store.apply(change).await? {
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

    /// Has a greater version searched for if one was announced before this record was committed here: the
    /// announcement that would have led to that is already over.
    pub(in crate::driver) async fn release_if_late(&self, record: &Record) {
        if self.state.node().came_late(record) {
            self.state.backlog.release(&record.key, None);
        }
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
        let _ = self.surpass(before);
        let at = self.stamp().await?;
        let layout = self.state.node().next_layout(&record.layout, at, holders);
        Ok(Arc::new(Record {
            layout,
            ..record.clone()
        }))
    }
}
