//! The task that runs the SWIM state machine: feeds it packets and time, and performs what it asks for.
//!
//! Everything between two waits is synchronous. Packets are sent in tasks of their own, bounded in number and time; the
//! protocol tolerates the loss of any of them.

use std::time::Duration;

use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::members::Liveness;
use dataverse_core::search::Peer;
use foca::{Config, Foca, Member, State};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::identity::Identity;
use super::outbox::{Outbox, StatusNews};
use super::pace::{Pace, positive, protocol};
use super::packet::{GuardedCodec, Packet, PacketError, check_source, source_of};
use super::sending::{Sending, Wire};
use super::status::{PublishedStatus, StatusNote};
use super::table::{Heard, Shared};
use crate::limits::STATUS_ASKS_MAX;
use crate::timings::Timings;

/// Nodes that together try to reach one that is gone, in each interval, however many nodes there are.
const HEALERS: usize = 3;

/// What others send to the task.
pub(super) struct Mailbox {
    pub(super) packets: mpsc::Receiver<(NodeId, Bytes)>,
    pub(super) announces: mpsc::Receiver<Peer>,
    pub(super) own: watch::Receiver<Option<PublishedStatus>>,
    pub(super) leave: CancellationToken,
    pub(super) stop: CancellationToken,
}

type Machine = Foca<Identity, GuardedCodec, StdRng, StatusNews>;

/// The running protocol.
pub(super) struct Swim {
    foca: Machine,
    config: Config,
    outbox: Outbox,
    table: Shared,
    sending: Sending,
    revision: watch::Sender<u64>,
    /// The status of this node that was last published, and when.
    published: Option<(PublishedStatus, Instant)>,
    started_ms: u64,
    /// Rounds since any packet came. Counted in rounds, not in time: a node that was suspended as a whole must not take
    /// that for silence.
    silent_rounds: u32,
    chance: StdRng,
    pace: Pace,
}

impl Swim {
    pub(super) fn new(
        me: Identity,
        timings: &Timings,
        wire: Wire,
        table: Shared,
        revision: watch::Sender<u64>,
        seed: u64,
    ) -> Self {
        let started_ms = me.epoch_ms;
        let mut chance = StdRng::seed_from_u64(seed);
        let config = protocol(timings);
        Self {
            foca: machine(me, &config, &table, &mut chance),
            config,
            outbox: Outbox::new(table.clone()),
            table,
            sending: Sending::new(wire, positive(timings.gossip_probe_period)),
            revision,
            published: None,
            started_ms,
            silent_rounds: 0,
            chance,
            pace: Pace::new(timings),
        }
    }

    /// Runs until it is told to leave or to stop.
    pub(super) async fn run(mut self, mut mail: Mailbox) {
        let mut round = ticking(self.pace.interval);
        let mut heal = ticking(self.pace.announce);
        loop {
            let due = self.outbox.due();
            // Timers go first and are rare; then what this node itself has to say, which is little; packets from
            // others, of which there may be a flood, go last and hold up nothing.
            tokio::select! {
                biased;
                () = mail.stop.cancelled() => return,
                () = mail.leave.cancelled() => return self.leave().await,
                () = until(due) => self.fire_timers(),
                _ = round.tick() => self.round(&mail.own.borrow()),
                _ = heal.tick() => self.heal(),
                Some(()) = self.sending.sent() => {}
                Some(peer) = mail.announces.recv() => self.announce(Identity::of(&peer, 0)),
                Some((from, packet)) = mail.packets.recv() => self.take_in(from, &packet),
            }
            if self.outbox.take_left_alone() || self.is_cut_off() {
                self.begin_anew();
            }
            self.dispatch();
            if self.table.lock().take_changed() {
                self.revision.send_modify(|revision| *revision += 1);
            }
        }
    }

    fn take_in(&mut self, from: NodeId, bytes: &[u8]) {
        match self.read(from, bytes) {
            Ok(()) => self.silent_rounds = 0,
            Err(error) => {
                self.sending.refused();
                debug!(%error, "a membership packet was refused");
            }
        }
    }

