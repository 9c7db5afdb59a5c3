//! The HTTP contract: paths, status codes, headers and fields, for files of all sizes and names.

use reqwest::Method;
use serde_json::Value;

use crate::world::{Node, bytes, line, names, network, sent};

fn digest(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

fn header(response: &reqwest::Response, name: &str) -> String {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("no header {name} in {response:?}"));
    value.to_str().expect("it is text").to_owned()
}

#[tokio::test]
async fn what_is_put_is_told_and_served_for_every_size() {
    let nodes = line(2).await;
    for size in [
        0,
        1,
        16 * 1024,
        16 * 1024 + 1,
        1 << 20,
        (1 << 20) + 1,
        5_000_000,
    ] {
        let key = format!("ada/size-{size}.bin");
        let content = bytes(size, 9);
        let response = sent(nodes[0].put(&key, content.clone())).await;
        assert_eq!(response.status(), 201, "{key}");
        assert_eq!(
            header(&response, "etag"),
            format!("\"{}\"", digest(&content))
        );
        let stored: Value = response.json().await.expect("it is JSON");
        assert_eq!(stored["key"], key.as_str());
        assert_eq!(stored["size"], size);
        assert_eq!(stored["digest"], digest(&content));
        assert_eq!(stored["content_type"], "application/octet-stream");
        assert_eq!(stored["factor"], 2);
        let mut replicas = names(&stored["replicas"]);
        replicas.sort();
        assert_eq!(replicas, ["A", "B"]);
        assert_eq!(stored["degraded"], false);
        assert_eq!(stored["unchanged"], false);
        assert!(stored["version"].is_string());

        for node in &nodes {
            let response = sent(node.get(&key)).await;
            assert_eq!(header(&response, "content-length"), size.to_string());
            assert_eq!(header(&response, "accept-ranges"), "bytes");
            assert_eq!(header(&response, "dataverse-source"), node.name);
            assert_eq!(header(&response, "dataverse-hops"), "0");
            assert!(httpdate::parse_http_date(&header(&response, "last-modified")).is_ok());
            assert_eq!(response.bytes().await.expect("it arrives"), content);
            let head = sent(node.head(&key)).await;
            assert_eq!(header(&head, "content-length"), size.to_string());
        }
    }
}

#[tokio::test]
async fn the_same_content_again_changes_nothing() {
    let nodes = line(2).await;
    let first = nodes[0].store("ada/same", "content").await;
    let again = sent(nodes[0].put("ada/same", "content")).await;
    assert_eq!(again.status(), 200);
    let again: Value = again.json().await.expect("it is JSON");
    assert_eq!(again["unchanged"], true);
    assert_eq!(again["version"], first["version"]);
    let other = nodes[0].store("ada/same", "other").await;
    assert_eq!(other["unchanged"], false);
    assert!(other["version"].as_str() > first["version"].as_str());
}

#[tokio::test]
async fn ranges_are_served_from_every_distance() {
    let nodes = line(3).await;
    let content = bytes(3_000_000, 10);
    nodes[0].store_on("ada/ranged", content.clone(), 1).await;
    let size = content.len();
    let cases = [
        ("bytes=0-0", 0..1),
        ("bytes=1000-1999", 1000..2000),
        ("bytes=1048576-1048576", 1_048_576..1_048_577),
        ("bytes=1048000-2100000", 1_048_000..2_100_001),
        ("bytes=2999999-", 2_999_999..size),
        ("bytes=2900000-9999999", 2_900_000..size),
        ("bytes=-5", size - 5..size),
        ("bytes=-9999999", 0..size),
    ];
    for node in &nodes {
        for (range, expected) in cases.clone() {
            let response = sent(node.get("ada/ranged").header("Range", range)).await;
            assert_eq!(response.status(), 206, "{range} at {}", node.name);
            let said = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
            assert_eq!(header(&response, "content-range"), said);
            let body = response.bytes().await.expect("it arrives");
            assert!(body == content[expected], "{range} at {}", node.name);
        }
        for range in ["bytes=3000000-", "bytes=-0"] {
            let response = sent(node.get("ada/ranged").header("Range", range)).await;
            assert_eq!(response.status(), 416, "{range}");
            assert_eq!(
                header(&response, "content-range"),
                format!("bytes */{size}")
            );
        }
        for ignored in ["bytes=5-1", "lines=1-2", "bytes=a-b", "bytes=0-1,5-6"] {
            let response = sent(node.get("ada/ranged").header("Range", ignored)).await;
            assert_eq!(response.status(), 200, "{ignored}");
        }
    }
}

