//! The node's own life: for how long it has run, when it was last together with others, whether it is being
//! emptied. Kept in the store, because all of it has to outlive a restart.
//!
//! What a person sets is durable before it counts. What only grows is saved now and then, so after a crash it
//! is late by at most [`SAVE_EVERY`].

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dataverse_core::record::Record;
use dataverse_core::version::Millis;
use dataverse_store::{Life, StoreError};
use tokio::time::Instant;

use super::Driver;

/// How often what grows by itself is saved.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// The life of a node, and since when it was last added up.
pub(super) struct Living {
    life: Mutex<(Life, Instant)>,
    /// Persisting is one at a time, so that an older state never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
}

impl Living {
    pub(super) fn new(saved: Life) -> Self {
        Self {
            life: Mutex::new((saved, Instant::now())),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// As it is now.
    pub(super) fn now(&self) -> Life {
        let mut living = self.lock();
        let now = Instant::now();
        let ran = now.saturating_duration_since(living.1);
        living.0.ran_ms += ran.as_millis() as u64;
        // What is left of a millisecond counts the next time.
        living.1 += Duration::from_millis(ran.as_millis() as u64);
        living.0
    }

    fn lock(&self) -> MutexGuard<'_, (Life, Instant)> {
        self.life
            .lock()
            .expect("no one panics while holding the life")
    }
}

impl Driver {
    /// What a holding of this record that is put now says of when it was checked: content was checked as it
    /// came, and a tombstone, which has none, says for how long the node has run.
    pub(super) fn checked_now(&self, record: &Record) -> Millis {
        if record.deleted {
            self.living.now().ran_ms
        } else {
            self.now()
        }
    }

    /// Changes what is kept of the node's life; it counts once it is durable.
    pub(super) async fn change_life(&self, change: impl Fn(&mut Life)) -> Result<(), StoreError> {
        let _turn = self.living.saving.lock().await;
        let mut changed = self.living.now();
        change(&mut changed);
        self.store.save_life(changed).await?;
        change(&mut self.living.lock().0);
        Ok(())
    }

    /// Saves now and then for how long the node has run and whether others are there.
    pub(super) async fn keep_life(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SAVE_EVERY);
        while self.still_runs(tick.tick()).await.is_some() {
            // A node that was away for long counts as away until it has gone through its copies.
            self.doubt_if_long_away();
            let (now, together) = (self.now(), self.is_with_others() && !self.doubts_anything());
            let saved = self.change_life(|life| {
                if together {
                    life.together = life.together.max(now);
                }
            });
            if let Err(error) = saved.await {
                tracing::warn!(%error, "for how long the node has run could not be saved");
            }
        }
    }
}
