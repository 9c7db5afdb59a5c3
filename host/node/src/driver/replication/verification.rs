//! Doubts: a node that was away for long does not bring files back by itself.
//!
//! Others forget deletions after `tombstone.keep`. A node that was with nobody for half as long doubts every copy that
//! it has: it shows them to others as never confirmed, leaves them out of what it compares, and searches for each before
//! it counts again. Reads do so on the spot, a task in the background for the rest; most are confirmed in bulk by
//! reconciliation. A node that is alone serves what it has: there is nobody who could know better. What is concluded
//! from the answers is the core's (`verification`); why, is in docs/decisions/0013.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::reconcile::DigestEntry;
use dataverse_core::record::Record;
use dataverse_core::search::{Report, SearchOutcome};
use dataverse_core::verification::{CopyCheck, Finding};
use dataverse_overlay::transport::{ReconcileAnswer, ReconcileAsk};
use dataverse_store::Change;
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::driver::Driver;
use crate::limits;
use crate::metrics::Resolved;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a pass over all doubted copies, those that could not be resolved wait for so long.
const PASS_EVERY: Duration = Duration::from_secs(30);

/// Since when a node doubts its copies, and since when it is with others.
#[derive(Default)]
pub(in crate::driver) struct Verification(Mutex<Since>);

#[derive(Default, Clone, Copy)]
struct Since {
    unverified: bool,
    with_others: Option<Instant>,
}

impl Verification {
    fn lock(&self) -> MutexGuard<'_, Since> {
        self.0.lock()
    }
}

