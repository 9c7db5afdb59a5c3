//! What nodes answer, as far as it is printed for people. `--json` prints the answers themselves.

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
    /// Earlier releases don't say; their status tells.
    pub(super) replaced: Option<bool>,
}

/// How a search went.
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
    /// Earlier releases don't say.
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

/// A node that gave a search no answer.
#[derive(Debug, Deserialize)]
pub(super) struct Unanswered {
    pub(super) node: String,
    pub(super) address: String,
    /// Earlier releases don't say.
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

/// What a node says of itself.
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
    pub(super) drain: Drained,
    /// Earlier releases don't say.
    pub(super) scrub: Option<Scrub>,
}

/// A node that another would hear and does not.
#[derive(Debug, Deserialize)]
pub(super) struct Silent {
    pub(super) node: String,
    pub(super) address: String,
    pub(super) state: String,
    pub(super) silent_for_s: Option<u64>,
    pub(super) last_error: Option<String>,
}

/// Something that an operator has to see to.
#[derive(Debug, Deserialize)]
pub(super) struct NodeProblem {
    pub(super) detail: String,
}

/// How far repair is.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Repair {
    pub(super) waiting: Total,
    pub(super) letting_go: u64,
    pub(super) copies: u64,
    pub(super) bytes: u64,
}

/// How far the emptying of a node is.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Drained {
    pub(super) draining: bool,
    pub(super) drained: bool,
    pub(super) left: Total,
}

/// How far the check of all content is.
#[derive(Debug, Deserialize)]
pub(super) struct Scrub {
    pub(super) running: bool,
    /// Said in answer to what begins one: one was under way already.
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

/// So many files of so many bytes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Total {
    pub(super) files: u64,
    pub(super) bytes: u64,
}
