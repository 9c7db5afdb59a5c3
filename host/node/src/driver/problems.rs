//! What is wrong with this node: its store is not as it was opened, or another node goes by its id.
//!
//! A node that is not fit takes nothing in, from clients or from others, says so wherever it is asked, and offers
//! nobody room. What it holds can still be read. Once the cause is gone it goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use super::Driver;
use crate::driver::client::api::{NodeProblem, WriteError};

/// How often it is looked whether the store is still as it was opened.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Driver {
    /// What an operator has to see to.
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
        store.into_iter().chain(own).chain(others).collect()
    }

    /// Why the node does not serve, if it does not.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        if self.stopping.is_cancelled() {
            return Some("the node is starting or stopping".to_owned());
        }
        self.unfit().map(|why| why.to_string())
    }

    /// Why nothing is taken in, if nothing is.
    pub(super) fn unfit(&self) -> Option<Arc<str>> {
        self.store.unfit().or_else(|| self.isolation.why())
    }

    /// Refuses what would change a file while the node is not fit.
    pub(super) fn refuse_unfit(&self) -> Result<(), WriteError> {
        match self.unfit() {
            Some(why) => Err(WriteError::Unavailable(why.to_string())),
            None => Ok(()),
        }
    }

    /// Looks now and then whether the store is still as it was opened, and tells of what has changed.
    pub(super) async fn keep_store_checked(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut told: Option<Arc<str>> = None;
        while self.still_runs(tick.tick()).await.is_some() {
            let _ = self.store.check().await;
            let found = self.store.unfit();
            if found == told {
                continue;
            }
            match &found {
                Some(why) => {
                    tracing::error!(%why, "the data folder is not as it was opened; this node takes nothing in");
                }
                None => tracing::info!(
                    "the data folder is as it was opened again; this node takes files in"
                ),
            }
            told = found;
            self.publish_status();
        }
    }

    /// Waits while the store is not as it was opened. `None` once the node is stopping.
    pub(super) async fn until_store_is_fit(&self) -> Option<()> {
        while self.store.unfit().is_some() {
            self.still_runs(tokio::time::sleep(LOOK_EVERY)).await?;
        }
        Some(())
    }
}
