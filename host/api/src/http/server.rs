//! The lifetime of the HTTP server: accept, serve, stop.
//!
//! Stopping is graceful at first: no new connection is accepted, idle ones are closed, and requests in progress
//! continue. What isn't done by the deadline is cut off. When [`serve`] returns, or is dropped, nothing of it
//! keeps running.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use dataverse_node::driver::Driver;
use dataverse_node::metrics::Surface;
use dataverse_node::policies::api::PolicyApi;
use dataverse_node::settings::Settings;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::coding::coding;
use super::collected::collected;
use super::connection::Attendant;
use super::door::Door;
use super::guard::{Hosts, guard};
use super::headers::always;
use super::linger::linger;
use super::node_api::NodeApi;
use super::overload::overload;
use super::problem::Problem;
use super::{Around, routes};

/// How often recorded samples are folded into their histogram buckets.
const FOLD_EVERY: Duration = Duration::from_secs(5);
/// How long connections may take to notice that they were cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Serves a node and its policy API over HTTP until `shutdown` completes, then finishes what is in progress within
/// `settings.node_shutdown`.
///
/// # Errors
/// None: a failed accept is retried.
pub async fn serve(
    listener: TcpListener,
    driver: Arc<Driver>,
    policy_api: Arc<dyn PolicyApi>,
    settings: &Settings,
    around: Around,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_node(listener, driver, policy_api, settings, around, shutdown).await
}

pub(super) async fn serve_node(
    listener: TcpListener,
    node_api: Arc<dyn NodeApi>,
    policy_api: Arc<dyn PolicyApi>,
    settings: &Settings,
    around: Around,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let stopping = CancellationToken::new();
    let ended = CancellationToken::new();
    // However this future ends, its connections end with it.
    let _stop = stopping.clone().drop_guard();
    let _end = ended.clone().drop_guard();
    let router = app(
        Arc::clone(&node_api),
        policy_api,
        settings,
        around,
        ended.clone(),
    );
    let attendant = Attendant::new(router, settings.limit_head, stopping.clone(), ended.clone());
    let mut connections = JoinSet::new();
    let door = Door::new(listener, settings.limit_connections);
    tokio::select! {
        never = let_in(door, &attendant, &mut connections) => match never {},
        () = shutdown => {}
        () = fold(&*node_api) => {}
    }
    stopping.cancel();
    let all_ended = async |connections: &mut JoinSet<()>, limit| {
        let ended = async { while connections.join_next().await.is_some() {} };
        timeout(limit, ended).await.is_ok()
    };
    if all_ended(&mut connections, settings.node_shutdown).await {
        return Ok(());
    }
    warn!(
        waited_ms = settings.node_shutdown.as_millis(),
        "cut off unfinished requests at shutdown"
    );
    ended.cancel();
    all_ended(&mut connections, CUT_OFF).await;
    Ok(())
}

/// Accepts connections. Never ends.
async fn let_in(
    mut door: Door,
    attendant: &Attendant,
    connections: &mut JoinSet<()>,
) -> Infallible {
    loop {
        let (stream, place) = door.accept().await;
        connections.spawn(attendant.clone().attend(stream, place));
        while connections.try_join_next().is_some() {}
    }
}

/// Folds samples. Never ends.
async fn fold(node_api: &dyn NodeApi) {
    let mut ticks = interval(FOLD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        node_api.metrics().fold();
    }
}

fn app(
    node_api: Arc<dyn NodeApi>,
    policy_api: Arc<dyn PolicyApi>,
    settings: &Settings,
    around: Around,
    ended: CancellationToken,
) -> Router {
    let turns = Arc::new(Semaphore::new(settings.limit_requests as usize));
    let hosts = Hosts::new(&around.hosts);
    // The last layer is the outermost.
    routes::router(
        Arc::clone(&node_api),
        policy_api,
        settings.write_stall,
        around.spool,
    )
    .layer(from_fn(collected))
    .layer(from_fn_with_state(turns, overload))
    .layer(from_fn(coding))
    .layer(from_fn_with_state(hosts, guard))
    .layer(from_fn(linger))
    .layer(from_fn_with_state(ended, cut_off))
    .layer(from_fn_with_state(node_api, observe))
    .layer(from_fn(always))
}

/// Answers 503 in place of a request that is not finished by the deadline of a shutdown.
async fn cut_off(State(ended): State<CancellationToken>, request: Request, next: Next) -> Response {
    tokio::select! {
        response = next.run(request) => response,
        () = ended.cancelled() => {
            let detail = "the node is stopping";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
        }
    }
}

/// Counts and logs each request.
async fn observe(
    State(node_api): State<Arc<dyn NodeApi>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    node_api
        .metrics()
        .request(Surface::Http, method_label(&method), route, status, took);
    debug!(%method, path, status, took_us = took.as_micros(), "answered");
    response
}

/// A client may invent methods; the number of series must not grow with them.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
