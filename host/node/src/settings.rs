//! `Settings`: everything that can be configured on a node except its identity and its addresses.
//!
//! Each setting is declared once, below: its field, name, meaning, default and range. The struct, its
//! `Default` and the table that the configuration reads, checks and prints all come from that one line.
//! Nothing here reads flags, the environment or files; the binary does that.

use std::time::Duration;

use dataverse_overlay::timings::Timings;
use dataverse_sandbox::CompileBounds;

pub mod setting;
pub mod value;

use dataverse_core::limits::{FACTOR_MAX, SEARCH_HITS_MAX};
use dataverse_sandbox::limits::{POLICY_COMPILE_MIB_DEFAULT, POLICY_COMPILE_SECONDS_DEFAULT};

use self::setting::{Setting, within};
use self::value::Value;
use crate::limits;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const HOUR: Duration = seconds(60 * 60);
const DAY: Duration = seconds(24 * 60 * 60);
const WEEK: Duration = seconds(7 * 24 * 60 * 60);

macro_rules! settings {
    ($($name:literal $field:ident: $kind:ty = $default:expr, $range:expr, $meaning:literal;)+) => {
        /// Every setting of the live driver. Byte counts end in `bytes`.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Settings {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] pub $field: $kind,)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl Settings {
            /// Name, meaning, parser and printer of each setting.
            pub const TABLE: &'static [Setting<Self>] = &[$(Setting {
                name: $name,
                meaning: $meaning,
                show: |settings| settings.$field.show(),
                read: |settings, text| {
                    settings.$field = within(text, $range)?;
                    Ok(())
                },
            },)+];
        }
    };
}

