//! A small test server that implements the HTTP contract, records requests, and breaks the contract on request.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use parking_lot::Mutex;

/// How the server treats the next downloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Honest,
    /// The connection breaks after this many bytes.
    Breaks(usize),
    /// The last byte is wrong.
    Lies,
}

#[derive(Default)]
pub(super) struct ServedFiles {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) mood: Mood,
    /// The value of `truncated`; absent, as in earlier releases, if `None`.
    pub(super) is_cut: Option<bool>,
    /// `method path?query range body` of every request, as far as relevant.
    pub(super) heard: Vec<String>,
}

pub(super) type Shared = Arc<Mutex<ServedFiles>>;

/// A server that stops at the end of the test.
pub(super) struct Server {
    pub(super) world: Shared,
    pub(super) url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        let world = Shared::default();
        let router = Router::new()
            .route(
                "/v1/files/{user}/{*name}",
                get(download).put(upload).delete(delete),
            )
            .route("/v1/search", get(search))
            .route("/v1/links", get(links).post(link))
            .route("/v1/links/{node}", axum::routing::delete(unlink))
            .route("/v1/status", get(|| async { "{\"name\":1}" }))
            .route("/config", post(config))
            .with_state(Arc::clone(&world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            world,
            url,
            serving,
        }
    }

    pub(super) fn world(&self) -> parking_lot::MutexGuard<'_, ServedFiles> {
        self.world.lock()
    }

    pub(super) fn store(&self, key: &str, content: &[u8]) {
        self.world().files.insert(key.to_owned(), content.to_vec());
    }

    pub(super) fn last_heard(&self) -> String {
        self.world()
            .heard
            .last()
            .cloned()
            .expect("something was asked")
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({"title": "no", "detail": detail, "status": status.as_u16()});
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}

async fn upload(
    State(world): State<Shared>,
    UrlPath((user, name)): UrlPath<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = world.lock();
    let key = format!("{user}/{name}");
    let header = |name: &str| {
        headers
            .get(name)
            .map_or("-", |value| value.to_str().expect("text"))
    };
    let factor = header("dataverse-factor").to_owned();
    world.heard.push(format!(
        "PUT {key} factor={factor} length={}",
        header("content-length")
    ));
    if name == "full" {
        return problem(StatusCode::INSUFFICIENT_STORAGE, "no room for ada/full");
    }
    let lies = world.mood == Mood::Lies;
    let digest = blake3::hash(if lies { b"other" } else { &body })
        .to_hex()
        .to_string();
    let before = world.files.insert(key.clone(), body.to_vec());
    let unchanged = before.as_deref() == Some(&*body);
    let status = match before {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let stored = serde_json::json!({"key": key, "size": body.len(), "digest": digest, "version": "1",
        "content_type": "text/plain", "factor": 2, "replicas": ["A"], "degraded": true, "unchanged": unchanged});
    (status, stored.to_string()).into_response()
}

async fn download(
    State(world): State<Shared>,
    UrlPath((user, name)): UrlPath<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut world = world.lock();
    let key = format!("{user}/{name}");
    let range = headers
        .get(header::RANGE)
        .map_or("-", |range| range.to_str().expect("text"));
    world.heard.push(format!("GET {key} {range}"));
    let Some(content) = world.files.get(&key).cloned() else {
        return problem(StatusCode::NOT_FOUND, "no reachable node has it");
    };
    let etag = format!("\"{}\"", blake3::hash(&content).to_hex());
    let fresh = headers
        .get(header::IF_RANGE)
        .is_some_and(|value| *value == *etag);
    let offset = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'));
    let offset: usize = offset
        .filter(|_| fresh)
        .map_or(0, |offset| offset.parse().expect("a number"));
    let mut rest = content[offset..].to_vec();
    let mut response = Response::builder()
        .header(header::ETAG, etag)
        .header(header::CONTENT_LENGTH, rest.len())
        .header("Dataverse-Source", "D")
        .header("Dataverse-Hops", "3");
    if offset > 0 {
        let range = format!("bytes {offset}-{}/{}", content.len() - 1, content.len());
        response = response.status(206).header(header::CONTENT_RANGE, range);
    }
    let body = match world.mood {
        Mood::Honest => Body::from(rest),
        Mood::Lies => {
            *rest.last_mut().expect("it isn't empty") ^= 1;
            Body::from(rest)
        }
        Mood::Breaks(after) => {
            rest.truncate(after);
            let sent = futures_util::stream::iter([Ok(rest)]);
            let broken = futures_util::stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("gone"))
            });
            Body::from_stream(sent.chain(broken))
        }
    };
    response.body(body).expect("the response is complete")
}

async fn delete(
    State(world): State<Shared>,
    UrlPath((user, name)): UrlPath<(String, String)>,
) -> Response {
    let key = format!("{user}/{name}");
    match world.lock().files.remove(&key) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => problem(StatusCode::NOT_FOUND, "there is no such file"),
    }
}

async fn search(State(world): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let mut world = world.lock();
    let query = query.unwrap_or_default();
    world.heard.push(format!("GET /v1/search?{query}"));
    let hits: Vec<_> = world.files.iter().map(|(key, content)| serde_json::json!({
        "key": key, "size": content.len(), "digest": "d", "version": "v", "content_type": "text/plain",
        "node": "D", "hops": 3, "role": "replica"})).collect();
    let outcome = if hits.is_empty() { "partial" } else { "found" };
    let mut answer = serde_json::json!({"query": query, "outcome": outcome, "exact": true, "hits": hits,
        "path": ["A", "B", "C", "D"], "probes": 3, "levels": 3,
        "unanswered": [{"node": "E", "address": "e:1"}], "elapsed_ms": 1.5});
    if let Some(is_cut) = world.is_cut {
        answer["truncated"] = is_cut.into();
    }
    answer.to_string().into_response()
}

async fn links() -> String {
    r#"[{"node":"B\u001b[2J","address":"b:1","state":"up"}]"#.to_owned()
}

async fn link(State(world): State<Shared>, body: String) -> Response {
    world.lock().heard.push(format!("POST /v1/links {body}"));
    match body.contains("dead") {
        true => problem(StatusCode::BAD_GATEWAY, "dead:1 can't be reached"),
        false => (
            StatusCode::CREATED,
            r#"{"node":"B","address":"b:1","state":"up"}"#,
        )
            .into_response(),
    }
}

async fn unlink(State(world): State<Shared>, UrlPath(node): UrlPath<String>) -> StatusCode {
    world.lock().heard.push(format!("DELETE {node}"));
    StatusCode::NO_CONTENT
}

async fn config(State(world): State<Shared>, body: String) -> StatusCode {
    world.lock().heard.push(format!("POST /config {body}"));
    StatusCode::CREATED
}
