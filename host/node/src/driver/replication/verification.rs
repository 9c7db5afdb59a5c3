//! `Verification`: copies of a node that was away for long don't count until they are verified, so that it does
//! not bring deleted files back.
//!
//! Other nodes forget deletions after `tombstone.keep`. A node that was with no other member for half of that
//! marks every copy as unverified: it shows them to others as never confirmed, leaves them out of reconciliation,
//! and searches for each before it counts again. A read verifies its copy on the spot, a background loop the rest;
//! most are confirmed in bulk by reconciliation. A node that is alone serves what it has, since nobody could know
//! better. What follows from the answers is decided by `dataverse_replication::verification`; the reasons are in
//! docs/decisions/0013.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::search::{Report, SearchOutcome};
use dataverse_replication::upkeep::{Added, Outcome, Rank, Task};
use dataverse_replication::verification::{CopyCheck, Finding};
use dataverse_store::Change;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::limits;
use crate::metrics::Resolved;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pause after a pass over all unverified copies before those that stayed unclear are tried again.
const PASS_EVERY: Duration = Duration::from_secs(30);

/// Whether any copy is unverified, and since when the node is with others.
#[derive(Default)]
pub(in crate::driver) struct Verification(Mutex<Since>);

#[derive(Default, Clone, Copy)]
struct Since {
    unverified: bool,
    with_others: Option<Instant>,
}

impl Driver {
    /// Marks every copy as unverified if the node was with no other member for half of `tombstone.keep`. A node
    /// that was never with others has nothing they could have deleted.
    pub(in crate::driver) fn verify_if_long_away(&self) {
        let together = self.lifetime.now().together;
        let away_ms = self.now().saturating_sub(together);
        let patience_ms = self.settings.tombstone_keep.as_millis() as u64 / 2;
        let mut since = self.verification.0.lock();
        if together == 0 || away_ms < patience_ms || since.unverified {
            return;
        }
        let mut node = self.state.node();
        node.distrust_everything();
        let files = node.unverified();
        since.unverified = files > 0;
        if files > 0 {
            let away_s = away_ms / 1000;
            tracing::warn!(
                away_s,
                files,
                "this node was away for long; each of its copies is verified by a search before it counts again"
            );
        }
    }

    /// Whether any copy is still unverified.
    pub(in crate::driver) fn has_unverified(&self) -> bool {
        self.verification.0.lock().unverified
    }

    pub(in crate::driver) fn is_unverified(&self, key: &Key) -> bool {
        self.state.node().is_unverified(key)
    }

    /// Whether no other node is up, as far as this node can tell.
    pub(in crate::driver) fn is_alone(&self) -> bool {
        !self.is_with_others() && self.links.up_peers().is_empty()
    }

    /// Whether the node has run long enough to know which members are up.
    pub(in crate::driver) fn knows_members(&self) -> bool {
        self.started.elapsed() >= Duration::from_millis(limits::VERIFICATION_WAIT_MS)
    }

    /// Whether it has been with others long enough to know which of them are up.
    fn knows_others(&self) -> bool {
        let with_others = self.verification.0.lock().with_others;
        let wait = Duration::from_millis(limits::VERIFICATION_WAIT_MS);
        with_others.is_some_and(|since| since.elapsed() >= wait)
    }

    /// Verifies unverified copies whenever there are some and there are others to ask.
    pub(in crate::driver) async fn verify_copies(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut next_pass = Instant::now();
        while self.still_runs(look.tick()).await.is_some() {
            let together = self.is_with_others();
            {
                let mut since = self.verification.0.lock();
                since.with_others =
                    together.then(|| since.with_others.unwrap_or_else(Instant::now));
            }
            self.verify_if_long_away();
            if !together || !self.knows_others() {
                continue;
            }
            if self.has_unverified()
                && self.state.node().unverified() > 0
                && Instant::now() >= next_pass
            {
                self.still_runs(self.verify_all()).await;
                next_pass = Instant::now() + PASS_EVERY;
            }
            self.note_together().await;
        }
    }

