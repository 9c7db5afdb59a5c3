//! The intervals of membership, derived from the timings: those of the state machine and those of the task.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Config, PeriodicParams};

use super::packet::SWIM_BYTES_MAX;
use crate::timings::Timings;

/// Members to which gossip goes in every interval, and which help to reach a silent one.
const FANOUT: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");
/// How often one node passes the same update on. If each of n nodes does so to members drawn at random, an update
/// misses one of them with a probability of about n / e^12.
const TRANSMISSIONS: NonZeroU8 = NonZeroU8::new(12).expect("12 is not 0");

/// The intervals of the task.
pub(super) struct Pace {
    /// Between two rounds.
    pub(super) interval: Duration,
    /// Between two attempts to reach nodes that are gone.
    pub(super) announce: Duration,
    /// The shortest time between two statuses that this node publishes.
    pub(super) status: Duration,
    /// Until a member that is gone is forgotten.
    pub(super) forget: Duration,
    /// Until a suspicion ends, whichever node raised it.
    pub(super) suspicion: Duration,
    /// Rounds without any packet after which a node considers itself cut off.
    pub(super) silent_rounds_max: u32,
}

impl Pace {
    pub(super) fn new(timings: &Timings) -> Self {
        let interval = positive(timings.gossip_interval);
        // As long as one silent member is given, counted from the probe that it missed.
        let patience = timings.gossip_probe_period + timings.gossip_suspect;
        let rounds = patience.as_millis() / interval.as_millis();
        Self {
            interval,
            announce: positive(timings.gossip_announce),
            status: timings.gossip_status,
            forget: timings.gossip_forget,
            // The node that raised the suspicion decides first, and has time to tell the others.
            suspicion: 3 * patience,
            silent_rounds_max: u32::try_from(rounds).unwrap_or(u32::MAX).max(2),
        }
    }
}

/// Timers of zero length would spin.
pub(super) fn positive(duration: Duration) -> Duration {
    duration.max(Duration::from_millis(1))
}

/// The configuration of the state machine.
pub(super) fn protocol(timings: &Timings) -> Config {
    let probe_period = timings.gossip_probe_period.max(Duration::from_millis(2));
    let periodic = |frequency, num_members| {
        Some(PeriodicParams {
            frequency: positive(frequency),
            num_members,
        })
    };
    Config {
        probe_period,
        // The protocol demands less than the period; half of it leaves the other half for indirect probes.
        probe_rtt: positive(timings.gossip_probe_rtt.min(probe_period / 2)),
        num_indirect_probes: FANOUT,
        max_transmissions: TRANSMISSIONS,
        suspect_to_down_after: positive(timings.gossip_suspect),
        // Forgotten by the table's own sweep instead, which is bounded by members, not by deaths.
        remove_down_after: None,
        max_packet_size: NonZeroUsize::new(SWIM_BYTES_MAX).expect("packets have a size"),
        notify_down_members: true,
        periodic_announce: periodic(timings.gossip_announce, NonZeroUsize::MIN),
        periodic_announce_to_down_members: None,
        periodic_gossip: periodic(timings.gossip_interval, FANOUT),
    }
}
