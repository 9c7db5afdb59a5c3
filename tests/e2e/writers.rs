//! Concurrency: writers of one key, readers of one remote file, clients that disconnect.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_util::future::join_all;

use crate::world::{Node, bytes, eventually, line, names, network, sent, store_only_at};

/// Bytes of content that a node has sent to other nodes.
async fn sent_to_peers(node: &Node) -> f64 {
    let metrics = sent(node.request(reqwest::Method::GET, "/metrics")).await;
    let metrics = metrics.text().await.expect("it is text");
    let ours = |line: &&str| {
        line.starts_with("dataverse_bytes_total")
            && line.contains("face=\"peer\"")
            && line.contains("direction=\"out\"")
    };
    let lines = metrics.lines().filter(ours);
    let value = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok())
    };
    lines.filter_map(value).sum()
}

#[tokio::test]
async fn concurrent_writers_of_one_key_end_with_one_content_everywhere() {
    let nodes = line(4).await;
    let writes = (0..32u64).map(|at| {
        let node = &nodes[at as usize % nodes.len()];
        async move {
            let content = bytes(20_000 + at as usize * 100, at);
            let stored = node.store("ada/contested", content.clone()).await;
            let version = stored["version"].as_str().expect("it is text").to_owned();
            (version, content)
        }
    });
    let written = join_all(writes).await;
    let versions: BTreeSet<&String> = written.iter().map(|(version, _)| version).collect();
    assert_eq!(
        versions.len(),
        written.len(),
        "every write has its own version"
    );
    let (_, last) = written
        .iter()
        .max_by_key(|(version, _)| version)
        .expect("at least one exists");
    for node in &nodes {
        eventually("the greatest version is read everywhere", async || {
            node.read("ada/contested").await.body == *last
        })
        .await;
    }
}

#[tokio::test]
async fn a_remote_file_crosses_the_network_once_for_64_readers() {
    let nodes = line(3).await;
    let content = bytes(8_000_000, 21);
    let key = store_only_at(&nodes, 2, "popular", &content).await;
    let (reader, holder) = (&nodes[0], &nodes[2]);
    let before = sent_to_peers(holder).await;
    let reads = (0..64).map(|_| reader.read(&key));
    for read in join_all(reads).await {
        assert!(read.body == content);
    }
    let sent_bytes = sent_to_peers(holder).await - before;
    let size = content.len() as f64;
    assert!(
        sent_bytes >= size && sent_bytes < size * 1.5,
        "{sent_bytes} of {size} were sent"
    );
}

#[tokio::test]
async fn a_file_that_is_overwritten_all_the_time_can_be_read_all_the_time() {
    let nodes = line(2).await;
    nodes[0].store("ada/busy", bytes(40_000, 0)).await;
    let writes = async {
        for round in 1..60 {
            nodes[0].store("ada/busy", bytes(40_000, round)).await;
        }
    };
    let reads = async {
        for _ in 0..120 {
            for node in &nodes {
                assert_eq!(node.read("ada/busy").await.body.len(), 40_000);
            }
        }
    };
    tokio::join!(writes, reads);
}

#[tokio::test]
async fn a_full_cache_makes_room_and_a_write_that_can_never_fit_costs_it_nothing() {
    let nodes = network(2, &[(0, 1)], &["--capacity", "10MiB"]).await;
    // B reads more than fits next to what it holds; A holds as much as it can.
    let mut keys = Vec::new();
    for at in 0..150 {
        let key = format!("ada/{at}");
        let stored = nodes[0].store_on(&key, bytes(80_000, at), 1).await;
        if names(&stored["replicas"]) == ["A"] {
            keys.push(key);
        }
    }
    for round in 0..3 {
        for key in &keys {
            let read = nodes[1].read(key).await;
            assert_eq!(read.body.len(), 80_000, "{key} in round {round}");
        }
    }
    let last = keys.last().expect("placement uses both nodes");
    eventually("what was read last is kept", async || {
        nodes[1].read(last).await.source == "B"
    })
    .await;
    let cached = async || nodes[1].json("/v1/status").await["cached"]["bytes"].as_u64();
    let before = cached().await;
    assert!(before > Some(1_000_000), "{before:?}");
    let hopeless = "PUT /v1/files/ada/hopeless HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx";
    let mut stream = TcpStream::connect(&nodes[1].http).expect("the node listens");
    stream
        .write_all(hopeless.as_bytes())
        .expect("it can be sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("the node answers it");
    assert_eq!(&answer, b"HTTP/1.1 507");
    assert_eq!(cached().await, before);
}

#[tokio::test]
async fn an_empty_file_moves_to_its_reader_like_any_other() {
    let nodes = line(3).await;
    let key = store_only_at(&nodes, 2, "empty", b"").await;
    assert_eq!(nodes[0].read(&key).await.source, "C");
    eventually("the copy is kept", async || {
        nodes[0].read(&key).await.source == "A"
    })
    .await;
}

#[tokio::test]
async fn a_client_that_stops_half_way_leaves_nothing() {
    let nodes = line(2).await;
    let mut stream = TcpStream::connect(&nodes[0].http).expect("the node listens");
    let head =
        "PUT /v1/files/ada/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it can be sent");
    stream
        .write_all(&bytes(5_000_000, 22))
        .expect("it can be sent");
    drop(stream);
    for node in &nodes {
        eventually("the space is free again", async || {
            let status = node.json("/v1/status").await;
            status["replicas"]["files"] == 0 && incoming(node) == 0
        })
        .await;
        assert_eq!(sent(node.get("ada/half")).await.status(), 404);
    }
}

/// Files in the folder of uploads in progress.
fn incoming(node: &Node) -> usize {
    let folder = std::fs::read_dir(node.path().join("incoming"));
    folder.map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_reader_that_goes_away_stops_the_work_behind_it() {
    let nodes = line(2).await;
    let stored = nodes[0]
        .store_on("ada/long", bytes(40_000_000, 23), 1)
        .await;
    let holder = names(&stored["replicas"]).remove(0);
    let holder = nodes
        .iter()
        .find(|node| node.name == holder)
        .expect("it is in the list");
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&holder.http).expect("the node listens");
        let head = "GET /v1/files/ada/long HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("it can be sent");
        let mut beginning = [0; 1000];
        stream
            .read_exact(&mut beginning)
            .expect("something arrives");
    }
    let open = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", holder.pid()));
        let files = files.expect("the node runs").flatten();
        let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets
            .filter(|target| target.to_string_lossy().contains("/content/"))
            .count()
    };
    eventually("no content is open any more", async || open() == 0).await;
}

#[tokio::test]
async fn a_slow_reader_does_not_make_the_node_pile_up_content() {
    let nodes = line(2).await;
    let size = 200_000_000;
    nodes[0].store_on("ada/huge", vec![7; size], 1).await;
    for node in &nodes {
        let before = resident_bytes(node);
        let mut stream = TcpStream::connect(&node.http).expect("the node listens");
        let head = "GET /v1/files/ada/huge HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("it can be sent");
        let mut piece = [0; 65_536];
        // Far less than arrives when nothing slows down the sender.
        for _ in 0..20 {
            stream.read_exact(&mut piece).expect("something arrives");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let grown = resident_bytes(node).saturating_sub(before);
        assert!(grown < 100_000_000, "{} grew by {grown} bytes", node.name);
    }
}

/// Memory of a node as the system reports it.
pub(crate) fn resident_bytes(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()));
    let status = status.expect("the node runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .expect("the system counts in kB")
        * 1024
}
