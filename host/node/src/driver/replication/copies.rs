//! Copies a replica to a node that lacks it, as reconciliation found: this one or another.

use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{PullAsk, TransportExt};
use dataverse_replication::upkeep::Outcome;

use crate::driver::Driver;
use crate::driver::client::space::Occasion;
use crate::driver::client::transfer::Wanted;

impl Driver {
    /// Copies a replica that this node lacks, if no holder has anything newer. If it fails, reconciliation finds it
    /// again.
    pub(super) async fn fetch_replica(&self, record: &Arc<Record>, from: Option<&Peer>) -> Outcome {
        if self.find_newer(record).await.is_some() {
            return Outcome::Done;
        }
        let held = self.state.node().holding(&record.key).cloned();
        if held.is_some_and(|held| held.record.is_same_write(record)) {
            // The content is already here, as a cached copy.
            if let Err(error) = self.hold(record, Role::Replica, None, self.now()).await {
                tracing::warn!(key = %record.key, %error, "a cached copy could not be turned into a replica");
            }
            return Outcome::Done;
        }
        let mut sources = Vec::from_iter(from.cloned());
        self.add_holders(&mut sources, record);
        self.fetch_paced(record, sources).await;
        Outcome::Done
    }

    /// Fetches content from these nodes at the pace of upkeep and keeps it.
    pub(super) async fn fetch_paced(&self, record: &Arc<Record>, sources: Vec<Peer>) {
        // It is no fresher than what was just asked.
        let validated = self.now();
        self.pace(record.size).await;
        let wanted = Wanted {
            validated,
            record: Arc::clone(record),
            sources,
            hops: 1,
            occasion: Occasion::Other,
        };
        self.keep_copy(wanted).await;
        self.transfers.ended(record).await;
    }

    /// Has another node copy a replica that it lacks, if no holder has anything newer.
    pub(super) async fn send_replica(&self, record: &Arc<Record>, to: &Peer) -> Outcome {
        if self.find_newer(record).await.is_none() {
            self.offer(to, record).await;
        }
        Outcome::Done
    }

    /// Offers a file to a node that should hold it, which then fetches it from here.
    pub(super) async fn offer(&self, to: &Peer, record: &Arc<Record>) {
        let ask = PullAsk {
            record: Arc::clone(record),
            from: self.me.clone(),
            hops: 1,
        };
        let answer = self.transport.ask(to, self.message(ask)).await;
        if let Err(error) = answer.and_then(|answer| self.answer_of(to, answer)) {
            tracing::debug!(key = %record.key, node = %to.name, %error, "a holder could not be offered its copy");
        }
    }
}
