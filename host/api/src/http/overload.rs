//! So many requests at once: what is beyond is answered 503 with `Retry-After`, so that those under way end
//! in time. Whether the node lives, and what it counts, can always be asked: also on a connection in reserve,
//! on which nothing else is answered.
//!
//! A request counts until the last byte of its answer is sent.

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

/// What is answered on a connection in reserve.
const ANSWERED_IN_RESERVE: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Marks a request on a connection in reserve.
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
        let detail = "this node has as many connections as it can (limit.connections); only health, readiness and metrics are answered now, try again in a second";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    }
    if ALWAYS_ANSWERED.contains(&path) {
        return next.run(request).await;
    }
    let Ok(turn) = turns.try_acquire_owned() else {
        let detail =
            "this node answers as many requests as it can (limit.requests); try again in a second";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    };
    let counted = |body| Held::until_sent(body, turn);
    next.run(request).await.map(counted)
}
