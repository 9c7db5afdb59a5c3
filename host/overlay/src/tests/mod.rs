//! Tests of the transport port on every implementation: one suite (`conformance`), and what only sockets (`grpc`), only
//! TLS (`tls`) or only the network in memory (`memory`) can show.

mod conformance;
mod fake;
mod grpc;
mod memory;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_core::version::Stamp;
use dataverse_identity::credentials::Credentials;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::memory::MemoryNetwork;
use crate::connection_slots::Bounds;
use crate::grpc::{GrpcTransport, Services, connections, server};
use crate::timings::Timings;
use crate::transport::{Message, Sender, Transport};
use fake::Fake;

/// Longer than any test takes: waiting this long means failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Timings under which nothing times out, however busy the machine is.
fn patient() -> Timings {
    Timings {
        search_probe_deadline: PATIENCE,
        call_deadline: PATIENCE,
        call_connect: PATIENCE,
        read_stall: PATIENCE,
        write_stall: PATIENCE,
        ..Timings::default()
    }
}

/// Timings under which a silent peer soon times out.
fn impatient() -> Timings {
    let soon = Duration::from_millis(500);
    Timings {
        search_probe_deadline: soon,
        call_deadline: soon,
        read_stall: soon,
        write_stall: soon,
        write_deadline: soon,
        node_shutdown: soon,
        ..Timings::default()
    }
}

/// A node that can be called, and the means to call it.
struct Bench {
    transport: Arc<dyn Transport>,
    node: Arc<Fake>,
    to: Peer,
    /// An address where nobody listens.
    dead: Peer,
    /// Stops the server at the end of the test.
    _server: Option<Server>,
}

impl Bench {
    fn memory(timings: &Timings) -> Self {
        let network = MemoryNetwork::new(timings);
        let to = peer("b.example:1");
        let node = Arc::new(Fake::new(to.clone()));
        network.listen(&to.address, node.clone());
        Self {
            transport: Arc::new(network.transport("a.example:1")),
            node,
            to,
            dead: peer("c.example:1"),
            _server: None,
        }
    }

    async fn grpc(timings: &Timings) -> Self {
        Self::over_sockets(timings, None, None).await
    }

    async fn tls(timings: &Timings) -> Self {
        let network = tls::Network::new();
        let (a, b) = (network.credentials(0xa), network.credentials(0xb));
        Self::over_sockets(timings, Some(a), Some(b)).await
    }

    /// With these credentials of the caller and of the node that is called.
    async fn over_sockets(
        timings: &Timings,
        caller: Option<Arc<Credentials>>,
        called: Option<Arc<Credentials>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback exists");
        let to = peer(&listener.local_addr().expect("it is bound").to_string());
        let unused = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback exists");
        let dead = peer(&unused.local_addr().expect("it is bound").to_string());
        let node = Arc::new(Fake::new(to.clone()));
        Self {
            transport: Arc::new(GrpcTransport::new(timings, caller)),
            _server: Some(Server::secure(listener, node.clone(), timings, called)),
            node,
            to,
            dead,
        }
    }
}

/// A gRPC server that stops when it is dropped.
struct Server {
    tasks: JoinSet<anyhow::Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Server {
    fn start(listener: TcpListener, node: Arc<Fake>, timings: &Timings) -> Self {
        Self::secure(listener, node, timings, None)
    }

    fn secure(
        listener: TcpListener,
        node: Arc<Fake>,
        timings: &Timings,
        credentials: Option<Arc<Credentials>>,
    ) -> Self {
        let services = Services::overlay(node, timings);
        Self::run(
            connections::bounds(),
            listener,
            services,
            timings,
            credentials,
        )
    }

    fn within(
        bounds: Bounds,
        listener: TcpListener,
        services: Services,
        timings: &Timings,
    ) -> Self {
        Self::run(bounds, listener, services, timings, None)
    }

    fn run(
        bounds: Bounds,
        listener: TcpListener,
        services: Services,
        timings: &Timings,
        credentials: Option<Arc<Credentials>>,
    ) -> Self {
        let timings = timings.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let stopped = async { drop(stopped.await) };
            server::run(
                listener,
                bounds,
                services,
                &timings,
                credentials,
                || true,
                stopped,
            )
            .await
        });
        Self { tasks, stop }
    }

    /// Stops as a node does and waits until everything is closed.
    async fn stop(mut self) {
        drop(self.stop);
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        let ended = ended
            .expect("a server stops in time")
            .expect("it was started");
        ended
            .expect("it does not panic")
            .expect("it ends without an error");
    }
}

fn peer(address: &str) -> Peer {
    Peer {
        id: NodeId::from(0xb),
        name: "B".into(),
        address: address.into(),
    }
}

/// A message from a node that listens at `a.example:1`.
fn from_a<T>(body: T) -> Message<T> {
    let node = Peer {
        id: NodeId::from(0xa),
        name: "A".into(),
        address: "a.example:1".into(),
    };
    let sender = Sender {
        node,
        clock: Stamp::at(5),
        network: "test".into(),
        protocol: 1,
        instance: 2,
    };
    Message { sender, body }
}

/// Waits until the condition holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}
