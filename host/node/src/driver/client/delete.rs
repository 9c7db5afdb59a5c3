//! The delete flow: a tombstone is written as a version on every reachable holder, spares making up the factor,
//! and announced. The deletion is acknowledged once the tombstone is durable.

use std::future::Future;
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::Version;
use dataverse_replication::protocol::{Deleted, Tombstone};

use super::conditional::{Granted, Pending};
use super::preparing::Ready;
use crate::driver::Driver;
use crate::driver::client::api::{Condition, Consistency, DeleteError, ReadError};
use crate::driver::replication::perform::Means;
use crate::recorder::{Op, RequestOutcome};

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
        self.refuse_with_many_pending()?;
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
        self.refuse_with_many_pending()?;
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
    /// has its version already.
    async fn write_tombstone(
        &self,
        record: Arc<Record>,
        pending: Pending,
        granted: Option<Version>,
    ) -> Result<(), DeleteError> {
        let mut means = Means::of(&record.key);
        if let Some(version) = granted {
            pending.stamped(version);
        }
        means.pending = Some(&pending);
        let tombstone = Tombstone::new(self.me.id, record, granted);
        match self.run(tombstone, &mut means).await {
            Deleted::Done => Ok(()),
            Deleted::Failed(error) => Err(DeleteError::Unavailable(error)),
            Deleted::NotDurable(record) => {
                self.leave_pending(pending, self.others_of(&record));
                Err(DeleteError::Unavailable(format!(
                    "the deletion of {} could not be made durable; try again",
                    record.key
                )))
            }
        }
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
    pub(in crate::driver) fn spares_for(&self, tombstone: &Record, wanted: usize) -> Vec<NodeId> {
        let candidates = self.candidates(0).into_iter();
        candidates
            .map(|candidate| candidate.id)
            .filter(|id| !tombstone.layout.names(*id))
            .take(wanted)
            .collect()
    }
}
