//! Search, links, nodes and the status of a node.

use serde_json::{Value, json};

use super::Running;

#[tokio::test]
async fn a_search_tells_how_it_went() {
    let node = Running::start().await;
    node.put("/v1/files/ada/notes.txt", b"hello").await;
    let exact = node.get("/v1/search?key=ada/notes.txt&hops=4").await;
    assert_eq!(exact.status, 200);
    let found = exact.json();
    let hit = &found["hits"][0];
    let expected = json!({
        "query": "ada/notes.txt", "outcome": "found", "exact": true,
        "hits": [{
            "key": "ada/notes.txt", "size": 5, "digest": hit["digest"], "version": hit["version"],
            "content_type": "text/plain; charset=utf-8", "node": "D", "hops": 2, "role": "replica",
        }],
        "truncated": false,
        "path": ["A", "B", "D"], "probes": 3, "levels": 2,
        "unanswered": [{"node": "X", "address": "127.0.0.1:9", "silent_for_s": 9}], "elapsed_ms": 1.5,
    });
    assert_eq!(found, expected);
    assert_eq!(hit["digest"].as_str().map(str::len), Some(64));

    let glob = node.get("/v1/search?q=ada%2F**&limit=7").await.json();
    assert_eq!(glob["query"], "ada/**");
    assert_eq!(glob.get("path"), None);
    assert_eq!(
        node.node_api.calls(),
        ["search Some(4) None", "search None Some(7)"]
    );
    assert_eq!(glob["truncated"], false);
    node.put("/v1/files/ada/other", b"hello").await;
    let some = node.get("/v1/search?q=**&limit=1").await.json();
    assert_eq!(some["truncated"], true);
    let miss = node.get("/v1/search?key=ada/x").await;
    assert_eq!(
        (miss.status, &miss.json()["outcome"]),
        (200, &json!("partial"))
    );
}

#[tokio::test]
async fn a_search_for_nothing_in_particular_is_refused() {
    let node = Running::start().await;
    let queries = [
        "",
        "?key=a/b&q=c",
        "?key=ada",
        "?key=a/../b",
        "?q=*&hops=-1",
        "?q=*&hops=x",
        "?q=*&limit=0",
        "?q=*&limit=10001",
        "?q=*&hops=1025",
    ];
    for query in queries {
        assert_eq!(
            node.get(&format!("/v1/search{query}")).await.problem().0,
            400,
            "{query}"
        );
    }
    assert!(node.node_api.calls().is_empty());
}

#[tokio::test]
async fn links_are_listed_made_and_cut() {
    let node = Running::start().await;
    let expected = json!([
        {"node": "B", "address": "127.0.0.1:2", "state": "up",
            "silent_for_s": null, "attempts": 0, "last_error": null},
        {"node": "B", "address": "127.0.0.1:3", "state": "down",
            "silent_for_s": 9, "attempts": 4, "last_error": "nobody listens there"},
    ]);
    assert_eq!(node.get("/v1/links").await.json(), expected);
    let made = node
        .post_json("/v1/links", &json!({"address": "127.0.0.1:4"}))
        .await;
    let expected = json!({"node": "B", "address": "127.0.0.1:4", "state": "up",
        "silent_for_s": null, "attempts": 0, "last_error": null});
    assert_eq!((made.status, made.json()), (201, expected));
    for (address, status) in [("self:1", 409), ("away:1", 502), ("wrong", 400)] {
        let reply = node
            .post_json("/v1/links", &json!({"address": address}))
            .await;
        let (found, problem) = reply.problem();
        assert_eq!((found, &problem["node"]), (status, &json!(address)));
    }
    assert_eq!(
        node.ask("DELETE /v1/links/B%20b", &[], b"").await.status,
        204
    );
    let (status, problem) = node.ask("DELETE /v1/links/Q", &[], b"").await.problem();
    assert_eq!((status, &problem["node"]), (404, &json!("Q")));
}

#[tokio::test]
async fn a_link_is_asked_for_in_json() {
    let node = Running::start().await;
    let json_type = [("Content-Type", "application/json")];
    let post = async |headers: &[(&str, &str)], body: &str| {
        node.ask("POST /v1/links", headers, body.as_bytes())
            .await
            .problem()
            .0
    };
    assert_eq!(post(&json_type, "{").await, 400);
    assert_eq!(post(&json_type, "{}").await, 422);
    assert_eq!(post(&[], "{}").await, 415);
    let long = format!("{{\"address\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(post(&json_type, &long).await, 413);
    assert!(node.node_api.calls().is_empty());
}

#[tokio::test]
async fn two_nodes_are_linked_by_form_or_json() {
    let node = Running::start().await;
    let form_type = [("Content-Type", "application/x-www-form-urlencoded")];
    let form = "IP1=127.0.0.1&PORT1=1&IP2=%3A%3A1&PORT2=2";
    let reply = node.ask("POST /config", &form_type, form.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!({"linked": ["127.0.0.1:1", "[::1]:2"]}))
    );
    let strings = json!({"IP1": "a", "PORT1": "3", "IP2": "b", "PORT2": "4"});
    assert_eq!(node.post_json("/config", &strings).await.status, 200);
    let numbers = json!({"IP1": "a", "PORT1": 5, "IP2": "b", "PORT2": 6});
    assert_eq!(node.post_json("/config", &numbers).await.status, 200);
    let calls = ["pair 127.0.0.1:1 [::1]:2", "pair a:3 b:4", "pair a:5 b:6"];
    assert_eq!(node.node_api.calls(), calls);

    let twice = json!({"IP1": "a", "PORT1": 3, "IP2": "a", "PORT2": 3});
    assert_eq!(node.post_json("/config", &twice).await.problem().0, 409);
    let wrong = json!({"IP1": "a", "PORT1": "x", "IP2": "a", "PORT2": 3});
    assert_eq!(node.post_json("/config", &wrong).await.problem().0, 400);
    assert_eq!(
        node.post_json("/config", &json!({"IP1": "a"}))
            .await
            .problem()
            .0,
        422
    );
    assert_eq!(
        node.ask("POST /config", &[], b"IP1=a").await.problem().0,
        415
    );
    assert_eq!(
        node.ask("POST /config", &form_type, b"IP1=a")
            .await
            .problem()
            .0,
        422
    );
}

