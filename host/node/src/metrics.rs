//! `Metrics`: the counters, gauges and histograms of a node, in Prometheus' text format.
//!
//! Each node owns its [`Metrics`]; nothing is global, because one process may run several nodes. The rest of the
//! node calls methods that say what happened; the names of the series are in this file and its folder and nowhere
//! else. `describe` holds the help texts, `registry` creates series, `scrub` holds those of scrub and healing,
//! `upkeep` those of upkeep, and `policies` renders those of policies. Nothing here decides anything.

mod describe;
mod policies;
mod registry;
mod scrub;
mod upkeep;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dataverse_core::holdings::Total;
use dataverse_overlay::counters::Counters;
use dataverse_replication::upkeep::{Counts, Kind};
use metrics::{Counter, Gauge, Histogram, Key, Label, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use registry::{METADATA, Registry};

pub use policies::{PolicyFigures, ShadowFigures, Swap};
pub use scrub::ScrubFigures;

const SECONDS_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
const HOPS_BUCKETS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0];
const PROBES_BUCKETS: &[f64] = &[
    0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0,
];

/// The API through which a client's request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// HTTP.
    Http,
    /// gRPC.
    Grpc,
}

impl Surface {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// What a read was served from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The node's own replica.
    Replica,
    /// The node's own cached copy: a cache hit.
    Cached,
    /// Another node: a cache miss.
    Remote,
}

/// The role of a copy made on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// A replica of a new version.
    Replica,
    /// A cached copy.
    Cached,
}

/// Outcome of a comparison with another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Both hold the same.
    Agreed,
    /// They hold different things.
    Differed,
    /// The other node did not answer, or gave an invalid answer.
    Failed,
}

/// What was done about a difference found by a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeUp {
    /// This node stored a greater record.
    Learned,
    /// A greater record was sent to the other node.
    Told,
    /// A missing replica was copied.
    Copied,
}

/// Outcome of verifying a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// The copy counts again.
    Trusted,
    /// The file was deleted or replaced by a greater version.
    Superseded,
    /// A holder no longer knows the file, so it was deleted and the deletion forgotten: the copy was quarantined.
    PutAside,
}

/// Direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To this node.
    In,
    /// From this node.
    Out,
}

/// The current size of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreSize {
    /// Files and bytes of replicas.
    pub replicas: Total,
    /// Files and bytes of cached copies.
    pub cached: Total,
    /// Bytes that the store may use.
    pub capacity_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
}

/// The counters, gauges and histograms of one node.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    http_bytes: [Counter; 2],
    grpc_bytes: [Counter; 2],
    peer_bytes: [Counter; 2],
    search_hops: Histogram,
    search_probes: Histogram,
    search_seconds: Histogram,
    reads: [Counter; 3],
    copies: [Counter; 2],
    writes: Counter,
    writes_degraded: Counter,
    evictions: Counter,
    evicted_bytes: Counter,
    overlay: Arc<Counters>,
    quarantined: Counter,
    reconcile_rounds: [Counter; 3],
    reconcile_buckets: Counter,
    reconcile_records: [Counter; 3],
    reconcile_bytes: [Counter; 2],
    copies_verified: [Counter; 3],
    repair_copies: Counter,
    repair_bytes: Counter,
    repair_waiting: Gauge,
    store_files: [Gauge; 2],
    store_bytes: [Gauge; 2],
    store_capacity: Gauge,
    store_free: Gauge,
    links: [Gauge; 4],
    problems: [Gauge; 2],
    scrub: scrub::ScrubMetrics,
    upkeep: upkeep::UpkeepMetrics,
    policies: OnceLock<PoliciesSource>,
}

/// Returns the current figures of a node's policies.
type PoliciesSource = Box<dyn Fn() -> Vec<PolicyFigures> + Send + Sync>;

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const IN_AND_OUT: [&str; 2] = ["in", "out"];
const REPLICA_AND_CACHED: [&str; 2] = ["replica", "cached"];

