//! So many requests at once: what is beyond is answered 503 with `Retry-After`, so that those under way end
//! in time. Whether the node lives, and what it counts, can always be asked: also on a connection in reserve,
//! on which nothing else is answered.
//!
//! A request counts until the last byte of its answer is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
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

/// A body with which something is given back when it has been sent.
pub(crate) struct Held<T> {
    body: Body,
    _held: T,
}

impl<T: Send + Unpin + 'static> Held<T> {
    pub(crate) fn until_sent(body: Body, held: T) -> Body {
        Body::new(Self { body, _held: held })
    }
}

impl<T: Unpin> http_body::Body for Held<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
