//! `NodeLifetime`: facts about the node that must survive a restart. How long it has run in total, when it was
//! last with other members, whether it is being drained, when the last scrub began and ended.
//!
//! What an operator sets is durable before it takes effect. What only grows with time is saved every
//! [`SAVE_EVERY`], so a crash loses at most that much of it.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::record::Record;
use dataverse_core::version::Millis;
use dataverse_store::{Lifetime, StoreError};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Driver;

/// How often the values that grow with time are saved.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// The saved facts, and the time up to which `ran_ms` has been added up.
pub(super) struct NodeLifetime {
    lifetime: Mutex<(Lifetime, Instant)>,
    /// Saves happen one at a time, so that an older state never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl NodeLifetime {
    pub(super) fn new(saved: Lifetime) -> Self {
        Self {
            lifetime: Mutex::new((saved, Instant::now())),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// The facts, with `ran_ms` up to now.
    pub(super) fn now(&self) -> Lifetime {
        let mut lifetime = self.lifetime.lock();
        let now = Instant::now();
        let ran = now.saturating_duration_since(lifetime.1);
        lifetime.0.ran_ms += ran.as_millis() as u64;
        // The fraction of a millisecond counts next time.
        lifetime.1 += Duration::from_millis(ran.as_millis() as u64);
        lifetime.0
    }
}

impl Driver {
    /// The `verified` value for a holding of this record stored now. Content was verified as it arrived, so it is
    /// the wall clock; a tombstone has no content and instead carries how long the node has run.
    pub(super) fn checked_now(&self, record: &Record) -> Millis {
        if record.deleted {
            self.lifetime.now().ran_ms
        } else {
            self.now()
        }
    }

    /// Changes the saved facts. The change takes effect once it is durable.
    pub(super) async fn change_life(
        &self,
        change: impl Fn(&mut Lifetime),
    ) -> Result<(), StoreError> {
        let _turn = self.lifetime.saving.lock().await;
        let mut changed = self.lifetime.now();
        change(&mut changed);
        self.store.save_lifetime(changed).await?;
        change(&mut self.lifetime.lifetime.lock().0);
        Ok(())
    }

    /// Saves, every [`SAVE_EVERY`], how long the node has run and whether it is with other members.
    pub(super) async fn keep_lifetime(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SAVE_EVERY);
        while self.still_runs(tick.tick()).await.is_some() {
            // A node that was away for long still counts as away until it has verified its copies.
            self.verify_if_long_away();
            let (now, together) = (self.now(), self.is_with_others() && !self.has_unverified());
            let saved = self.change_life(|lifetime| {
                if together {
                    lifetime.together = lifetime.together.max(now);
                }
            });
            if let Err(error) = saved.await {
                tracing::warn!(%error, "the running time of the node could not be saved");
            }
        }
    }
}