impl Metrics {
    /// All series at zero.
    #[must_use]
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets(SECONDS_BUCKETS)
            .and_then(|it| it.set_buckets_for_metric(name("search_hops"), HOPS_BUCKETS))
            .and_then(|it| it.set_buckets_for_metric(name("search_probes"), PROBES_BUCKETS))
            .expect("the bucket lists are not empty")
            .build_recorder();
        describe::describe(&recorder);
        let new = Registry(&recorder);
        let bytes = |api| {
            new.counters(
                "dataverse_bytes_total",
                &[("face", api)],
                "direction",
                IN_AND_OUT,
            )
        };
        let [packets_in, packets_out] = new.counters(
            "dataverse_gossip_packets_total",
            &[],
            "direction",
            IN_AND_OUT,
        );
        let overlay = Counters {
            packets_in,
            packets_out,
            packets_dropped: new.counter("dataverse_gossip_dropped_total"),
            packets_refused: new.counter("dataverse_gossip_refused_total"),
            circuits_opened: new.counter("dataverse_circuits_opened_total"),
        };
        Self {
            http_bytes: bytes("http"),
            grpc_bytes: bytes("grpc"),
            peer_bytes: bytes("peer"),
            search_hops: new.histogram("dataverse_search_hops"),
            search_probes: new.histogram("dataverse_search_probes"),
            search_seconds: new.histogram("dataverse_search_seconds"),
            reads: new.counters(
                "dataverse_reads_total",
                &[],
                "from",
                ["replica", "cached", "remote"],
            ),
            copies: new.counters("dataverse_copies_total", &[], "role", REPLICA_AND_CACHED),
            writes: new.counter("dataverse_writes_total"),
            writes_degraded: new.counter("dataverse_writes_degraded_total"),
            evictions: new.counter("dataverse_evictions_total"),
            evicted_bytes: new.counter("dataverse_evicted_bytes_total"),
            overlay: Arc::new(overlay),
            quarantined: new.counter("dataverse_quarantined_total"),
            reconcile_rounds: new.counters(
                "dataverse_reconcile_rounds_total",
                &[],
                "outcome",
                ["agreed", "differed", "failed"],
            ),
            reconcile_buckets: new.counter("dataverse_reconcile_buckets_total"),
            reconcile_records: new.counters(
                "dataverse_reconcile_records_total",
                &[],
                "as",
                ["learned", "told", "copied"],
            ),
            reconcile_bytes: new.counters(
                "dataverse_reconcile_bytes_total",
                &[],
                "direction",
                IN_AND_OUT,
            ),
            copies_verified: new.counters(
                "dataverse_doubts_resolved_total",
                &[],
                "as",
                ["trusted", "superseded", "put_aside"],
            ),
            repair_copies: new.counter("dataverse_repair_copies_total"),
            repair_bytes: new.counter("dataverse_repair_bytes_total"),
            repair_waiting: new.gauge("dataverse_repair_waiting_files"),
            store_files: new.gauges("dataverse_store_files", &[], "role", REPLICA_AND_CACHED),
            store_bytes: new.gauges("dataverse_store_bytes", &[], "role", REPLICA_AND_CACHED),
            store_capacity: new.gauge("dataverse_store_capacity_bytes"),
            store_free: new.gauge("dataverse_store_free_bytes"),
            links: new.gauges(
                "dataverse_links",
                &[],
                "state",
                ["up", "down", "left", "connecting"],
            ),
            problems: new.gauges("dataverse_problems", &[], "kind", ["store", "identity"]),
            scrub: scrub::ScrubMetrics::new(&new),
            upkeep: upkeep::UpkeepMetrics::new(&new),
            policies: OnceLock::new(),
            handle: recorder.handle(),
            recorder,
        }
    }

    /// Counts an answered client request. `route` is the declared route, never the path itself, so that
    /// the number of series stays bounded.
    pub fn request(
        &self,
        surface: Surface,
        method: &'static str,
        route: &str,
        status: u16,
        took: Duration,
    ) {
        let api = Label::from_static_parts("face", surface.as_str());
        let route = Label::new("route", route.to_owned());
        let labels = vec![
            api.clone(),
            Label::from_static_parts("method", method),
            route.clone(),
            Label::new("status", status.to_string()),
        ];
        self.recorder
            .register_counter(
                &Key::from_parts("dataverse_requests_total", labels),
                &METADATA,
            )
            .increment(1);
        let key = Key::from_parts("dataverse_request_seconds", vec![api, route]);
        self.recorder
            .register_histogram(&key, &METADATA)
            .record(took);
    }

    /// The counters of the overlay.
    pub const fn overlay(&self) -> &Arc<Counters> {
        &self.overlay
    }

    /// The counter of content bytes from or to clients.
    pub fn client_bytes(&self, surface: Surface, direction: Direction) -> Counter {
        let counters = match surface {
            Surface::Http => &self.http_bytes,
            Surface::Grpc => &self.grpc_bytes,
        };
        counters[direction as usize].clone()
    }

    /// The counter of content bytes from or to other nodes.
    pub fn peer_bytes(&self, direction: Direction) -> Counter {
        self.peer_bytes[direction as usize].clone()
    }

    /// Counts a finished search: its outcome, the hop of its nearest hit, and how many nodes it asked.
    pub fn search(&self, outcome: &'static str, hops: Option<u32>, probes: u32, took: Duration) {
        let label = Label::from_static_parts("outcome", outcome);
        self.recorder
            .register_counter(
                &Key::from_parts("dataverse_searches_total", vec![label]),
                &METADATA,
            )
            .increment(1);
        if let Some(hops) = hops {
            self.search_hops.record(f64::from(hops));
        }
        self.search_probes.record(f64::from(probes));
        self.search_seconds.record(took);
    }

    /// Counts a read when it begins.
    pub fn read(&self, from: ReadFrom) {
        self.reads[from as usize].increment(1);
    }

    /// Counts an acknowledged write.
    pub fn written(&self, degraded: bool) {
        self.writes.increment(1);
        if degraded {
            self.writes_degraded.increment(1);
        }
    }

    /// Counts a copy made on this node.
    pub fn copied(&self, copied: Copied) {
        self.copies[copied as usize].increment(1);
    }

    /// Counts replicas of a file that were copied to other nodes by a relayout.
    pub fn relaid(&self, copies: u64, bytes: u64) {
        self.repair_copies.increment(copies);
        self.repair_bytes.increment(bytes);
    }

    /// Sets how many files lack replicas or have to leave this node.
    pub fn set_repair_waiting(&self, files: u64) {
        self.repair_waiting.set(files as f64);
    }

    /// Counts an evicted cached copy.
    pub fn evicted(&self, bytes: u64) {
        self.evictions.increment(1);
        self.evicted_bytes.increment(bytes);
    }

    /// Counts a copy that did not match its digest and was quarantined.
    pub fn quarantined(&self) {
        self.quarantined.increment(1);
    }

    /// Counts a finished comparison with another node.
    pub fn reconciled(&self, reconciled: Reconciled) {
        self.reconcile_rounds[reconciled as usize].increment(1);
    }

    /// Counts buckets of shared files that differ from another node's.
    pub fn buckets_differ(&self, buckets: usize) {
        self.reconcile_buckets.increment(buckets as u64);
    }

    /// Counts a difference that was settled.
    pub fn made_up(&self, made_up: MadeUp) {
        self.reconcile_records[made_up as usize].increment(1);
    }

    /// Counts bytes of comparisons, without those that name the nodes.
    pub fn reconcile_bytes(&self, direction: Direction, bytes: u64) {
        self.reconcile_bytes[direction as usize].increment(bytes);
    }

    /// Counts a copy whose verification ended.
    pub fn copy_verified(&self, resolved: Resolved) {
        self.copies_verified[resolved as usize].increment(1);
    }

    /// Sets the current size of the store.
    pub fn set_store(&self, size: StoreSize) {
        for (gauges, total) in [(0, size.replicas), (1, size.cached)] {
            self.store_files[gauges].set(as_gauge(total.files));
            self.store_bytes[gauges].set(as_gauge(total.bytes));
        }
        self.store_capacity.set(as_gauge(size.capacity_bytes));
        self.store_free.set(as_gauge(size.free_bytes));
    }

    /// Sets the number of links that are up, down, to a node that left, and still connecting, in this order.
    pub fn set_links(&self, by_state: [usize; 4]) {
        for (gauge, links) in self.links.iter().zip(by_state) {
            gauge.set(as_gauge(links as u64));
        }
    }

    /// Sets whether there is a problem with the data folder, and whether two nodes use the same id, in this order.
    pub fn set_problems(&self, by_kind: [bool; 2]) {
        for (gauge, has_problem) in self.problems.iter().zip(by_kind) {
            gauge.set(f64::from(u8::from(has_problem)));
        }
    }

    /// Sets the progress of the scrub.
    pub fn set_scrub(&self, figures: &ScrubFigures) {
        self.scrub.set(figures);
    }

    /// Sets the tasks of upkeep.
    pub fn set_upkeep(&self, counts: &[(Kind, Counts)]) {
        self.upkeep.set(counts);
    }

    /// Registers the source of the policies' figures, which is asked at each [`Metrics::render`]. Only the first
    /// one counts.
    pub fn show_policies(&self, figures: impl Fn() -> Vec<PolicyFigures> + Send + Sync + 'static) {
        // A node has its policies for as long as it has its metrics.
        let _ = self.policies.set(Box::new(figures));
    }

    /// Folds recorded samples into their buckets. Samples pile up until this or [`Metrics::render`] is
    /// called, so the node calls it every few seconds.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }

    /// All series in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let figures = self.policies.get().map(|figures| figures());
        self.handle.render() + &policies::render(&figures.unwrap_or_default())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; beyond 2^53 bytes the last ones do not matter"
)]
const fn as_gauge(value: u64) -> f64 {
    value as f64
}

