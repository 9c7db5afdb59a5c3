//! A data folder and a `policies.toml` as an earlier version wrote them.
//!
//! `tests/e2e/earlier` holds the folder, each file compressed: the version before the host was cut into crates wrote
//! it, on a node named `old` with an inline file, a file of 40,000 bytes, an empty one, a deleted one, and the
//! eviction policy `lru` chosen over HTTP after `gdsf`, which is in the history of policies.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use flate2::read::GzDecoder;
use reqwest::{Method, StatusCode};
use tempfile::TempDir;

use crate::world::{Node, eventually, sent};

/// Copies a folder, decompressing its files; their names lose the `.gz`.
fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be created");
    for entry in fs::read_dir(from).expect("the folder is in the repository") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            let name = path.file_name().expect("it has a name");
            unpack(&path, &to.join(name));
        } else {
            let name = path.file_stem().expect("it has a name");
            let compressed = File::open(&path).expect("it can be opened");
            let mut file = File::create(to.join(name)).expect("it can be created");
            io::copy(&mut GzDecoder::new(compressed), &mut file).expect("it can be unpacked");
        }
    }
}

#[tokio::test]
async fn a_folder_of_the_version_before_is_served_with_its_policies() {
    let folder = TempDir::new().expect("a temporary folder can be created");
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/earlier");
    unpack(&packed, folder.path());
    let node = Node::start_with_folder("old", folder);
    assert_eq!(node.id, "9b4eb32ed0fb40c714e6eff516da36b3");

    let large = "x".repeat(40_000);
    let contents = [
        ("ada/short.txt", "short text\n"),
        ("ada/large%20%C3%BC.bin", large.as_str()),
        ("ada/empty", ""),
    ];
    for (key, content) in contents {
        let read = node.read(key).await;
        assert_eq!(read.body, content.as_bytes(), "{key}");
    }
    let gone = node.request(Method::GET, "/v1/files/ada/gone.txt");
    assert_eq!(sent(gone).await.status(), StatusCode::NOT_FOUND);
    let found = node.json("/v1/search?q=**").await;
    assert_eq!(found["hits"].as_array().map(Vec::len), Some(3), "{found}");

    eventually("the chosen eviction policy decides", async || {
        let policies = node.json("/v1/policies").await;
        let active = &policies["eviction"]["active"];
        (&active["name"], &active["origin"]) == (&"lru".into(), &"built-in".into())
    })
    .await;
    // What ran before is known as well, and its file is kept.
    let policies = node.json("/v1/policies").await;
    let previous = &policies["eviction"]["previous"];
    assert_eq!(previous[0]["name"], "gdsf", "{previous}");
    let rollback = node.request(Method::POST, "/v1/policies/eviction/rollback");
    assert_eq!(sent(rollback).await.status(), StatusCode::OK);
    assert_eq!(
        node.json("/v1/policies").await["eviction"]["active"]["name"],
        "gdsf"
    );

    node.store("ada/short.txt", "overwritten").await;
    assert_eq!(node.read("ada/short.txt").await.body, b"overwritten");
}