    fn read(&mut self, sender: NodeId, bytes: &[u8]) -> Result<(), PacketError> {
        match Packet::from_bytes(bytes)? {
            Packet::Swim(packet) => {
                check_source(source_of(packet)?, sender)?;
                self.foca.handle_data(packet, &mut self.outbox)?;
            }
            Packet::Ask { from, status } => {
                check_source(NodeId::from_bytes(from), sender)?;
                status.map_or(Ok(()), |status| self.hear(status))?;
                let asker = self.table.lock().lifetime(NodeId::from_bytes(from));
                if let (Some((asker, _)), Some(own)) = (asker, self.own_note()) {
                    self.outbox.send(asker, &Packet::Tell(own));
                }
            }
            Packet::Tell(status) => self.hear(status)?,
        }
        Ok(())
    }

    /// Accepts a status that a node sent to this node alone.
    fn hear(&mut self, note: StatusNote) -> Result<(), PacketError> {
        let (node, status) = note.read()?;
        let stamp = status.stamp();
        let note = StatusNote::new(node, &status);
        let (heard, member) = {
            let mut table = self.table.lock();
            (
                table.hear(node, status, Instant::now()),
                table.lifetime(node),
            )
        };
        // A change must be passed on from here: the protocol does not pass on a status that is already known when
        // it comes again. The first status of a node is most likely old, and nodes that lack it ask for it.
        if heard == Heard::Later {
            self.spread(&note)?;
        }
        // If a later status is known, the node's clock went back; when it learns of that, it uses a later stamp.
        if let Some((member, Some(known))) = member
            && stamp < known.stamp()
        {
            let later = StatusNote::new(node, &known);
            self.outbox.send(member, &Packet::Tell(later));
        }
        Ok(())
    }

    fn spread(&mut self, note: &StatusNote) -> Result<(), foca::Error> {
        self.foca.add_broadcast(&note.to_bytes()).map(|_| ())
    }

    fn announce(&mut self, to: Identity) {
        let outcome = self.foca.announce(to, &mut self.outbox);
        report(outcome, "announcing");
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(timer) = self.outbox.take_due(now) {
            let outcome = self.foca.handle_timer(timer, &mut self.outbox);
            report(outcome, "a timer");
        }
    }

    /// The work of every interval: the table, the own status, the statuses of others.
    fn round(&mut self, own: &Option<PublishedStatus>) {
        let now = Instant::now();
        self.silent_rounds = self.silent_rounds.saturating_add(1);
        let known = self.foca.iter_membership_state();
        let known = known.map(|member| (member.id(), seen_as(member.state())));
        self.table.lock().agree(known, now);
        self.settle_suspicions(now);
        self.forget(now);
        if let Some(own) = own {
            self.publish(own, now);
        }
        let unheard = self.table.lock().take_unheard(now, STATUS_ASKS_MAX);
        for member in unheard {
            let ask = Packet::Ask {
                from: *self.foca.identity().node.as_bytes(),
                status: self.own_note(),
            };
            self.outbox.send(member, &ask);
        }
    }

    /// Declares nodes dead that were suspected for too long. The node that raised a suspicion normally does that,
    /// but if it rejoined or restarted its state machine in the meantime, it has forgotten the suspicion, and the
    /// others would suspect forever. A node that is alive hears of it and rejoins.
    fn settle_suspicions(&mut self, now: Instant) {
        let overdue = self.table.lock().suspected_for(self.pace.suspicion, now);
        if overdue.is_empty() {
            return;
        }
        let known = self.foca.iter_membership_state();
        let suspects = known.filter(|member| {
            member.state() == State::Suspect && overdue.contains(&member.id().node)
        });
        let dead = suspects.map(|member| {
            let identity = member.id().clone();
            Member::new(identity, member.incarnation(), State::Down)
        });
        let dead: Vec<_> = dead.collect();
        let outcome = self
            .foca
            .apply_many(dead.into_iter(), true, &mut self.outbox);
        report(outcome, "ending a suspicion");
    }

