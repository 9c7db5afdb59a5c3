//! What only TLS between nodes can show: who is let in, who answers, and what a revocation does to open connections.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use dataverse_core::id::NodeId;
use dataverse_core::search::{Peer, Question};
use dataverse_identity::authority::Authority;
use dataverse_identity::credentials::{Anchors, Credentials, Presented, client_with_ticket};
use dataverse_identity::joining::{JoinRequest, NodeKey};
use dataverse_identity::statement::{Content, Statement};
use dataverse_identity::ticket::{Ticket, TicketSecret};
use dataverse_identity::trust::Trust;
use futures_util::stream::TryStreamExt;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::fake::{Fake, key, version};
use super::{Bench, PATIENCE, Server, from_a, patient, peer, until};
use crate::clock::system_seconds;
use crate::grpc::proto::overlay_client::OverlayClient;
use crate::grpc::{GrpcTransport, Services, connections, proto};
use crate::transport::{CallError, FetchAsk, Refusal, TransportExt};

const A: u128 = 0xa;
const B: u128 = 0xb;
const C: u128 = 0xc;

/// A network of which tests can be members.
pub(super) struct Network(Authority);

impl Network {
    pub(super) fn new() -> Self {
        Self(Authority::create("test", 1, system_seconds()).expect("an authority"))
    }

    pub(super) fn credentials(&self, node: u128) -> Arc<Credentials> {
        let (node, key) = (NodeId::from(node), NodeKey::generate().expect("a key"));
        let request = JoinRequest::new(node, "A", &key).expect("a request");
        let leaf = self
            .0
            .issue(&request, "A", system_seconds(), system_seconds() + 3600);
        let presented = Presented {
            chain: vec![
                leaf.expect("it is issued"),
                self.0.certificate().der().clone(),
            ],
            key: key.for_tls(),
        };
        let anchors = Anchors::Network(Trust::new(self.0.certificate().clone()));
        let made = Credentials::new(node, presented, anchors, system_seconds());
        Arc::new(made.expect("they are good"))
    }

    fn revocation(&self, node: u128) -> Statement {
        let node = NodeId::from(node);
        let revoked = Statement::sign(
            Content::Revocation {
                node,
                at: system_seconds(),
            },
            &self.0,
        );
        revoked.expect("it is signed")
    }

    fn ticket(&self, address: &str) -> Ticket {
        let secret = TicketSecret::draw().expect("a secret");
        Ticket::new(address, self.0.certificate(), secret).expect("an address")
    }
}

/// A node that answers as `B`, and its server with these credentials.
async fn node(credentials: Arc<Credentials>) -> (Peer, Arc<Fake>, Server) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback exists");
    let to = peer(&listener.local_addr().expect("it is bound").to_string());
    let node = Arc::new(Fake::new(to.clone()));
    let server = Server::secure(listener, node.clone(), &patient(), Some(credentials));
    (to, node, server)
}

fn question() -> Question {
    Question::Exact {
        key: key("ada/x"),
        floor: None,
        pending_before: None,
    }
}

fn transport(credentials: Arc<Credentials>) -> GrpcTransport {
    GrpcTransport::new(&patient(), Some(credentials))
}

async fn probe(transport: &GrpcTransport, to: &Peer) -> Result<(), CallError> {
    let reply = transport.ask(to, from_a(question())).await;
    reply.map(|_| ())
}

fn check_unreachable(reply: Result<(), CallError>, words: &str) {
    let Err(CallError::Unreachable { reason, .. }) = &reply else {
        panic!("{reply:?}");
    };
    assert!(reason.contains(words), "{reason}");
}

