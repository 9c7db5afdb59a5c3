//! The task that runs the SWIM state machine: feeds it packets and time, carries out what it wants.
//!
//! Everything between two waits is synchronous. Packets go out in tasks of their own, bounded in number
//! and time; losing one is nothing that the protocol could not bear.

use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::limits::{GOSSIP_SENDS_MAX, STATUS_ASKS_MAX};
use dataverse_core::search::Peer;
use foca::{Config, Foca, PeriodicParams, State};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, trace, warn};

use super::identity::Identity;
use super::outbox::{Outbox, StatusNews};
use super::packet::{GuardedCodec, Packet, PacketError, SWIM_BYTES_MAX};
use super::status::{MemberState, Status, StatusNote};
use super::table::Shared;
use crate::settings::Settings;
use crate::transport::{Message, Sender, Transport};

/// Members to which news goes in every interval, and which help to reach a silent one.
const FANOUT: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");
/// How often one node passes the same news on.
const TRANSMISSIONS: NonZeroU8 = NonZeroU8::new(10).expect("10 is not 0");
/// Tries of gone nodes to one question for all members: its answer is long, and news spreads without it.
const TRIES_A_FEED: u32 = 5;
/// Nodes that together try one that is gone, in each interval, however many nodes there are.
const HEALERS: usize = 3;

/// How packets leave.
pub(super) struct Wire {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) sender: Arc<dyn Fn() -> Sender + Send + Sync>,
}

/// What others hand in to the task.
pub(super) struct Mailbox {
    pub(super) packets: mpsc::Receiver<Bytes>,
    pub(super) announces: mpsc::Receiver<Peer>,
    pub(super) own: watch::Receiver<Option<Status>>,
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
    wire: Wire,
    revision: watch::Sender<u64>,
    sends: JoinSet<()>,
    /// What was last told of this node, and when.
    told: Option<(Status, Instant)>,
    started_ms: u64,
    chance: StdRng,
    pace: Pace,
}

struct Pace {
    interval: Duration,
    announce: Duration,
    status: Duration,
    forget: Duration,
    send: Duration,
}

impl Swim {
    pub(super) fn new(
        me: Identity,
        settings: &Settings,
        wire: Wire,
        table: Shared,
        revision: watch::Sender<u64>,
        seed: u64,
    ) -> Self {
        let started_ms = me.epoch_ms;
        let mut chance = StdRng::seed_from_u64(seed);
        let config = config(settings);
        Self {
            foca: machine(me, &config, &table, &mut chance),
            config,
            outbox: Outbox::new(table.clone()),
            table,
            wire,
            revision,
            sends: JoinSet::new(),
            told: None,
            started_ms,
            chance,
            pace: Pace {
                interval: positive(settings.gossip_interval),
                announce: positive(settings.gossip_announce),
                status: settings.gossip_status,
                forget: settings.gossip_forget,
                send: positive(settings.gossip_probe_period),
            },
        }
    }

