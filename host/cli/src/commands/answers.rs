//! The parts of nodes' answers that are printed for people. `--json` prints the answers themselves.

use serde::Deserialize;

/// A stored file.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) digest: String,
    pub(super) factor: u32,
    pub(super) replicas: Vec<String>,
    pub(super) degraded: bool,
    pub(super) unchanged: bool,
    /// Absent in earlier releases, where the status says it.
    pub(super) replaced: Option<bool>,
}

/// The result of a search.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) outcome: String,
    pub(super) exact: bool,
    pub(super) hits: Vec<Hit>,
    #[serde(default)]
    pub(super) path: Vec<String>,
    pub(super) probes: u32,
    pub(super) levels: u32,
    #[serde(default)]
    pub(super) unanswered: Vec<Unanswered>,
    pub(super) elapsed_ms: f64,
    /// Absent in earlier releases.
    pub(super) truncated: Option<bool>,
}

/// A file that was found.
#[derive(Debug, Deserialize)]
pub(super) struct Hit {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) digest: String,
    pub(super) version: String,
    pub(super) content_type: String,
    pub(super) node: String,
    pub(super) hops: u32,
    pub(super) role: String,
}

/// A node that did not answer a search.
#[derive(Debug, Deserialize)]
pub(super) struct Unanswered {
    pub(super) node: String,
    pub(super) address: String,
    /// Absent in earlier releases.
    pub(super) silent_for_s: Option<u64>,
}

/// A link.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) node: String,
    pub(super) address: String,
    pub(super) state: String,
    pub(super) silent_for_s: Option<u64>,
    #[serde(default)]
    pub(super) attempts: u32,
    pub(super) last_error: Option<String>,
}

/// A member of the network.
#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) address: String,
    pub(super) http: String,
    pub(super) zone: String,
    pub(super) hops: Option<u32>,
    pub(super) capacity: u64,
    pub(super) free: u64,
    pub(super) load: f64,
    pub(super) state: String,
    pub(super) silent_for_s: Option<u64>,
}

/// A node's status.
#[derive(Debug, Deserialize)]
pub(super) struct StatusAnswer {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) network: String,
    pub(super) version: String,
    pub(super) uptime_s: u64,
    pub(super) capacity: u64,
    pub(super) free: u64,
    pub(super) replicas: Total,
    pub(super) cached: Total,
    pub(super) links: u64,
    #[serde(default)]
    pub(super) silent: Vec<Silent>,
    #[serde(default)]
    pub(super) problems: Vec<NodeProblem>,
    #[serde(default)]
    pub(super) repair: Repair,
    #[serde(default)]
    pub(super) upkeep: Vec<Upkeep>,
    #[serde(default)]
    pub(super) drain: Drained,
    /// Absent in earlier releases.
    pub(super) scrub: Option<Scrub>,
}

/// A node that another expects to hear from but does not.
#[derive(Debug, Deserialize)]
pub(super) struct Silent {
    pub(super) node: String,
    pub(super) address: String,
    pub(super) state: String,
    pub(super) silent_for_s: Option<u64>,
    pub(super) last_error: Option<String>,
}

/// Something that an operator must act on.
#[derive(Debug, Deserialize)]
pub(super) struct NodeProblem {
    pub(super) detail: String,
}

/// The progress of re-replication.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Repair {
    pub(super) waiting: Total,
    pub(super) letting_go: u64,
    pub(super) copies: u64,
    pub(super) bytes: u64,
}

/// Tasks of one kind of upkeep.
#[derive(Debug, Deserialize)]
pub(super) struct Upkeep {
    pub(super) kind: String,
    pub(super) waiting: u64,
    pub(super) active: u64,
}

/// The progress of draining a node.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Drained {
    pub(super) draining: bool,
    pub(super) drained: bool,
    pub(super) left: Total,
}

/// The progress of a scrub.
#[derive(Debug, Deserialize)]
pub(super) struct Scrub {
    pub(super) running: bool,
    /// Only in the answer to a request that starts a scrub: one was already in progress.
    pub(super) joined: Option<bool>,
    pub(super) ended: Option<u64>,
    pub(super) files_done: u64,
    pub(super) files_total: u64,
    pub(super) bytes_done: u64,
    pub(super) bytes_total: u64,
    pub(super) bad: u64,
    pub(super) unreadable: u64,
    pub(super) mended: u64,
    pub(super) mending: u64,
    pub(super) waiting: u64,
    pub(super) lost: Vec<String>,
    pub(super) lost_total: u64,
}

/// A number of files and their bytes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Total {
    pub(super) files: u64,
    pub(super) bytes: u64,
}