#[tokio::test]
async fn nodes_and_status_have_their_fields() {
    let node = Running::start().await;
    let id = "00000000000000000000000000000007";
    let expected = json!({
        "name": "A", "id": id, "address": "127.0.0.1:1", "http": "127.0.0.1:2", "zone": "z",
        "hops": 0, "capacity": 10, "free": 4, "load": 1, "state": "alive", "silent_for_s": null,
    });
    let nodes = node.get("/v1/nodes").await.json();
    assert_eq!(nodes[0], expected);
    assert_eq!(nodes[1]["hops"], json!(null));
    let expected = json!({
        "name": "A", "id": id, "network": "main", "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": 5, "capacity": 10_000_000, "free": 4_000_000, "replicas": {"files": 1, "bytes": 2},
        "cached": {"files": 3, "bytes": 4}, "links": 2,
        "silent": [{
            "node": "B", "id": "00000000000000000000000000000009", "address": "127.0.0.1:3", "state": "down",
            "silent_for_s": 9, "last_error": "nobody listens there",
        }],
        "problems": [],
        "repair": {
            "waiting": {"files": 5, "bytes": 6}, "active": 1, "letting_go": 2, "copies": 7, "bytes": 8,
            "failed": 9,
        },
        "upkeep": [{"kind": "heal", "waiting": 3, "active": 1, "done": 4}],
        "drain": {"draining": false, "drained": false, "left": {"files": 1, "bytes": 2}},
        "scrub": scrub(false),
    });
    assert_eq!(node.get("/v1/status").await.json(), expected);
}

/// The scrub that the node in memory reports.
fn scrub(running: bool) -> Value {
    json!({
        "running": running, "began": 7, "ended": null, "files_done": 1, "files_total": 3,
        "bytes_done": 2, "bytes_total": 4, "bad": 5, "unreadable": 0, "mended": 4, "mending": 0,
        "waiting": 0, "lost": ["ada/lost"], "lost_total": 1, "bytes_per_second": 9,
    })
}

#[tokio::test]
async fn a_scrub_is_begun_once_and_shown() {
    let node = Running::start().await;
    assert_eq!(node.get("/v1/scrub").await.json(), scrub(false));
    let begun = node.ask("POST /v1/scrub", &[], b"").await;
    let told = |joined: bool| {
        let mut told = scrub(true);
        told["joined"] = json!(joined);
        told
    };
    assert_eq!((begun.status, begun.json()), (202, told(false)));
    let again = node.ask("POST /v1/scrub", &[], b"").await;
    assert_eq!((again.status, again.json()), (200, told(true)));
    let text = String::from_utf8(node.get("/metrics").await.body).expect("UTF-8 text");
    for line in [
        "dataverse_scrub_running 1",
        "dataverse_scrub_left_files 2",
        r#"dataverse_missing_replicas{state="lost"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
    }
}

#[tokio::test]
async fn a_node_is_emptied_and_says_why_not() {
    let node = Running::start().await;
    let left = json!({"files": 1, "bytes": 2});
    let drained = |draining| json!({"draining": draining, "drained": false, "left": left});
    let ask = async |method| node.ask(&format!("{method} /v1/drain"), &[], b"").await;
    assert_eq!(ask("POST").await.json(), drained(true));
    assert_eq!(ask("DELETE").await.json(), drained(false));
    node.put("/v1/files/trouble/drain", b"").await;
    let (status, problem) = ask("POST").await.problem();
    let detail = problem["detail"].as_str();
    assert_eq!((status, detail), (409, Some("5 bytes are missing")));
}

#[tokio::test]
async fn a_node_says_whether_it_runs_and_serves() {
    let node = Running::start().await;
    assert_eq!(node.get("/healthz").await.status, 200);
    assert_eq!(node.get("/readyz").await.status, 200);
    node.put("/v1/files/trouble/stopping", b"").await;
    assert_eq!(node.get("/healthz").await.status, 200);
    assert_eq!(node.get("/readyz").await.problem().0, 503);
}

#[tokio::test]
async fn requests_and_bytes_are_counted() {
    let node = Running::start().await;
    node.put("/v1/files/ada/notes.txt", b"hello").await;
    node.get("/v1/files/ada/notes.txt").await;
    node.get("/nowhere").await;
    let reply = node.get("/metrics").await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = String::from_utf8(reply.body).expect("UTF-8 text");
    let lines = [
        r#"dataverse_requests_total{face="http",method="PUT",route="/v1/files/{*key}",status="201"} 1"#,
        r#"dataverse_requests_total{face="http",method="GET",route="none",status="404"} 1"#,
        r#"dataverse_bytes_total{face="http",direction="in"} 5"#,
        r#"dataverse_bytes_total{face="http",direction="out"} 5"#,
        r#"dataverse_store_bytes{role="replica"} 2"#,
        r#"dataverse_links{state="down"} 1"#,
    ];
    for line in lines {
        assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
    }
}
