//! `Preparations`: contents that other nodes have sent and not committed yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_overlay::transport::Refusal;
use dataverse_store::Prepared;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::limits;

/// How often expired preparations are dropped.
const EXPIRE_EVERY: Duration = Duration::from_millis(500);

/// Prepared contents that await their commit.
#[derive(Default)]
pub(in crate::driver) struct Preparations(Mutex<BTreeMap<u128, Waiting>>);

struct Waiting {
    from: NodeId,
    until: Instant,
    content: Prepared,
}

impl Preparations {
    pub(super) fn keep(
        &self,
        name: u128,
        from: NodeId,
        until: Instant,
        content: Prepared,
    ) -> Result<(), Refusal> {
        let mut waiting = self.0.lock();
        let of_this_node = waiting.values().filter(|it| it.from == from).count();
        if waiting.len() >= limits::PREPARATIONS_MAX
            || of_this_node >= limits::PREPARATIONS_OF_ONE_MAX
        {
            return Err(Refusal::Busy(
                "too many prepared contents await their commit on this node".to_owned(),
            ));
        }
        if waiting.contains_key(&name) {
            return Err(Refusal::Invalid(
                "a preparation with this id already exists".to_owned(),
            ));
        }
        let prepared = Waiting {
            from,
            until,
            content,
        };
        waiting.insert(name, prepared);
        Ok(())
    }

    pub(super) fn take(&self, name: u128) -> Option<Prepared> {
        let prepared = self.0.lock().remove(&name);
        let in_time = prepared.filter(|it| Instant::now() < it.until);
        in_time.map(|it| it.content)
    }

    /// Whether there is none.
    pub(in crate::driver) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Drops those whose commit did not come in time.
    fn expire(&self, now: Instant) {
        let expired: Vec<Prepared> = {
            let mut waiting = self.0.lock();
            let late = waiting.extract_if(.., |_, it| it.until <= now);
            late.map(|(_, it)| it.content).collect()
        };
        drop(expired);
    }
}

impl Driver {
    /// Drops preparations whose commit did not come in time.
    pub(in crate::driver) async fn expire_preparations(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EXPIRE_EVERY);
        while self.still_runs(tick.tick()).await.is_some() {
            self.preparations.expire(Instant::now());
        }
    }
}
