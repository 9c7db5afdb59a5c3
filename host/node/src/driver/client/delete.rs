//! The delete flow: a tombstone is written as a version on every reachable holder, spares making up the factor,
//! and announced. The deletion is acknowledged once the tombstone is durable.

use std::future::Future;
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use dataverse_store::crash;
use futures_util::future::join_all;

use super::conditional::{Granted, Pending};
use super::preparing::Ready;
use crate::driver::Driver;
use crate::driver::client::api::{Condition, Consistency, DeleteError, ReadError};
use crate::driver::replication::commit::Held;
use crate::recorder::{Op, RequestOutcome};

/// How often a deletion is repeated above a newer version.
const TRIES_MAX: usize = 3;

/// The nodes' answers to a tombstone.
#[derive(Default)]
struct Answers {
    /// Nodes on which it is durable.
    durable: Vec<NodeId>,
    /// The greatest record found that is greater than the tombstone.
    greater: Option<Arc<Record>>,
    /// A node did not answer, so it may be durable there.
    unanswered: bool,
}

impl Answers {
    /// Whether no reader can have met the tombstone.
    const fn is_unseen(&self) -> bool {
        self.durable.is_empty() && !self.unanswered
    }
}

impl Driver {
    /// Deletes a file.
    ///
    /// # Errors
    /// [`DeleteError`].
    pub async fn delete(&self, key: &Key) -> Result<(), DeleteError> {
        self.delete_if(key, Condition::Always).await
    }

    /// Deletes a file if a condition holds.
    ///
    /// # Errors
    /// [`DeleteError`]; nothing was deleted if the condition does not hold or can't be decided.
    pub async fn delete_if(&self, key: &Key, condition: Condition) -> Result<(), DeleteError> {
        let deleted = match condition {
            Condition::Always => self.find_and_delete(key).await,
            condition => self.decide_and_delete(key, condition).await,
        };
        let outcome = match &deleted {
            Ok(()) => RequestOutcome::Done,
            Err(DeleteError::Read(ReadError::NotFound { .. })) => RequestOutcome::Missing,
            Err(_) => RequestOutcome::Failed,
        };
        self.take_down(Op::Delete, key, 0, outcome, 0);
        deleted
    }

    async fn find_and_delete(&self, key: &Key) -> Result<(), DeleteError> {
        self.refuse_unfit()?;
        let located = match self.find(key, Consistency::Newest).await {
            // No replica is reachable: delete the version that is known; a newer one stays.
            Err(ReadError::Unconfirmed { .. }) => self.find(key, Consistency::Usual).await,
            located => located,
        };
        let record = match located {
            Ok(located) => located.record,
            // A file that nobody can read any more can still be deleted.
            Err(ReadError::Lost { record }) => record,
            Err(ReadError::Away { key, version }) => self.placeholder_of(key, version),
            Err(error) => return Err(error.into()),
        };
        let driver = self.shared();
        self.to_the_end(async move {
            let pending = driver.begin_write(&record.key);
            driver.refuse_leaving()?;
            driver.write_tombstone(record, pending, None).await
        })
        .await
    }

    async fn decide_and_delete(&self, key: &Key, condition: Condition) -> Result<(), DeleteError> {
        self.refuse_unfit()?;
        let (driver, key) = (self.shared(), key.clone());
        self.to_the_end(async move {
            let pending = driver.begin_write(&key);
            driver.refuse_leaving()?;
            let granted = driver.decide(&key, &condition, None, &pending).await?;
            match granted {
                Granted::Commit {
                    version,
                    replaces: Some(record),
                    ..
                } => driver.write_tombstone(record, pending, Some(version)).await,
                Granted::Commit { replaces: None, .. } | Granted::Unchanged(_) => {
                    Err(ReadError::NotFound { key }.into())
                }
            }
        })
        .await
    }

    /// Does this to its end, whether or not the client waits.
    async fn to_the_end(
        &self,
        deletion: impl Future<Output = Result<(), DeleteError>> + Send + 'static,
    ) -> Result<(), DeleteError> {
        let done = self.spawn(deletion).await;
        done.map_err(|_| DeleteError::Unavailable("the node is stopping".to_owned()))?
    }

    /// A placeholder record for a version of which only its existence is known.
    fn placeholder_of(&self, key: Key, version: Version) -> Arc<Record> {
        Arc::new(Record {
            key,
            version,
            layout: self.state.node().first_layout(vec![self.me.id]),
            deleted: false,
            size: 0,
            digest: Digest::of(&[]),
            content_type: "application/octet-stream".into(),
            factor: self.factor,
        })
    }

