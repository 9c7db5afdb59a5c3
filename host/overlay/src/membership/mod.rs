//! Membership: which nodes exist, whether they are alive, and the status that each publishes.
//!
//! It runs the SWIM protocol (Das, Gupta, Motivala: *SWIM: Scalable Weakly-consistent Infection-style Process Group
//! Membership Protocol*, 2002) as the `foca` state machine, over our own gRPC port. The result serves liveness and
//! placement candidates. It is seconds late and may be wrong: searches never rely on it, and nothing is deleted because
//! of it.
//!
//! A packet from another node is passed to [`Membership::packet`] after the transport has checked its sender. The task
//! `swim` owns the state machine: it decodes the packet (`packet`, with the checks that bound what comes in), feeds it
//! to `foca`, and performs what `foca` asks for (`outbox`): packets to send (`sending`), timers, and changes to the
//! members in the `table`, which [`Membership::members`] reads without waiting. `identity` orders the appearances of a
//! node, `status` is what a node publishes, `pace` has all intervals.
//!
//! A node that was declared dead and hears of it rejoins under a renewed identity. Dropping the [`Membership`] ends its
//! task immediately; [`Membership::leave`] announces that the node leaves first.

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
use dataverse_core::id::NodeId;
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

/// What a node's membership starts with.
pub struct Beginning {
    /// Decides which of two runs of a node is the later. Take it from the hybrid logical clock, which survives
    /// restarts.
    pub started_ms: u64,
    /// The wall clock, for identities that are renewed.
    pub now: Now,
    /// Seed of the protocol's random choices.
    pub seed: u64,
}

/// The running membership of one node.
pub struct Membership {
    table: Shared,
    counters: Arc<Counters>,
    revision: watch::Receiver<u64>,
    own: watch::Sender<Option<PublishedStatus>>,
    packets: mpsc::Sender<(NodeId, Bytes)>,
    announces: mpsc::Sender<Peer>,
    leave: CancellationToken,
    stop: CancellationToken,
    task: TaskTracker,
}

impl Membership {
    /// Starts taking part as `me`, in the current runtime. It knows no other node until it
    /// [announces](Self::announce_to) itself to one, or one announces itself to it.
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

    /// Accepts a packet from this node. What it says of its own source must agree, or it is refused later. Never waits:
    /// when too many are queued, packets are dropped and counted.
    pub fn packet(&self, from: NodeId, packet: Bytes) {
        self.counters.packets_in.increment(1);
        if self.packets.try_send((from, packet)).is_err() {
            self.counters.packets_dropped.increment(1);
        }
    }

    /// Announces this node to another and asks it for the members that it knows. Call it for the other end of every
    /// link, when the link is made and whenever it is confirmed.
    pub fn announce_to(&self, peer: &Peer) {
        if self.announces.try_send(peer.clone()).is_err() {
            self.counters.packets_dropped.increment(1);
        }
    }

    /// Publishes the status of this node. A status equal to the last one is not sent again, and changes are sent every
    /// `gossip.status` at most. The stamp is set here.
    pub fn publish(&self, status: PublishedStatus) {
        let status = status.bounded();
        self.own.send_replace(Some(status));
    }

    /// Every other known member, in no particular order. Members that are gone are included until they are forgotten.
    #[must_use]
    pub fn members(&self) -> Arc<[MemberSeen]> {
        self.table.lock().members()
    }

    /// Changes whenever [`Self::members`] does.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    /// Announces that this node leaves, and stops. Takes at most as long as sending a packet may take.
    pub async fn leave(&self) {
        self.leave.cancel();
        self.task.wait().await;
    }

    /// Stops without an announcement; others will notice by its silence.
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
