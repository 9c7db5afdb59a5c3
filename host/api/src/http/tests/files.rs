//! PUT, GET, HEAD and DELETE of files.

use dataverse_core::content::Digest;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::{PATIENCE, Reply, Running, head};

const NOTES: &str = "/v1/files/ada/notes.txt";

fn tag(content: &[u8]) -> String {
    format!("\"{}\"", Digest::of(content))
}

#[tokio::test]
async fn a_file_goes_in_new_replaced_and_unchanged() {
    let node = Running::start().await;
    let reply = node.put(NOTES, b"hello").await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("etag"), Some(tag(b"hello").as_str()));
    let digest = Digest::of(b"hello").to_string();
    let version = reply.json()["version"].clone();
    let expected = json!({
        "key": "ada/notes.txt", "size": 5, "digest": digest, "version": version,
        "content_type": "text/plain; charset=utf-8", "factor": 2, "replicas": ["A", "C"], "degraded": false,
        "unchanged": false,
    });
    assert_eq!(reply.json(), expected);
    assert_eq!(version.as_str().map(str::len), Some(49));

    let reply = node.put(NOTES, b"hello").await;
    assert_eq!(
        (reply.status, &reply.json()["unchanged"]),
        (200, &json!(true))
    );
    let headers = [("Dataverse-Factor", "3"), ("Content-Type", "text/markdown")];
    let reply = node.ask(&format!("PUT {NOTES}"), &headers, b"other").await;
    assert_eq!(
        (reply.status, &reply.json()["degraded"]),
        (200, &json!(true))
    );
    assert_eq!(reply.json()["content_type"], "text/markdown");
}

#[tokio::test]
async fn a_body_may_come_in_chunks_of_unknown_number() {
    let node = Running::start().await;
    let head = head(&format!("PUT {NOTES}"), &[("Transfer-Encoding", "chunked")]);
    let body = "\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    let reply = Reply::read(node.send(format!("{head}{body}").as_bytes()).await).await;
    assert_eq!((reply.status, &reply.json()["size"]), (201, &json!(5)));
    assert_eq!(node.get(NOTES).await.body, b"hello");
}

