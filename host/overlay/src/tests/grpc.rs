//! What only sockets can show: hostile bytes, foreign servers, restarts, health and reflection.

use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use dataverse_core::search::{Peer, Question};
use futures_util::future::join_all;
use futures_util::stream::{self, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::fake::{Fake, key, version};
use super::{Bench, PATIENCE, Server, from_a, impatient, patient, peer, until};
use crate::connection_slots::Bounds;
use crate::grpc::GrpcTransport;
use crate::grpc::proto::overlay_client::OverlayClient;
use crate::grpc::{Services, connections, proto};
use crate::limits;
use crate::transport::{CallError, FetchAsk, TransportExt};

async fn channel(to: &Peer) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{}", to.address));
    let endpoint = endpoint.expect("it is an address");
    endpoint.connect().await.expect("it listens")
}

async fn probe(bench: &Bench) -> Result<(), CallError> {
    let question = Question::Exact {
        key: key("ada/x"),
        floor: None,
        pending_before: None,
    };
    bench
        .transport
        .ask(&bench.to, from_a(question))
        .await
        .map(|_| ())
}

pub(super) async fn bound() -> (TcpListener, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback exists");
    let to = peer(&listener.local_addr().expect("it is bound").to_string());
    (listener, to)
}

#[tokio::test]
async fn garbage_on_the_socket_leaves_the_node_unharmed() {
    const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let bench = Bench::grpc(&patient()).await;
    let noise: Vec<u8> = (0..9999_u32).map(|at| (at * 7919 % 251) as u8).collect();
    let huge_frame = [GREETING, b"\xff\xff\xff\0\0\0\0\0\x01", &noise].concat();
    let noise_after_greeting = [GREETING, &noise].concat();
    let http = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_vec();
    for bytes in [
        noise,
        huge_frame,
        noise_after_greeting,
        http,
        GREETING.to_vec(),
    ] {
        let mut socket = TcpStream::connect(&*bench.to.address)
            .await
            .expect("it listens");
        // The node may hang up before it has received everything.
        drop(socket.write_all(&bytes).await);
        drop(socket.shutdown().await);
        let mut answer = Vec::new();
        let closed = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "the node hangs up");
        assert_eq!(probe(&bench).await, Ok(()));
    }
}

#[tokio::test]
async fn connections_without_a_call_shut_no_node_out() {
    let bounds = Bounds {
        connection_slots: 4,
        reserve: 0,
        spared: Duration::from_millis(100),
    };
    let (listener, to) = bound().await;
    let node = Arc::new(Fake::new(to.clone()));
    let routes = crate::grpc::Services::overlay(node, &patient());
    let _server = Server::within(bounds, listener, routes, &patient());
    let silent = (0..40_usize).map(async |number| {
        let mut socket = TcpStream::connect(&*to.address).await.expect("it listens");
        if number % 2 == 0 {
            drop(socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await);
        }
        socket
    });
    let _silent = join_all(silent).await;
    let transport = GrpcTransport::new(&patient(), None);
    let question = Question::Exact {
        key: key("ada/x"),
        floor: None,
        pending_before: None,
    };
    let answer = transport.ask(&to, from_a(question));
    let answer = timeout(PATIENCE, answer)
        .await
        .expect("there is a free slot");
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn who_never_greets_is_hung_up_on() {
    let bench = Bench::grpc(&impatient()).await;
    let mut socket = TcpStream::connect(&*bench.to.address)
        .await
        .expect("it listens");
    let mut answer = Vec::new();
    let closed = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the node hangs up");
}

#[tokio::test]
async fn oversize_and_malformed_messages_are_refused_and_the_node_goes_on() {
    let bench = Bench::grpc(&patient()).await;
    let mut client = OverlayClient::new(channel(&bench.to).await);
    let large = proto::GossipRequest {
        sender: None,
        packet: vec![0; limits::MESSAGE_BYTES_MAX + 1].into(),
    };
    let refused = client.gossip(large).await.expect_err("it is too large");
    assert_eq!(refused.code(), Code::OutOfRange);
    let large = proto::GossipRequest {
        sender: Some((&from_a(()).sender).into()),
        packet: vec![0; limits::GOSSIP_PACKET_BYTES_MAX + 1].into(),
    };
    let refused = client.gossip(large).await.expect_err("it is too large");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("packet"), "{refused}");
    let refused = client.probe(proto::ProbeRequest::default()).await;
    let refused = refused.expect_err("it asks nothing");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("question"), "{refused}");
    assert!(bench.node.heard().is_empty());
    assert_eq!(probe(&bench).await, Ok(()));
}

