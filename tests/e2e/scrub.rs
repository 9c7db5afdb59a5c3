//! Disks that lose bits and files: bad copies are found, quarantined and healed from another node, or reported.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::failures::contents;
use crate::world::{BINARY, Node, bytes, eventually, network, sent};

/// Flips a bit in the middle of a file.
pub(crate) fn flip(path: &Path) {
    let mut content = std::fs::read(path).expect("it exists");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(path, content).expect("it can be written");
}

/// The only content file of a node.
fn only_content(node: &Node) -> PathBuf {
    let mut contents = contents(node.path());
    assert_eq!(contents.len(), 1, "one file is stored");
    contents.remove(0)
}

/// Runs `dataverse scrub --wait --json` and returns its exit code and output.
async fn scrub(node: &Node) -> (i32, Value) {
    let output = tokio::process::Command::new(BINARY)
        .args(["scrub", "--wait", "--json", "--node", &node.url("")])
        .output()
        .await
        .expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("it is text");
    let told = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text:?} is JSON"));
    (
        output.status.code().expect("it exits without a signal"),
        told,
    )
}

fn quarantined(node: &Node) -> usize {
    let folder = node.path().join("quarantine");
    std::fs::read_dir(folder).expect("it is a folder").count()
}

async fn metric(node: &Node, name: &str) -> u64 {
    let text = sent(node.request(Method::GET, "/metrics")).await.text();
    let text = text.await.expect("it is text");
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    let value = line.rsplit(' ').next().expect("a value follows");
    value.parse().expect("it is a whole number")
}

#[tokio::test]
async fn a_flipped_bit_is_found_by_a_scrub_and_made_good_from_the_other_node() {
    let nodes = network(2, &[(0, 1)], &[]).await;
    let content = bytes(100_000, 41);
    nodes[0].store_on("ada/rot", content.clone(), 2).await;
    flip(&only_content(&nodes[0]));
    let (exit, told) = scrub(&nodes[0]).await;
    assert_eq!(exit, 0);
    assert_eq!((&told["bad"], &told["mended"]), (&1.into(), &1.into()));
    assert_eq!(
        (&told["files_done"], &told["running"]),
        (&1.into(), &false.into())
    );
    assert_eq!(quarantined(&nodes[0]), 1);
    let again = std::fs::read(only_content(&nodes[0])).expect("it exists");
    assert!(again == content, "the good copy is on the disk");
    let read = nodes[0].read("ada/rot").await;
    assert_eq!((read.source.as_str(), read.hops), ("A", 0));
    assert!(read.body == content);
    let status = nodes[0].json("/v1/status").await;
    assert_eq!(status["scrub"]["mended"], 1);
    assert_eq!(status["replicas"]["files"], 1);
    assert_eq!(metric(&nodes[0], "dataverse_scrub_mended_total").await, 1);
}

#[tokio::test]
async fn a_file_that_is_bad_everywhere_is_reported_and_never_served() {
    let mut nodes = network(2, &[(0, 1)], &[]).await;
    let content = bytes(100_000, 42);
    nodes[0].store_on("ada/rot", content.clone(), 2).await;
    for node in &nodes {
        flip(&only_content(node));
    }
    scrub(&nodes[0]).await;
    for node in &nodes {
        eventually("the file is known to be lost", async || {
            let told = node.json("/v1/scrub").await;
            told["lost"] == serde_json::json!(["ada/rot"])
        })
        .await;
        let missed = sent(node.get("ada/rot")).await;
        assert_eq!(missed.status(), StatusCode::SERVICE_UNAVAILABLE);
        let problem: Value = missed.json().await.expect("it is JSON");
        assert_eq!(problem["outcome"], "lost");
    }
    let (exit, told) = scrub(&nodes[0]).await;
    assert_eq!((exit, &told["lost_total"]), (1, &1.into()));
    // A restart does not forget it.
    let a = nodes.remove(0).restart();
    eventually("the file is known to be lost", async || {
        a.json("/v1/scrub").await["lost_total"] == 1
    })
    .await;
    let again = bytes(100_000, 43);
    a.store_on("ada/rot", again.clone(), 2).await;
    assert!(a.read("ada/rot").await.body == again);
    assert_eq!(a.json("/v1/scrub").await["lost_total"], 0);
}

#[tokio::test]
async fn content_that_is_gone_when_a_node_starts_is_made_good() {
    let mut nodes = network(2, &[(0, 1)], &[]).await;
    let content = bytes(100_000, 44);
    nodes[0].store_on("ada/gone", content.clone(), 2).await;
    nodes[0].kill();
    std::fs::remove_file(only_content(&nodes[0])).expect("it can be removed");
    let a = nodes.remove(0).restart();
    eventually("it is healed", async || {
        a.json("/v1/scrub").await["mended"] == 1
    })
    .await;
    nodes[0].kill();
    let read = a.read("ada/gone").await;
    assert_eq!((read.source.as_str(), read.body == content), ("A", true));
}

#[tokio::test]
async fn a_node_killed_in_mid_scrub_goes_on_where_it_was() {
    const FILES: u64 = 60;
    let node = Node::start("A", &["--set", "scrub.bytes_per_second=1MiB"]);
    for number in 0..FILES {
        let key = format!("ada/{number}");
        node.store(&key, bytes(100_000, number)).await;
    }
    let begun = sent(node.request(Method::POST, "/v1/scrub")).await;
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let begun: Value = begun.json().await.expect("it is JSON");
    assert_eq!(begun["running"], true);
    eventually("some of it is done", async || {
        let done = node.json("/v1/scrub").await["files_done"].as_u64();
        done.is_some_and(|done| done >= FILES / 2)
    })
    .await;
    let node = node.restart();
    let told = node.json("/v1/scrub").await;
    assert_eq!(
        (&told["running"], &told["began"]),
        (&true.into(), &begun["began"])
    );
    eventually("it ends", async || {
        node.json("/v1/scrub").await["running"] == false
    })
    .await;
    let told = node.json("/v1/scrub").await;
    assert_eq!(
        (&told["files_done"], &told["bad"]),
        (&FILES.into(), &0.into())
    );
    let again = metric(&node, "dataverse_scrub_files_total").await;
    assert!(
        again < FILES - 5,
        "{again} files were checked after the restart"
    );
}
