//! Limits the requests in progress: those beyond the limit are answered 503 with `Retry-After`, so that the others
//! finish in time. Health, metrics and the node's status are always answered. On a reserve connection (one beyond
//! `limit.connections`) only health and metrics are.
//!
//! A request counts until the last byte of its response is sent.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dataverse_overlay::held::Held;
use tokio::sync::Semaphore;

use super::problem::Problem;

/// What operators ask of a node that is overloaded.
const ALWAYS_ANSWERED: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/v1/status"];

/// What is answered on a reserve connection.
const ANSWERED_IN_RESERVE: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Marks a request on a reserve connection.
#[derive(Clone, Copy)]
pub(super) struct Reserved;

/// The middleware.
pub(super) async fn overload(
    State(turns): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_reserved = request.extensions().get::<Reserved>().is_some();
    if is_reserved && !ANSWERED_IN_RESERVE.contains(&path) {
        let detail = "this node has reached its limit of connections (limit.connections) and only answers /healthz, /readyz and /metrics; try again in a second";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    }
    if ALWAYS_ANSWERED.contains(&path) {
        return next.run(request).await;
    }
    let Ok(turn) = turns.try_acquire_owned() else {
        let detail = "this node has reached its limit of concurrent requests (limit.requests); try again in a second";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    };
    let counted = |body| Held::until_sent(body, turn);
    next.run(request).await.map(counted)
}
