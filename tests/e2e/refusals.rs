//! What is refused: clearly, and without harm to the node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::world::{BINARY, Node, PATIENCE, bytes, eventually, sent};

/// Sends these bytes as they are and returns the status line.
fn raw(node: &Node, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(&node.http).expect("the node listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    stream.write_all(request).expect("it can be sent");
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

fn put(path: &str) -> Vec<u8> {
    format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    )
    .into_bytes()
}

#[tokio::test]
async fn names_that_are_no_keys_are_refused_with_the_reason() {
    let node = Node::start("A", &[]);
    let long_segment = format!("/v1/files/ada/{}", "x".repeat(256));
    let long_key = format!("/v1/files/ada{}", format!("/{}", "x".repeat(250)).repeat(5));
    let cases = [
        "/v1/files/ada/..",
        "/v1/files/ada/../bob/x",
        "/v1/files/ada/%2e%2e/x",
        "/v1/files/ada/%2E%2e",
        "/v1/files/./x",
        "/v1/files/ada/.",
        "/v1/files/ada/a%00b",
        "/v1/files/ada/a%0Ab",
        "/v1/files/ada/%ff",
        "/v1/files/ada//x",
        "/v1/files/ada/",
        "/v1/files/ada/a%2Fb",
        "/v1/files/%2e%2e%2fetc%2fpasswd",
        &long_segment,
        &long_key,
    ];
    for path in cases {
        let answer = raw(&node, &put(path));
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    let answer = raw(&node, &put("/v1/files/ada"));
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let problem: Value = sent(node.put("ada/a%00b", "x"))
        .await
        .json()
        .await
        .expect("it is JSON");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("control"))
    );
    assert!(problem["title"].is_string());
    node.store("ada/fine", "x").await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_and_the_node_goes_on() {
    let node = Node::start("A", &[]);
    for factor in ["0", "-1", "x", "65", "99999999999"] {
        let response = sent(node.put("ada/x", "x").header("Dataverse-Factor", factor)).await;
        assert_eq!(response.status(), 400, "factor {factor}");
        let kind = response.headers()["content-type"]
            .to_str()
            .expect("it is text");
        assert_eq!(kind, "application/problem+json");
    }
    for query in [
        "",
        "key=x",
        "q=",
        "q=[",
        "key=ada/x&hops=x",
        "q=a*&limit=-1",
    ] {
        let response = sent(node.request(Method::GET, &format!("/v1/search?{query}"))).await;
        assert_eq!(response.status(), 400, "{query}");
    }
    for body in [
        "",
        "{}",
        "{\"address\": 5}",
        "{\"address\": \"nowhere\"}",
        "\0\0",
    ] {
        let request = node.request(Method::POST, "/v1/links").body(body);
        let response = sent(request.header("content-type", "application/json")).await;
        let status = response.status();
        assert!(status.is_client_error(), "{body:?}: {status}");
    }
    let no_boundary = node
        .request(Method::POST, "/v1/files")
        .header("content-type", "multipart/form-data")
        .body("nonsense");
    assert!(sent(no_boundary).await.status().is_client_error());
    let broken = node
        .request(Method::POST, "/v1/files")
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nad");
    assert!(sent(broken).await.status().is_client_error());
    assert_eq!(
        sent(node.request(Method::GET, "/v1/nowhere"))
            .await
            .status(),
        404
    );
    assert_eq!(
        sent(node.request(Method::POST, "/healthz")).await.status(),
        405
    );
    assert_eq!(
        sent(node.request(Method::DELETE, "/v1/links/nobody"))
            .await
            .status(),
        404
    );
    assert_eq!(sent(node.delete("ada/none")).await.status(), 404);
    node.store("ada/fine", "x").await;
}

#[tokio::test]
async fn garbage_on_either_port_harms_nobody() {
    let node = Node::start("A", &[]);
    for address in [&node.http, &node.grpc] {
        for garbage in [
            bytes(100_000, 12),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00".to_vec(),
            b"GET / HTTP/9.9\r\n\r\n".to_vec(),
            vec![0; 10],
        ] {
            let mut stream = TcpStream::connect(address).expect("the node listens");
            // The node may close while we are still sending.
            let _ = stream.write_all(&garbage);
        }
    }
    node.store("ada/fine", "x").await;
    assert_eq!(node.read("ada/fine").await.body, b"x");
}

#[tokio::test]
async fn links_that_can_not_be_are_refused_with_the_reason() {
    let node = Node::start("A", &[]);
    let stranger = Node::start("S", &["--network", "other"]);
    let link = async |address: &str| {
        let body = serde_json::json!({ "address": address });
        let response = sent(node.request(Method::POST, "/v1/links").json(&body)).await;
        let status = response.status().as_u16();
        let problem: Value = response.json().await.expect("it is JSON");
        (
            status,
            problem["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (status, detail) = link(&node.grpc).await;
    assert!(
        (400..500).contains(&status) && detail.contains("itself"),
        "{status} {detail}"
    );
    let (status, detail) = link(&stranger.grpc).await;
    assert!(
        (400..500).contains(&status) && detail.contains("network"),
        "{status} {detail}"
    );
    let (status, detail) = link("127.0.0.1:1").await;
    assert!(
        status >= 500 && detail.contains("127.0.0.1:1"),
        "{status} {detail}"
    );
    assert_eq!(
        node.json("/v1/links").await.as_array().map(Vec::len),
        Some(0)
    );
}

#[tokio::test]
async fn a_write_that_does_not_fit_is_refused_and_nothing_is_lost() {
    let node = Node::start("A", &["--capacity", "4MiB", "--factor", "1"]);
    node.store("ada/kept", bytes(2_000_000, 13)).await;
    let response = sent(node.put("ada/large", bytes(3_000_000, 14))).await;
    assert_eq!(response.status(), 507);
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = bytes(3_000_000, 15)
        .chunks(50_000)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    assert_eq!(sent(node.put("ada/chunked", body)).await.status(), 507);
    assert_eq!(node.read("ada/kept").await.body, bytes(2_000_000, 13));
    node.store("ada/small", bytes(1_000_000, 16)).await;
    assert_eq!(sent(node.delete("ada/kept")).await.status(), 204);
    eventually("the room is free again", async || {
        sent(node.put("ada/large", bytes(2_500_000, 14)))
            .await
            .status()
            == 201
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_is_in_use_or_belongs_to_another_is_refused() {
    let node = Node::start("A", &[]);
    let start = |folder: &std::path::Path, network: &str| {
        let output = Command::new(BINARY)
            .args(["node", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--network", network, "--data"])
            .arg(folder)
            .output()
            .expect("the binary starts");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, words) = start(node.path(), "default");
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("in use"), "{words}");
}

#[tokio::test]
async fn an_address_off_loopback_needs_a_clear_yes() {
    let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
    for flag in ["--listen", "--http"] {
        let output = Command::new(BINARY)
            .args(["node", flag, "0.0.0.0:0", "--data"])
            .arg(folder.path())
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("--insecure"), "{words}");
    }
}
