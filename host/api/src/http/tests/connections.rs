//! Clients must not harm others by what they leave unfinished: silent connections, endless heads, codings that
//! nobody decodes.

use std::time::Duration;

use dataverse_node::settings::Settings;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{PATIENCE, Reply, Running, head};

async fn limited(connections: u32) -> Running {
    Running::start_with(Settings {
        limit_connections: connections,
        ..Settings::default()
    })
    .await
}

async fn hasty() -> Running {
    Running::start_with(Settings {
        limit_head: Duration::from_millis(100),
        ..Settings::default()
    })
    .await
}

async fn silent(node: &Running, count: usize) -> Vec<TcpStream> {
    let opened = (0..count).map(|_| node.send(b""));
    join_all(opened).await
}

/// Reads until the other side closes; returns what it sent.
async fn end_of(mut stream: TcpStream) -> Vec<u8> {
    let mut sent = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut sent)).await;
    // A reset also ends the connection.
    drop(read.expect("it is closed in time"));
    sent
}

async fn assert_answers_operators(node: &Running) {
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(node.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn silent_connections_shut_nobody_out() {
    let node = limited(20).await;
    let _silent = silent(&node, 100).await;
    assert_answers_operators(&node).await;
    // Once they have been silent for a second, they make room for new connections.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = node.get("/v1/nodes").await;
        if reply.status == 200 {
            break;
        }
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(reply.problem().0, 503);
        assert!(Instant::now() < deadline, "there is never room");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn eleven_hundred_silent_connections_do_not_shut_out_health() {
    dataverse_overlay::descriptors::raise_limit();
    let node = Running::start().await;
    let _silent = silent(&node, 1_100).await;
    assert_answers_operators(&node).await;
}

#[tokio::test]
async fn requests_under_way_keep_their_places_and_health_is_still_answered() {
    let node = limited(1).await;
    let waits = node.ask("PUT /v1/files/trouble/waits", &[], b"hello");
    let beside = async {
        node.node_api.begun.notified().await;
        let _silent = silent(&node, 10).await;
        assert_answers_operators(&node).await;
        assert_eq!(node.get("/v1/nodes").await.problem().0, 503);
        node.node_api.go_on.notify_one();
    };
    let (reply, ()) = tokio::join!(waits, beside);
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn a_head_has_to_arrive_in_time() {
    let node = hasty().await;
    for begun in [
        "",
        "G",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        end_of(node.send(begun.as_bytes()).await).await;
    }
    let stream = node.send(b"GET /healthz HTTP/1.1\r\n").await;
    let (reads, mut writes) = stream.into_split();
    let drips = async {
        while writes.write_all(b"X: y\r\n").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let mut reads = reads;
    let mut sent = Vec::new();
    let ended = async { timeout(PATIENCE, reads.read_to_end(&mut sent)).await };
    tokio::select! {
        ended = ended => drop(ended.expect("it is closed in time")),
        () = drips => {}
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_more_requests_for_longer_than_a_head_may_take() {
    let node = hasty().await;
    let mut stream = node.send(b"").await;
    for _ in 0..3 {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.expect("it is open");
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let mut bytes = [0; 1024];
            let read = timeout(PATIENCE, stream.read(&mut bytes)).await;
            let count = read.expect("it answers").expect("it is open");
            assert!(count > 0, "it is closed");
            answer.extend(&bytes[..count]);
        }
        sleep(Duration::from_millis(150)).await;
    }
    stream.write_all(b"GET /he").await.expect("it is open");
    end_of(stream).await;
}

#[tokio::test]
async fn a_head_has_a_bound() {
    let node = Running::start().await;
    let long = format!("GET /healthz HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    for request in [long, many] {
        let answer = end_of(node.send_what_it_takes(request.as_bytes()).await).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
    assert_answers_operators(&node).await;
}

#[tokio::test]
async fn a_body_whose_transfer_coding_nobody_undoes_is_not_taken() {
    let node = Running::start().await;
    let coded = [("Transfer-Encoding", "gzip, chunked")];
    for request in [
        "PUT /v1/files/ada/x",
        "POST /v1/files",
        "POST /v1/links",
        "POST /config",
        "PUT /v1/policies/files/x",
        "PUT /v1/policies/eviction",
    ] {
        let text = format!("{}\r\n5\r\nhello\r\n0\r\n\r\n", head(request, &coded));
        let reply = Reply::read(node.send(text.as_bytes()).await).await;
        assert_eq!(reply.problem().0, 501, "{request}");
    }
    assert!(!node.node_api.holds("ada/x"));
    let plain = head("PUT /v1/files/ada/x", &[("Transfer-Encoding", "chunked")]);
    let text = format!("{plain}\r\n5\r\nhello\r\n0\r\n\r\n");
    let reply = Reply::read(node.send(text.as_bytes()).await).await;
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn coded_content_and_other_expectations_are_refused() {
    let node = Running::start().await;
    for request in ["PUT /v1/files/ada/x", "POST /v1/files", "POST /v1/links"] {
        let reply = node
            .ask(request, &[("Content-Encoding", "gzip")], b"x")
            .await;
        assert_eq!(reply.header("accept-encoding"), Some("identity"));
        assert_eq!(reply.problem().0, 415, "{request}");
        let reply = node.ask(request, &[("Expect", "tea")], b"x").await;
        assert_eq!(reply.problem().0, 417, "{request}");
    }
    let reply = node
        .ask(
            "PUT /v1/files/ada/x",
            &[("Content-Range", "bytes 0-0/9")],
            b"x",
        )
        .await;
    assert_eq!(reply.problem().0, 400);
    assert!(!node.node_api.holds("ada/x"));
    let identity = [("Content-Encoding", "identity")];
    let reply = node.ask("PUT /v1/files/ada/x", &identity, b"x").await;
    assert_eq!(reply.status, 201);
}