#[tokio::test]
async fn a_preparation_out_of_order_is_refused() {
    use proto::prepare_part::Part;
    let bench = Bench::grpc(&patient()).await;
    let mut client = OverlayClient::new(channel(&bench.to).await);
    let header = || {
        Part::Header(proto::PrepareHeader {
            sender: Some((&from_a(()).sender).into()),
            preparation: vec![0; 16].into(),
            key: "ada/x".to_owned(),
            size: None,
        })
    };
    let chunk = |size: usize| Part::Chunk(vec![7; size].into());
    let end = |size| Part::End(proto::PrepareEnd { size });
    for parts in [
        vec![],
        vec![chunk(1)],
        vec![header()],
        vec![header(), chunk(1)],
        vec![header(), chunk(1), end(2)],
        vec![header(), header(), end(0)],
        vec![header(), chunk(0), end(0)],
        vec![
            header(),
            chunk(limits::CHUNK_BYTES_MAX + 1),
            end(limits::CHUNK_BYTES_MAX as u64 + 1),
        ],
    ] {
        let text = format!("{:?}", parts.len());
        let parts = parts
            .into_iter()
            .map(|part| proto::PreparePart { part: Some(part) });
        let reply = client.prepare(stream::iter(parts)).await;
        assert!(reply.is_err(), "{text}");
    }
    let parts = [
        header(),
        chunk(limits::CHUNK_BYTES_MAX),
        end(limits::CHUNK_BYTES_MAX as u64),
    ];
    let parts = parts
        .into_iter()
        .map(|part| proto::PreparePart { part: Some(part) });
    assert!(client.prepare(stream::iter(parts)).await.is_ok());
}

#[tokio::test]
async fn the_service_of_other_nodes_is_told_by_reflection_and_by_health() {
    let bench = Bench::grpc(&patient()).await;
    let channel = channel(&bench.to).await;
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let mut replies = reflection
        .server_reflection_info(stream::iter([ask]))
        .await
        .expect("it answers")
        .into_inner();
    let reply = replies
        .message()
        .await
        .expect("it answers")
        .expect("there is an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
        panic!("{reply:?}");
    };
    let names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    let mut health = HealthClient::new(channel);
    let service = "dataverse.v1.Overlay";
    assert!(names.iter().any(|name| name == service), "{names:?}");
    for service in ["", service] {
        let ask = HealthCheckRequest {
            service: service.to_owned(),
        };
        let reply = health.check(ask).await.expect("it answers").into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service}");
    }
}

#[tokio::test]
async fn a_node_that_comes_back_is_reached_by_the_next_call() {
    let timings = patient();
    let mut bench = Bench::grpc(&timings).await;
    assert_eq!(probe(&bench).await, Ok(()));
    bench._server.take().expect("it was started").stop().await;
    let gone = probe(&bench).await;
    assert!(
        matches!(gone, Err(CallError::Unreachable { .. })),
        "{gone:?}"
    );
    let listener = TcpListener::bind(&*bench.to.address)
        .await
        .expect("it is free again");
    let _server = Server::start(listener, bench.node.clone(), &timings);
    assert_eq!(probe(&bench).await, Ok(()));
}

