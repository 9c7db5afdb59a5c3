//! Performs a relayout. Copies, verifies, commits the greater layout, announces it.
//!
//! The core decides what a file needs (`Need`), placement which nodes take the copies. The new holders commit
//! first, then those that stay, this node last. So at every moment, whichever node dies, the holders of the old
//! layout still hold their copies, and the greater layout names only nodes that have the content. A holder that is
//! no longer named releases its copy itself, once every holder of the greater layout confirms its own (`release`).

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::policy::{FileView, PlacementRequest};
use dataverse_core::record::Record;
use dataverse_core::relayout::{Need, move_away};
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{Announcement, Refusal, TransportExt};
use dataverse_replication::protocol::{NotRelaid, Relayout};
use dataverse_replication::upkeep::{Added, Outcome, Rank, Task};
use tokio::time::Instant;

use super::perform::Means;
use crate::driver::Driver;
use crate::driver::client::preparing::{PrepareSource, Preparing, Ready};
use crate::limits;

impl Driver {
    /// Does what a file needs, on the nodes that placement ranks. Returns the number of copies made.
    pub(super) async fn relayout(
        &self,
        record: &Arc<Record>,
        need: &Need,
    ) -> Result<usize, NotRelaid> {
        let takers = self.takers_of(record, need.keep.clone()).await;
        if need.keep.len() + takers.len() < need.holders_min {
            return Err(NotRelaid::NoTaker {
                wanted: need.wanted,
                took: 0,
            });
        }
        let relayout = Relayout::new(self.me.id, Arc::clone(record), need.clone());
        self.relay(record, relayout, takers).await
    }

    /// Has the replica of `from` (this node or another holder) moved to a node that has none. This node must hold a
    /// replica itself, because it sends the content.
    ///
    /// # Errors
    /// [`Refusal`], with the reason.
    pub(in crate::driver) fn move_soon(
        &self,
        key: Key,
        from: NodeId,
        to: Peer,
    ) -> Result<(), Refusal> {
        let holding = self.state.node().holding(&key).cloned();
        let replica = holding.filter(|holding| holding.role == Role::Replica);
        let Some(record) = replica.map(|holding| holding.record) else {
            return Err(Refusal::Absent(format!(
                "{key} is not held as a replica here"
            )));
        };
        if move_away(&record, from, to.id).is_none() {
            return Ok(());
        }
        if !self.may_hold(to.id) {
            return Err(Refusal::Invalid(format!(
                "no replica can move to node {} now: it is not alive, or it is being drained",
                to.name
            )));
        }
        // A move towards a reader is never as urgent as a copy that is lacking. Another holder that asks to be
        // relieved lacks one.
        let copies = match from == self.me.id {
            true => usize::MAX,
            false => record.layout.holders.len() - 1,
        };
        let rank = Rank::of(copies, record.size);
        match self
            .state
            .backlog
            .add(Task::Move { record, from, to }, rank)
        {
            Added::Waiting | Added::Known => Ok(()),
            Added::Full => {
                let full = "too many replicas are moving on this node".to_owned();
                Err(Refusal::Busy(full))
            }
        }
    }

    /// Moves a replica as asked for, if the file is still held as it was then. If that fails, whoever asked does so
    /// again.
    pub(super) async fn move_replica(
        &self,
        record: &Arc<Record>,
        from: NodeId,
        to: &Peer,
    ) -> Outcome {
        let Some(need) = move_away(record, from, to.id) else {
            return Outcome::Done;
        };
        if !self.may_hold(to.id) {
            return Outcome::Done;
        }
        let relayout = Relayout::moving(self.me.id, Arc::clone(record), need, to.id);
        match self.relay(record, relayout, vec![to.clone()]).await {
            Ok(_) => {
                let from = self.name_of(from);
                tracing::info!(key = %record.key, %from, to = %to.name, "moved a replica");
            }
            Err(error) => {
                tracing::debug!(key = %record.key, to = %to.name, %error, "a replica was not moved");
            }
        }
        Outcome::Done
    }

    /// The nodes that could take a copy, best first; none that the layout already names.
    pub(super) async fn takers_of(&self, record: &Record, keep: Vec<NodeId>) -> Vec<Peer> {
        let request = PlacementRequest {
            file: FileView::of(&record.key, record.size),
            factor: record.factor,
            now: self.now(),
        };
        let ranked = self.ranked_peers(request, record.size, keep).await;
        let is_new = |peer: &Peer| peer.id != self.me.id && !record.layout.names(peer.id);
        ranked.into_iter().filter(is_new).collect()
    }

    async fn relay(
        &self,
        record: &Record,
        relayout: Relayout,
        takers: Vec<Peer>,
    ) -> Result<usize, NotRelaid> {
        let mut means = Means::of(&record.key);
        means.takers = takers;
        self.run(relayout, &mut means).await
    }

    /// Prepares the content on this many nodes: durable, but invisible. A tombstone has no content to copy.
    pub(super) async fn copy_to(
        &self,
        record: &Arc<Record>,
        wanted: usize,
        takers: Vec<Peer>,
    ) -> Vec<Ready> {
        if wanted == 0 || record.deleted {
            let ready = |peer| Ready {
                peer,
                preparation: None,
                known: None,
            };
            return takers.into_iter().take(wanted).map(ready).collect();
        }
        self.pace(record.size * wanted as u64).await;
        let held = self.state.node().holding(&record.key).cloned();
        let Some(holding) = held.filter(|held| held.record == *record) else {
            return Vec::new();
        };
        let preparing = Preparing::begin(
            self.shared(),
            record.key.clone(),
            Some(record.size),
            wanted,
            takers,
            PrepareSource::Held(holding),
        );
        let deadline = Instant::now() + Duration::from_millis(limits::RELAYOUT_MS_MAX);
        preparing.finish(record.digest, deadline).await.others
    }

    /// Announces a record to one node, which need not be a neighbour. Returns whether it heard.
    pub(in crate::driver) async fn tell(&self, id: NodeId, record: &Arc<Record>) -> bool {
        let Some(peer) = self.peer_of(id) else {
            return false;
        };
        let announcement = Announcement {
            record: Arc::clone(record),
            // On the other side of a healed partition, others hold the file under the lesser layout and have to
            // hear of it too.
            hops_left: self.settings.announce_hops,
        };
        let answer = self.transport.ask(&peer, self.message(announcement)).await;
        let heard = answer.and_then(|answer| self.answer_of(&peer, answer));
        if let Err(error) = &heard {
            tracing::debug!(key = %record.key, node = %peer.name, %error, "a node could not be told of a newer layout");
        }
        heard.is_ok()
    }
}
