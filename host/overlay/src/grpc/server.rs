//! The gRPC server of a node: all services, health and reflection on one port.
//!
//! It lives as long as [`serve`] runs. When asked to stop, it reports that to health checks, accepts no new connections
//! and calls, lets calls under way finish, and breaks those that are left after a deadline. When `serve` returns or is
//! dropped, every connection is closed.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::middleware::Next;
use dataverse_identity::credentials::Credentials;
use futures_util::stream::{self, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::connections::{Caller, Over, bounds, incoming};
use super::overlay::OverlayService;
use super::proto;
use super::proto::overlay_server::OverlayServer;
use crate::connection_slots::Bounds;
use crate::held::Held;
use crate::limits;
use crate::timings::Timings;
use crate::transport::Serve;

/// What callers without a certificate may call on a port that is for nodes only.
const OPEN_TO_ALL: [&str; 2] = ["/grpc.health.v1.Health/", "/dataverse.v1.Enrolment/Enrol"];
/// How often to check whether health checks need a new answer.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// The gRPC services of a node, before they are served.
#[derive(Default)]
pub struct Services {
    routes: Routes,
    names: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
    for_nodes_only: bool,
}

impl Services {
    /// The service that other nodes call.
    #[must_use]
    pub fn overlay(overlay: Arc<dyn Serve>, timings: &Timings) -> Self {
        let overlay = OverlayServer::new(OverlayService::new(overlay, timings))
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
        Self::default().with("dataverse.v1.Overlay", proto::DESCRIPTORS, |routes| {
            routes.add_service(overlay)
        })
    }

    /// Refuses callers without a certificate, except for health and for machines that want to join. Needs credentials.
    #[must_use]
    pub const fn for_nodes_only(mut self) -> Self {
        self.for_nodes_only = true;
        self
    }

    /// Adds a service: `add` adds it, health checks report it as `name`, and reflection shows `descriptors`.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        descriptors: &'static [u8],
        add: impl FnOnce(Routes) -> Routes,
    ) -> Self {
        self.routes = add(self.routes);
        self.names.push(name);
        self.descriptors.push(descriptors);
        self
    }
}

/// Serves other nodes and clients on `listener` until `shutdown` ends. With credentials, all connections are TLS, and
/// only nodes of the same network can call the overlay.
///
/// # Errors
/// Only errors of starting the server; a bad call or connection is not an error of the server.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    timings: &Timings,
    credentials: Option<Arc<Credentials>>,
    is_ready: impl Fn() -> bool,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let bounds = bounds();
    run(
        listener,
        bounds,
        services,
        timings,
        credentials,
        is_ready,
        shutdown,
    )
    .await
}

/// Serves these services, health and reflection.
pub(crate) async fn run(
    listener: TcpListener,
    bounds: Bounds,
    services: Services,
    timings: &Timings,
    credentials: Option<Arc<Credentials>>,
    is_ready: impl Fn() -> bool,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Services {
        routes,
        names,
        descriptors,
        for_nodes_only,
    } = services;
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = descriptors.into_iter().fold(
        tonic_reflection::server::Builder::configure(),
        tonic_reflection::server::Builder::register_encoded_file_descriptor_set,
    );
    let reflection = reflection.build_v1()?;
    let routes = routes.add_service(health_service).add_service(reflection);
    let routes = match for_nodes_only {
        true => closed_to_clients(routes),
        false => routes,
    };
    set_health(&health, &names, ServingStatus::Serving).await;

    let closing = CancellationToken::new();
    let _closed_at_the_end = closing.clone().drop_guard();
    let stopping = CancellationToken::new();
    let greeting = timings.call_deadline;
    let connections = incoming(listener, bounds, greeting, closing.clone(), credentials);
    let server = builder()
        .add_routes(noted(unbroken(routes)))
        .serve_with_incoming_shutdown(connections, async {
            shutdown.await;
            set_health(&health, &names, ServingStatus::NotServing).await;
            stopping.cancel();
        });
    let break_off = async {
        stopping.cancelled().await;
        tokio::time::sleep(timings.node_shutdown).await;
        closing.cancel();
        pending::<Infallible>().await
    };
    let update_health = async {
        let mut reported = true;
        loop {
            tokio::time::sleep(HEALTH_EVERY).await;
            let ready = is_ready() && !stopping.is_cancelled();
            if ready != reported {
                let status = match ready {
                    true => ServingStatus::Serving,
                    false => ServingStatus::NotServing,
                };
                set_health(&health, &names, status).await;
                reported = ready;
            }
        }
    };
    tokio::select! {
        ended = server => Ok(ended?),
        never = update_health => never,
        never = break_off => match never {},
    }
}

fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::CALLS_PER_CONNECTION_MAX)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .http2_max_header_list_size(limits::HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(Duration::from_millis(limits::KEEPALIVE_MS)))
        .http2_keepalive_timeout(Some(Duration::from_millis(limits::KEEPALIVE_TIMEOUT_MS)))
}

async fn set_health(health: &HealthReporter, names: &[&str], status: ServingStatus) {
    health.set_service_status("", status).await;
    for name in names {
        health.set_service_status(name, status).await;
    }
}

/// Makes the body of a request that breaks off end in an error.
///
/// The libraries below take some ways in which a stream can be cut (among them a reset by the client) for its end. An
/// upload ends with its stream, so half of one would pass for a whole file.
fn unbroken(routes: Routes) -> Routes {
    let watch = |request: axum::extract::Request| async { request.map(watched) };
    let router = routes.into_axum_router();
    Routes::from(router.layer(axum::middleware::map_request(watch)))
}

/// Refuses callers without a certificate where [`OPEN_TO_ALL`] does not say otherwise.
fn closed_to_clients(routes: Routes) -> Routes {
    let check = |request: axum::extract::Request, next: Next| async {
        let path = request.uri().path();
        let is_open = OPEN_TO_ALL.iter().any(|open| path.starts_with(open));
        let over = request.extensions().get::<Over>();
        let is_node = over.is_some_and(|over| matches!(over.caller(), Caller::Node(_)));
        match is_node || is_open {
            true => next.run(request).await,
            false => Status::unauthenticated(
                "this port is open to nodes of its network only; use a node that listens on loopback (--listen)",
            )
            .into_http(),
        }
    };
    let router = routes.into_axum_router();
    Routes::from(router.layer(axum::middleware::from_fn(check)))
}

/// Marks a call as under way on its connection until the last of its answer is sent.
fn noted(routes: Routes) -> Routes {
    let note = |request: axum::extract::Request, next: Next| async {
        let over = request.extensions().get::<Over>();
        let under_way = over.map(|over| over.activity.begin());
        let response = next.run(request).await;
        response.map(|body| Held::until_sent(body, under_way))
    };
    let router = routes.into_axum_router();
    Routes::from(router.layer(axum::middleware::from_fn(note)))
}

fn watched(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let frames = stream::unfold(Some(body.into_data_stream()), |state| async {
        let mut body: BodyDataStream = state?;
        match body.next().await {
            Some(Ok(bytes)) => Some((Ok(bytes), Some(body))),
            None if body.is_end_stream() => None,
            None | Some(Err(_)) => Some((
                Err(Status::aborted("the call was cut off before its end")),
                None,
            )),
        }
    });
    Body::from_stream(frames)
}
