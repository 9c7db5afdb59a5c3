//! `/v1/nodes`, `/v1/status`, `/healthz`, `/readyz` and `/metrics`: the network and this node, as seen from here.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use dataverse_core::holdings;
use dataverse_node::driver;
use dataverse_node::driver::{Counts, Kind, LinkState, NodeSeen, NodeStatus, RepairStatus};
use dataverse_node::metrics::{ScrubFigures, StoreSize};
use serde::Serialize;
use utoipa::ToSchema;

use super::Site;
use super::drain::Drain;
use super::problem::{Problem, ProblemBody};
use super::scrub::Scrub;
use super::total::Total;

/// A member of the network as this node sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Node {
    /// Its name.
    name: String,
    /// Its id: 32 hexadecimal digits.
    id: String,
    /// The address on which it listens for nodes.
    address: String,
    /// The address on which it listens for HTTP.
    http: String,
    /// Its failure domain; may be empty.
    zone: String,
    /// Hops from this node; null if no path over links is known.
    hops: Option<u32>,
    /// Bytes that it may use.
    capacity: u64,
    /// Bytes that it has left.
    free: u64,
    /// Requests that it recently answered per second.
    load: u32,
    /// `alive`, `suspect`, `gone`, or `left`: it was drained, announced that it leaves and stopped.
    #[schema(example = "alive")]
    state: &'static str,
    /// Seconds since it stopped answering, as far as this node knows; null while it is alive.
    silent_for_s: Option<u64>,
}

impl From<NodeSeen> for Node {
    fn from(node: NodeSeen) -> Self {
        Self {
            name: node.name,
            id: node.id.to_string(),
            address: node.address,
            http: node.http,
            zone: node.zone,
            hops: node.hops,
            capacity: node.capacity,
            free: node.free,
            load: node.load,
            state: node.state,
            silent_for_s: node.silent_for.map(|it| it.as_secs()),
        }
    }
}

/// The replicas that this node re-replicates elsewhere.
///
/// After a holder is gone, after a write that got too few replicas, and while this node is drained.
#[derive(Serialize, ToSchema)]
pub(crate) struct Repair {
    /// Files that still lack replicas, or must leave this node.
    waiting: Total,
    /// Files being re-replicated now.
    active: u64,
    /// Replicas here that other nodes hold now; they are released once every holder has confirmed its copy.
    letting_go: u64,
    /// Copies made since the node started.
    copies: u64,
    /// Their bytes.
    bytes: u64,
    /// Attempts in which no node could take a copy.
    failed: u64,
}

impl From<RepairStatus> for Repair {
    fn from(repair: RepairStatus) -> Self {
        Self {
            waiting: repair.waiting.into(),
            active: repair.active,
            letting_go: repair.releasing,
            copies: repair.copies,
            bytes: repair.bytes,
            failed: repair.failed,
        }
    }
}

/// Tasks of one kind.
#[derive(Serialize, ToSchema)]
pub(crate) struct Upkeep {
    /// `re-replicate`; `heal`: copy a bad replica of this node again; `copy`: to a node that lacks a replica; `move`: a
    /// replica, because a node was asked to; `release`: what something greater replaces; `verify`: a copy of a node
    /// that was away for long; `hint`: tell a node of a layout that it missed.
    #[schema(example = "heal")]
    kind: &'static str,
    /// Tasks that wait.
    waiting: usize,
    /// Tasks under way.
    active: usize,
    /// Tasks done since the node started.
    done: u64,
}

impl From<(Kind, Counts)> for Upkeep {
    fn from((kind, counts): (Kind, Counts)) -> Self {
        Self {
            kind: kind.as_str(),
            waiting: counts.waiting,
            active: counts.active,
            done: counts.outcomes[0],
        }
    }
}

/// A node that this one expects to hear from but does not.
#[derive(Serialize, ToSchema)]
pub(crate) struct SilentNode {
    /// Its name; empty if it was never heard from.
    node: String,
    /// Its id; null if it was never heard from.
    id: Option<String>,
    /// The address on which it was last known to listen.
    address: String,
    /// `down`: a neighbour that does not answer; `connecting`: a link that is not established yet; `gone`: a
    /// member without a link.
    #[schema(example = "down")]
    state: &'static str,
    /// Seconds since it stopped answering, at most this node's uptime; null if that is not known.
    silent_for_s: Option<u64>,
    /// The error of the last attempt to reach it.
    last_error: Option<String>,
}

impl From<driver::SilentNode> for SilentNode {
    fn from(silent: driver::SilentNode) -> Self {
        Self {
            node: silent.name,
            id: silent.id.map(|id| id.to_string()),
            address: silent.address,
            state: silent.state,
            silent_for_s: silent.silent_for.map(|it| it.as_secs()),
            last_error: silent.last_error,
        }
    }
}

