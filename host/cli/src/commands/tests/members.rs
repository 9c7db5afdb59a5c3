//! A network of small test servers that implement the policy part of the HTTP contract, record requests, and
//! refuse on request.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use dataverse_node::policies::view::{
    ActiveView, Available, Comparison, KindView, Origin, PoliciesView, PreviousView, ShadowView,
    Spread,
};
use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Servers that stop at the end of the test.
pub(super) struct Members {
    members: Vec<Arc<Member>>,
    serving: Vec<JoinHandle<()>>,
}

pub(super) struct Member {
    name: String,
    url: String,
    /// The answer to `/v1/nodes`, the same at all members.
    nodes: Mutex<Value>,
    /// `method path body` of every requested change.
    heard: Mutex<Vec<String>>,
    /// The refusal of every change, if any.
    refusal: Mutex<Option<(StatusCode, &'static str)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Drop for Members {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

impl Members {
    /// Members with these names, each of which knows all.
    pub(super) async fn start(names: &[&str]) -> Self {
        let (mut members, mut serving) = (Vec::new(), Vec::new());
        for name in names {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("it is bound");
            let member = Arc::new(Member {
                name: (*name).to_owned(),
                url: format!("http://{address}"),
                nodes: Mutex::default(),
                heard: Mutex::default(),
                refusal: Mutex::default(),
            });
            let router = router(Arc::clone(&member));
            serving.push(tokio::spawn(async move {
                axum::serve(listener, router).await.expect("it serves");
            }));
            members.push(member);
        }
        let members = Self { members, serving };
        members.list(|_, _| {});
        members
    }

    /// Makes all members list all members, in reverse, each modified by `but`.
    pub(super) fn list(&self, but: impl Fn(&str, &mut Value)) {
        for member in &self.members {
            let nodes = self.members.iter().enumerate().rev();
            let nodes = nodes.map(|(hops, of)| {
                let mut node = json!({
                    "name": of.name, "id": of.id(), "address": "127.0.0.1:7400",
                    "http": of.url.trim_start_matches("http://"), "zone": "", "hops": hops,
                    "capacity": 0, "free": 0, "load": 0, "state": "alive",
                });
                but(&of.name, &mut node);
                node
            });
            *locked(&member.nodes) = nodes.collect();
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.members[0].url
    }

    pub(super) fn url_of(&self, name: &str) -> &str {
        &self.of(name).url
    }

    pub(super) fn refuses(&self, name: &str, status: StatusCode, reason: &'static str) {
        *locked(&self.of(name).refusal) = Some((status, reason));
    }

    pub(super) fn heard(&self, name: &str) -> Vec<String> {
        locked(&self.of(name).heard).clone()
    }

    fn of(&self, name: &str) -> &Member {
        let found = self.members.iter().find(|member| member.name == name);
        found.expect("there is such a member")
    }
}

impl Member {
    fn id(&self) -> String {
        format!("id-of-{}", self.name)
    }

    /// Records the request, and refuses it if the test asked for that.
    fn hear(&self, method: &Method, uri: &Uri, body: &[u8]) -> Option<Response> {
        let body = String::from_utf8_lossy(body);
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        let heard = format!("{method} {path} {body}");
        locked(&self.heard).push(heard.trim_end().to_owned());
        let (status, reason) = (*locked(&self.refusal))?;
        let body = json!({"title": "no", "detail": reason, "status": status.as_u16()});
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        Some((status, kind, body.to_string()).into_response())
    }
}

fn router(member: Arc<Member>) -> Router {
    let nodes = async |State(member): State<Arc<Member>>| locked(&member.nodes).to_string();
    let status = async |State(member): State<Arc<Member>>| {
        let nothing = json!({"files": 0, "bytes": 0});
        json!({
            "name": member.name, "id": member.id(), "network": "n", "version": "0", "uptime_s": 0,
            "capacity": 0, "free": 0, "replicas": nothing, "cached": nothing, "links": 0,
        })
        .to_string()
    };
    Router::new()
        .route("/v1/nodes", get(nodes))
        .route("/v1/status", get(status))
        .route("/v1/policies", get(async || axum::Json(policies())))
        .route("/v1/policies/files/{name}", put(install).delete(change))
        .route("/v1/policies/{kind}", put(change))
        .route("/v1/policies/{kind}/{change}", post(change))
        .layer(DefaultBodyLimit::max(POLICY_FILE_BYTES_MAX))
        .with_state(member)
}

async fn install(
    State(member): State<Arc<Member>>,
    Path(name): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    match member.hear(&Method::PUT, &uri, &body) {
        Some(refused) => refused,
        None => (StatusCode::CREATED, axum::Json(file(&name))).into_response(),
    }
}

async fn change(
    State(member): State<Arc<Member>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    match member.hear(&method, &uri, &body) {
        Some(refused) => refused,
        None if method == Method::DELETE => StatusCode::NO_CONTENT.into_response(),
        None => axum::Json(kind("gdsf")).into_response(),
    }
}

fn file(name: &str) -> Available {
    Available {
        name: name.into(),
        kind: Some("eviction".into()),
        version: "0.1.0".into(),
        summary: "the coldest goes first".into(),
        digest: "0123456789abcdef".into(),
        origin: Origin::Folder,
        size: 2048,
        warning: None,
        error: None,
    }
}

fn kind(name: &str) -> KindView {
    KindView {
        active: ActiveView {
            name: name.into(),
            version: "0.1.0".into(),
            summary: "the coldest goes first".into(),
            digest: "fedcba9876543210".into(),
            origin: Origin::BuiltIn,
            state: "probation".into(),
            config: json!({}),
            loaded_at: "2026-01-01T00:00:00Z".into(),
            decisions: 12,
            faults: BTreeMap::new(),
            last_fault: None,
            fuel: Spread {
                p50: 1234.0,
                p99: 5678.0,
            },
            latency_us: Spread {
                p50: 1.25,
                p99: 20.5,
            },
        },
        shadow: None,
        pending: None,
        previous: Vec::new(),
        last_error: None,
        revision: format!("{name}-wished"),
    }
}

fn before(name: &str, digest: &str) -> PreviousView {
    PreviousView {
        name: name.into(),
        digest: digest.into(),
        origin: Origin::Folder,
        config: json!({}),
        loaded_at: "2026-01-01T00:00:00Z".into(),
    }
}

/// The policies that every member reports.
fn policies() -> PoliciesView {
    let mut placement = kind("ring");
    placement.active.fuel = Spread::default();
    placement.active.latency_us = Spread::default();
    placement.active.digest = String::new();
    let mut eviction = kind("lru");
    eviction.active.faults = BTreeMap::from([("fuel".into(), 1), ("trap".into(), 2)]);
    eviction.last_error = Some("it does\u{1b}[2J not compile".into());
    eviction.pending = Some("w-tinylfu".into());
    eviction.previous = vec![
        before("fifo", "0123456789abcdef"),
        before("mine", "fedcba9876543210"),
    ];
    eviction.shadow = Some(ShadowView {
        name: "sieve".into(),
        version: "0.2.0".into(),
        summary: "lazy".into(),
        digest: "e".into(),
        origin: Origin::Folder,
        state: "active".into(),
        loaded_at: "2026-01-01T00:00:00Z".into(),
        decisions: 11,
        faults: BTreeMap::new(),
        last_fault: None,
        dropped: 3,
        comparison: Comparison::Eviction {
            hit_ratio: Some(0.5),
            active_hit_ratio: Some(0.375),
            byte_hit_ratio: None,
            active_byte_hit_ratio: None,
        },
    });
    let mut refused = file("broken");
    refused.kind = None;
    refused.error = Some("this is not WebAssembly".into());
    PoliciesView {
        placement,
        eviction,
        relocation: kind("reader"),
        available: vec![file("sieve"), refused],
        last_error: Some("policies.toml: line 3".into()),
        watch: None,
        folder: "/policies".into(),
    }
}
