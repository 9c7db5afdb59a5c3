//! So many requests at once: what is beyond is answered 503 with `Retry-After`, so that those under way end
//! in time. Whether the node lives, and what it counts, can always be asked.
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// What operators ask of a node that is overloaded.
const ALWAYS_ANSWERED: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/v1/status"];

/// The middleware.
pub(super) async fn overload(
    State(turns): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    if ALWAYS_ANSWERED.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let Ok(turn) = turns.try_acquire_owned() else {
        let detail =
            "this node answers as many requests as it can (limit.requests); try again in a second";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    };
    let counted = |body| Body::new(Counted { body, _turn: turn });
    next.run(request).await.map(counted)
}

/// A body that gives its turn back when it has been sent.
struct Counted {
    body: Body,
    _turn: OwnedSemaphorePermit,
}

impl http_body::Body for Counted {
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
