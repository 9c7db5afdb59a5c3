//! Time: the wall clock, and stamps of the hybrid logical clock.
//!
//! The clock's ceiling is persisted ahead of use: no stamp is given out above the ceiling on disk, so a restarted
//! node never reuses a stamp.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::floors::Heard;
use dataverse_core::limits;
use dataverse_core::record::Record;
use dataverse_core::version::{ClockAhead, Millis, Stamp};
use dataverse_overlay::transport::Refusal;
use dataverse_store::StoreError;

use super::Driver;

impl Driver {
    pub(super) fn now(&self) -> Millis {
        (self.now)()
    }

    /// A stamp greater than any this node has given out or heard of.
    pub(super) async fn stamp(&self) -> Result<Stamp, StoreError> {
        loop {
            let stamp = self.state.node().clock().tick(self.now());
            if let Some(stamp) = stamp {
                return Ok(stamp);
            }
            self.raise_ceiling().await?;
        }
    }

    /// Takes in the time that a record carries, and refuses one from the far future: such a version would outlive every
    /// later write, such a layout every later one.
    pub(super) fn check_stamp(&self, record: &Record) -> Result<(), Refusal> {
        let latest = record.version.stamp.max(Stamp(record.layout.counter));
        self.observe_version(latest).map_err(|error| {
            Refusal::Invalid(format!("the version of {} is refused: {error}", record.key))
        })
    }

    /// What another node has heard of, unless that is from the far future. Takes in the time that it carries.
    pub(super) fn believable_floor(&self, known: Option<Heard>) -> Option<Heard> {
        // A deletion is no greater than the version.
        known.filter(|known| self.observe_version(known.version.stamp).is_ok())
    }

    fn observe_version(&self, stamp: Stamp) -> Result<(), ClockAhead> {
        self.state.node().clock().observe_version(stamp, self.now())
    }

    /// Takes in a stamp that the next one must be above.
    pub(super) fn surpass(&self, stamp: Stamp) -> Result<(), ClockAhead> {
        self.state.node().clock().surpass(stamp, self.now())
    }

    /// Persists a higher ceiling when the present one is nearly reached.
    async fn raise_ceiling(&self) -> Result<(), StoreError> {
        let due = self.state.node().clock().ceiling_due(self.now());
        self.persist_ceiling(due).await
    }

    async fn persist_ceiling(&self, due: Option<Stamp>) -> Result<(), StoreError> {
        if let Some(ceiling) = due {
            self.store.save_ceiling(ceiling).await?;
            self.state.node().clock().raise(ceiling);
        }
        Ok(())
    }

    /// Raises the ceiling ahead of use while the node writes, so that only the first write after a pause waits for
    /// it.
    pub(super) async fn keep_ceiling(self: Arc<Self>) {
        let mut tick = tokio::time::interval(Duration::from_millis(limits::CLOCK_CEILING_MS / 4));
        while self.still_runs(tick.tick()).await.is_some() {
            let due = self.state.node().clock().ceiling_due_in_use(self.now());
            if let Err(error) = self.persist_ceiling(due).await {
                tracing::error!(%error, "the clock could not be persisted; writes will be refused");
            }
        }
    }
}
