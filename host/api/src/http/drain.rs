//! `/v1/drain`: empties this node, so that it can be stopped permanently.

use axum::Json;
use axum::extract::State;
use dataverse_node::driver::DrainStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::Site;
use super::problem::{Problem, ProblemBody};
use super::total::Total;

/// The progress of draining this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Drain {
    /// The node is being drained: its replicas move to other nodes, and it takes no new ones.
    draining: bool,
    /// It holds no replicas any more and can be stopped.
    drained: bool,
    /// Replicas that it still holds.
    left: Total,
}

impl From<DrainStatus> for Drain {
    fn from(drain: DrainStatus) -> Self {
        Self {
            draining: drain.draining,
            drained: drain.drained,
            left: drain.left.into(),
        }
    }
}

/// Shows the progress of draining this node.
#[utoipa::path(
    get, path = "/v1/drain", tag = "node",
    responses((status = 200, description = "The progress.", body = Drain))
)]
pub(crate) async fn show_drain(State(site): State<Site>) -> Json<Drain> {
    Json(site.node_api.status().drain.into())
}

/// Drains this node.
///
/// Its replicas move to other nodes in the background; no file is left with fewer copies. Draining continues
/// across restarts until it is cancelled.
#[utoipa::path(
    post, path = "/v1/drain", tag = "node",
    responses(
        (status = 200, description = "Draining has begun.", body = Drain),
        (status = 409, description = "The other nodes have too little space for its replicas; `detail` says how much is missing.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's disk failed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drain(State(site): State<Site>) -> Result<Json<Drain>, Problem> {
    Ok(Json(site.node_api.drain().await?.into()))
}

/// Cancels draining.
///
/// The node takes replicas again. Replicas that have moved stay where they are.
#[utoipa::path(
    delete, path = "/v1/drain", tag = "node",
    responses(
        (status = 200, description = "The node takes replicas.", body = Drain),
        (status = 500, description = "This node's disk failed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn undrain(State(site): State<Site>) -> Result<Json<Drain>, Problem> {
    Ok(Json(site.node_api.undrain().await?.into()))
}