settings! {
    "search.hops" search_hops: u32 = 16, 0..=1_024,
        "maximum number of links that a search crosses";
    "search.fanout" search_fanout: u32 = 32, 1..=1_024,
        "maximum number of concurrent probes of one search";
    "search.probe_deadline" search_probe_deadline: Duration = Timings::DEFAULT.search_probe_deadline, ms(1)..=HOUR,
        "how long a node may take to answer a probe";
    "search.deadline" search_deadline: Duration = seconds(10), ms(1)..=HOUR,
        "how long a whole search may take";
    "search.budget" search_budget: u32 = 4_096, 1..=1_000_000,
        "maximum number of nodes that one search asks";
    "search.limit" search_limit: u32 = SEARCH_HITS_MAX, 1..=SEARCH_HITS_MAX,
        "maximum number of hits of a pattern search";
    "placement.radius" placement_radius: u32 = 8, 0..=1_024,
        "maximum number of links between the entry node and a replica";
    "write.deadline" write_deadline: Duration = Timings::DEFAULT.write_deadline, ms(1)..=HOUR,
        "how long a write may look for replicas after its body has arrived";
    "write.stall" write_stall: Duration = Timings::DEFAULT.write_stall, ms(1)..=HOUR,
        "an upload that sends nothing for this long is aborted";
    "write.min_replicas" write_min_replicas: u32 = 1, 1..=FACTOR_MAX,
        "durable copies needed before a write is acknowledged";
    "write.prepared" write_prepared: Duration = seconds(10 * 60), seconds(1)..=DAY,
        "how long prepared content waits for its commit before it is dropped";
    "read.revalidate_after" read_revalidate_after: Duration = seconds(3), ms(0)..=DAY,
        "how long a cached copy is served before a replica is asked whether it is current";
    "read.stall" read_stall: Duration = Timings::DEFAULT.read_stall, ms(1)..=HOUR,
        "a holder that sends nothing for this long is given up and the next one is tried";
    "repair.after" repair_after: Duration = seconds(60), ms(1)..=WEEK,
        "how long a holder may be unreachable before its files are re-replicated to other nodes";
    "repair.concurrent" repair_concurrent: u32 = 4, 1..=256,
        "maximum number of files that are re-replicated concurrently";
    "repair.bytes_per_second" repair_bytes_per_second: Option<u64> = Some(64 << 20), Some(1)..=Some(u64::MAX),
        "maximum number of bytes that re-replication copies per second";
    "verify.every" verify_every: Duration = DAY, ms(0)..=WEEK * 520,
        "content last verified longer ago than this is verified again while it is served";
    "scrub.every" scrub_every: Duration = DAY * 30, seconds(1)..=WEEK * 520,
        "how often a scrub starts, which verifies all content of the node";
    "scrub.bytes_per_second" scrub_bytes_per_second: Option<u64> = Some(8 << 20), Some(1)..=Some(u64::MAX),
        "maximum number of bytes of content that a scrub reads per second";
    "cache.capacity" cache_capacity_bytes: Option<u64> = None, None..=Some(u64::MAX),
        "maximum number of bytes of cached copies; if unset, whatever replicas leave free";
    "call.deadline" call_deadline: Duration = Timings::DEFAULT.call_deadline, ms(1)..=HOUR,
        "how long a small call to another node may take";
    "call.connect" call_connect: Duration = Timings::DEFAULT.call_connect, ms(1)..=HOUR,
        "how long it may take to connect to another node";
    "limit.requests" limit_requests: u32 = 1_024, 1..=1_000_000,
        "HTTP requests handled concurrently; more are refused with 503";
    "limit.connections" limit_connections: u32 = limits::HTTP_CONNECTIONS_DEFAULT, 1..=1_000_000,
        "HTTP connections open at once, at most a quarter of the files that the system lets the node open; when all are taken, idle ones are closed for new ones, and health, readiness and metrics are still answered";
    "limit.head" limit_head: Duration = ms(limits::HTTP_HEAD_MS_DEFAULT), ms(1)..=HOUR,
        "how long the head of an HTTP request may take to arrive";
    "limit.uploads" limit_uploads: u32 = 256, 1..=1_000_000,
        "uploads received concurrently; more are refused with 429";
    "limit.upload_rate" limit_upload_rate: u32 = 1_024, 0..=1_000_000_000,
        "bytes per second that an upload (on average over a minute), or content from another node, must bring; slower ones are given up; 0 allows any";
    "limit.searches" limit_searches: u32 = 256, 1..=1_000_000,
        "client searches run concurrently; more are refused with 429";
    "limit.peer_calls" limit_peer_calls: u32 = 2_048, 1..=1_000_000,
        "small calls from other nodes answered concurrently, and as many streams of content, at most half of them with one node; more are asked to try again later";
    "announce.hops" announce_hops: u32 = 32, 0..=1_024,
        "maximum number of links that an announcement of a file crosses";
    "reconcile.every" reconcile_every: Duration = seconds(60), ms(100)..=DAY,
        "how often a node compares with each other node the files that both should hold";
    "reconcile.survey" reconcile_survey: Duration = HOUR, ms(100)..=WEEK * 4,
        "how often it also looks for files that both have although no layout says so";
    "tombstone.keep" tombstone_keep: Duration = DAY * 30, seconds(1)..=WEEK * 520,
        "how long a deletion is remembered, counted while the node runs; a node that was down for half of this verifies its copies before they count";
    "link.retry_min" link_retry_min: Duration = ms(250), ms(1)..=HOUR,
        "first pause before a broken link is retried; the pause doubles with each retry";
    "link.retry_max" link_retry_max: Duration = seconds(30), ms(1)..=DAY,
        "longest pause between two retries of a broken link";
    "link.check" link_check: Duration = seconds(5), ms(1)..=HOUR,
        "how often a link that is up is checked";
    "gossip.interval" gossip_interval: Duration = Timings::DEFAULT.gossip_interval, ms(1)..=HOUR,
        "how often gossip about members is passed on";
    "gossip.probe_period" gossip_probe_period: Duration = Timings::DEFAULT.gossip_probe_period, ms(2)..=HOUR,
        "how often a member is probed for a sign of life";
    "gossip.probe_rtt" gossip_probe_rtt: Duration = Timings::DEFAULT.gossip_probe_rtt, ms(1)..=HOUR,
        "how long a probed member may take to answer before other members are asked to probe it";
    "gossip.suspect" gossip_suspect: Duration = Timings::DEFAULT.gossip_suspect, ms(1)..=DAY,
        "how long a silent member is suspected before it counts as gone";
    "gossip.forget" gossip_forget: Duration = Timings::DEFAULT.gossip_forget, seconds(1)..=WEEK,
        "how long a member that is gone is remembered as gone";
    "gossip.announce" gossip_announce: Duration = Timings::DEFAULT.gossip_announce, ms(1)..=HOUR,
        "how often members that are gone are contacted again, so that a split network reunites";
    "gossip.status" gossip_status: Duration = Timings::DEFAULT.gossip_status, ms(1)..=HOUR,
        "shortest pause between two broadcasts of this node's status";
    "policies.debounce" policies_debounce: Duration = ms(200), ms(1)..=HOUR,
        "changes in the policies folder take effect once nothing in it has changed for this long";
    "policies.rescan" policies_rescan: Duration = seconds(10), ms(10)..=HOUR,
        "how often the policies folder is read even if the system reports no change";
    "policies.start" policies_start: Duration = seconds(2), ms(0)..=HOUR,
        "how long a starting node waits for its policies; after that the native baselines decide until the policies are ready";
    "policies.compile_time" policies_compile_time: Duration = seconds(POLICY_COMPILE_SECONDS_DEFAULT), seconds(1)..=HOUR,
        "processor time that compiling one policy may take, in whole seconds";
    "policies.compile_memory" policies_compile_memory_bytes: Option<u64> = Some(POLICY_COMPILE_MIB_DEFAULT << 20), Some(64 << 20)..=Some(1 << 40),
        "memory that compiling one policy may take, in whole MiB";
    "recording.names" record_names: bool = false, false..=true,
        "whether a recording contains the names of files and not only their ids";
    "recording.bytes" record_bytes: Option<u64> = Some(256 << 20), Some(1_000)..=Some(u64::MAX),
        "size at which a recording is rotated: renamed to FILE.1, and a new one begun";
    "recording.files" record_files: u32 = 4, 0..=1_000,
        "number of rotated recordings that are kept";
    "node.shutdown" node_shutdown: Duration = Timings::DEFAULT.node_shutdown, ms(0)..=HOUR,
        "how long a stopping node waits for requests and transfers in flight";
}

