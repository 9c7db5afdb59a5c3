//! Tombstones: a node forgets a deletion after `tombstone.keep`.
//!
//! A tombstone ages only while its node runs, so a network that was switched off forgets nothing. Its `verified`
//! field is the node's running time when it was stored. Each holder forgets on its own; nobody hands a forgotten
//! tombstone back, because rounds of reconciliation don't compare tombstones (see the core's `reconcile`).

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::version::Millis;
use dataverse_store::Change;

use crate::driver::Driver;

/// Longest pause between two scans.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(10 * 60);

impl Driver {
    /// Drops tombstones older than `tombstone.keep`.
    pub(in crate::driver) async fn forget_tombstones(self: Arc<Self>) {
        let pause = (self.settings.tombstone_keep / 10).min(LOOK_EVERY_MAX);
        let mut look = tokio::time::interval(pause);
        while self.still_runs(look.tick()).await.is_some() {
            let keep_ms = self.settings.tombstone_keep.as_millis() as u64;
            if let Some(put_by) = self.lifetime.now().ran_ms.checked_sub(keep_ms) {
                self.forget_tombstones_by(put_by).await;
            }
        }
    }

    async fn forget_tombstones_by(&self, put_by: Millis) {
        let mut after = None;
        let mut forgotten = 0;
        loop {
            let page = self.state.node().tombstones_by(put_by, after.as_ref());
            after = page.resume_after;
            forgotten += page.items.len();
            for (key, version) in page.items {
                let change = Change::Drop {
                    key: key.clone(),
                    version,
                    only: None,
                };
                let dropped = self.store.apply(change).await;
                if let Err(error) = dropped {
                    tracing::warn!(%key, %error, "an expired tombstone could not be dropped");
                }
            }
            if after.is_none() || self.stopping.is_cancelled() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if forgotten > 0 {
            tracing::debug!(forgotten, "dropped expired tombstones");
        }
    }
}
