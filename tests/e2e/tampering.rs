//! A data folder that somebody changes or copies under a running node, a node that leaves for good, and a link
//! that is never established.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::Value;

use crate::cli::{done, run};
use crate::world::{Node, bytes, eventually, network, sent};

fn texts(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().expect("it is a list");
    let text = |it: &Value| it[field].as_str().unwrap_or_default().to_owned();
    list.iter().map(text).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("it is a folder") {
        let entry = entry.expect("it can be listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it is known").is_dir() {
            std::fs::create_dir_all(&target).expect("it can be created");
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

#[tokio::test]
async fn a_node_whose_index_is_removed_acknowledges_nothing_and_loses_nothing() {
    let mut nodes = network(2, &[(0, 1)], &[]).await;
    nodes[0].store_on("ada/before", bytes(40_000, 1), 2).await;
    let index = nodes[0].path().join("index.redb");
    std::fs::remove_file(&index).expect("it exists");
    // If the node has not noticed yet, the other one takes the file alone, and the layout names only that one.
    let first = sent(nodes[0].put("ada/first", "content")).await;
    if first.status().is_success() {
        let stored: Value = first.json().await.expect("the answer is JSON");
        assert_eq!(stored["replicas"], serde_json::json!(["B"]), "{stored}");
    }
    eventually("it is not ready", async || {
        let ready = sent(nodes[0].request(reqwest::Method::GET, "/readyz")).await;
        ready.status() == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let refused = sent(nodes[0].put("ada/after", "content")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let told = refused.text().await.expect("it arrives");
    assert!(told.contains("index.redb.rescued"), "{told}");
    let status = nodes[0].json("/v1/status").await;
    assert_eq!(status["problems"][0]["kind"], "store", "{status}");
    assert!(done(&nodes[0], &["status"]).contains("index.redb"));
    // The other node places nothing on it, and its existing files can still be read.
    let stored = nodes[1].store_on("ada/other", "content", 2).await;
    assert_eq!(stored["replicas"], serde_json::json!(["B"]), "{stored}");
    assert_eq!(nodes[0].read("ada/before").await.body, bytes(40_000, 1));
    nodes[0].kill();
    let rescued = nodes[0].path().join("index.redb.rescued");
    std::fs::rename(rescued, index).expect("it was made");
    let again = nodes.remove(0).restart();
    assert_eq!(again.read("ada/before").await.body, bytes(40_000, 1));
    again.store_on("ada/after", "content", 1).await;
}

#[tokio::test]
async fn a_copy_of_a_data_folder_keeps_away_from_its_original() {
    let mut nodes = network(2, &[(0, 1)], &[]).await;
    nodes[0].store_on("ada/x", bytes(40_000, 1), 2).await;
    let copied = tempfile::TempDir::new().expect("a temporary folder can be created");
    copy_folder(nodes[0].path(), copied.path());
    let copy = Node::start_with_folder("A", copied);
    assert_eq!(copy.id, nodes[0].id);
    let both = |told: &str| told.contains(&copy.grpc) && told.contains(&nodes[0].grpc);
    eventually("the copied node isolates itself", async || {
        let ready = sent(copy.request(reqwest::Method::GET, "/readyz")).await;
        ready.status() == StatusCode::SERVICE_UNAVAILABLE
            && ready.text().await.is_ok_and(|told| both(&told))
    })
    .await;
    let refused = sent(copy.put("ada/y", "content")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let told = texts(&nodes[1].json("/v1/status").await["problems"], "detail");
    assert!(told.iter().any(|it| both(it)), "{told:?}");
    let addresses = texts(&nodes[1].json("/v1/links").await, "address");
    assert_eq!(addresses, [nodes[0].grpc.clone()]);
    let metrics = sent(nodes[1].request(reqwest::Method::GET, "/metrics")).await;
    let metrics = metrics.text().await.expect("it arrives");
    assert!(metrics.contains("dataverse_problems{kind=\"identity\"} 1"));
    // Once the original is gone, the copy continues in its place.
    nodes[0].kill();
    let folder = copy.into_folder();
    let instead = Node::start_with_folder("A", folder);
    eventually("the link has moved", async || {
        let addresses = texts(&nodes[1].json("/v1/links").await, "address");
        addresses == [instead.grpc.clone()]
    })
    .await;
    instead.store_on("ada/y", "content", 2).await;
}

#[tokio::test]
async fn a_drained_node_that_stops_is_waited_for_no_more() {
    let mut nodes = network(3, &[(0, 1), (1, 2), (2, 0)], &[]).await;
    nodes[0].store_on("ada/x", bytes(40_000, 1), 2).await;
    done(&nodes[0], &["drain", "B"]);
    assert_eq!(nodes[1].terminate(), Some(0));
    for at in [0, 2] {
        let missed = sent(nodes[at].get("ada/nowhere")).await;
        assert_eq!(missed.status(), StatusCode::NOT_FOUND);
        assert!(done(&nodes[at], &["links"]).contains("left"));
    }
    // A node that stops without that is waited for, and named.
    assert_eq!(nodes[2].terminate(), Some(0));
    let missed = sent(nodes[0].get("ada/nowhere")).await;
    assert_eq!(missed.status(), StatusCode::SERVICE_UNAVAILABLE);
    let told: Value = missed.json().await.expect("the answer is JSON");
    assert_eq!(told["unanswered"][0]["node"], "C", "{told}");
    let told = run(&nodes[0], &["get", "ada/nowhere", "-o", "/dev/null"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("no answer from C"), "{told}");
}

#[tokio::test]
async fn a_link_that_never_comes_about_is_shown() {
    let node = Node::start(
        "A",
        &["--link", "127.0.0.1:1", "--link", "nobody.invalid:7400"],
    );
    eventually("both were tried", async || {
        let links = node.json("/v1/links").await;
        let links = links.as_array().expect("it is a list");
        links.len() == 2
            && links
                .iter()
                .all(|it| it["state"] == "connecting" && it["last_error"].is_string())
    })
    .await;
    let shown = done(&node, &["links"]);
    assert!(shown.contains("nobody.invalid:7400"), "{shown}");
    let silent = texts(&node.json("/v1/status").await["silent"], "address");
    assert!(silent.contains(&"127.0.0.1:1".to_owned()), "{silent:?}");
    done(&node, &["unlink", "127.0.0.1:1"]);
    let addresses = texts(&node.json("/v1/links").await, "address");
    assert_eq!(addresses, ["nobody.invalid:7400"]);
}
