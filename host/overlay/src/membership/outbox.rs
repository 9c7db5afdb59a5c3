//! What the SWIM state machine asks for: packets to send, timers to set, changes to the members. Collected here, and
//! performed by the task.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::members::Liveness;
use foca::{BroadcastHandler, Invalidates, Notification, Runtime, Timer};
use tokio::time::Instant;
use tracing::{info, warn};

use super::identity::Identity;
use super::packet::Packet;
use super::status::{StatusError, StatusNote};
use super::table::{Heard, Shared};

/// Collects what the state machine asks for.
pub(super) struct Outbox {
    table: Shared,
    sends: Vec<(Identity, Bytes)>,
    /// By due time; the number keeps timers of the same time distinct and in order.
    timers: BTreeMap<(Instant, u64), Timer<Identity>>,
    timers_made: u64,
    left_alone: bool,
}

impl Outbox {
    pub(super) fn new(table: Shared) -> Self {
        Self {
            table,
            sends: Vec::new(),
            timers: BTreeMap::new(),
            timers_made: 0,
            left_alone: false,
        }
    }

    pub(super) fn send(&mut self, to: Identity, packet: &Packet<'_>) {
        self.sends.push((to, packet.to_bytes()));
    }

    pub(super) fn take_sends(&mut self) -> Vec<(Identity, Bytes)> {
        std::mem::take(&mut self.sends)
    }

    /// Drops every timer: the state machine that set them no longer exists.
    pub(super) fn forget_timers(&mut self) {
        self.timers.clear();
    }

    /// Whether the last living member was lost since the last call.
    pub(super) fn take_left_alone(&mut self) -> bool {
        std::mem::take(&mut self.left_alone)
    }

    /// When the next timer is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next timer that is due, in order.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer<Identity>> {
        let first = self.timers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

impl Runtime<Identity> for Outbox {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        let now = Instant::now();
        match notification {
            Notification::MemberUp(member) => {
                info!(node = %member.node, name = %member.name, address = %member.address, "a member is up");
                self.table.lock().see(member, Liveness::Alive, now);
            }
            Notification::MemberDown(member) => {
                info!(node = %member.node, name = %member.name, address = %member.address, "a member is gone");
                self.table.lock().see(member, Liveness::Gone, now);
            }
            Notification::Rename(_, member) => self.table.lock().rename(member, now),
            // From here on the state machine ignores every timer that it set before. Dropping them bounds their number,
            // however often this happens.
            Notification::Idle => {
                self.timers.clear();
                self.left_alone = true;
            }
            Notification::Rejoin(me) => {
                warn!(name = %me.name, "other nodes declared this node dead; it rejoins");
                self.timers.clear();
                self.table.lock().renewed(me, now);
            }
            Notification::Defunct => {
                info!("this node no longer takes part in membership");
                self.timers.clear();
            }
            Notification::Active => {}
        }
    }

    fn send_to(&mut self, to: Identity, packet: &[u8]) {
        self.send(to, &Packet::Swim(packet));
    }

    fn submit_after(&mut self, event: Timer<Identity>, after: Duration) {
        let at = Instant::now() + after;
        self.timers.insert((at, self.timers_made), event);
        self.timers_made += 1;
    }
}

/// Spreads statuses with the protocol's packets: new ones are passed on, known ones are not.
pub(super) struct StatusNews(pub(super) Shared);

/// The subject of a status that is being spread: a later status of the same node replaces it.
pub(super) struct About(NodeId);

impl Invalidates for About {
    fn invalidates(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl BroadcastHandler<Identity> for StatusNews {
    type Key = About;
    type Error = StatusError;

    fn receive_item(
        &mut self,
        item: &[u8],
        sender: Option<&Identity>,
    ) -> Result<Option<About>, StatusError> {
        let (node, status) = StatusNote::from_bytes(item)?.read()?;
        // Without a sender, this node itself asked to spread it.
        let hear = || self.0.lock().hear(node, status, Instant::now());
        let news = sender.is_none() || hear() != Heard::Known;
        Ok(news.then_some(About(node)))
    }
}
