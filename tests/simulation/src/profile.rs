//! What kind of a world a seed gives: how large, how busy, and what goes wrong in it.

use std::time::Duration;

use dataverse_node::settings::Settings;

use crate::chance::Chance;

/// The weather that a whole run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sky {
    /// Messages are late, out of order and doubled, and no more than that: whatever is announced arrives.
    Calm,
    /// Everything that the profile says goes wrong.
    Rough,
}

/// What a run is like. Rates are in cases of 1000.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How bad it gets.
    pub sky: Sky,
    /// Nodes.
    pub nodes: usize,
    /// Links beside those that make the graph whole.
    pub more_links: usize,
    /// Files that are written, over and over.
    pub keys: usize,
    /// Bytes of a node.
    pub capacity: u64,
    /// Things that happen.
    pub steps: usize,
    /// Between two of them at most.
    pub pause_ms: u64,
    /// On its way, a message takes so long at most.
    pub delay_ms: u64,
    /// Calls of which a part is lost.
    pub loss: u64,
    /// Asks that arrive twice.
    pub doubled: u64,
    /// Calls that go on where they are served when their asker gives up.
    pub goes_on: u64,
    /// Steps that are a cut, a one-way cut, a silence, a crash, a jump of a clock, a link made or cut.
    pub cuts: u64,
    /// See there.
    pub one_way: u64,
    /// See there.
    pub silences: u64,
    /// See there.
    pub crashes: u64,
    /// See there.
    pub jumps: u64,
    /// See there.
    pub links: u64,
    /// Fetches from the node that lies which come with a wrong byte.
    pub lies: u64,
    /// What a node that is slow adds to every message, at most.
    pub slow_ms: u64,
    /// Whether one node is lost for good on the way.
    pub loses_a_node: bool,
    /// Whether another one is, after there was time to repair.
    pub loses_another: bool,
    /// A commit of a store takes so long at most.
    pub commit_ms: u64,
    /// Steps in which a bit of a replica turns on its disk, or a node is emptied, or takes replicas again.
    pub rots: u64,
    /// See there.
    pub drains: u64,
}

impl Profile {
    /// What this seed gives. Every fourth seed is calm.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "profile");
        let rough = !seed.is_multiple_of(4);
        // Of each fault there is none in half of the runs, so that faults are met alone and together.
        let mut rate = |at_most: u64| match rough && chance.permille(500) {
            true => chance.between(1, at_most),
            false => 0,
        };
        let (loss, cuts, one_way, silences) = (rate(60), rate(60), rate(60), rate(50));
        let (crashes, jumps, links, lies) = (rate(80), rate(40), rate(40), rate(500));
        let (slow_ms, loses_a_node) = (rate(400), rate(1) > 0);
        let mut profile = Self {
            sky: if rough { Sky::Rough } else { Sky::Calm },
            nodes: chance.between(3, 8) as usize,
            more_links: chance.below(5) as usize,
            keys: chance.between(2, 6) as usize,
            capacity: *chance.pick(&[12 << 20, 64 << 20, 64 << 20]),
            steps: chance.between(60, 140) as usize,
            pause_ms: *chance.pick(&[200, 800, 2_000]),
            delay_ms: *chance.pick(&[1, 10, 60]),
            loss,
            doubled: chance.below(60),
            goes_on: *chance.pick(&[0, 300, 1_000]),
            cuts,
            one_way,
            silences,
            crashes,
            jumps,
            links,
            lies,
            slow_ms,
            loses_a_node,
            loses_another: false,
            commit_ms: *chance.pick(&[0, 3, 30]),
            rots: 0,
            drains: 0,
        };
        let mut rate = |at_most: u64| match rough && chance.permille(500) {
            true => chance.between(1, at_most),
            false => 0,
        };
        (profile.rots, profile.drains) = (rate(60), rate(60));
        profile.loses_another = profile.loses_a_node && chance.permille(500);
        profile
    }
}

/// How every node is set: as shipped, but for what would have a run wait long, and for gossip, which makes most of
/// the messages.
#[must_use]
pub fn settings() -> Settings {
    let seconds = Duration::from_secs;
    Settings {
        write_stall: seconds(6),
        write_deadline: seconds(6),
        write_prepared: seconds(30),
        read_stall: seconds(4),
        call_deadline: seconds(3),
        verify_every: seconds(60),
        link_retry_max: seconds(8),
        gossip_interval: Duration::from_millis(500),
        repair_after: seconds(15),
        reconcile_every: seconds(5),
        reconcile_survey: seconds(10),
        ..Settings::default()
    }
}
