//! Reads JSON and plain-form bodies whole before they are parsed. They are small and must arrive within a
//! deadline, so that a client cannot hold a request open by sending a byte now and then.
//!
//! Files and policies stream in, under bounds of their own.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::problem::Problem;
use crate::limits::{HTTP_JSON_BYTES_MAX, HTTP_JSON_MS_MAX};

/// Routes whose bodies are streamed.
const STREAMED: [&str; 3] = ["/v1/files", "/v1/files/{*key}", "/v1/policies/files/{name}"];

/// The middleware.
pub(super) async fn collected(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let is_streamed = path.is_none_or(|path| STREAMED.contains(&path.as_str()));
    let has_body = matches!(*request.method(), Method::POST | Method::PUT);
    if is_streamed || !has_body {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let limit = Duration::from_millis(HTTP_JSON_MS_MAX);
    let collected = timeout(limit, collect(body)).await;
    let collected = collected.unwrap_or_else(|_| {
        let detail = format!(
            "the body did not arrive within {} s; nothing was changed",
            limit.as_secs()
        );
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
    });
    match collected {
        Ok(bytes) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Err(problem) => problem.into_response(),
    }
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut collected = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|error| Problem::bad_request(format!("the body ended early: {error}")))?;
        if collected.len() + chunk.len() > HTTP_JSON_BYTES_MAX {
            let detail = format!("the body may have at most {HTTP_JSON_BYTES_MAX} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected.freeze())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use futures_util::stream;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn status_of(body: Body) -> StatusCode {
        let router = Router::new().route("/x", post(async |body: Bytes| body));
        let service = TowerToHyperService::new(router.layer(from_fn(collected)));
        let request = Request::post("/x").body(body).expect("a valid request");
        let response = service.call(request).await;
        response.map(|it| it.status()).expect("it answers")
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_not_waited_for() {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        assert_eq!(status_of(Body::from_stream(drops)).await, 408);
    }

    #[tokio::test]
    async fn a_body_has_a_bound() {
        let most = vec![b' '; HTTP_JSON_BYTES_MAX];
        assert_eq!(status_of(Body::from(most.clone())).await, 200);
        let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(most.clone()));
        assert_eq!(status_of(Body::from_stream(endless)).await, 413);
    }
}
