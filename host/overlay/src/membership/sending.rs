//! Sends packets: each in a task of its own, bounded in number and in time. Losing one does no harm.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time;
use tracing::trace;

use crate::counters::Counters;
use crate::limits::GOSSIP_SENDS_MAX;
use crate::transport::{GossipPacket, Message, Sender, Transport, TransportExt};

/// What packets are sent with.
pub(super) struct Wire {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) sender: Arc<dyn Fn() -> Sender + Send + Sync>,
    pub(super) counters: Arc<Counters>,
}

/// Packets on their way.
pub(super) struct Sending {
    wire: Wire,
    deadline: Duration,
    under_way: JoinSet<()>,
}

impl Sending {
    pub(super) fn new(wire: Wire, deadline: Duration) -> Self {
        Self {
            wire,
            deadline,
            under_way: JoinSet::new(),
        }
    }

    /// Counts a packet that was refused.
    pub(super) fn refused(&self) {
        self.wire.counters.packets_refused.increment(1);
    }

    /// Sends a packet; drops it when too many are under way.
    pub(super) fn send(&mut self, address: Arc<str>, packet: Bytes) {
        while self.under_way.try_join_next().is_some() {}
        if self.under_way.len() >= GOSSIP_SENDS_MAX {
            self.wire.counters.packets_dropped.increment(1);
            return;
        }
        self.wire.counters.packets_out.increment(1);
        let transport = Arc::clone(&self.wire.transport);
        let message = Message {
            sender: (self.wire.sender)(),
            body: GossipPacket(packet),
        };
        let deadline = self.deadline;
        self.under_way.spawn(async move {
            match time::timeout(deadline, transport.ask(&address, message)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => trace!(%error, "a membership packet was not delivered"),
                Err(_) => trace!(%address, "a membership packet took too long"),
            }
        });
    }

    /// Waits until one more packet has been sent or has failed; `None` if none is under way.
    pub(super) async fn sent(&mut self) -> Option<()> {
        self.under_way.join_next().await.map(|_| ())
    }

    /// Aborts everything that is under way.
    pub(super) async fn abandon(&mut self) {
        self.under_way.shutdown().await;
    }
}