    /// Records that the node is with others, once nothing is unverified any more. The first time it does so
    /// immediately, so that a short meeting is not forgotten.
    async fn note_together(&self) {
        let resolved = self.has_unverified() && self.state.node().unverified() == 0;
        if !resolved && self.lifetime.now().together != 0 {
            return;
        }
        let now = self.now();
        let saved = self.change_life(|lifetime| lifetime.together = lifetime.together.max(now));
        match saved.await {
            Ok(()) if resolved => {
                self.verification.0.lock().unverified = false;
                tracing::info!("all copies are verified");
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "the time of the last contact with other members could not be saved")
            }
        }
    }

    /// Adds all unverified copies to the backlog. What does not fit is added in the next pass.
    async fn verify_all(&self) {
        let mut after = None;
        loop {
            let page = self.state.node().unverified_page(after.as_ref());
            for record in page.items {
                let added = self.state.backlog.add(Task::Verify(record), Rank::last());
                if added == Added::Full {
                    return;
                }
            }
            after = page.resume_after;
            if after.is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Verifies the copy of this file, if it is unverified.
    pub(in crate::driver) async fn verify_copy_of(&self, key: &Key) {
        let unverified = {
            let node = self.state.node();
            let held = node.holding(key).filter(|_| node.is_unverified(key));
            held.map(|held| Arc::clone(&held.record))
        };
        if let Some(record) = unverified {
            self.verify_copy(&record).await;
        }
    }

    /// Whether this is held here and was not verified yet.
    fn is_still_unverified(&self, record: &Record) -> bool {
        let node = self.state.node();
        let held = node.holding(&record.key);
        let is_held = held.is_some_and(|held| *held.record == *record);
        is_held && node.is_unverified(&record.key)
    }

    /// Searches for the file of an unverified copy and acts on the finding.
    pub(in crate::driver) async fn verify_copy(&self, record: &Arc<Record>) -> Outcome {
        let (key, version) = (&record.key, record.version);
        if !self.is_still_unverified(record) {
            return Outcome::Done;
        }
        let mut check = CopyCheck::into(Arc::clone(record));
        let report = self.search_checking(key, version, &mut check).await;
        let complete = self.has_asked_everyone(&report);
        if !self.is_still_unverified(record) {
            return Outcome::Done;
        }
        let resolved = match check.finding(self.me.id, complete) {
            Finding::Unclear => return Outcome::Again,
            Finding::Found(found) => {
                self.state.node().trust(key, version);
                if found > *record {
                    self.take_greater(&found, None).await;
                }
                Resolved::Trusted
            }
            Finding::Deleted(deletion) => {
                // It stays unverified until it is replaced.
                self.take_greater(&deletion, None).await;
                Resolved::Superseded
            }
            Finding::Forgotten(holder) => {
                self.quarantine_deleted(record, &self.name_of(holder)).await;
                Resolved::PutAside
            }
            Finding::Stands => {
                self.state.node().trust(key, version);
                Resolved::Trusted
            }
        };
        self.metrics.copy_verified(resolved);
        Outcome::Done
    }

    /// Whether every node that is up has answered. Nodes that are gone are not waited for: if one knows better, it
    /// says so when it is back.
    fn has_asked_everyone(&self, report: &Report) -> bool {
        match report.outcome {
            SearchOutcome::Deadline => false,
            SearchOutcome::Partial => {
                let mut silent = report.unanswered.iter();
                self.knows_others() && silent.all(|peer| !self.is_alive(peer.id))
            }
            SearchOutcome::Found
            | SearchOutcome::NotFound
            | SearchOutcome::Horizon
            | SearchOutcome::Budget => true,
        }
    }

    /// Removes a copy whose file was deleted while the node was away, where the nodes that deleted it have
    /// forgotten the deletion. A replica moves to quarantine.
    async fn quarantine_deleted(&self, record: &Arc<Record>, holder: &str) {
        let (key, version) = (record.key.clone(), record.version);
        // Without this floor the file would count as one that exists and can't be found.
        self.state.node().confirm(&key, Heard::deletion(version));
        let role = self.state.node().holding(&key).map(|held| held.role);
        let change = match role {
            Some(Role::Replica) => {
                tracing::warn!(%key, %version, holder, "a file was deleted while this node was away; its copy was moved to quarantine");
                Change::SetAside { key, version }
            }
            _ => Change::Drop {
                key,
                version,
                only: Some(Role::Cached),
            },
        };
        if let Err(error) = self.store.apply(change).await {
            tracing::error!(key = %record.key, %error, "a copy of a deleted file could not be quarantined");
        }
    }
}