#[tokio::test]
async fn a_file_comes_out_with_all_that_is_known_of_it() {
    let node = Running::start().await;
    node.put(NOTES, b"hello world").await;
    let whole = node.get(NOTES).await;
    assert_eq!(
        (whole.status, whole.body.as_slice()),
        (200, b"hello world".as_slice())
    );
    let head = node
        .ask(&format!("HEAD {NOTES}"), &[("Range", "bytes=1-2")], b"")
        .await;
    assert_eq!((head.status, head.body.as_slice()), (200, b"".as_slice()));
    for reply in [&whole, &head] {
        let check = |name: &str, value: &str| assert_eq!(reply.header(name), Some(value), "{name}");
        check("etag", tag(b"hello world").as_str());
        check("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        check("content-type", "text/plain; charset=utf-8");
        check("content-length", "11");
        check("accept-ranges", "bytes");
        check("dataverse-source", "Zo%C3%AB");
        check("dataverse-hops", "3");
        check("content-security-policy", "sandbox");
        check("x-content-type-options", "nosniff");
        check("cache-control", "no-cache");
        assert_eq!(reply.header("dataverse-version").map(str::len), Some(49));
        assert_eq!(reply.header("dataverse-stale"), None);
        assert_eq!(reply.header("content-disposition"), None);
    }
}

#[tokio::test]
async fn parts_of_a_file_are_served() {
    let node = Running::start().await;
    node.put(NOTES, b"hello world").await;
    let get = async |headers: &[(&str, &str)]| {
        let reply = node.ask(&format!("GET {NOTES}"), headers, b"").await;
        let range = reply.header("content-range").map(str::to_owned);
        assert_eq!(
            reply.header("content-length"),
            Some(reply.body.len().to_string().as_str())
        );
        (
            reply.status,
            range,
            String::from_utf8(reply.body).expect("UTF-8 text"),
        )
    };
    let own = tag(b"hello world");
    let part = |range: &str, text: &str| (206, Some(format!("bytes {range}/11")), text.to_owned());
    let whole = || (200, None, "hello world".to_owned());
    assert_eq!(get(&[("Range", "bytes=2-4")]).await, part("2-4", "llo"));
    assert_eq!(get(&[("Range", "bytes=-5")]).await, part("6-10", "world"));
    assert_eq!(get(&[("Range", "bytes=6-")]).await, part("6-10", "world"));
    assert_eq!(get(&[("Range", "bytes=0-1,3-4")]).await, whole());
    assert_eq!(
        get(&[("Range", "bytes=6-"), ("If-Range", &own)]).await,
        part("6-10", "world")
    );
    assert_eq!(
        get(&[("Range", "bytes=6-"), ("If-Range", "\"x\"")]).await,
        whole()
    );
    let reply = node
        .ask(&format!("GET {NOTES}"), &[("Range", "bytes=11-")], b"")
        .await;
    assert_eq!(reply.problem().0, 416);
    assert_eq!(reply.header("content-range"), Some("bytes */11"));
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let node = Running::start().await;
    node.put(NOTES, b"hello").await;
    let own = tag(b"hello");
    for method in ["GET", "HEAD"] {
        let reply = node
            .ask(
                &format!("{method} {NOTES}"),
                &[("If-None-Match", &own)],
                b"",
            )
            .await;
        assert_eq!((reply.status, reply.body.len()), (304, 0));
        assert_eq!(reply.header("etag"), Some(own.as_str()));
        assert_eq!(reply.header("content-type"), None);
    }
    let reply = node
        .ask(&format!("GET {NOTES}"), &[("If-Match", "\"x\"")], b"")
        .await;
    assert_eq!(reply.problem().0, 412);
}

#[tokio::test]
async fn an_empty_file_works_everywhere() {
    let node = Running::start().await;
    let path = "/v1/files/ada/empty";
    let reply = node.put(path, b"").await;
    assert_eq!((reply.status, &reply.json()["size"]), (201, &json!(0)));
    let own = tag(b"");
    assert_eq!(reply.header("etag"), Some(own.as_str()));
    for method in ["GET", "HEAD"] {
        let reply = node.ask(&format!("{method} {path}"), &[], b"").await;
        assert_eq!(
            (reply.status, reply.header("content-length")),
            (200, Some("0"))
        );
        assert_eq!(
            reply.header("content-type"),
            Some("application/octet-stream")
        );
        let reply = node
            .ask(&format!("{method} {path}"), &[("If-None-Match", &own)], b"")
            .await;
        assert_eq!(reply.status, 304);
    }
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
        let reply = node
            .ask(&format!("GET {path}"), &[("Range", range)], b"")
            .await;
        assert_eq!(
            (reply.problem().0, reply.header("content-range")),
            (416, Some("bytes */0"))
        );
        let headers = [("Range", range), ("If-Range", "\"x\"")];
        assert_eq!(
            node.ask(&format!("GET {path}"), &headers, b"").await.status,
            200
        );
    }
    let reply = node.get(&format!("{path}?download=1")).await;
    let expected = "attachment; filename=\"empty\"; filename*=UTF-8''empty";
    assert_eq!(reply.header("content-disposition"), Some(expected));
    assert_eq!(
        node.ask(&format!("DELETE {path}"), &[], b"").await.status,
        204
    );
    assert_eq!(node.get(path).await.status, 404);
}

#[tokio::test]
async fn parameters_are_obeyed_or_refused() {
    let node = Running::start().await;
    node.put(NOTES, b"hello").await;
    assert_eq!(
        node.get(&format!("{NOTES}?consistency=newest"))
            .await
            .status,
        200
    );
    assert_eq!(node.node_api.calls(), ["open ada/notes.txt Newest"]);
    for query in ["consistency=oldest", "download=maybe"] {
        assert_eq!(node.get(&format!("{NOTES}?{query}")).await.problem().0, 400);
    }
}

#[tokio::test]
async fn a_deleted_file_is_gone() {
    let node = Running::start().await;
    node.put(NOTES, b"hello").await;
    let delete = format!("DELETE {NOTES}");
    let dated = ("If-Unmodified-Since", "Tue, 01 Dec 2026 00:00:00 GMT");
    for condition in [("If-None-Match", "*"), dated] {
        let refused = node.ask(&delete, &[condition], b"").await;
        assert_eq!(refused.problem().0, 400);
    }
    let other = node
        .ask(&delete, &[("If-Match", &tag(b"other"))], b"")
        .await;
    assert_eq!(other.header("etag"), Some(&*tag(b"hello")));
    assert_eq!(other.problem().0, 412);
    let same = [("If-Match", &*tag(b"hello"))];
    assert_eq!(node.ask(&delete, &same, b"").await.status, 204);
    assert_eq!(node.ask(&delete, &same, b"").await.problem().0, 412);
    node.put(NOTES, b"hello").await;
    assert_eq!(node.ask(&delete, &[], b"").await.status, 204);
    let (status, problem) = node.ask(&delete, &[], b"").await.problem();
    assert_eq!((status, &problem["key"]), (404, &json!("ada/notes.txt")));
}

