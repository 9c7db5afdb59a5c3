//! What is wrong with this node: its data folder was changed behind its back, another node runs under its id, it was
//! revoked, or anybody can reach it.
//!
//! A node with one of the first two problems refuses writes from clients and from other nodes, reports the problem in its status
//! and advertises no free space. It still serves reads. It resumes on its own once the cause is gone.

use std::sync::Arc;
use std::time::Duration;

use super::Driver;
use crate::driver::client::api::{NodeProblem, WriteError};

/// What to do about a machine whose node was revoked.
pub(super) const AGAIN: &str =
    "to let this machine join again, start it with a fresh data folder and a ticket";
/// How often the data folder is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Driver {
    /// Problems that an operator must fix.
    #[must_use]
    pub fn problems(&self) -> Vec<NodeProblem> {
        let blocking = |kind, detail: Arc<str>| NodeProblem {
            kind,
            blocks: true,
            detail: detail.to_string(),
        };
        let store = self.store.unfit().map(|why| blocking("store", why));
        let own = self.isolation.why().map(|why| blocking("identity", why));
        let others = self.claims.told().into_iter().map(|detail| NodeProblem {
            kind: "identity",
            blocks: false,
            detail,
        });
        let insecure = self.insecure.get().map(|detail| NodeProblem {
            kind: "insecure",
            blocks: false,
            detail: detail.clone(),
        });
        let revoked = self.is_revoked(self.me.id).then(|| NodeProblem {
            kind: "identity",
            blocks: false,
            detail: format!("this node was revoked in its network, and no other node talks to it any more: {AGAIN}"),
        });
        let all = store.into_iter().chain(own).chain(others);
        all.chain(revoked).chain(insecure).collect()
    }

    /// Reports from now on, for people, that anybody can reach this node and why.
    pub fn note_insecure(&self, detail: String) {
        tracing::warn!(%detail, "this node is open to other machines");
        // It is said once, at the start.
        let _ = self.insecure.set(detail);
    }

    /// Why the node is not ready, if it isn't.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        if self.stopping.is_cancelled() {
            return Some("the node is starting or stopping".to_owned());
        }
        self.unfit().map(|why| why.to_string())
    }

    /// Why writes are refused, if they are.
    pub(super) fn unfit(&self) -> Option<Arc<str>> {
        self.store.unfit().or_else(|| self.isolation.why())
    }

    /// Refuses a write while the node is unfit.
    pub(super) fn refuse_unfit(&self) -> Result<(), WriteError> {
        match self.unfit() {
            Some(why) => Err(WriteError::Unavailable(why.to_string())),
            None => Ok(()),
        }
    }

    /// Checks the data folder every [`LOOK_EVERY`], logs when it turns bad or good, and publishes the change.
    pub(super) async fn keep_store_checked(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut reported: Option<Arc<str>> = None;
        while self.still_runs(tick.tick()).await.is_some() {
            let _ = self.store.check().await;
            let found = self.store.unfit();
            if found == reported {
                continue;
            }
            match &found {
                Some(why) => {
                    tracing::error!(%why, "the data folder has changed since it was opened; this node refuses writes");
                }
                None => tracing::info!(
                    "the data folder is as it was opened again; this node accepts writes"
                ),
            }
            reported = found;
            self.publish_status();
        }
    }

    /// Waits while the data folder is not as it was opened. `None` once the node is stopping.
    pub(super) async fn until_store_is_fit(&self) -> Option<()> {
        while self.store.unfit().is_some() {
            self.still_runs(tokio::time::sleep(LOOK_EVERY)).await?;
        }
        Some(())
    }
}