    /// Runs until told to leave or to stop.
    pub(super) async fn run(mut self, mut mail: Mailbox) {
        let mut round = ticking(self.pace.interval);
        let mut heal = ticking(self.pace.announce);
        loop {
            let due = self.outbox.due();
            tokio::select! {
                () = mail.stop.cancelled() => return,
                () = mail.leave.cancelled() => return self.leave().await,
                Some(packet) = mail.packets.recv() => self.take_in(&packet),
                Some(peer) = mail.announces.recv() => self.announce(Identity::of(&peer, 0)),
                () = until(due) => self.fire_timers(),
                _ = round.tick() => self.round(&mail.own.borrow()),
                _ = heal.tick() => self.heal(),
                Some(_) = self.sends.join_next() => {}
            }
            if self.outbox.take_left_alone() {
                self.begin_anew();
            }
            self.dispatch();
            if self.table.lock().take_changed() {
                self.revision.send_modify(|revision| *revision += 1);
            }
        }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        if let Err(error) = self.read(bytes) {
            metrics::counter!("dataverse_gossip_refused_total").increment(1);
            debug!(%error, "a membership packet was not taken in");
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), PacketError> {
        match Packet::from_bytes(bytes)? {
            Packet::Swim(packet) => self.foca.handle_data(packet, &mut self.outbox)?,
            Packet::Ask { from, status } => {
                status.map_or(Ok(()), |status| self.hear(status))?;
                let asker = self.table.lock().living(NodeId::from_bytes(from));
                if let (Some((asker, _)), Some(own)) = (asker, self.own_note()) {
                    self.outbox.send(asker, &Packet::Tell(own));
                }
            }
            Packet::Tell(status) => self.hear(status)?,
        }
        Ok(())
    }

    /// Takes in what a node told us alone.
    fn hear(&mut self, note: StatusNote) -> Result<(), PacketError> {
        let (node, status) = note.read()?;
        let stamp = status.stamp();
        let mut table = self.table.lock();
        table.hear(node, status, Instant::now());
        // Where a later one is known its clock went back; told of that, it speaks under a later stamp.
        if let Some((member, Some(known))) = table.living(node)
            && stamp < known.stamp()
        {
            let later = StatusNote::new(node, &known);
            self.outbox.send(member, &Packet::Tell(later));
        }
        Ok(())
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

    /// What is looked after in every interval: the table, the own status, those of others.
    fn round(&mut self, own: &Option<Status>) {
        let now = Instant::now();
        let known = self.foca.iter_membership_state();
        let known = known.map(|member| (member.id(), seen_as(member.state())));
        self.table.lock().agree(known, now);
        self.forget(now);
        if let Some(own) = own {
            self.tell(own, now);
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

    /// Spreads the own status if it changed, or if others know a later one from before a clock went back.
    fn tell(&mut self, own: &Status, now: Instant) {
        let heard = self.table.lock().own_stamp_heard();
        let stamp = match &self.told {
            None => heard.max(Some((self.started_ms, 0))),
            Some((told, _)) if heard > Some(told.stamp()) => heard,
            Some((told, at)) => {
                let same = own.clone().stamped(told.stamp()) == *told;
                (!same && now >= *at + self.pace.status).then(|| told.stamp())
            }
        };
        let Some((started_ms, counter)) = stamp else {
            return;
        };
        let status = own.clone().stamped((started_ms, counter.saturating_add(1)));
        let note = StatusNote::new(self.foca.identity().node, &status);
        self.told = Some((status, now));
        let outcome = self.foca.add_broadcast(&note.to_bytes());
        report(outcome.map(|_| ()), "telling the own status");
    }

    fn own_note(&self) -> Option<StatusNote> {
        let (told, _) = self.told.as_ref()?;
        Some(StatusNote::new(self.foca.identity().node, told))
    }

    /// Tries nodes that are gone: they may be back, or the network was split. A node that is left alone
    /// always tries; where many are alive a few do, whichever, so that the effort stays the same.
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

    /// Nobody answers any more: then it is as likely that this node was cut off as that all others died.
    /// What it believes of them is void and must not be spread when they are back, so the state machine
    /// starts over. The table still shows them as gone and is where to try them from.
    fn begin_anew(&mut self) {
        let me = self.foca.identity().clone();
        self.foca = machine(me, &self.config, &self.table, &mut self.chance);
        if let Some(own) = self.own_note() {
            let outcome = self.foca.add_broadcast(&own.to_bytes());
            report(outcome.map(|_| ()), "telling the own status again");
        }
    }

    fn dispatch(&mut self) {
        for (to, packet) in self.outbox.take_sends() {
            while self.sends.try_join_next().is_some() {}
            if self.sends.len() >= GOSSIP_SENDS_MAX {
                metrics::counter!("dataverse_gossip_dropped_total", "way" => "out").increment(1);
                continue;
            }
            let transport = Arc::clone(&self.wire.transport);
            let message = Message {
                sender: (self.wire.sender)(),
                body: packet,
            };
            let deadline = self.pace.send;
            self.sends.spawn(async move {
                let call = transport.gossip(&to.address, message);
                match time::timeout(deadline, call).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => trace!(%error, "a membership packet was not delivered"),
                    Err(_) => trace!(address = %to.address, "a membership packet took too long"),
                }
            });
        }
    }

    /// Says farewell and waits until it is said, for as long as one packet may take.
    async fn leave(mut self) {
        self.sends.shutdown().await;
        let outcome = self.foca.leave_cluster(&mut self.outbox);
        report(outcome, "leaving");
        self.dispatch();
        while self.sends.join_next().await.is_some() {}
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
        warn!(%error, what, "the membership protocol stumbled and goes on");
    }
}

fn seen_as(state: State) -> MemberState {
    match state {
        State::Alive => MemberState::Alive,
        State::Suspect => MemberState::Suspect,
        State::Down => MemberState::Gone,
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

/// Timers of no length would spin.
fn positive(duration: Duration) -> Duration {
    duration.max(Duration::from_millis(1))
}

fn config(settings: &Settings) -> Config {
    let probe_period = settings.gossip_probe_period.max(Duration::from_millis(2));
    let periodic = |frequency, num_members| {
        Some(PeriodicParams {
            frequency: positive(frequency),
            num_members,
        })
    };
    Config {
        probe_period,
        // The protocol demands less than the period; half of it leaves the other half to the indirect way.
        probe_rtt: positive(settings.gossip_probe_rtt.min(probe_period / 2)),
        num_indirect_probes: FANOUT,
        max_transmissions: TRANSMISSIONS,
        suspect_to_down_after: positive(settings.gossip_suspect),
        // Forgotten by the table's own sweep instead, which is bounded by members, not by deaths.
        remove_down_after: None,
        max_packet_size: NonZeroUsize::new(SWIM_BYTES_MAX).expect("packets have a size"),
        notify_down_members: true,
        periodic_announce: periodic(settings.gossip_announce * TRIES_A_FEED, NonZeroUsize::MIN),
        periodic_announce_to_down_members: None,
        periodic_gossip: periodic(settings.gossip_interval, FANOUT),
    }
}