#[tokio::test]
async fn a_miss_says_whether_the_file_may_exist() {
    let node = Running::start().await;
    let (status, problem) = node.get(NOTES).await.problem();
    assert_eq!((status, &problem["outcome"]), (404, &json!("not_found")));
    assert_eq!(problem["key"], "ada/notes.txt");
    let reply = node.get("/v1/files/trouble/unknown").await;
    let (status, problem) = reply.problem();
    assert_eq!((status, &problem["outcome"]), (503, &json!("partial")));
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn keys_are_read_from_the_path_as_it_was_sent() {
    let node = Running::start().await;
    let path = "/v1/files/ada/%C3%BC/a%20b";
    assert_eq!(node.put(path, b"x").await.status, 201);
    assert!(node.node_api.holds("ada/ü/a b"));
    let downloaded = node.get(&format!("{path}?download=1")).await;
    assert_eq!(downloaded.body, b"x");
    // An unknown condition must not be ignored: it may be a misspelt one.
    assert_eq!(
        node.put(&format!("{path}?x=1"), b"x").await.problem().0,
        400
    );
    let long = format!("ada/{}", "x".repeat(256));
    let refused = [
        "ada",
        "ada/",
        "ada//x",
        "/ada/x",
        "ada/../x",
        "ada/%2e%2e/x",
        "ada/%2E",
        "ada/./x",
        "ada%2fx",
        "ada/..%2f..%2fx",
        "ada/a%00b",
        "ada/%ff",
        "ada/%zz",
        "ada/%0a",
        long.as_str(),
    ];
    for path in refused {
        for method in ["PUT", "GET", "DELETE"] {
            let reply = node
                .ask(&format!("{method} /v1/files/{path}"), &[], b"x")
                .await;
            assert_eq!(reply.problem().0, 400, "{method} {path}");
        }
    }
    assert_eq!(node.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_write_happens_only_when_its_condition_holds() {
    let node = Running::start().await;
    let put = async |name: &str, value: &str| {
        node.ask(&format!("PUT {NOTES}"), &[(name, value)], b"hello")
            .await
            .status
    };
    assert_eq!(put("If-Match", "*").await, 412);
    assert_eq!(put("If-None-Match", "*").await, 201);
    assert_eq!(put("If-None-Match", "*").await, 412);
    assert_eq!(put("If-Match", &tag(b"hello")).await, 200);
    assert_eq!(put("If-Match", &tag(b"other")).await, 412);
    assert_eq!(put("If-Match", "bare").await, 400);
    assert_eq!(put("Dataverse-Factor", "0").await, 400);
}

#[tokio::test]
async fn a_copy_that_could_not_be_confirmed_says_so() {
    let node = Running::start().await;
    node.put("/v1/files/trouble/old", b"hello").await;
    let reply = node.get("/v1/files/trouble/old").await;
    assert_eq!(reply.header("dataverse-stale"), Some("1"));
}

#[tokio::test]
async fn content_that_breaks_off_never_looks_whole() {
    let node = Running::start().await;
    let path = "/v1/files/trouble/breaks";
    node.put(path, b"hello world").await;
    let request = format!("{}\r\n", head(&format!("GET {path}"), &[]));
    let mut stream = node.send(request.as_bytes()).await;
    let mut bytes = Vec::new();
    // The connection may end with a reset: that is the point.
    let ended = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    ended.expect("it ends in time").ok();
    let text = String::from_utf8(bytes).expect("UTF-8 text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    assert!(
        !head.contains("200") || head.contains("content-length: 11"),
        "{head}"
    );
    assert!(body.len() < 11, "{body}");
}

#[tokio::test]
async fn a_guessed_type_is_the_same_for_the_whole_and_its_parts_and_a_stated_one_stays() {
    let node = Running::start().await;
    let check = async |path: &str, content: &[u8], stated: &[(&str, &str)], expected: &str| {
        node.ask(&format!("PUT {path}"), stated, content).await;
        for (method, range) in [("GET", "bytes=1-2"), ("GET", "none"), ("HEAD", "none")] {
            let asked = format!("{method} {path}");
            let reply = node.ask(&asked, &[("Range", range)], b"").await;
            assert_eq!(
                reply.header("content-type"),
                Some(expected),
                "{asked} {range}"
            );
        }
    };
    let umlauts = "Grüße".as_bytes();
    let latin = b"Gr\xfc\xdfe";
    check(
        "/v1/files/a/x.txt",
        umlauts,
        &[],
        "text/plain; charset=utf-8",
    )
    .await;
    check("/v1/files/a/y.txt", latin, &[], "text/plain").await;
    let stated = [("Content-Type", "text/plain")];
    check("/v1/files/a/z.txt", umlauts, &stated, "text/plain").await;
    check(
        "/v1/files/a/t.ts",
        umlauts,
        &[],
        "text/x-typescript; charset=utf-8",
    )
    .await;
    check(
        "/v1/files/a/v.ts",
        b"G\0\0\0\xff",
        &[],
        "video/vnd.dlna.mpeg-tts",
    )
    .await;
}
