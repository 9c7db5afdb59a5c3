//! `Timings`: how long calls and streams between nodes may take, and how often members gossip.

use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the overlay of one node goes by. The node's settings of the same names say what each means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// `call.deadline`: a small call.
    pub call_deadline: Duration,
    /// `call.connect`: a connection.
    pub call_connect: Duration,
    /// `search.probe_deadline`: a probe.
    pub search_probe_deadline: Duration,
    /// `read.stall`: the next bytes of content that is fetched.
    pub read_stall: Duration,
    /// `write.stall`: the next bytes of content that is sent.
    pub write_stall: Duration,
    /// `write.deadline`: making content durable.
    pub write_deadline: Duration,
    /// `node.shutdown`: calls under way when the server stops.
    pub node_shutdown: Duration,
    /// `gossip.interval`: between two rounds of gossip.
    pub gossip_interval: Duration,
    /// `gossip.probe_period`: between two probes of a member.
    pub gossip_probe_period: Duration,
    /// `gossip.probe_rtt`: until others are asked to probe it as well.
    pub gossip_probe_rtt: Duration,
    /// `gossip.suspect`: until a suspected member counts as gone.
    pub gossip_suspect: Duration,
    /// `gossip.forget`: until a member that is gone is forgotten.
    pub gossip_forget: Duration,
    /// `gossip.announce`: between two tries to reach members that are gone.
    pub gossip_announce: Duration,
    /// `gossip.status`: between two statuses of this node.
    pub gossip_status: Duration,
}

impl Timings {
    /// What a node uses unless told otherwise.
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
