//! What can be set on a node beside where it listens, with its defaults.

use std::time::Duration;

/// Every setting of the live driver. Durations end in what they bound, byte counts in `bytes`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `search.hops`: links a search crosses at most.
    pub search_hops: u32,
    /// `search.fanout`: probes of one search under way at once.
    pub search_fanout: u32,
    /// `search.probe_deadline`: how long one node may take to answer a probe.
    pub search_probe_deadline: Duration,
    /// `search.deadline`: how long a whole search may take.
    pub search_deadline: Duration,
    /// `search.budget`: nodes asked at most.
    pub search_budget: u32,
    /// `search.limit`: hits of a pattern search at most.
    pub search_limit: u32,
    /// `placement.radius`: links between the entry node and a replica at most.
    pub placement_radius: u32,
    /// `write.deadline`: how long a write may look for replicas after its body has arrived.
    pub write_deadline: Duration,
    /// `write.stall`: an upload from which nothing arrives for so long is ended.
    pub write_stall: Duration,
    /// `write.min_replicas`: durable copies without which a write is not acknowledged.
    pub write_min_replicas: u32,
    /// `write.prepared`: how long a preparation waits for its commit.
    pub write_prepared: Duration,
    /// `read.revalidate_after`: a cached copy is served this long without asking a replica.
    pub read_revalidate_after: Duration,
    /// `read.stall`: a holder from which nothing arrives for so long is given up.
    pub read_stall: Duration,
    /// `verify.every`: content that was last checked longer ago is checked while it is served.
    pub verify_every: Duration,
    /// `cache.capacity`: bytes of cached copies at most; what replicas leave free when `None`.
    pub cache_capacity_bytes: Option<u64>,
    /// `call.deadline`: how long a small call to another node may take.
    pub call_deadline: Duration,
    /// `call.connect`: how long a connection may take.
    pub call_connect: Duration,
    /// `announce.hops`: links that news crosses at most.
    pub announce_hops: u32,
    /// `link.retry_min`: the first pause before a broken link is tried again; doubles from there.
    pub link_retry_min: Duration,
    /// `link.retry_max`: the longest such pause.
    pub link_retry_max: Duration,
    /// `link.check`: how often a link that is up is confirmed.
    pub link_check: Duration,
    /// `gossip.interval`: how often news of members is passed on.
    pub gossip_interval: Duration,
    /// `gossip.probe_period`: how often a member is asked whether it lives.
    pub gossip_probe_period: Duration,
    /// `gossip.probe_rtt`: how long it may take to say so before others are asked to ask it.
    pub gossip_probe_rtt: Duration,
    /// `gossip.suspect`: how long a silent member is suspected before it counts as gone.
    pub gossip_suspect: Duration,
    /// `gossip.forget`: how long a member that is gone is remembered as gone.
    pub gossip_forget: Duration,
    /// `gossip.announce`: how often a member is asked for all that it knows, and nodes that are gone are
    /// tried, so that a split network finds together.
    pub gossip_announce: Duration,
    /// `gossip.status`: the shortest pause between two tellings of how this node is.
    pub gossip_status: Duration,
    /// `node.shutdown`: how long a stopping node waits for what is in flight.
    pub node_shutdown: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const fn ms(millis: u64) -> Duration {
            Duration::from_millis(millis)
        }
        Self {
            search_hops: 16,
            search_fanout: 32,
            search_probe_deadline: ms(1_000),
            search_deadline: ms(10_000),
            search_budget: 4_096,
            search_limit: 1_000,
            placement_radius: 8,
            write_deadline: ms(10_000),
            write_stall: ms(30_000),
            write_min_replicas: 1,
            write_prepared: ms(10 * 60 * 1_000),
            read_revalidate_after: ms(3_000),
            read_stall: ms(10_000),
            verify_every: ms(24 * 60 * 60 * 1_000),
            cache_capacity_bytes: None,
            call_deadline: ms(5_000),
            call_connect: ms(2_000),
            announce_hops: 32,
            link_retry_min: ms(250),
            link_retry_max: ms(30_000),
            link_check: ms(5_000),
            gossip_interval: ms(250),
            gossip_probe_period: ms(1_000),
            gossip_probe_rtt: ms(400),
            gossip_suspect: ms(3_000),
            gossip_forget: ms(60 * 60 * 1_000),
            gossip_announce: ms(2_000),
            gossip_status: ms(1_000),
            node_shutdown: ms(10_000),
        }
    }
}
