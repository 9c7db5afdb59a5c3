//! `/v1/drain`: empties this node, so that it can be stopped for good.

use axum::Json;
use axum::extract::State;
use dataverse_node::driver::DrainStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::Site;
use super::nodes::Total;
use super::problem::{Problem, ProblemBody};

/// How far the emptying of this node is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Drain {
    /// Its replicas move to other nodes, and nothing is placed on it.
    draining: bool,
    /// It holds no replica any more and can be stopped.
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

/// Tells how far the emptying of this node is.
#[utoipa::path(
    get, path = "/v1/drain", tag = "node",
    responses((status = 200, description = "How far it is.", body = Drain))
)]
pub(crate) async fn show_drain(State(site): State<Site>) -> Json<Drain> {
    Json(site.node_api.status().drain.into())
}

/// Empties this node.
///
/// Its replicas move to other nodes in the background; no file is left with fewer copies. It goes on across
/// restarts until it is ended.
#[utoipa::path(
    post, path = "/v1/drain", tag = "node",
    responses(
        (status = 200, description = "It is being emptied.", body = Drain),
        (status = 409, description = "The other nodes can't take what it holds; how much is missing.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "Its disk failed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drain(State(site): State<Site>) -> Result<Json<Drain>, Problem> {
    Ok(Json(site.node_api.drain().await?.into()))
}

/// Ends the emptying of this node.
///
/// It takes replicas again. What has moved stays where it is.
#[utoipa::path(
    delete, path = "/v1/drain", tag = "node",
    responses(
        (status = 200, description = "It takes replicas.", body = Drain),
        (status = 500, description = "Its disk failed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn undrain(State(site): State<Site>) -> Result<Json<Drain>, Problem> {
    Ok(Json(site.node_api.undrain().await?.into()))
}
