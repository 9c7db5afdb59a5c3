//! What is refused before any handler sees it, byte for byte: malformed targets, hosts and framing, and pages of
//! other sites.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Reply, Running};

/// Sends these bytes as they are and reads until the server closes.
async fn raw(node: &Running, request: impl AsRef<[u8]>) -> Reply {
    let mut stream = node.send(request.as_ref()).await;
    stream.flush().await.expect("it is sent");
    Reply::read(stream).await
}

#[tokio::test]
async fn what_the_parser_refuses_is_a_whole_problem() {
    let node = Running::start().await;
    let long = "x".repeat(70_000);
    let many: String = (0..200).map(|at| format!("x-{at}: 1\r\n")).collect();
    let cases = [
        ("GET\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("GET /\u{1} HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("G{}T / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nx: a\r\n b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nx: a\0b\r\n\r\n".to_owned(), 400),
        ("PUT /v1/files/ada/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        ("PUT /v1/files/ada/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(), 400),
        ("PUT /v1/files/ada/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned(), 400),
        ("PUT /v1/files/ada/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}junk\r\n\r\n".to_owned(), 400),
    ];
    for (request, expected) in cases {
        let shown: String = request.chars().take(60).collect();
        let reply = raw(&node, &request).await;
        assert_eq!(reply.problem().0, expected, "{shown:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{shown:?}");
        let length = reply
            .header("content-length")
            .and_then(|it| it.parse().ok());
        assert_eq!(length, Some(reply.body.len()), "{shown:?}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(node.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn http_2_is_spoken_with_clients_that_begin_with_it() {
    let node = Running::start().await;
    let stream = TokioIo::new(node.send(b"").await);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .expect("the server speaks HTTP/2");
    let connection = tokio::spawn(connection);
    for (host, expected) in [
        (node.address.to_string().as_str(), 200),
        ("evil.example", 421),
    ] {
        let request = Request::get(format!("http://{host}/healthz"))
            .version(Version::HTTP_2)
            .body(Body::empty())
            .expect("a valid request");
        let response = client.send_request(request).await.expect("it is answered");
        assert_eq!(response.status(), expected, "{host}");
        let body = to_bytes(Body::new(response.into_body()), 1 << 10).await;
        assert!(!body.expect("it is whole").is_empty(), "{host}");
    }
    drop(client);
    drop(connection.await);
}

#[tokio::test]
async fn junk_after_a_request_is_refused_and_the_answer_before_stays_whole() {
    let node = Running::start().await;
    let bare = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    node.put("/v1/files/ada/bare", bare.as_bytes()).await;
    let request = "GET /v1/files/ada/bare HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let reply = raw(&node, format!("{request}{request}junk\r\n\r\n")).await;
    let text = String::from_utf8(reply.body).expect("UTF-8 text");
    assert_eq!(reply.status, 200);
    assert!(text.starts_with(bare), "{text}");
    assert_eq!(text.matches(bare).count(), 2, "{text}");
    assert!(text.ends_with("malformed\"}"), "{text}");
}

#[tokio::test]
async fn the_refusal_of_a_head_request_has_no_body() {
    let node = Running::start().await;
    let reply = raw(&node, "HEAD / HTTP/1.1\r\nno colon\r\n\r\n").await;
    assert_eq!((reply.status, reply.body.len()), (400, 0));
    for path in [
        "/nowhere",
        "/v1/files/ada",
        "/v1/search?q=%ff",
        "/v1/nodes?x=1",
    ] {
        let reply = node.ask(&format!("HEAD {path}"), &[], b"").await;
        assert!(
            reply.status >= 400 && reply.body.is_empty(),
            "{path}: {reply:?}"
        );
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[tokio::test]
async fn a_request_names_one_host_that_makes_sense() {
    let node = Running::start().await;
    let ask = async |target: &str, lines: &str| {
        let request = format!("GET {target} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
        raw(&node, request).await
    };
    for (target, lines, expected) in [
        ("/v1/status", "Host: localhost\r\nHost: localhost\r\n", 400),
        (
            "/v1/status",
            "Host: localhost\r\nHost: evil.example\r\n",
            400,
        ),
        ("/v1/status", "", 400),
        ("/v1/status", "Host: a@localhost\r\n", 400),
        ("/v1/status", "Host: local host\r\n", 400),
        ("/v1/status", "Host: localhost:http\r\n", 400),
        ("/v1/status", "Host: evil.example\r\n", 421),
        ("http://evil.example/v1/status", "Host: localhost\r\n", 400),
        (
            "http://evil.example/v1/status",
            "Host: evil.example\r\n",
            421,
        ),
    ] {
        assert_eq!(
            ask(target, lines).await.problem().0,
            expected,
            "{target} {lines}"
        );
    }
    for (target, lines) in [
        ("/v1/status", "Host: node.example:81\r\n"),
        ("http://localhost/v1/status", "Host: localhost\r\n"),
    ] {
        assert_eq!(ask(target, lines).await.status, 200, "{target} {lines}");
    }
    let refused = ask("/", "Host: evil.example\r\n").await.problem().1;
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|it| it.contains("--http-host"))
    );
    let old = raw(&node, "GET /v1/status HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status, 200);
}

#[tokio::test]
async fn where_two_headers_frame_a_body_nobody_can_be_led_to_another_request() {
    let node = Running::start().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let length = "Content-Length: 1\r\n";
    for lines in [format!("{chunked}{length}"), format!("{length}{chunked}")] {
        let request = format!(
            "PUT /v1/files/ada/x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n2\r\nhi\r\n0\r\n\r\n\
             GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        // RFC 9112, section 6.1: the coding takes precedence, and the connection ends with this answer.
        let reply = raw(&node, request).await;
        assert!([200, 201].contains(&reply.status), "{reply:?}");
        assert_eq!(reply.json()["size"], 2);
        assert_eq!(reply.header("connection"), Some("close"));
    }
    let twice = "PUT /v1/files/ada/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(raw(&node, twice).await.status, 200);
}

#[tokio::test]
async fn a_target_that_is_no_text_is_refused_by_every_route() {
    let node = Running::start().await;
    let routes = [
        "GET /",
        "GET /healthz",
        "GET /metrics",
        "GET /v1/search",
        "GET /v1/nodes",
        "GET /v1/status",
        "GET /v1/links",
        "DELETE /v1/links/B",
        "GET /v1/files/ada/x",
        "PUT /v1/files/ada/x",
        "DELETE /v1/files/ada/x",
        "POST /v1/files",
        "POST /v1/links",
        "POST /config",
        "GET /v1/policies",
        "PUT /v1/policies/eviction",
        "POST /v1/policies/eviction/promote",
        "POST /v1/policies/eviction/rollback",
        "PUT /v1/policies/files/x",
        "GET /v1/drain",
        "GET /v1/scrub",
        "GET /v1/openapi.json",
        "GET /nowhere",
    ];
    for route in routes {
        for query in [
            "q=%ff*",
            "key=g/%ff",
            "%ff=1",
            "x=%",
            "x=%zz",
            "x=%00",
            "x=%0d%0a",
        ] {
            let reply = node.ask(&format!("{route}?{query}"), &[], b"").await;
            assert_eq!(reply.problem().0, 400, "{route}?{query}");
        }
        if route.contains(" /v1/") || route.contains("/config") {
            let reply = node.ask(&format!("{route}?unheard=of"), &[], b"").await;
            let (status, problem) = reply.problem();
            assert_eq!(status, 400, "{route}");
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|it| it.contains("`unheard`")),
                "{problem}"
            );
        }
    }
    for path in [
        "/v1/links/%ff",
        "/v1/links/%zz",
        "/v1/links/a%00",
        "/v1/policies/%ff",
        "/v1/policies/files/%",
    ] {
        for method in ["PUT", "DELETE"] {
            let status = node
                .ask(&format!("{method} {path}"), &[], b"")
                .await
                .problem()
                .0;
            assert_eq!(status, 400, "{method} {path}");
        }
    }
    for query in [
        "key=a/b&key=a/b",
        "q=a*&limit=1&limit=2",
        "q=a*&hops=1&hops=1",
        "q=a*&Q=b",
    ] {
        assert_eq!(
            node.get(&format!("/v1/search?{query}")).await.problem().0,
            400,
            "{query}"
        );
    }
    assert_eq!(
        node.get("/v1/files/ada/x?download=1&download=0")
            .await
            .problem()
            .0,
        400
    );
    assert_eq!(node.get("/?utm_source=x").await.status, 200);
    assert!(node.node_api.calls().is_empty());
}

#[tokio::test]
async fn pages_of_other_sites_neither_ask_nor_load() {
    let node = Running::start().await;
    node.put("/v1/files/ada/x", b"hello").await;
    for path in ["/", "/v1/files/ada/x", "/v1/status", "/healthz", "/nowhere"] {
        let ask = async |headers: &[(&str, &str)]| {
            let reply = node.ask(&format!("GET {path}"), headers, b"").await;
            assert_eq!(
                reply.header("cross-origin-resource-policy"),
                Some("same-origin"),
                "{path}"
            );
            assert_eq!(
                reply.header("x-content-type-options"),
                Some("nosniff"),
                "{path}"
            );
            assert_eq!(
                reply.header("referrer-policy"),
                Some("no-referrer"),
                "{path}"
            );
            assert!(reply.header("content-security-policy").is_some(), "{path}");
            reply.status
        };
        let there = ask(&[]).await;
        let foreign = ("Sec-Fetch-Site", "cross-site");
        for mode in ["no-cors", "cors", "websocket"] {
            assert_eq!(
                ask(&[foreign, ("Sec-Fetch-Mode", mode)]).await,
                403,
                "{path} {mode}"
            );
        }
        assert_eq!(ask(&[("Origin", "http://localhost:3000")]).await, 403);
        assert_eq!(ask(&[foreign, ("Sec-Fetch-Mode", "navigate")]).await, there);
        let own = [
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "cors"),
        ];
        assert_eq!(ask(&own).await, there);
    }
    let file = node.get("/v1/files/ada/x").await;
    assert_eq!(file.header("content-security-policy"), Some("sandbox"));
}

#[tokio::test]
async fn methods_and_targets_of_other_servers_are_refused() {
    let node = Running::start().await;
    for request in [
        "OPTIONS * HTTP/1.1",
        "TRACE / HTTP/1.1",
        "CONNECT localhost:80 HTTP/1.1",
        "BREW /v1/status HTTP/1.1",
        "GET /v1/status/ HTTP/1.1",
        "GET //v1/status HTTP/1.1",
        "GET /v1/%2e%2e/v1/status HTTP/1.1",
        "GET /v1%2fstatus HTTP/1.1",
        "GET /V1/STATUS HTTP/1.1",
        r"GET /v1\status HTTP/1.1",
    ] {
        let text = format!("{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let reply = raw(&node, text).await;
        assert!(
            [400, 404, 405].contains(&reply.problem().0),
            "{request}: {reply:?}"
        );
    }
}

#[tokio::test]
async fn a_form_that_is_no_text_or_has_other_fields_is_refused() {
    let node = Running::start().await;
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let fine = "IP1=a&PORT1=1&IP2=b&PORT2=2";
    for (body, expected) in [
        (fine.to_owned(), 200),
        (fine.replace("=a", "=%ff"), 400),
        (fine.replace("=a", "=%zz"), 400),
        (fine.replace("=a", "=%00"), 400),
        (format!("{fine}&%ff=1"), 400),
        (format!("{fine}&IP1=c"), 422),
        (format!("{fine}&other=1"), 422),
    ] {
        let reply = node.ask("POST /config", &form, body.as_bytes()).await;
        assert_eq!(reply.status, expected, "{body}");
    }
    let other = json!({"address": "a:1", "explicit": true});
    assert_eq!(node.post_json("/v1/links", &other).await.problem().0, 422);
}

#[tokio::test]
async fn a_port_that_can_not_be_is_a_wrong_request() {
    let node = Running::start().await;
    for port in [json!(0), json!(65_536), json!(-1), json!("x"), json!("")] {
        let body = json!({"IP1": "a", "PORT1": port, "IP2": "b", "PORT2": 1});
        assert_eq!(
            node.post_json("/config", &body).await.problem().0,
            400,
            "{body}"
        );
    }
}
