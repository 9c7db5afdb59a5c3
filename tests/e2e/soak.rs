//! Five nodes under load, one of which is killed repeatedly; and a node that is suspended for longer than the
//! others wait, and then continues as if nothing had happened.
//!
//! The kills go on for ten seconds; with `DATAVERSE_SOAK_SECONDS=600 cargo test --test e2e soak` for ten minutes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};

use crate::world::{Node, QUICK, bytes, eventually, network, replicas};

const RING: [(usize, usize); 6] = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2)];
const CLIENTS: u64 = 4;
const KEYS: u64 = 8;

/// The possible contents of a file: the last acknowledged one, and any tried since, which may have been stored.
#[derive(Default, Clone)]
struct Possible(Vec<Option<Vec<u8>>>);

impl Possible {
    fn is_now(&mut self, content: Option<Vec<u8>>) {
        self.0 = vec![content];
    }

    fn may_be(&mut self, content: Option<Vec<u8>>) {
        if self.0.is_empty() {
            self.0.push(None);
        }
        self.0.push(content);
    }
}

/// One client: the only writer of its keys, one operation at a time.
async fn load(
    number: u64,
    urls: Vec<String>,
    stop: Arc<AtomicBool>,
) -> (u64, BTreeMap<String, Possible>) {
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build();
    let client = client.expect("a client can be created");
    let mut model: BTreeMap<String, Possible> = BTreeMap::new();
    let (mut step, mut acknowledged) = (number * 1_000_003, 0);
    while !stop.load(Ordering::Relaxed) {
        step += 1;
        let key = format!("c{number}/{}", step % KEYS);
        let url = format!("{}{key}", urls[step as usize * 7 % urls.len()]);
        let possible = model.entry(key).or_default();
        if step % 5 == 4 {
            match client.delete(&url).send().await.map(|it| it.status()) {
                Ok(StatusCode::NO_CONTENT) => possible.is_now(None),
                // A miss is a definite answer; any other failure may have happened.
                Ok(StatusCode::NOT_FOUND) => {}
                _ => possible.may_be(None),
            }
            continue;
        }
        let content = bytes(1_000 + (step as usize * 7_919) % 90_000, step);
        let put = client.put(&url).body(content.clone()).send().await;
        match put.map(|it| it.status().is_success()) {
            Ok(true) => {
                acknowledged += 1;
                possible.is_now(Some(content));
            }
            _ => possible.may_be(Some(content)),
        }
    }
    (acknowledged, model)
}

async fn read(node: &Node, key: &str) -> Option<Option<Vec<u8>>> {
    let answer = node.get(key).send().await.ok()?;
    match answer.status() {
        StatusCode::OK => Some(Some(answer.bytes().await.ok()?.to_vec())),
        StatusCode::NOT_FOUND => Some(None),
        _ => None,
    }
}

/// All nodes give the same content for each file, and it is a possible one.
async fn check(nodes: &[Node], model: &BTreeMap<String, Possible>) {
    for (key, possible) in model {
        eventually(&format!("all agree on {key}"), async || {
            let mut said = Vec::new();
            for node in nodes {
                said.push(read(node, key).await);
            }
            let Some(Some(first)) = said.first().cloned() else {
                return false;
            };
            let agree = said.iter().all(|one| one.as_ref() == Some(&first));
            agree && (possible.0.is_empty() && first.is_none() || possible.0.contains(&first))
        })
        .await;
    }
}

/// Exactly two replicas per file.
async fn check_factor(nodes: &[Node], model: &BTreeMap<String, Possible>) {
    eventually("every file has two replicas", async || {
        let mut files = 0;
        for key in model.keys() {
            files += u64::from(matches!(read(&nodes[0], key).await, Some(Some(_))));
        }
        replicas(nodes).await == files * 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_killed_again_and_again_under_load_lose_nothing() {
    let seconds = std::env::var("DATAVERSE_SOAK_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut nodes = network(5, &RING, &QUICK).await;
    let urls: Vec<String> = nodes.iter().map(|node| node.file_url("")).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(load(number, urls.clone(), Arc::clone(&stop))))
        .collect();
    let (began, mut kills) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        let victim = kills * 3 % nodes.len();
        nodes[victim].kill();
        // Some come back quickly, some after they were declared dead.
        let away_ms = 200 + 1_700 * (kills as u64 % 4);
        tokio::time::sleep(Duration::from_millis(away_ms)).await;
        let node = nodes.remove(victim).restart();
        nodes.insert(victim, node);
        kills += 1;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut model) = (0, BTreeMap::new());
    for client in clients {
        let (count, of_client) = client.await.expect("a client does not panic");
        acknowledged += count;
        model.extend(of_client);
    }
    for node in &nodes {
        node.sees_alive(5).await;
    }
    check(&nodes, &model).await;
    check_factor(&nodes, &model).await;
    println!("{kills} kills in {seconds} s, {acknowledged} writes acknowledged, nothing lost");
    assert!(acknowledged > 0, "some writes got through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_stopped_for_longer_than_the_others_patience_finds_its_way_back() {
    let nodes = network(4, &RING[..3], &QUICK).await;
    nodes[3].link(&nodes[0]).await;
    let mut model: BTreeMap<String, Possible> = BTreeMap::new();
    for at in 0..8u64 {
        let (key, content) = (format!("ada/{at}"), bytes(30_000, at));
        nodes[0].store_on(&key, content.clone(), 2).await;
        model.entry(key).or_default().is_now(Some(content));
    }
    nodes[1].signal(rustix::process::Signal::STOP);
    eventually("the others declare it dead", async || {
        let seen = nodes[0].json("/v1/nodes").await;
        let seen = seen.as_array().expect("it is a list");
        seen.iter()
            .any(|node| node["name"] == "B" && node["state"] == "gone")
    })
    .await;
    for at in 0..4u64 {
        let (key, content) = (format!("ada/{at}"), bytes(30_000, 100 + at));
        nodes[0].store_on(&key, content.clone(), 2).await;
        model.entry(key).or_default().is_now(Some(content));
    }
    nodes[1].signal(rustix::process::Signal::CONT);
    for node in &nodes {
        node.sees_alive(4).await;
    }
    check(&nodes, &model).await;
    check_factor(&nodes, &model).await;
}