impl Settings {
    /// The timings that the overlay uses.
    #[must_use]
    pub const fn timings(&self) -> Timings {
        Timings {
            call_deadline: self.call_deadline,
            call_connect: self.call_connect,
            search_probe_deadline: self.search_probe_deadline,
            read_stall: self.read_stall,
            write_stall: self.write_stall,
            write_deadline: self.write_deadline,
            node_shutdown: self.node_shutdown,
            gossip_interval: self.gossip_interval,
            gossip_probe_period: self.gossip_probe_period,
            gossip_probe_rtt: self.gossip_probe_rtt,
            gossip_suspect: self.gossip_suspect,
            gossip_forget: self.gossip_forget,
            gossip_announce: self.gossip_announce,
            gossip_status: self.gossip_status,
        }
    }

    /// Bounds on the resources that compiling one policy may take.
    #[must_use]
    pub fn compile_bounds(&self) -> CompileBounds {
        let bytes = self.policies_compile_memory_bytes.unwrap_or(u64::MAX);
        CompileBounds {
            cpu_seconds: self.policies_compile_time.as_secs().max(1),
            memory_mib: bytes >> 20,
        }
    }

    /// The first pair of settings that contradict each other, as a sentence.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        if self.link_retry_min > self.link_retry_max {
            return Some(format!(
                "link.retry_min ({}) must not be longer than link.retry_max ({})",
                self.link_retry_min.shown(),
                self.link_retry_max.shown()
            ));
        }
        if self.gossip_probe_rtt >= self.gossip_probe_period {
            return Some(format!(
                "gossip.probe_rtt ({}) must be shorter than gossip.probe_period ({}), the pause between two probes",
                self.gossip_probe_rtt.shown(),
                self.gossip_probe_period.shown()
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_in_its_own_range_and_reads_back() {
        let defaults = Settings::default();
        for setting in Settings::TABLE {
            let mut read = Settings::default();
            if let Some(text) = (setting.show)(&defaults) {
                assert_eq!((setting.read)(&mut read, &text), Ok(()), "{}", setting.name);
            }
            assert_eq!(read, defaults, "{}", setting.name);
        }
        assert_eq!(defaults.contradiction(), None);
    }

    #[test]
    fn names_are_unique_and_every_one_has_a_table() {
        let mut names: Vec<_> = Settings::TABLE.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Settings::TABLE.len());
        assert!(names.iter().all(|name| name.split('.').count() == 2));
    }

    #[test]
    fn settings_that_contradict_each_other_are_named() {
        let check = |change: fn(&mut Settings), name: &str| {
            let mut settings = Settings::default();
            change(&mut settings);
            let sentence = settings.contradiction().expect("they contradict");
            assert!(sentence.contains(name), "{sentence}");
        };
        check(|s| s.link_retry_min = HOUR, "link.retry_min");
        check(|s| s.gossip_probe_rtt = HOUR, "gossip.probe_rtt");
    }
}
