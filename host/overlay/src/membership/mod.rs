//! Membership: which nodes there are, whether they live, and what they tell of themselves.
//!
//! The SWIM protocol (Das, Gupta, Motivala: *SWIM: Scalable Weakly-consistent Infection-style Process Group
//! Membership Protocol*, 2002) as the `foca` state machine runs it, over our own gRPC port. One task owns the
//! state machine; this face talks to it through bounded queues and reads what it found without waiting.
//!
//! What stands here is for liveness and for placement candidates. It is late by seconds and may be wrong;
//! a search never relies on it, and nothing is deleted because of it.
//!
//! A packet is handed in by [`Membership::packet`] once whoever carried it has checked its sender. A node
//! that was declared dead and hears of it comes back under a renewed identity by itself. Dropping the
//! [`Membership`] ends its task at once; [`Membership::leave`] says farewell first.

mod identity;
mod outbox;
mod pace;
mod packet;
mod sending;
mod status;
mod swim;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::limits::LINKS_MAX;
use dataverse_core::search::Peer;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::identity::Identity;
use self::sending::Wire;
pub use self::status::{MemberSeen, PublishedStatus};
use self::swim::{Mailbox, Swim};
use self::table::Shared;
use crate::clock::Now;
use crate::counters::Counters;
use crate::limits::GOSSIP_QUEUE_MAX;
use crate::timings::Timings;
use crate::transport::{Sender, Transport};

/// How a node begins to take part.
pub struct Beginning {
    /// Decides which of two lives of a node is the later: take it from the hybrid logical clock, which
    /// survives restarts.
    pub started_ms: u64,
    /// The wall clock, for identities that are renewed.
    pub now: Now,
    /// Of whatever the protocol leaves to chance.
    pub seed: u64,
}

/// The running membership of one node.
pub struct Membership {
    table: Shared,
    counters: Arc<Counters>,
    revision: watch::Receiver<u64>,
    own: watch::Sender<Option<PublishedStatus>>,
    packets: mpsc::Sender<Bytes>,
    announces: mpsc::Sender<Peer>,
    leave: CancellationToken,
    stop: CancellationToken,
    task: TaskTracker,
}

impl Membership {
    /// Starts taking part as `me`, in the runtime that this is called in. It knows nobody until it
    /// [announces](Self::announce_to) itself to somebody, or somebody to it.
    ///
    #[must_use]
    pub fn start(
        me: &Peer,
        beginning: Beginning,
        timings: &Timings,
        transport: Arc<dyn Transport>,
        sender: Arc<dyn Fn() -> Sender + Send + Sync>,
        counters: Arc<Counters>,
    ) -> Self {
        let wire = Wire {
            transport,
            sender,
            counters,
        };
        Self::start_over(me, beginning, timings, wire)
    }

    fn start_over(me: &Peer, beginning: Beginning, timings: &Timings, wire: Wire) -> Self {
        let Beginning {
            started_ms,
            now,
            seed,
        } = beginning;
        let me = Identity::own(me, started_ms, now);
        let table = Shared::new(me.clone());
        let (revisions, revision) = watch::channel(0);
        let (own, own_seen) = watch::channel(None);
        let (packets, packets_in) = mpsc::channel(GOSSIP_QUEUE_MAX);
        let (announces, announces_in) = mpsc::channel(LINKS_MAX);
        let (leave, stop) = (CancellationToken::new(), CancellationToken::new());
        let mail = Mailbox {
            packets: packets_in,
            announces: announces_in,
            own: own_seen,
            leave: leave.clone(),
            stop: stop.clone(),
        };
        let counters = Arc::clone(&wire.counters);
        let swim = Swim::new(me, timings, wire, table.clone(), revisions, seed);
        let task = TaskTracker::new();
        task.spawn(swim.run(mail));
        task.close();
        Self {
            table,
            counters,
            revision,
            own,
            packets,
            announces,
            leave,
            stop,
            task,
        }
    }

    /// Takes in a packet from another node. Never waits: under a flood packets are dropped and counted.
    pub fn packet(&self, packet: Bytes) {
        self.counters.packets_in.increment(1);
        if self.packets.try_send(packet).is_err() {
            self.counters.packets_dropped.increment(1);
        }
    }

    /// Makes this node known to another and asks it for the members that it knows. To be called for the
    /// other end of every link, when it is made and whenever it is confirmed.
    pub fn announce_to(&self, peer: &Peer) {
        if self.announces.try_send(peer.clone()).is_err() {
            self.counters.packets_dropped.increment(1);
        }
    }

    /// Says how this node is. What equals the last is not told again, what changes often is told every
    /// `gossip.status` at most; the stamp is set here.
    pub fn publish(&self, status: PublishedStatus) {
        let status = status.bounded();
        self.own.send_replace(Some(status));
    }

    /// Every other member that is known, those that are gone included until they are forgotten, in no order.
    #[must_use]
    pub fn members(&self) -> Arc<[MemberSeen]> {
        self.table.lock().members()
    }

    /// Changes whenever [`Self::members`] does.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    /// Tells others that this node goes, and stops. Takes as long as a packet may take, at most.
    pub async fn leave(&self) {
        self.leave.cancel();
        self.task.wait().await;
    }

    /// Stops without a word; others will find out.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.task.wait().await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
