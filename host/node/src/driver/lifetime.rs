//! The node's own life: for how long it has run, when it was last together with others, whether it is being
//! emptied. Kept in the store, because all of it has to outlive a restart.
//!
//! What a person sets is durable before it counts. What only grows is saved now and then, so after a crash it
//! is late by at most [`SAVE_EVERY`].

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::record::Record;
use dataverse_core::version::Millis;
use dataverse_store::{Lifetime, StoreError};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::Driver;

/// How often what grows by itself is saved.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// The life of a node, and since when it was last added up.
pub(super) struct NodeLifetime {
    lifetime: Mutex<(Lifetime, Instant)>,
    /// Persisting is one at a time, so that an older state never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl NodeLifetime {
    pub(super) fn new(saved: Lifetime) -> Self {
        Self {
            lifetime: Mutex::new((saved, Instant::now())),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// As it is now.
    pub(super) fn now(&self) -> Lifetime {
        let mut lifetime = self.lock();
        let now = Instant::now();
        let ran = now.saturating_duration_since(lifetime.1);
        lifetime.0.ran_ms += ran.as_millis() as u64;
        // What is left of a millisecond counts the next time.
        lifetime.1 += Duration::from_millis(ran.as_millis() as u64);
        lifetime.0
    }

    fn lock(&self) -> MutexGuard<'_, (Lifetime, Instant)> {
        self.lifetime.lock()
    }
}

impl Driver {
    /// What a holding of this record that is put now says of when it was checked: content was checked as it
    /// came, and a tombstone, which has none, says for how long the node has run.
    pub(super) fn checked_now(&self, record: &Record) -> Millis {
        if record.deleted {
            self.lifetime.now().ran_ms
        } else {
            self.now()
        }
    }

    /// Changes what is kept of the node's life; it counts once it is durable.
    pub(super) async fn change_life(
        &self,
        change: impl Fn(&mut Lifetime),
    ) -> Result<(), StoreError> {
        let _turn = self.lifetime.saving.lock().await;
        let mut changed = self.lifetime.now();
        change(&mut changed);
        self.store.save_lifetime(changed).await?;
        change(&mut self.lifetime.lock().0);
        Ok(())
    }

    /// Saves now and then for how long the node has run and whether others are there.
    pub(super) async fn keep_lifetime(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SAVE_EVERY);
        while self.still_runs(tick.tick()).await.is_some() {
            // A node that was away for long counts as away until it has gone through its copies.
            self.verify_if_long_away();
            let (now, together) = (self.now(), self.is_with_others() && !self.has_unverified());
            let saved = self.change_life(|lifetime| {
                if together {
                    lifetime.together = lifetime.together.max(now);
                }
            });
            if let Err(error) = saved.await {
                tracing::warn!(%error, "for how long the node has run could not be saved");
            }
        }
    }
}