#[tokio::test]
async fn a_message_in_the_name_of_another_node_is_refused() {
    let network = Network::new();
    let (to, node, _server) = node(network.credentials(B)).await;
    let impostor = transport(network.credentials(C));
    let refused = probe(&impostor, &to).await;
    let Err(CallError::Refused(Refusal::Invalid(reason))) = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.contains("the certificate is that of node"),
        "{reason}"
    );
    let ask = from_a(FetchAsk {
        key: key("ada/5"),
        version: version(),
        offset: 0,
        length: 5,
    });
    let refused = crate::transport::Transport::fetch(&impostor, &to, ask).await;
    assert!(matches!(
        refused.map(drop),
        Err(CallError::Refused(Refusal::Invalid(_)))
    ));
    assert!(node.heard().is_empty());
    assert_eq!(probe(&transport(network.credentials(A)), &to).await, Ok(()));
}

#[tokio::test]
async fn an_answer_in_the_name_of_another_node_is_not_taken_for_one() {
    let network = Network::new();
    // It says that it is B.
    let (to, _node, _server) = node(network.credentials(C)).await;
    let transport = transport(network.credentials(A));
    let reply = transport.ask(&to.address, from_a(question())).await;
    assert!(
        matches!(reply, Err(CallError::Protocol { .. })),
        "{reply:?}"
    );
}

#[tokio::test]
async fn nothing_is_sent_to_another_node_than_the_one_that_is_meant() {
    let network = Network::new();
    let (to, node, _server) = node(network.credentials(C)).await;
    let transport = transport(network.credentials(A));
    check_unreachable(probe(&transport, &to).await, "listens there now, not node");
    assert!(node.heard().is_empty());
}

#[tokio::test]
async fn another_node_at_a_known_address_is_reached_once_the_old_one_is_gone() {
    let network = Network::new();
    let (to, node, server) = node(network.credentials(B)).await;
    let transport = transport(network.credentials(A));
    assert_eq!(probe(&transport, &to).await, Ok(()));
    server.stop().await;
    let listener = TcpListener::bind(&*to.address)
        .await
        .expect("it is free again");
    let other = Peer {
        id: NodeId::from(C),
        ..to.clone()
    };
    let fake = Arc::new(Fake::new(other.clone()));
    let credentials = Some(network.credentials(C));
    let _server = Server::secure(listener, fake.clone(), &patient(), credentials);
    check_unreachable(probe(&transport, &to).await, "");
    assert_eq!(probe(&transport, &other).await, Ok(()));
    let by_address = transport.ask(&to.address, from_a(question())).await;
    assert!(by_address.is_ok(), "{by_address:?}");
    assert!(node.heard().len() == 1 && fake.heard().len() == 2);
}

#[tokio::test]
async fn nodes_of_another_network_are_refused_in_the_handshake() {
    let (network, other) = (Network::new(), Network::new());
    let (to, node, _server) = node(network.credentials(B)).await;
    let reply = probe(&transport(other.credentials(A)), &to).await;
    check_unreachable(reply, "not of this network");
    // Without TLS.
    let reply = probe(&GrpcTransport::new(&patient(), None), &to).await;
    assert!(
        matches!(reply, Err(CallError::Unreachable { .. })),
        "{reply:?}"
    );
    assert!(node.heard().is_empty());
}

#[tokio::test]
async fn a_node_without_tls_is_not_called_with_it() {
    let bench = Bench::grpc(&patient()).await;
    let transport = transport(Network::new().credentials(A));
    check_unreachable(probe(&transport, &bench.to).await, "does not speak TLS");
}

/// Hands out one connection that is there already.
struct Once<S>(Option<S>);

impl<S> Service<Uri> for Once<S> {
    type Response = S;
    type Error = std::io::Error;
    type Future = Ready<Result<S, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.take();
        ready(stream.ok_or_else(|| std::io::ErrorKind::NotConnected.into()))
    }
}

/// A channel of a client that recognises the node by a ticket and presents no certificate.
async fn client(ticket: &Ticket) -> Channel {
    let config = client_with_ticket(ticket).expect("it is configured");
    let tcp = TcpStream::connect(ticket.address())
        .await
        .expect("it listens");
    let name = ServerName::try_from("node.invalid").expect("it is a name");
    let stream = TlsConnector::from(config).connect(name, tcp).await;
    let connect = Once(Some(TokioIo::new(
        stream.expect("it is the node of the ticket"),
    )));
    let endpoint = Endpoint::from_static("http://node.invalid");
    endpoint
        .connect_with_connector(connect)
        .await
        .expect("it is connected")
}