#[tokio::test]
async fn conditions_of_reads_hold() {
    let node = Node::start("A", &[]);
    node.store("ada/x", "hello").await;
    let tag = format!("\"{}\"", digest(b"hello"));
    let unchanged = sent(node.get("ada/x").header("If-None-Match", &tag)).await;
    assert_eq!(unchanged.status(), 304);
    assert_eq!(header(&unchanged, "etag"), tag);
    let changed = sent(node.get("ada/x").header("If-None-Match", "\"other\"")).await;
    assert_eq!(changed.status(), 200);
    let range = |tag: &str| {
        let get = node.get("ada/x").header("Range", "bytes=0-1");
        get.header("If-Range", tag)
    };
    assert_eq!(sent(range(&tag)).await.status(), 206);
    assert_eq!(sent(range("\"other\"")).await.status(), 200);
}

#[tokio::test]
async fn conditions_of_writes_hold() {
    let nodes = line(2).await;
    let absent = |text: &'static str| nodes[0].put("ada/new", text).header("If-None-Match", "*");
    assert_eq!(sent(absent("one")).await.status(), 201);
    // A client that asks again learns that its own write succeeded.
    assert_eq!(sent(absent("one")).await.status(), 200);
    let refused = sent(absent("eins")).await;
    assert_eq!(header(&refused, "etag"), format!("\"{}\"", digest(b"one")));
    assert_eq!(refused.status(), 412);
    let problem: Value = refused.json().await.expect("it is JSON");
    assert_eq!(
        (&problem["status"], &problem["key"]),
        (&412.into(), &"ada/new".into())
    );
    let matching = |content: &[u8]| {
        let put = nodes[1].put("ada/new", "two");
        put.header("If-Match", format!("\"{}\"", digest(content)))
    };
    assert_eq!(sent(matching(b"other")).await.status(), 412);
    assert_eq!(sent(matching(b"one")).await.status(), 200);
    assert_eq!(sent(matching(b"one")).await.status(), 412);
    let missing = nodes[1].put("ada/none", "x").header("If-Match", "\"00\"");
    assert_eq!(sent(missing).await.status(), 412);
    assert_eq!(sent(nodes[0].get("ada/none")).await.status(), 404);
}

#[tokio::test]
async fn names_with_spaces_umlauts_and_slashes_are_names_like_any_other() {
    let node = Node::start("A", &[]);
    let cases = [
        (
            "ada/Grüße aus Köln.txt",
            "ada/Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln.txt",
        ),
        ("ada/a/b/c d.txt", "ada/a/b/c%20d.txt"),
        ("ada/100%.txt", "ada/100%25.txt"),
        ("ada/a?b#c.txt", "ada/a%3Fb%23c.txt"),
        ("ada/日本語.txt", "ada/%E6%97%A5%E6%9C%AC%E8%AA%9E.txt"),
        ("ada/\"quoted\".txt", "ada/%22quoted%22.txt"),
        // A decomposed ü is the same name as a composed one.
        ("ada/\u{fc}.txt", "ada/u%CC%88.txt"),
    ];
    for (key, path) in cases {
        let stored = node.store(path, "x").await;
        assert_eq!(stored["key"], key);
        assert_eq!(node.read(path).await.body, b"x");
        let download = format!("{path}?download=1");
        let response = sent(node.get(&download)).await;
        assert!(
            header(&response, "content-disposition").starts_with("attachment"),
            "{key}"
        );
    }
    let response = sent(node.get("ada/Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln.txt?download=1")).await;
    let disposition = header(&response, "content-disposition");
    assert!(
        disposition.contains("filename*=UTF-8''Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln.txt"),
        "{disposition}"
    );
}

