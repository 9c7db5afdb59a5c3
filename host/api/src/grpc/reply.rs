//! Converts the driver's results into messages for clients.

use dataverse_core::holdings::Total;
use dataverse_node::driver::{FoundHit, Located, NodeStatus, SearchReport, Written};

use crate::grpc::proto;

pub(super) fn written(written: Written) -> proto::UploadResponse {
    let record = &written.record;
    proto::UploadResponse {
        key: record.key.to_string(),
        size: record.size,
        digest: record.digest.to_string(),
        version: record.version.to_string(),
        content_type: record.content_type.to_string(),
        factor: record.factor,
        degraded: record.is_degraded(),
        replicas: written.replicas,
        unchanged: written.unchanged,
        replaced: written.replaced,
    }
}

/// The header of a download of `length` bytes from `offset`.
pub(super) fn located(located: &Located, offset: u64, length: u64) -> proto::DownloadHeader {
    let record = &located.record;
    proto::DownloadHeader {
        key: record.key.to_string(),
        size: record.size,
        digest: record.digest.to_string(),
        version: record.version.to_string(),
        content_type: record.content_type.to_string(),
        modified_ms: record.version.stamp.millis(),
        source: located.source.clone(),
        hops: located.hops,
        stale: located.stale,
        offset,
        length,
    }
}

pub(super) fn search(report: SearchReport) -> proto::SearchResponse {
    let unanswered = report.unanswered.iter().map(|peer| proto::UnansweredNode {
        node: peer.name.to_string(),
        address: peer.address.to_string(),
    });
    proto::SearchResponse {
        outcome: report.outcome.to_owned(),
        exact: report.exact,
        unanswered: unanswered.collect(),
        hits: report.hits.into_iter().map(hit).collect(),
        truncated: report.truncated,
        path: report.path,
        probes: report.probes,
        levels: report.levels,
        elapsed_ms: report.elapsed_ms,
    }
}

fn hit(hit: FoundHit) -> proto::SearchHit {
    let record = &hit.record;
    proto::SearchHit {
        key: record.key.to_string(),
        size: record.size,
        digest: record.digest.to_string(),
        version: record.version.to_string(),
        content_type: record.content_type.to_string(),
        node: hit.node,
        hops: hit.hops,
        role: hit.role.as_str().to_owned(),
    }
}

pub(super) fn status(status: NodeStatus) -> proto::StatusResponse {
    let total = |total: Total| proto::FileTotal {
        files: total.files,
        bytes: total.bytes,
    };
    proto::StatusResponse {
        name: status.name,
        id: status.id.to_string(),
        network: status.network,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: status.uptime_s,
        capacity: status.capacity,
        free: status.free,
        replicas: Some(total(status.replicas)),
        cached: Some(total(status.cached)),
        links: u32::try_from(status.links).unwrap_or(u32::MAX),
    }
}