#[tokio::test]
async fn a_stopping_server_breaks_off_what_does_not_end_in_time() {
    let mut bench = Bench::grpc(&impatient()).await;
    let size = 64 << 20;
    let ask = FetchAsk {
        key: key(&format!("ada/{size}")),
        version: version(),
        offset: 0,
        length: size,
    };
    let fetched = bench
        .transport
        .fetch(&bench.to, from_a(ask))
        .await
        .expect("it exists");
    bench._server.take().expect("it was started").stop().await;
    let chunks: Result<Vec<_>, _> = fetched.body.chunks.try_collect().await;
    assert!(chunks.is_err());
    let dropped = &bench.node.dropped;
    until("the sender's stream is dropped", || {
        dropped.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_is_late() {
    let (_listener, to) = bound().await;
    let transport = crate::grpc::GrpcTransport::new(&impatient(), None);
    let question = Question::Exact {
        key: key("ada/x"),
        floor: None,
        pending_before: None,
    };
    let reply = transport.ask(&to, from_a(question)).await.map(|_| ());
    assert_eq!(
        reply,
        Err(CallError::Deadline {
            address: to.address.to_string()
        })
    );
}

/// The error of a caller of this address.
async fn error_of(address: &str) -> String {
    let transport = crate::grpc::GrpcTransport::new(&patient(), None);
    let question = Question::Exact {
        key: key("ada/x"),
        floor: None,
        pending_before: None,
    };
    let reply = transport.ask(&peer(address), from_a(question)).await;
    let error = reply.map(|_| ()).expect_err("there is no node");
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    error.to_string()
}

/// The address of a server that answers every preface with these bytes and hangs up.
async fn stranger(answer: &'static [u8]) -> String {
    let (listener, to) = bound().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut greeting = [0; 24];
            // The caller may be gone already.
            let _ = stream.read_exact(&mut greeting).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    to.address.to_string()
}

#[tokio::test]
async fn why_no_node_can_be_reached_is_said_in_words() {
    let check = async |address: &str, words: &str| {
        let error = error_of(address).await;
        assert!(error.contains(address) && error.contains(words), "{error}");
        assert!(!error.contains("uncategorized"), "{error}");
    };
    check(
        "nowhere.invalid:7400",
        "`nowhere.invalid` can't be resolved",
    )
    .await;
    let (listener, nobody) = bound().await;
    drop(listener);
    check(&nobody.address, "connection refused").await;
    let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // What it said is not always known after it hung up.
    check(&stranger(page).await, "").await;
    // A TLS alert: unexpected message.
    check(&stranger(b"\x15\x03\x03\x00\x02\x02\x0a").await, "").await;
    check(&stranger(b"220 mail.example ESMTP\r\n").await, "").await;
    check(&stranger(b"").await, "").await;
}

/// The error of a call to a server that is not a Dataverse node and answers everything like this.
async fn error_of_stranger<R: IntoResponse + Clone + Send + Sync + 'static>(answer: R) -> String {
    let (listener, to) = bound().await;
    let router = axum::Router::new().fallback(move || std::future::ready(answer.clone()));
    let services = Services::default().with("stranger", &[], |_| Routes::from(router));
    let _server = Server::within(connections::bounds(), listener, services, &patient());
    let transport = crate::grpc::GrpcTransport::new(&patient(), None);
    let question = Question::Exact {
        key: key("ada/x"),
        floor: None,
        pending_before: None,
    };
    let reply = transport.ask(&to, from_a(question)).await.map(|_| ());
    assert!(
        matches!(reply, Err(CallError::Protocol { .. })),
        "{reply:?}"
    );
    reply.expect_err("it is not a node").to_string()
}

#[tokio::test]
async fn what_another_server_says_is_not_passed_on() {
    let page = "<html>Apache/2.4 at /srv/secret</html>";
    let error = error_of_stranger(axum::response::Html(page)).await;
    assert!(
        !error.contains("html") && !error.contains("secret"),
        "{error}"
    );
    let error = error_of_stranger((axum::http::StatusCode::NOT_FOUND, page)).await;
    assert!(
        !error.contains("html") && !error.contains("secret"),
        "{error}"
    );
}

#[tokio::test]
async fn a_status_that_is_no_status_does_not_harm_the_caller() {
    let headers = [
        ("content-type", "application/grpc"),
        ("grpc-status", "3"),
        ("grpc-status-details-bin", "!!! this is not base64 !!!"),
    ];
    error_of_stranger(headers).await;
}