    /// Writes a tombstone above a record, or above a newer one if that turns up on the way. A conditional deletion
    /// has its version already: what is newer comes after it.
    async fn write_tombstone(
        &self,
        mut record: Arc<Record>,
        pending: Pending,
        granted: Option<Version>,
    ) -> Result<(), DeleteError> {
        for _ in 0..TRIES_MAX {
            let version = match granted {
                Some(version) => version,
                None => self.version_above_all(&record).await?,
            };
            pending.stamped(version);
            let tombstone = self.tombstone_of(&record, version);
            crash::point("delete.stamped");
            let mut answers = Answers::default();
            let holders = tombstone.layout.holders.clone();
            self.commit_tombstone(&tombstone, holders, &mut answers)
                .await;
            let missing = (tombstone.factor as usize).saturating_sub(answers.durable.len());
            if missing > 0 && answers.greater.is_none() {
                let spares = self.spares_for(&tombstone, missing);
                self.commit_tombstone(&tombstone, spares, &mut answers)
                    .await;
            }
            match answers.greater.take() {
                // Nobody has seen the tombstone yet, so it may still take a version above.
                Some(greater) if answers.is_unseen() && granted.is_none() && !greater.deleted => {
                    record = greater;
                    continue;
                }
                // Where somebody may have seen it, a second one would delete what was written since.
                Some(greater) if answers.durable.is_empty() => {
                    self.note_greater(&greater).await;
                    return Ok(());
                }
                None if answers.durable.is_empty() => break,
                _ => {}
            }
            crash::point("delete.committed");
            let settled = self
                .settle_tombstone(Arc::clone(&tombstone), answers.durable)
                .await;
            // It is durable, whatever became of its layout.
            self.announce(settled.as_ref().unwrap_or(&tombstone)).await;
            return settled.map(drop);
        }
        self.leave_pending(pending, self.others_of(&record));
        Err(DeleteError::Unavailable(format!(
            "the deletion of {} could not be made durable; try again",
            record.key
        )))
    }

    /// Takes note of a greater record that the holders of a deletion have already. From when the deletion is not
    /// pending any more, a round must learn of it here: a holder may have answered that round before it had either.
    async fn note_greater(&self, greater: &Arc<Record>) {
        let heard = Heard::of(greater);
        self.state.node().confirm(&greater.key, heard);
        self.learn(greater, self.settings.announce_hops, None).await;
    }

    async fn version_above_all(&self, record: &Record) -> Result<Version, DeleteError> {
        let own = self.state.node().known(&record.key);
        let above = Heard::merged([own, Some(Heard::of(record))]);
        Ok(self.version_above(above).await?)
    }

    fn tombstone_of(&self, record: &Record, version: Version) -> Arc<Record> {
        let holders = record.layout.holders.clone();
        Arc::new(Record {
            version,
            layout: self.state.node().first_layout(holders),
            deleted: true,
            size: 0,
            digest: Digest::of(&[]),
            content_type: Arc::clone(&record.content_type),
            factor: record.factor,
            key: record.key.clone(),
        })
    }

    /// The other holders of a record.
    fn others_of(&self, record: &Record) -> Vec<Ready> {
        let others = record.layout.holders.iter().filter(|id| **id != self.me.id);
        let peers = others.filter_map(|id| self.peer_of(*id));
        let ready = peers.map(|peer| Ready {
            peer,
            preparation: None,
            known: None,
        });
        ready.collect()
    }

    /// Nodes that do not hold the file and are to store the tombstone.
    fn spares_for(&self, tombstone: &Record, missing: usize) -> Vec<NodeId> {
        let candidates = self.candidates(0).into_iter();
        candidates
            .map(|candidate| candidate.id)
            .filter(|id| !tombstone.layout.names(*id))
            .take(missing)
            .collect()
    }

    /// Commits the tombstone on these nodes and collects their answers.
    async fn commit_tombstone(
        &self,
        record: &Arc<Record>,
        nodes: Vec<NodeId>,
        answers: &mut Answers,
    ) {
        let commits = nodes
            .into_iter()
            .map(|id| async move { (id, self.commit_at(id, record).await) });
        for (id, held) in join_all(commits).await {
            match held {
                Ok(Held::Here) => answers.durable.push(id),
                Ok(Held::Greater(greater)) => {
                    answers.greater = answers.greater.take().max(Some(greater))
                }
                Ok(Held::Not) => {}
                Err(error) => {
                    answers.unanswered = true;
                    tracing::warn!(key = %record.key, node = %self.name_of(id), error, "a node did not store a deletion");
                }
            }
        }
    }

    /// Makes the layout name exactly the nodes on which the tombstone is durable.
    async fn settle_tombstone(
        &self,
        tombstone: Arc<Record>,
        durable: Vec<NodeId>,
    ) -> Result<Arc<Record>, DeleteError> {
        if tombstone.layout.holders == durable {
            return Ok(tombstone);
        }
        let settled = self.laid_anew(&tombstone, durable).await;
        let settled = settled.map_err(|error| DeleteError::Unavailable(error.to_string()))?;
        self.spread_layout(&settled).await;
        Ok(settled)
    }
}
