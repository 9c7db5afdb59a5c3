//! Help text and unit of each series, as shown by `GET /metrics`.

use metrics::{Recorder, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{scrub, upkeep};

pub(super) fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        (
            "requests_total",
            None,
            "Answered client requests, by API (`face`), method, route and status.",
        ),
        (
            "bytes_total",
            Some(Unit::Bytes),
            "Bytes of content from and to clients (http, grpc) and other nodes (peer).",
        ),
        ("searches_total", None, "Searches, by outcome."),
        (
            "reads_total",
            None,
            "Reads, by where they were served from: `cached` is a cache hit, `remote` a miss.",
        ),
        ("copies_total", None, "Copies made on this node, by role."),
        ("writes_total", None, "Acknowledged writes."),
        (
            "writes_degraded_total",
            None,
            "Acknowledged writes with fewer replicas than requested.",
        ),
        (
            "gossip_dropped_total",
            None,
            "Packets of the membership protocol that were dropped because the queue was full.",
        ),
        (
            "gossip_refused_total",
            None,
            "Packets of the membership protocol that were refused as invalid.",
        ),
        ("evictions_total", None, "Evicted cached copies."),
        (
            "evicted_bytes_total",
            Some(Unit::Bytes),
            "Bytes of evicted cached copies.",
        ),
        (
            "gossip_packets_total",
            None,
            "Packets of the membership protocol, by direction.",
        ),
        (
            "reconcile_rounds_total",
            None,
            "Comparisons with other nodes of the files that both should hold, by outcome.",
        ),
        (
            "reconcile_buckets_total",
            None,
            "Buckets of files shared with another node that were found to differ.",
        ),
        (
            "reconcile_records_total",
            None,
            "Differences settled after a comparison: a record learned here, a record sent to the other node (`told`), or a missing replica copied.",
        ),
        (
            "reconcile_bytes_total",
            Some(Unit::Bytes),
            "Bytes of comparisons with other nodes, without those that name the nodes.",
        ),
        (
            "doubts_resolved_total",
            None,
            "Copies that this node verified after a long downtime, by outcome.",
        ),
        (
            "quarantined_total",
            None,
            "Copies that did not match their digest and were quarantined.",
        ),
        (
            "circuits_opened_total",
            None,
            "Times that a circuit breaker opened: another node failed so often that it is not called for a while.",
        ),
        (
            "repair_copies_total",
            None,
            "Replicas copied to other nodes: to replace lost holders, after degraded writes, and when this node is drained.",
        ),
        (
            "repair_bytes_total",
            Some(Unit::Bytes),
            "Bytes of those replicas.",
        ),
    ];
    for (short, unit, help) in counters {
        recorder.describe_counter(format!("dataverse_{short}").into(), unit, help.into());
    }
    let gauges = [
        ("store_files", None, "Files in the store, by role."),
        (
            "store_bytes",
            Some(Unit::Bytes),
            "Bytes of the files in the store, by role.",
        ),
        (
            "store_capacity_bytes",
            Some(Unit::Bytes),
            "Bytes that the store may use.",
        ),
        (
            "store_free_bytes",
            Some(Unit::Bytes),
            "Bytes of the store that are free.",
        ),
        (
            "repair_waiting_files",
            None,
            "Files of this node that wait for re-replication or have to leave it.",
        ),
        (
            "links",
            None,
            "Links of this node, by state: up, down, to a node that left, or requested and not established yet (`connecting`).",
        ),
        (
            "problems",
            None,
            "1 if there is a problem: with the data folder (`store`), or because two nodes use the same id (`identity`).",
        ),
    ];
    for (short, unit, help) in gauges {
        recorder.describe_gauge(format!("dataverse_{short}").into(), unit, help.into());
    }
    scrub::describe(recorder);
    upkeep::describe(recorder);
    let histograms = [
        (
            "request_seconds",
            Some(Unit::Seconds),
            "Time from a client's request to the head of its answer.",
        ),
        (
            "search_hops",
            None,
            "Hops from this node to the nearest hit of a search.",
        ),
        ("search_probes", None, "Nodes asked by one search."),
        (
            "search_seconds",
            Some(Unit::Seconds),
            "Duration of a search.",
        ),
    ];
    for (short, unit, help) in histograms {
        recorder.describe_histogram(format!("dataverse_{short}").into(), unit, help.into());
    }
}
