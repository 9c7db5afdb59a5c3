//! Lets the sender of a refused upload read the refusal.
//!
//! A connection that is closed while bytes are still arriving is reset, and a reset discards the response that is
//! on its way. So the rest of a refused body is read and dropped for a short while.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::limits::{HTTP_LINGER_BYTES_MAX, HTTP_LINGER_MS_MAX};

/// A body that is handed back when its reader drops it before its end.
struct Returning {
    body: Option<BodyDataStream>,
    begun: bool,
    back: Option<oneshot::Sender<Left>>,
}

struct Left {
    body: BodyDataStream,
    begun: bool,
}

impl Stream for Returning {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.begun = true;
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let next = body.poll_next_unpin(cx);
        if let Poll::Ready(None | Some(Err(_))) = &next {
            self.body = None;
        }
        next
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            let begun = self.begun;
            // There is no receiver when the response was not a refusal.
            drop(back.send(Left { body, begun }));
        }
    }
}

/// The middleware.
pub(super) async fn linger(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let waits_for_continue = request.headers().contains_key(EXPECT);
    let (back, left) = oneshot::channel();
    let request = request.map(|body| {
        Body::from_stream(Returning {
            body: Some(body.into_data_stream()),
            begun: false,
            back: Some(back),
        })
    });
    let response = next.run(request).await;
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    if refused && status != StatusCode::REQUEST_TIMEOUT {
        let limit = Duration::from_millis(HTTP_LINGER_MS_MAX);
        // The response is the same whether the body ended or time ran out.
        drop(timeout(limit, drain(left, waits_for_continue)).await);
    }
    response
}

async fn drain(left: oneshot::Receiver<Left>, waits_for_continue: bool) {
    let Ok(Left { mut body, begun }) = left.await else {
        return;
    };
    // Reading would make the server send `100 Continue`.
    if waits_for_continue && !begun {
        return;
    }
    let mut bytes = 0;
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len() as u64;
        if bytes > HTTP_LINGER_BYTES_MAX {
            return;
        }
    }
}