    fn forget(&mut self, now: Instant) {
        let forgotten = self.table.lock().forget(self.pace.forget, now);
        for identity in forgotten {
            let removal = foca::Timer::RemoveDown(identity);
            report(
                self.foca.handle_timer(removal, &mut self.outbox),
                "a removal",
            );
        }
    }

    /// Publishes the own status if it changed, or if others know a later one from before a clock went back.
    fn publish(&mut self, own: &PublishedStatus, now: Instant) {
        let heard = self.table.lock().own_stamp_heard();
        let stamp = match &self.published {
            None => heard.max(Some((self.started_ms, 0))),
            Some((last, _)) if heard > Some(last.stamp()) => heard,
            Some((last, at)) => {
                let same = own.clone().stamped(last.stamp()) == *last;
                (!same && now >= *at + self.pace.status).then(|| last.stamp())
            }
        };
        let Some((started_ms, counter)) = stamp else {
            return;
        };
        let status = own.clone().stamped((started_ms, counter.saturating_add(1)));
        let note = StatusNote::new(self.foca.identity().node, &status);
        self.published = Some((status, now));
        report(self.spread(&note), "publishing the own status");
    }

    fn own_note(&self) -> Option<StatusNote> {
        let (status, _) = self.published.as_ref()?;
        Some(StatusNote::new(self.foca.identity().node, status))
    }

    /// Tries to reach nodes that are gone: they may be back, or the network was split. A node that is alone always
    /// tries; when many are alive, a few of them do, chosen at random, so that the total effort stays the same.
    fn heal(&mut self) {
        let alive = self.foca.num_members();
        if alive > HEALERS && self.chance.random_range(0..alive) >= HEALERS {
            return;
        }
        let gone = self.table.lock().gone();
        let tries = if alive == 0 { HEALERS } else { 1 };
        let chosen: Vec<_> = gone.sample(&mut self.chance, tries).cloned().collect();
        for identity in chosen {
            self.announce(identity);
        }
    }

    /// Whether no packet has come for as long as a single silent member is given before it counts as gone.
    fn is_cut_off(&self) -> bool {
        self.foca.num_members() > 0 && self.silent_rounds >= self.pace.silent_rounds_max
    }

    /// Starts over when nobody answers any more. It is then more likely that this node was cut off than that all
    /// others died together. What the state machine believes of them is void and must not be spread when they are
    /// back, so it is replaced. The table shows them as gone and is where to try them from.
    fn begin_anew(&mut self) {
        warn!("no member answers any more; this node may be cut off from the network");
        let me = self.foca.identity().clone();
        self.silent_rounds = 0;
        self.outbox.forget_timers();
        self.table.lock().lose_all(Instant::now());
        self.foca = machine(me, &self.config, &self.table, &mut self.chance);
        if let Some(own) = self.own_note() {
            report(self.spread(&own), "publishing the own status again");
        }
    }

    fn dispatch(&mut self) {
        for (to, packet) in self.outbox.take_sends() {
            self.sending.send(to.address, packet);
        }
    }

    /// Announces that this node leaves, and waits until that is sent, for as long as one packet may take.
    async fn leave(mut self) {
        self.sending.abandon().await;
        let outcome = self.foca.leave_cluster(&mut self.outbox);
        report(outcome, "leaving");
        self.dispatch();
        while self.sending.sent().await.is_some() {}
    }
}

fn machine(me: Identity, config: &Config, table: &Shared, chance: &mut StdRng) -> Machine {
    Foca::with_custom_broadcast(
        me,
        config.clone(),
        StdRng::from_rng(chance),
        GuardedCodec(table.clone()),
        StatusNews(table.clone()),
    )
}

fn report(outcome: Result<(), foca::Error>, what: &'static str) {
    if let Err(error) = outcome {
        warn!(%error, what, "the membership protocol failed at a step and continues");
    }
}

fn seen_as(state: State) -> Liveness {
    match state {
        State::Alive => Liveness::Alive,
        State::Suspect => Liveness::Suspect,
        State::Down => Liveness::Gone,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn ticking(period: Duration) -> time::Interval {
    let mut interval = time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
