//! Copies a missing replica of this node again from another holder.
//!
//! Whatever finds a bad replica (a scrub, a read, another node's fetch, the start of the node) adds it to the
//! backlog. While it is there the node neither serves nor promises it, and its version is a floor. It leaves the
//! backlog when the content is back, however it came, or when a newer version or a layout without this node takes its
//! place; nothing else removes it. The store keeps the same list across restarts.
//!
//! If there is no space for a replica here, another holder is asked for a layout without this node. If every other
//! holder says that it has none and no reachable node has a copy, the file is reported as lost and tried again at
//! intervals, since someone may bring back a node or a disk.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::record::Record;
use dataverse_core::search::{Deletion, Peer, SearchOutcome};
use dataverse_replication::upkeep::Outcome;
use dataverse_store::Change;
use dataverse_store::crash;
use futures_util::future::join_all;

use crate::driver::Driver;
use crate::driver::client::space::Occasion;
use crate::driver::client::transfer::Wanted;

/// What other nodes have of a version that is missing here.
struct Elsewhere {
    /// The record, with the greatest layout heard of.
    record: Arc<Record>,
    sources: Vec<Peer>,
    newer: Option<Heard>,
    /// Every node that might have it was asked and has answered.
    all_answered: bool,
}

impl Elsewhere {
    fn of(record: &Arc<Record>) -> Self {
        Self {
            record: Arc::clone(record),
            sources: Vec::new(),
            newer: None,
            all_answered: true,
        }
    }

    /// Records a version that a node has. What it has only heard of is no reason to give up.
    fn hear_of(&mut self, heard: Heard) {
        if heard.version > self.record.version {
            self.newer = Heard::merged([self.newer, Some(heard)]);
        }
    }

    fn found(&mut self, peer: &Peer, record: &Arc<Record>) {
        self.hear_of(Heard::of(record));
        if record.version != self.record.version || record.digest != self.record.digest {
            return;
        }
        self.sources.push(peer.clone());
        if record.layout > self.record.layout {
            self.record = Arc::clone(record);
        }
    }
}

impl Driver {
    /// Copies a missing replica again. If it arrives, it has left the backlog by itself.
    pub(super) async fn heal(&self, record: &Arc<Record>) -> Outcome {
        let was_lost = self.state.backlog.is_lost(&record.key);
        let outcome = self.try_to_heal(record).await;
        if outcome == Outcome::Lost && !was_lost {
            tracing::error!(key = %record.key, version = %record.version, "a file is lost: its replica here is bad or gone, and no reachable node has a good copy; bring back a node or a disk that has one, or write the file again");
        }
        outcome
    }

    async fn try_to_heal(&self, record: &Arc<Record>) -> Outcome {
        if self.holds(record) {
            // It came back before it was listed.
            return Outcome::Done;
        }
        let found = self.look_elsewhere(record).await;
        if let Some(newer) = found.newer {
            self.hear(&record.key, newer);
        }
        if found.newer.is_some() || !found.record.layout.names(self.me.id) {
            self.give_up(record).await;
            return Outcome::Done;
        }
        if found.sources.is_empty() {
            return if found.all_answered {
                Outcome::Lost
            } else {
                Outcome::Again
            };
        }
        let wanted = Wanted {
            record: Arc::clone(&found.record),
            sources: found.sources,
            hops: 1,
            validated: self.now(),
            occasion: Occasion::Other,
        };
        self.pace(record.size).await;
        self.keep_copy(wanted).await;
        self.transfers.ended(record).await;
        crash::point("heal.done");
        if !self.holds(record) && self.store.usage().free_for_replicas() < record.size {
            // The resulting layout names another node and takes this off the list.
            self.ask_to_be_relieved(&found.record).await;
        }
        Outcome::Again
    }

    /// Asks the other holders, and if none of them has it every reachable node.
    async fn look_elsewhere(&self, record: &Arc<Record>) -> Elsewhere {
        let mut found = Elsewhere::of(record);
        if let Some(known) = self.state.node().confirmed(&record.key) {
            found.hear_of(known);
        }
        let others = record.layout.holders.iter().filter(|id| **id != self.me.id);
        let asked = others.map(|id| async move {
            let peer = self.peer_of(*id)?;
            let answer = self.ask_version(peer.clone(), &record.key).await?;
            Some((peer, answer))
        });
        for answer in join_all(asked).await {
            let Some((peer, answer)) = answer else {
                found.all_answered = false;
                continue;
            };
            let deletion = match &answer.deletion {
                Deletion::Held(deletion) => Some(Heard::of(deletion)),
                Deletion::None => None,
                // A holder of an earlier release can't say more than what it has heard of.
                Deletion::Unsaid => answer.known,
            };
            if let Some(deletion) = deletion {
                found.hear_of(deletion);
            }
            for hit in &answer.hits {
                found.found(&peer, &hit.record);
            }
        }
        if !found.sources.is_empty() {
            return found;
        }
        let report = self
            .search_elsewhere(&record.key, Some(record.version), &Default::default())
            .await;
        if let Some(held) = report.held {
            found.hear_of(held);
        }
        for hit in &report.hits {
            found.found(&hit.peer, &hit.hit.record);
        }
        found.all_answered &= report.outcome == SearchOutcome::NotFound;
        found
    }

    /// Stops missing a replica that is no longer this node's concern. If it has come back meanwhile, it stays.
    pub(super) async fn give_up(&self, record: &Record) {
        let change = Change::Drop {
            key: record.key.clone(),
            version: record.version,
            only: Some(Role::Cached),
        };
        if let Err(error) = self.store.apply(change).await {
            tracing::warn!(key = %record.key, %error, "the index entry of a missing replica could not be dropped");
        }
    }
}