#[tokio::test]
async fn a_form_stores_several_files_and_judges_each_by_itself() {
    let node = Node::start("A", &[]);
    let part = |content: &'static str, name: &'static str| {
        reqwest::multipart::Part::text(content).file_name(name)
    };
    let form = reqwest::multipart::Form::new()
        .text("username", "ada")
        .part("selected_files", part("one", "first.txt"))
        .part("selected_files", part("", "empty file.txt"))
        .part("selected_files", part("bad", ".."));
    let response = sent(node.request(Method::POST, "/v1/files").multipart(form)).await;
    let results: Value = response.json().await.expect("it is JSON");
    assert_eq!(results[0]["key"], "ada/first.txt");
    assert_eq!(results[1]["size"], 0);
    assert_eq!(results[2]["status"], 400);
    assert_eq!(node.read("ada/first.txt").await.body, b"one");
    assert_eq!(node.read("ada/empty%20file.txt").await.body, b"");
}

#[tokio::test]
async fn an_upload_of_unknown_length_is_stored_whole() {
    let nodes = line(2).await;
    let content = bytes(3_333_333, 11);
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = content
        .chunks(77_777)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    nodes[0].store("ada/chunked", body).await;
    assert_eq!(nodes[1].read("ada/chunked").await.body, content);
}

#[tokio::test]
async fn a_node_tells_how_it_is() {
    let nodes = network(2, &[(0, 1)], &["--capacity", "1GiB", "--zone", "cellar"]).await;
    nodes[0].store("ada/x", "12345").await;
    let status = nodes[0].json("/v1/status").await;
    assert_eq!(status["name"], "A");
    assert_eq!(status["id"], nodes[0].id.as_str());
    assert_eq!(status["network"], "default");
    assert_eq!(status["capacity"], 1u64 << 30);
    assert_eq!(
        status["replicas"],
        serde_json::json!({ "files": 1, "bytes": 5 })
    );
    assert_eq!(
        status["cached"],
        serde_json::json!({ "files": 0, "bytes": 0 })
    );
    assert_eq!(status["links"], 1);
    assert!(status["free"].as_u64() < status["capacity"].as_u64());
    assert!(status["uptime_s"].is_u64() && status["version"].is_string());

    let members = nodes[0].json("/v1/nodes").await;
    let member = |name: &str| {
        let members = members.as_array().expect("it is a list");
        let found = members.iter().find(|member| member["name"] == name);
        found.expect("it is a member").clone()
    };
    assert_eq!(
        (&member("A")["hops"], &member("B")["hops"]),
        (&0.into(), &1.into())
    );
    let b = member("B");
    assert_eq!(b["id"], nodes[1].id.as_str());
    assert_eq!(b["address"], nodes[1].grpc.as_str());
    assert_eq!(b["http"], nodes[1].http.as_str());
    assert_eq!(
        (&b["zone"], &b["state"]),
        (&"cellar".into(), &"alive".into())
    );
    assert_eq!(b["capacity"], 1u64 << 30);
}

#[tokio::test]
async fn the_node_answers_those_who_watch_it() {
    let node = Node::start("A", &[]);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            sent(node.request(Method::GET, path)).await.status(),
            200,
            "{path}"
        );
    }
    node.store("ada/x", "12345").await;
    node.read("ada/x").await;
    let metrics = sent(node.request(Method::GET, "/metrics")).await;
    let metrics = metrics.text().await.expect("it is text");
    assert!(metrics.contains("# TYPE "), "{metrics}");
    let page = sent(node.request(Method::GET, "/")).await;
    assert!(header(&page, "content-type").starts_with("text/html"));
    let openapi = node.json("/v1/openapi.json").await;
    assert!(openapi["paths"]["/v1/search"]["get"].is_object());
}
