//! The help text and the unit of each series.

use metrics::{Recorder, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::scrub;

pub(super) fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        (
            "requests_total",
            None,
            "Requests of clients that were answered, by face, method, route and status.",
        ),
        (
            "bytes_total",
            Some(Unit::Bytes),
            "Bytes of content to and from clients (http, grpc) and other nodes (peer).",
        ),
        ("searches_total", None, "Searches, by how they ended."),
        (
            "reads_total",
            None,
            "Reads, by what they were served from: `cached` is a cache hit, `remote` a miss.",
        ),
        ("copies_total", None, "Copies made on this node, by role."),
        ("writes_total", None, "Writes that were acknowledged."),
        (
            "writes_degraded_total",
            None,
            "Acknowledged writes that got fewer replicas than were wanted.",
        ),
        (
            "gossip_dropped_total",
            None,
            "Packets of the membership protocol that were dropped because too many wait.",
        ),
        (
            "gossip_refused_total",
            None,
            "Packets of the membership protocol that made no sense.",
        ),
        ("evictions_total", None, "Cached copies that made room."),
        (
            "evicted_bytes_total",
            Some(Unit::Bytes),
            "Bytes of cached copies that made room.",
        ),
        (
            "gossip_packets_total",
            None,
            "Packets of the membership protocol.",
        ),
        (
            "reconcile_rounds_total",
            None,
            "Comparisons with other nodes of what both are to hold, by how they ended.",
        ),
        (
            "reconcile_buckets_total",
            None,
            "Parts of what is shared with another node that were found to differ.",
        ),
        (
            "reconcile_records_total",
            None,
            "Records made up after a comparison: learned here, told to the other node, or a replica copied.",
        ),
        (
            "reconcile_bytes_total",
            Some(Unit::Bytes),
            "Bytes of comparisons with other nodes, what names the nodes left out.",
        ),
        (
            "doubts_resolved_total",
            None,
            "Copies of a node that was away for long, by what became of them.",
        ),
        (
            "quarantined_total",
            None,
            "Copies that did not match their digest and were set aside.",
        ),
        (
            "circuits_opened_total",
            None,
            "Times that another node failed so often that it was spared calls for a while.",
        ),
        (
            "repair_copies_total",
            None,
            "Replicas made anew on other nodes: after a node was gone, after a degraded write, when this node is emptied.",
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
            "Bytes that the store has left.",
        ),
        (
            "repair_waiting_files",
            None,
            "Files here that lack replicas, or are to leave this node.",
        ),
        (
            "links",
            None,
            "Links of this node: up, down, with a node that left, and asked for and not come about yet.",
        ),
        (
            "problems",
            None,
            "Whether something is wrong: with the data folder, or because two nodes run under one id.",
        ),
    ];
    for (short, unit, help) in gauges {
        recorder.describe_gauge(format!("dataverse_{short}").into(), unit, help.into());
    }
    scrub::describe(recorder);
    let histograms = [
        (
            "request_seconds",
            Some(Unit::Seconds),
            "Time until the head of the answer to a client's request.",
        ),
        (
            "search_hops",
            None,
            "Links between this node and the nearest hit of a search.",
        ),
        ("search_probes", None, "Nodes asked in one search."),
        (
            "search_seconds",
            Some(Unit::Seconds),
            "Time that a search took.",
        ),
    ];
    for (short, unit, help) in histograms {
        recorder.describe_histogram(format!("dataverse_{short}").into(), unit, help.into());
    }
}
