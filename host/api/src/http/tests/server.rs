//! How the server stops, and how it handles clients that misbehave.

use std::time::Duration;

use dataverse_node::settings::Settings;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{PATIENCE, Reply, Running, head};

const WAITS: &str = "PUT /v1/files/trouble/waits";

fn put(path: &str, length: u64, body: &str) -> Vec<u8> {
    let head = head(&format!("PUT {path}"), &[]);
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_stopping_server_finishes_what_is_in_flight() {
    let node = Running::start().await;
    let (node_api, stop) = (node.node_api.clone(), node.stop.clone());
    let asked = node.ask(WAITS, &[], b"hello");
    let stopped = async {
        node_api.begun.notified().await;
        stop.cancel();
        node_api.go_on.notify_one();
    };
    let (reply, ()) = tokio::join!(asked, stopped);
    assert_eq!(reply.status, 201);
    let served = timeout(PATIENCE, node.served)
        .await
        .expect("it ends in time");
    served.expect("it does not panic").expect("it ends orderly");
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off() {
    let settings = Settings {
        node_shutdown: Duration::from_millis(20),
        ..Settings::default()
    };
    let node = Running::start_with(settings).await;
    let stream = node.send(&put("/v1/files/trouble/waits", 5, "hello")).await;
    node.node_api.begun.notified().await;
    node.stop.cancel();
    let served = timeout(PATIENCE, node.served)
        .await
        .expect("it ends in time");
    served.expect("it does not panic").expect("it ends orderly");
    drop(stream);
    assert!(!node.node_api.holds("trouble/waits"));
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_when_to_come_again() {
    let settings = Settings {
        limit_requests: 1,
        ..Settings::default()
    };
    let node = Running::start_with(settings).await;
    let beside = async {
        node.node_api.begun.notified().await;
        let refused = node.get("/v1/nodes").await;
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.problem().0, 503);
        for path in ["/healthz", "/readyz", "/metrics", "/v1/status"] {
            assert_eq!(node.get(path).await.status, 200, "{path}");
        }
        node.node_api.go_on.notify_one();
    };
    let (reply, ()) = tokio::join!(node.ask(WAITS, &[], b"hello"), beside);
    assert_eq!(reply.status, 201);
    assert_eq!(
        node.get("/v1/nodes").await.status,
        200,
        "there is a turn again"
    );
}

#[tokio::test]
async fn searches_beyond_the_limit_are_told_when_to_come_again() {
    let node = Running::start().await;
    node.put("/v1/files/trouble/busy", b"").await;
    let refused = node.get("/v1/search?key=ada/x").await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.problem().0, 429);
}

#[tokio::test]
async fn an_upload_that_stalls_is_ended() {
    let settings = Settings {
        write_stall: Duration::from_millis(20),
        ..Settings::default()
    };
    let node = Running::start_with(settings).await;
    let reply = Reply::read(node.send(&put("/v1/files/ada/x", 5, "he")).await).await;
    assert_eq!(reply.problem().0, 408);
    assert!(!node.node_api.holds("ada/x"));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let node = Running::start().await;
    let mut stream = node.send(&put("/v1/files/ada/x", 5, "he")).await;
    stream.shutdown().await.expect("it can be closed");
    let broken = node.node_api.broken.notified();
    timeout(PATIENCE, broken)
        .await
        .expect("the write ends in time");
    assert!(!node.node_api.holds("ada/x"));
}

#[tokio::test]
async fn the_sender_of_a_refused_upload_reads_the_refusal() {
    let node = Running::start().await;
    let body = vec![b'x'; 8 << 20];
    let reply = node.put("/v1/files/trouble/full", &body).await;
    assert_eq!(reply.problem().0, 507);
    assert_eq!(node.put("/v1/files/ada", &body).await.problem().0, 400);
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_not_told_when_refused() {
    let node = Running::start().await;
    let head = head("PUT /v1/files/trouble/full", &[("Expect", "100-continue")]);
    let reply = Reply::read(
        node.send(format!("{head}Content-Length: 5\r\n\r\n").as_bytes())
            .await,
    )
    .await;
    assert_eq!(reply.problem().0, 507);
}

#[tokio::test]
async fn pages_of_other_sites_can_not_write() {
    let node = Running::start().await;
    let foreign = [("Origin", "http://evil.example")];
    let reply = node.ask("PUT /v1/files/ada/x", &foreign, b"x").await;
    assert_eq!(reply.problem().0, 403);
    let own = [("Origin", "http://localhost")];
    assert_eq!(
        node.ask("PUT /v1/files/ada/x", &own, b"x").await.status,
        201
    );
    let rebound = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let reply = Reply::read(node.send(rebound.as_bytes()).await).await;
    assert_eq!(reply.problem().0, 421);
}

#[tokio::test]
async fn what_is_no_http_harms_nobody() {
    let node = Running::start().await;
    for junk in [
        b"\x16\x03\x01\x02\x00\x01\x00".as_slice(),
        b"GET\r\n\r\n",
        b"PUT /v1/files/ada/x HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        let reply = Reply::read(node.send(junk).await).await;
        assert_eq!(reply.status, 400);
    }
    assert_eq!(node.get("/healthz").await.status, 200);
}
