//! The recording of a node's requests, replayed in the lab.

use std::fs::File;
use std::path::Path;

use dataverse_core::policy::Kind;
use dataverse_lab::library::{BuiltIn, PolicyLibrary};
use dataverse_lab::single::{Accesses, OnResize, SingleCache, Unit};
use dataverse_lab::trace::{Op, Options, Request, RequestOutcome, Trace};
use dataverse_sandbox::{Sandbox, SandboxOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Node, bytes, eventually, sent};

const FILES: u64 = 40;
const READS: u64 = 250;
/// About a quarter of the files.
const CACHE_BYTES: u64 = 300_000;

fn key(file: u64) -> String {
    format!("ada/file {file}")
}

fn size(file: u64) -> usize {
    4_000 + (file * 7_919 % 50) as usize * 1_000
}

/// The file of each read: a few are read often, and none twice in a row.
fn reads() -> impl Iterator<Item = u64> {
    let mut last = FILES;
    (0..READS).map(move |read| {
        let drawn = dataverse_sdk::mix(read) % 1_000;
        let mut file = drawn * drawn * FILES / 1_000_000;
        if file == last {
            file = (file + 1) % FILES;
        }
        last = file;
        file
    })
}

fn requests(recording: &Path) -> Vec<Request> {
    let name = recording.to_str().expect("the path is text");
    let trace = Trace::open(name, Options::default()).expect("it is a trace");
    let requests = trace.requests().expect("it can be read");
    requests.map(|it| it.expect("the line is valid")).collect()
}

/// The ids of the files that a node evicted, from its log.
fn evicted_live(log: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(log).expect("there is a log");
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["fields"]["message"] == "evicting a cached copy")
        .map(|line| {
            let key = line["fields"]["key"].as_str().expect("it names the file");
            let key = dataverse_core::key::Key::parse(key).expect("it is a key");
            key.file_id().0
        })
        .collect()
}

/// The ids of the files that the lab's cache evicts for the same requests.
fn evicted_in_the_lab(recording: &Path, policy: &str) -> Vec<u64> {
    let built_in = dataverse_builtin::all().into_iter().map(|it| BuiltIn {
        kind: it.kind,
        name: it.name,
        wasm: it.wasm,
    });
    let sandbox = Sandbox::new(SandboxOptions::default()).expect("guests run here");
    let library = PolicyLibrary::new(sandbox, built_in.collect());
    let chosen = library
        .choose(Kind::Eviction, policy, "")
        .expect("it is built in");
    let mut cache = SingleCache::new(&chosen, CACHE_BYTES, 7).expect("it starts");
    let name = recording.to_str().expect("the path is text");
    let trace = Trace::open(name, Options::default()).expect("it is a trace");
    let requests = trace.requests().expect("it can be read");
    let accesses = Accesses::new(requests, Unit::Bytes, OnResize::Keep);
    let puts = accesses.map(|access| cache.put(&access.expect("the line is valid")));
    puts.flat_map(|put| put.victims)
        .map(|victim| victim.key)
        .collect()
}

async fn check_same_evictions(policy: &str) {
    let scratch = tempfile::tempdir().expect("a folder can be created");
    let (recording, log) = (scratch.path().join("asked.csv"), scratch.path().join("log"));
    let holder = Node::start("A", &[]);
    let near = holder.request(Method::PUT, "/v1/policies/placement");
    let answer = sent(near.json(&json!({ "policy": "near" }))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let (record, cache) = (
        recording.to_str().expect("the path is text").to_owned(),
        format!("cache.capacity={CACHE_BYTES}"),
    );
    let arguments = ["--record", &record, "--set", &cache];
    let log_file = File::create(&log).expect("the log can be created");
    let mut reader = Node::start_telling("B", &arguments, log_file);
    let eviction = reader.request(Method::PUT, "/v1/policies/eviction");
    let answer = sent(eviction.json(&json!({ "policy": policy }))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    reader.link(&holder).await;
    for file in 0..FILES {
        let content = bytes(size(file), file);
        let stored = holder.store_on(&key(file), content, 1).await;
        assert_eq!(stored["replicas"], json!(["A"]), "{stored}");
    }
    for file in reads() {
        let read = reader.read(&key(file)).await;
        assert_eq!(read.body, bytes(size(file), file));
        if read.source != "B" {
            // The copy can be used once it is complete.
            eventually("the copy is kept", async || {
                let head = sent(reader.head(&key(file))).await;
                head.headers()["dataverse-source"] == "B"
            })
            .await;
        }
    }
    assert_eq!(reader.terminate(), Some(0));

    let asked = requests(&recording);
    assert_eq!(asked.len() as u64, READS);
    assert!(asked.iter().all(|it| it.op == Op::Read && it.hops <= 1));
    let cached = asked
        .iter()
        .filter(|it| it.outcome == Some(RequestOutcome::Cached));
    assert!(cached.count() > 20, "hardly anything was cached");
    let live = evicted_live(&log);
    assert!(live.len() > 20, "hardly anything was evicted: {live:?}");
    assert_eq!(live, evicted_in_the_lab(&recording, policy), "{policy}");
}

#[tokio::test]
async fn the_lab_evicts_what_the_node_evicted_in_the_same_order_under_lru() {
    check_same_evictions("lru").await;
}

#[tokio::test]
async fn the_lab_evicts_what_the_node_evicted_in_the_same_order_under_gdsf() {
    check_same_evictions("gdsf").await;
}

#[tokio::test]
async fn the_lab_evicts_what_the_node_evicted_in_the_same_order_under_s3_fifo() {
    check_same_evictions("s3-fifo").await;
}

#[tokio::test]
async fn a_recording_tells_reads_writes_and_deletions_and_names_only_when_asked() {
    let scratch = tempfile::tempdir().expect("a folder can be created");
    for (names, said) in [(false, false), (true, true)] {
        let recording = scratch.path().join(format!("{names}.csv"));
        let record = recording.to_str().expect("the path is text").to_owned();
        let set = format!("recording.names={names}");
        let mut node = Node::start("A", &["--record", &record, "--set", &set]);
        node.store("ada/böse, \"Datei\".txt", b"abc".to_vec()).await;
        node.read("ada/böse, \"Datei\".txt").await;
        let deleted = sent(node.delete("ada/böse, \"Datei\".txt")).await;
        assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
        let missing = sent(node.get("ada/nothing")).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        assert_eq!(node.terminate(), Some(0));

        let asked = requests(&recording);
        let told: Vec<_> = asked
            .iter()
            .map(|it| (it.op, it.size, it.outcome))
            .collect();
        assert_eq!(
            told,
            [
                (Op::Write, 3, Some(RequestOutcome::Done)),
                (Op::Read, 3, Some(RequestOutcome::Replica)),
                (Op::Delete, 0, Some(RequestOutcome::Done)),
                (Op::Read, 0, Some(RequestOutcome::Missing)),
            ]
        );
        let text = std::fs::read_to_string(&recording).expect("it is text");
        assert_eq!(text.contains("böse"), said, "{text}");
    }
}