/// Something that an operator must act on.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeProblem {
    /// What it is about. `store`: the data folder was changed or replaced while the node ran; `identity`: two
    /// nodes run under one id, or this one was revoked in its network; `insecure`: whoever can connect can do everything.
    #[schema(example = "store")]
    kind: &'static str,
    /// The node accepts no writes because of it, and is not ready.
    blocks: bool,
    /// What happened, what is safe, and what to do.
    detail: String,
}

impl From<driver::NodeProblem> for NodeProblem {
    fn from(problem: driver::NodeProblem) -> Self {
        Self {
            kind: problem.kind,
            blocks: problem.blocks,
            detail: problem.detail,
        }
    }
}

/// The status of this node.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct StatusBody {
    /// Its name.
    name: String,
    /// Its id: 32 hexadecimal digits.
    id: String,
    /// The name of its network.
    network: String,
    /// The version of the program.
    version: &'static str,
    /// Seconds since it started.
    uptime_s: u64,
    /// Bytes that it may use.
    capacity: u64,
    /// Bytes that it has left.
    free: u64,
    /// The replicas that it holds.
    replicas: Total,
    /// The cached copies that it holds.
    cached: Total,
    /// The number of its links.
    links: usize,
    /// Nodes that it expects to hear from but does not.
    silent: Vec<SilentNode>,
    /// What an operator must act on; empty if all is well.
    problems: Vec<NodeProblem>,
    /// The progress of re-replication.
    repair: Repair,
    /// What the node has still to do so that replicas are right, by kind.
    upkeep: Vec<Upkeep>,
    /// The progress of draining.
    drain: Drain,
    /// The progress of scrubbing.
    scrub: Scrub,
}

impl From<NodeStatus> for StatusBody {
    fn from(status: NodeStatus) -> Self {
        Self {
            name: status.name,
            id: status.id.to_string(),
            network: status.network,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: status.uptime_s,
            capacity: status.capacity,
            free: status.free,
            replicas: status.replicas.into(),
            cached: status.cached.into(),
            links: status.links,
            silent: status.silent.into_iter().map(SilentNode::from).collect(),
            problems: status.problems.into_iter().map(NodeProblem::from).collect(),
            repair: status.repair.into(),
            upkeep: status.upkeep.into_iter().map(Upkeep::from).collect(),
            drain: status.drain.into(),
            scrub: status.scrub.into(),
        }
    }
}

/// Lists the members of the network.
///
/// As this node knows them by gossip, itself included.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "network",
    responses((status = 200, description = "The members.", body = Vec<Node>))
)]
pub(crate) async fn list_nodes(State(site): State<Site>) -> Json<Vec<Node>> {
    Json(site.node_api.nodes().into_iter().map(Node::from).collect())
}

/// Shows the status of this node.
#[utoipa::path(
    get, path = "/v1/status", tag = "node",
    responses((status = 200, description = "The status.", body = StatusBody))
)]
pub(crate) async fn status(State(site): State<Site>) -> Json<StatusBody> {
    Json(site.node_api.status().into())
}

/// Whether the process is running.
#[utoipa::path(
    get, path = "/healthz", tag = "node",
    responses((status = 200, description = "It is running.", body = String, content_type = "text/plain"))
)]
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// Whether the node is ready to serve.
#[utoipa::path(
    get, path = "/readyz", tag = "node",
    responses(
        (status = 200, description = "The node is ready: its store is open and its data folder unchanged, no other node runs under its id, and it isn't stopping.", body = String, content_type = "text/plain"),
        (status = 503, description = "The node is not ready; `detail` says why.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ready(State(site): State<Site>) -> Result<&'static str, Problem> {
    match site.node_api.not_ready() {
        None => Ok("ready\n"),
        Some(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)),
    }
}

/// The node's metrics, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "node",
    responses((status = 200, description = "Metrics in Prometheus' text format.", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(site): State<Site>) -> Response {
    let status = site.node_api.status();
    let links = site.node_api.links();
    let count = |state| links.iter().filter(|link| link.state == state).count();
    let metrics = site.node_api.metrics();
    metrics.set_store(StoreSize {
        replicas: status.replicas,
        cached: status.cached,
        capacity_bytes: status.capacity,
        free_bytes: status.free,
    });
    metrics.set_links(
        [
            LinkState::Up,
            LinkState::Down,
            LinkState::Left,
            LinkState::Connecting,
        ]
        .map(count),
    );
    let problems = |kind| status.problems.iter().any(|problem| problem.kind == kind);
    metrics.set_problems(["store", "identity"].map(problems));
    metrics.set_repair_waiting(status.repair.waiting.files);
    metrics.set_upkeep(&status.upkeep);
    let scrub = status.scrub;
    metrics.set_scrub(&ScrubFigures {
        checked: scrub.checked_since_start,
        bad: scrub.bad_since_start,
        healed: scrub.healed_since_start,
        is_running: scrub.running,
        left: holdings::Total {
            files: scrub.total.files - scrub.done.files,
            bytes: scrub.total.bytes - scrub.done.bytes,
        },
        ended_ms: scrub.ended,
        missing: [scrub.healing, scrub.waiting, scrub.lost],
    });
    let content_type = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, metrics.render()).into_response()
}