#[tokio::test]
async fn clients_need_no_certificate_and_can_not_call_what_nodes_call() {
    let network = Network::new();
    let (to, node, _server) = node(network.credentials(B)).await;
    let channel = client(&network.ticket(&to.address)).await;
    let health = HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await;
    assert!(health.is_ok(), "{health:?}");
    let ask = proto::ProbeRequest::from(from_a(question()));
    let refused = OverlayClient::new(channel)
        .probe(ask)
        .await
        .expect_err("it is no node");
    assert!(refused.message().contains("only nodes"), "{refused}");
    assert!(node.heard().is_empty());
}

#[tokio::test]
async fn a_port_for_nodes_only_answers_clients_nothing_but_their_health() {
    let network = Network::new();
    let (listener, to) = super::grpc::bound().await;
    let node = Arc::new(Fake::new(to.clone()));
    let services = Services::overlay(node, &patient()).for_nodes_only();
    let credentials = Some(network.credentials(B));
    let bounds = connections::bounds();
    let _server = Server::run(bounds, listener, services, &patient(), credentials);
    let channel = client(&network.ticket(&to.address)).await;
    let mut health = HealthClient::new(channel.clone());
    let health = health.check(HealthCheckRequest::default()).await;
    assert!(health.is_ok(), "{health:?}");
    let ask = proto::ProbeRequest::from(from_a(question()));
    let refused = OverlayClient::new(channel)
        .probe(ask)
        .await
        .expect_err("it is no node");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(probe(&transport(network.credentials(A)), &to).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_closes_what_is_open_and_lets_nothing_in() {
    let network = Network::new();
    for at_the_server in [true, false] {
        let (server, client) = (network.credentials(B), network.credentials(A));
        let (to, node, _server) = node(Arc::clone(&server)).await;
        let transport = transport(Arc::clone(&client));
        let size = 64 << 20;
        let ask = from_a(FetchAsk {
            key: key(&format!("ada/{size}")),
            version: version(),
            offset: 0,
            length: size,
        });
        let fetched = crate::transport::Transport::fetch(&transport, &to, ask).await;
        let chunks = fetched.expect("it exists").body.chunks;
        let learnt = match at_the_server {
            true => server.learn(&[network.revocation(A)], system_seconds()),
            false => client.learn(&[network.revocation(B)], system_seconds()),
        };
        assert!(learnt);
        let chunks: Result<Vec<_>, _> = chunks.try_collect().await;
        assert!(chunks.is_err(), "the stream breaks");
        until("the sender's stream is dropped", || {
            node.dropped.load(std::sync::atomic::Ordering::SeqCst) == 1
        })
        .await;
        check_unreachable(probe(&transport, &to).await, "revoked");
    }
}

#[tokio::test]
async fn an_idle_connection_of_a_revoked_node_is_closed_as_well() {
    let network = Network::new();
    let server = network.credentials(B);
    let (to, _node, _server) = node(Arc::clone(&server)).await;
    let tcp = TcpStream::connect(&*to.address).await.expect("it listens");
    let name = ServerName::try_from("node.invalid").expect("it is a name");
    let connector = TlsConnector::from(network.credentials(A).tls().outgoing);
    let mut stream = connector.connect(name, tcp).await.expect("it is let in");
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(greeting).await.expect("it is sent");
    let mut some = [0; 9];
    stream.read_exact(&mut some).await.expect("its settings");
    assert!(server.learn(&[network.revocation(A)], system_seconds()));
    let rest = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    assert!(rest.is_ok(), "the node hangs up");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_holds_up_nobody() {
    let network = Network::new();
    let (to, _node, _server) = node(network.credentials(B)).await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(TcpStream::connect(&*to.address).await.expect("it listens"));
    }
    let transport = transport(network.credentials(A));
    let answer = tokio::time::timeout(PATIENCE / 2, probe(&transport, &to)).await;
    assert_eq!(answer, Ok(Ok(())));
}