fn name(short: &str) -> Matcher {
    Matcher::Full(format!("dataverse_{short}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(metrics: &Metrics, line: &str) {
        let text = metrics.render();
        assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
    }

    #[test]
    fn what_happened_is_counted_by_its_labels() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(3);
        metrics.request(Surface::Http, "GET", "/v1/files/{*key}", 200, took);
        metrics.search("found", Some(2), 5, took);
        metrics.read(ReadFrom::Cached);
        metrics.read(ReadFrom::Remote);
        metrics.copied(Copied::Cached);
        metrics.written(true);
        metrics.evicted(70);
        metrics.overlay().packets_out.increment(1);
        metrics
            .client_bytes(Surface::Http, Direction::In)
            .increment(9);
        let request = r#"face="http",method="GET",route="/v1/files/{*key}",status="200""#;
        check(
            &metrics,
            &format!("dataverse_requests_total{{{request}}} 1"),
        );
        check(&metrics, r#"dataverse_searches_total{outcome="found"} 1"#);
        check(&metrics, r#"dataverse_search_hops_bucket{le="1"} 0"#);
        check(&metrics, r#"dataverse_search_hops_bucket{le="2"} 1"#);
        check(&metrics, r#"dataverse_search_probes_sum 5"#);
        check(&metrics, r#"dataverse_reads_total{from="cached"} 1"#);
        check(&metrics, r#"dataverse_reads_total{from="remote"} 1"#);
        check(&metrics, r#"dataverse_copies_total{role="cached"} 1"#);
        check(&metrics, r#"dataverse_writes_degraded_total 1"#);
        check(&metrics, r#"dataverse_evicted_bytes_total 70"#);
        check(
            &metrics,
            r#"dataverse_gossip_packets_total{direction="out"} 1"#,
        );
        check(
            &metrics,
            r#"dataverse_bytes_total{face="http",direction="in"} 9"#,
        );
    }

    #[test]
    fn nodes_of_one_process_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.evicted(1);
        check(&one, "dataverse_evictions_total 1");
        check(&other, "dataverse_evictions_total 0");
    }

    #[test]
    fn the_store_is_shown_as_it_was_last_set() {
        let metrics = Metrics::new();
        metrics.set_store(StoreSize {
            replicas: Total {
                files: 2,
                bytes: 30,
            },
            cached: Total { files: 1, bytes: 7 },
            capacity_bytes: 100,
            free_bytes: 63,
        });
        metrics.set_links([3, 1, 0, 0]);
        check(&metrics, r#"dataverse_store_files{role="replica"} 2"#);
        check(&metrics, r#"dataverse_store_bytes{role="cached"} 7"#);
        check(&metrics, "dataverse_store_free_bytes 63");
        check(&metrics, r#"dataverse_links{state="down"} 1"#);
    }

    #[test]
    fn every_metric_has_a_help_text() {
        let metrics = Metrics::new();
        metrics.request(Surface::Grpc, "Upload", "Upload", 0, Duration::ZERO);
        metrics.search("found", Some(1), 1, Duration::ZERO);
        let text = metrics.render();
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).expect("a type line has a name");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }
}