impl Driver {
    /// Doubts everything that is held, if the node was with nobody for half as long as deletions are remembered. One
    /// that never was with anybody has nothing that others could have deleted.
    pub(in crate::driver) fn verify_if_long_away(&self) {
        let together = self.lifetime.now().together;
        let away_ms = self.now().saturating_sub(together);
        let patience_ms = self.settings.tombstone_keep.as_millis() as u64 / 2;
        let mut since = self.verification.lock();
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
                "this node was away for long: each of its copies is searched for before it counts"
            );
        }
    }

    /// Whether any copy is still doubted.
    pub(in crate::driver) fn has_unverified(&self) -> bool {
        self.verification.lock().unverified
    }

    pub(in crate::driver) fn is_unverified(&self, key: &Key) -> bool {
        self.state.node().is_unverified(key)
    }

    /// Whether nobody else is there, as far as anyone can tell.
    pub(in crate::driver) fn is_alone(&self) -> bool {
        !self.is_with_others() && self.links.up_peers().is_empty()
    }

    /// Whether the node has run for long enough to know who is there.
    pub(in crate::driver) fn knows_members(&self) -> bool {
        self.started.elapsed() >= Duration::from_millis(limits::VERIFICATION_WAIT_MS)
    }

    /// Whether it has been with others for long enough to know who of them is there.
    fn knows_others(&self) -> bool {
        let with_others = self.verification.lock().with_others;
        let wait = Duration::from_millis(limits::VERIFICATION_WAIT_MS);
        with_others.is_some_and(|since| since.elapsed() >= wait)
    }

    /// Goes through the doubted copies whenever there are some and others to ask.
    pub(in crate::driver) async fn verify_copies(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut next_pass = Instant::now();
        while self.still_runs(look.tick()).await.is_some() {
            let together = self.is_with_others();
            {
                let mut since = self.verification.lock();
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
                self.still_runs(self.resolve_all()).await;
                next_pass = Instant::now() + PASS_EVERY;
            }
            self.note_together().await;
        }
    }

    /// Once nothing is doubted any more, or nothing was, the node counts as having been with others; the first time at
    /// once, so that a short meeting is not forgotten.
    async fn note_together(&self) {
        let resolved = self.has_unverified() && self.state.node().unverified() == 0;
        if !resolved && self.lifetime.now().together != 0 {
            return;
        }
        let now = self.now();
        let saved = self.change_life(|lifetime| lifetime.together = lifetime.together.max(now));
        match saved.await {
            Ok(()) if resolved => {
                self.verification.lock().unverified = false;
                tracing::info!("none of the copies is doubted any more");
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "that the node was with others could not be saved")
            }
        }
    }

    async fn resolve_all(&self) {
        let mut after = None;
        loop {
            let mut unverified = Vec::new();
            after = self
                .state
                .node()
                .unverified_page(&mut unverified, after.as_ref());
            let resolving = unverified
                .into_iter()
                .map(|record| async move { self.verify_copy(&record).await });
            let resolving =
                stream::iter(resolving).buffer_unordered(limits::VERIFICATIONS_AT_ONCE_MAX);
            resolving.collect::<()>().await;
            if after.is_none() {
                return;
            }
        }
    }

    /// Finds out about the copy of this file, if it is doubted.
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

    /// Searches for the file of a doubted copy and acts on what is found.
    pub(in crate::driver) async fn verify_copy(&self, record: &Arc<Record>) {
        let (key, version) = (&record.key, record.version);
        let mut check = CopyCheck::into(Arc::clone(record));
        let report = self.search_checking(key, version, &mut check).await;
        let complete = self.has_asked_everyone(&report);
        let resolved = match check.finding(self.me.id, complete) {
            Finding::Unclear => return,
            Finding::Found(found) => {
                self.state.node().trust(key, version);
                if found > *record {
                    self.take_greater(&found, None).await;
                }
                Resolved::Trusted
            }
            Finding::Superseded { by, .. } => {
                // The floor is known since the search, so the copy is served no more; the record that says why lets it go.
                if let Some(greater) = self.record_at(by, record).await {
                    self.take_greater(&greater, None).await;
                }
                self.state.node().trust(key, version);
                Resolved::Superseded
            }
            Finding::Forgotten(holder) => {
                self.put_aside(record, &self.name_of(holder)).await;
                Resolved::PutAside
            }
            Finding::Stands => {
                self.state.node().trust(key, version);
                Resolved::Trusted
            }
        };
        self.metrics.copy_verified(resolved);
    }

    /// Whether everyone who is there has answered. Who is gone is not waited for: if it knows better, it says so when it
    /// is back.
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

    /// What another node holds of a file, if that is not what is held here.
    async fn record_at(
        &self,
        id: dataverse_core::id::NodeId,
        record: &Record,
    ) -> Option<Arc<Record>> {
        let peer = self.peer_of(id)?;
        let ask = ReconcileAsk::Compare {
            range: None,
            entries: vec![DigestEntry::of(record)],
        };
        let answer = self.ask_to_reconcile(&peer, ask).await;
        let Ok(ReconcileAnswer::Compared(compared)) = answer else {
            return None;
        };
        let mut told = compared.records.into_iter();
        told.find(|told| told.key == record.key && self.check_stamp(told).is_ok())
    }

    /// The file was deleted while the node was away, and those who deleted it have forgotten that.
    async fn put_aside(&self, record: &Arc<Record>, holder: &str) {
        let (key, version) = (record.key.clone(), record.version);
        // Without this the file would count as one that exists and can't be found.
        self.state.node().hear(&key, Heard::deletion(version));
        let role = self.state.node().holding(&key).map(|held| held.role);
        let dropped = Change::Drop {
            key: key.clone(),
            version,
            only: None,
        };
        let change = match role {
            Some(Role::Replica) => {
                tracing::warn!(%key, %version, holder, "a file was deleted while this node was away; its copy was moved to quarantine");
                Change::Quarantine { key, version }
            }
            _ => Change::Drop {
                key,
                version,
                only: Some(Role::Cached),
            },
        };
        let mut applied = self.store.apply(change).await;
        if applied.is_ok() {
            // Nor is it missed from then on: it is not to be made good.
            applied = self.store.apply(dropped).await;
        }
        if let Err(error) = applied {
            tracing::error!(key = %record.key, %error, "a copy of a deleted file could not be put aside");
        }
    }
}
