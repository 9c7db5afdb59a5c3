//! What is refused, clearly and without harm to the node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::world::{BINARY, Node, PATIENCE, bytes, eventually, network, sent, store_only_at};

/// Sends these raw bytes and returns the status line.
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
            // The node may close the connection while this is still sending.
            let _ = stream.write_all(&garbage);
        }
    }
    node.store("ada/fine", "x").await;
    assert_eq!(node.read("ada/fine").await.body, b"x");
}

/// The status and the reason with which a node refuses a link.
async fn link_refused(node: &Node, address: &str) -> (u16, String) {
    let body = serde_json::json!({ "address": address });
    let response = sent(node.request(Method::POST, "/v1/links").json(&body)).await;
    let status = response.status().as_u16();
    let problem: Value = response.json().await.expect("it is JSON");
    let detail = problem["detail"].as_str().unwrap_or_default();
    (status, detail.to_owned())
}

#[tokio::test]
async fn links_that_can_not_be_are_refused_with_the_reason() {
    let node = Node::start("A", &[]);
    let stranger = Node::start("S", &["--network", "other"]);
    let link = async |address: &str| link_refused(&node, address).await;
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
async fn what_is_no_address_of_a_node_is_a_wrong_request() {
    let node = Node::start("A", &[]);
    let link = async |address: &str| link_refused(&node, address).await;
    for address in [
        "http://127.0.0.1:7400",
        "https://127.0.0.1:7400/",
        "grpc://h:1",
        "127.0.0.1:7400/path",
        "ada@127.0.0.1:7400",
        "ada:secret@127.0.0.1:7400",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:http",
        " 127.0.0.1:7400",
        "127.0.0.1 :7400",
        "::1:7400",
        "[::1]",
        "[x]:7400",
        ":7400",
        "h\n:1",
        "h%00:1",
        "",
    ] {
        let (status, detail) = link(address).await;
        assert_eq!(status, 400, "{address}: {detail}");
        let teaches = detail.contains("HOST:PORT") || detail.contains("port");
        assert!(teaches, "{address}: {detail}");
    }
    for ip in [
        "http://127.0.0.1",
        "127.0.0.1/x",
        "ada@127.0.0.1",
        "a b",
        "127.0.0.1:1",
        "h%00",
        "",
    ] {
        let pair = serde_json::json!({"IP1": ip, "PORT1": 7400, "IP2": "127.0.0.1", "PORT2": 1});
        let response = sent(node.request(Method::POST, "/config").json(&pair)).await;
        assert_eq!(response.status(), 400, "{ip}");
    }
    let (status, detail) = link("nowhere.invalid:7400").await;
    assert_eq!(status, 502, "{detail}");
    assert!(
        detail.contains("`nowhere.invalid` can't be resolved"),
        "{detail}"
    );
    // The node's own HTTP port is not a port for nodes.
    let (status, detail) = link(&node.http).await;
    assert_eq!(status, 502, "{detail}");
    assert!(detail.contains("port for nodes (--listen)"), "{detail}");
}

#[tokio::test]
async fn no_answer_names_a_path_of_the_machine() {
    let node = Node::start("A", &[]);
    let folder = node.path().to_owned();
    let shown = folder.display().to_string();
    let check = async |request: reqwest::RequestBuilder, expected: &[u16]| {
        let response = sent(request).await;
        let status = response.status().as_u16();
        let text = response.text().await.expect("it is text");
        assert!(expected.contains(&status), "{status} {text}");
        assert!(
            !text.contains(&shown) && !text.contains("/incoming"),
            "{text}"
        );
    };
    let policies = folder.join("policies");
    let choose = || {
        let spec = serde_json::json!({"policy": "lru"});
        node.request(Method::PUT, "/v1/policies/eviction")
            .json(&spec)
    };
    let table = policies.join("policies.toml");
    // Only its absence may need correcting here.
    let _ = std::fs::remove_file(&table);
    std::os::unix::fs::symlink(folder.join("elsewhere.toml"), &table)
        .expect("a link can be created");
    check(choose(), &[409]).await;
    std::fs::remove_dir_all(&policies).expect("it can be removed");
    check(choose(), &[409, 500, 503]).await;
    let removal = node.request(Method::DELETE, "/v1/policies/files/none");
    check(removal, &[404, 500]).await;
    std::fs::remove_dir_all(folder.join("incoming")).expect("it can be removed");
    // The node makes the folder again every second, perhaps before this.
    let put = node.put("ada/large", bytes(3_000_000, 7));
    check(put, &[201, 500, 507]).await;
}

#[tokio::test]
async fn what_a_peer_sends_wrong_is_no_fault_of_the_node_that_was_asked() {
    let nodes = network(2, &[(0, 1)], &[]).await;
    let content = bytes(300_000, 21);
    let key = store_only_at(&nodes, 1, "bad", &content).await;
    for file in files_in(&nodes[1].path().join("content")) {
        let length = std::fs::metadata(&file).expect("it exists").len();
        std::fs::write(
            &file,
            vec![0; usize::try_from(length).expect("it is valid")],
        )
        .expect("it can be spoilt");
    }
    let response = sent(nodes[0].get(&key)).await;
    let status = response.status();
    let problem: Value = response.json().await.expect("it is JSON");
    assert_eq!(status, 502, "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&nodes[1].name), "{detail}");
}

/// All files below this folder.
fn files_in(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("it can be read");
    let paths = entries.map(|entry| entry.expect("it exists").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_in(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test]
async fn who_may_be_reached_from_elsewhere_is_addressed_by_number_or_by_its_names() {
    let flags = [
        "--insecure",
        "--http-host",
        "files.example",
        "--advertise",
        "localhost:0",
    ];
    let mut node = Node::start("A", &flags);
    let ask = |host: &str| {
        let head = format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(&node, head.as_bytes())
    };
    for host in [
        "127.0.0.1",
        "10.1.2.3:80",
        "[fe80::1]:8080",
        "localhost",
        "FILES.example:8080",
    ] {
        assert!(ask(host).starts_with("HTTP/1.1 200"), "{host}");
    }
    for host in ["evil.example", "files.example.evil.example", "node"] {
        assert!(ask(host).starts_with("HTTP/1.1 421"), "{host}");
    }
    assert_eq!(node.terminate(), Some(0));
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
    eventually("the space is free again", async || {
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
    let folder = tempfile::TempDir::new().expect("a temporary folder can be created");
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
