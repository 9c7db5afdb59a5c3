//! `Timings`: how long calls and streams between nodes may take, and how often members gossip.

use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Time limits and intervals of a node's overlay. The settings of the same names explain each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// `call.deadline`: a small call.
    pub call_deadline: Duration,
    /// `call.connect`: making a connection.
    pub call_connect: Duration,
    /// `search.probe_deadline`: a probe.
    pub search_probe_deadline: Duration,
    /// `read.stall`: the wait for the next bytes of content that is fetched.
    pub read_stall: Duration,
    /// `write.stall`: the wait for the next bytes of content that is sent.
    pub write_stall: Duration,
    /// `write.deadline`: making content durable.
    pub write_deadline: Duration,
    /// `node.shutdown`: calls that are under way when the server stops.
    pub node_shutdown: Duration,
    /// `gossip.interval`: the time between two rounds of gossip.
    pub gossip_interval: Duration,
    /// `gossip.probe_period`: the time between two probes of a member.
    pub gossip_probe_period: Duration,
    /// `gossip.probe_rtt`: the wait for an answer before others are asked to probe the member as well.
    pub gossip_probe_rtt: Duration,
    /// `gossip.suspect`: the time until a suspected member counts as gone.
    pub gossip_suspect: Duration,
    /// `gossip.forget`: the time until a member that is gone is forgotten.
    pub gossip_forget: Duration,
    /// `gossip.announce`: the time between two attempts to reach members that are gone.
    pub gossip_announce: Duration,
    /// `gossip.status`: the shortest time between two statuses that a node publishes.
    pub gossip_status: Duration,
}

impl Timings {
    /// The default timings.
    pub const DEFAULT: Self = Self {
        call_deadline: seconds(5),
        call_connect: seconds(2),
        search_probe_deadline: seconds(1),
        read_stall: seconds(10),
        write_stall: seconds(30),
        write_deadline: seconds(10),
        node_shutdown: seconds(10),
        gossip_interval: ms(250),
        gossip_probe_period: seconds(1),
        gossip_probe_rtt: ms(400),
        gossip_suspect: seconds(3),
        gossip_forget: seconds(60 * 60),
        gossip_announce: seconds(2),
        gossip_status: seconds(1),
    };
}

impl Default for Timings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
