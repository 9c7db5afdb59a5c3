//! The kind of world that a seed determines: how large, how busy, and what goes wrong in it.

use std::time::Duration;

use dataverse_node::settings::Settings;

use crate::chance::Chance;
use crate::lying::Subject;

/// From this seed on, the lying node of a rough run also makes up records. Smaller seeds are what they always were.
pub const FORGED_FROM: u64 = 1_000_000;

/// From this seed on, one node lies in every kind of message, in calm runs as well.
pub const LIARS_FROM: u64 = 2_000_000;

/// The weather of a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sky {
    /// Messages are only delayed, reordered and duplicated: every announcement arrives.
    Calm,
    /// Everything in the profile goes wrong.
    Rough,
}

/// The parameters of a run. Rates are in cases of 1000.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How bad it gets.
    pub sky: Sky,
    /// Nodes.
    pub nodes: usize,
    /// Links beyond those that make the graph connected.
    pub more_links: usize,
    /// Files, which are written repeatedly.
    pub keys: usize,
    /// Capacity of a node in bytes.
    pub capacity: u64,
    /// The number of steps.
    pub steps: usize,
    /// Maximum pause between two steps.
    pub pause_ms: u64,
    /// Maximum delay of a message.
    pub delay_ms: u64,
    /// Calls of which a part is lost.
    pub loss: u64,
    /// Requests that arrive twice.
    pub doubled: u64,
    /// Calls that continue at the server when the caller gives up.
    pub goes_on: u64,
    /// Steps that cut links in both directions.
    pub cuts: u64,
    /// Steps that cut links in one direction.
    pub one_way: u64,
    /// Steps that silence a node.
    pub silences: u64,
    /// Steps that crash a node.
    pub crashes: u64,
    /// Steps that set a clock.
    pub jumps: u64,
    /// Steps that make or cut a link.
    pub links: u64,
    /// Fetches from the lying node that return a wrong byte.
    pub lies: u64,
    /// Questions about a file after which the lying node announces something that does not exist.
    pub forges: u64,
    /// What the lying node lies about in its messages.
    pub lies_about: Vec<Subject>,
    /// Messages in which it does, for each subject.
    pub untruths: u64,
    /// Maximum extra delay of messages of the slow node.
    pub slow_ms: u64,
    /// Whether one node is lost for good during the run.
    pub loses_a_node: bool,
    /// Whether another is lost, after there was time to re-replicate.
    pub loses_another: bool,
    /// Maximum duration of a store's commit.
    pub commit_ms: u64,
    /// Steps that flip a bit of a replica on a disk.
    pub rots: u64,
    /// Steps that drain a node or end its drain.
    pub drains: u64,
    /// Nodes do not say that a write is pending, as if conditions were judged and nobody kept the others out: the
    /// check of the histories must notice.
    pub hides_pending_writes: bool,
}

impl Profile {
    /// The profile of this seed. Every fourth seed is calm.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "profile");
        let rough = !seed.is_multiple_of(4);
        // Each fault is absent in half of the runs, so that faults occur alone and together.
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
            forges: 0,
            lies_about: Vec::new(),
            untruths: 0,
            slow_ms,
            loses_a_node,
            loses_another: false,
            commit_ms: *chance.pick(&[0, 3, 30]),
            rots: 0,
            drains: 0,
            hides_pending_writes: false,
        };
        let mut rate = |at_most: u64| match rough && chance.permille(500) {
            true => chance.between(1, at_most),
            false => 0,
        };
        (profile.rots, profile.drains) = (rate(60), rate(60));
        profile.loses_another = profile.loses_a_node && chance.permille(500);
        if rough && seed >= FORGED_FROM {
            profile.forges = chance.between(1, 300);
        }
        if seed >= LIARS_FROM {
            profile.lies_about = Subject::some(&mut chance);
            profile.untruths = *chance.pick(&[50, 300, 900, 1_000]);
            if profile.lies(Subject::Holdings) {
                // A deletion that the liar made up and then says to hold is one that it wrote: it may delete files.
                profile.forges = 0;
            }
            if profile.shifts_clocks() {
                // Clocks must be within ten minutes of each other, and a lie may add nearly all of them.
                profile.jumps = 0;
            }
        }
        profile
    }

    /// Whether a node lies about stamps, so that the others' clocks get ahead.
    #[must_use]
    pub fn shifts_clocks(&self) -> bool {
        let mut subjects = self.lies_about.iter();
        subjects.any(|subject| *subject != Subject::Neighbours)
    }

    /// Whether a node lies about this.
    #[must_use]
    pub fn lies(&self, about: Subject) -> bool {
        self.lies_about.contains(&about)
    }

    /// The profile of this seed for a race: few files and many faults, but no lost node, no bad copy and no operator
    /// that cuts links, because then the network may be two on purpose. Clocks agree, except in every fifth seed.
    #[must_use]
    pub fn racing(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "racing profile");
        let rough = !seed.is_multiple_of(4);
        let mut rate = |at_most: u64| match rough && chance.permille(500) {
            true => chance.between(1, at_most),
            false => 0,
        };
        let (loss, cuts, one_way, silences) = (rate(60), rate(80), rate(80), rate(60));
        let (crashes, drains, slow_ms) = (rate(100), rate(60), rate(400));
        let jumps = if seed.is_multiple_of(5) { 40 } else { 0 };
        Self {
            sky: if rough { Sky::Rough } else { Sky::Calm },
            nodes: chance.between(3, 6) as usize,
            more_links: chance.below(5) as usize,
            keys: chance.between(1, 3) as usize,
            capacity: 64 << 20,
            steps: chance.between(40, 100) as usize,
            pause_ms: *chance.pick(&[50, 200, 800]),
            delay_ms: *chance.pick(&[1, 10, 60]),
            loss,
            doubled: chance.below(60),
            goes_on: *chance.pick(&[0, 300, 1_000]),
            cuts,
            one_way,
            silences,
            crashes,
            jumps,
            links: 0,
            lies: 0,
            slow_ms,
            loses_a_node: false,
            loses_another: false,
            commit_ms: *chance.pick(&[0, 3, 30]),
            rots: 0,
            drains,
            forges: 0,
            lies_about: Vec::new(),
            untruths: 0,
            hides_pending_writes: false,
        }
    }
}

/// The settings of every node: the defaults, except those that would make a run wait for long, and gossip, which
/// makes up most of the messages.
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
