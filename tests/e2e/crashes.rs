//! A node that dies at any step of its work: nothing acknowledged is lost, nothing half-done is visible, deleted
//! files stay deleted, and afterwards every file has its replicas again.

use std::collections::BTreeMap;
use std::path::Path;

use dataverse_store::crash::POINTS;
use redb::{Database, ReadableTable, TableDefinition};
use reqwest::{Method, StatusCode};

use crate::failures::contents;
use crate::scrub::flip;
use crate::world::{Node, QUICK, all_read, bytes, eventually, names, network, replicas, sent};

const VICTIM: usize = 1;
const BYTES: usize = 60_000;

/// Four nodes in a ring, one of which dies repeatedly, and what readers must find.
struct Trial {
    nodes: Vec<Node>,
    /// The content of each file; `None` after its deletion.
    expected: BTreeMap<String, Option<Vec<u8>>>,
    writes: u64,
    /// A file during whose deletion the node died.
    half_deleted: Option<String>,
}

impl Trial {
    async fn begin() -> Self {
        let ring = [(0, 1), (1, 2), (2, 3), (3, 0)];
        let mut trial = Self {
            nodes: network(4, &ring, &QUICK).await,
            expected: BTreeMap::new(),
            writes: 0,
            half_deleted: None,
        };
        for _ in 0..12 {
            trial.store_something(0).await;
        }
        trial
    }

    fn content(&mut self) -> Vec<u8> {
        self.writes += 1;
        bytes(BYTES, self.writes)
    }

    async fn store_something(&mut self, at: usize) {
        let content = self.content();
        let key = format!("ada/{}", self.writes);
        self.nodes[at].store_on(&key, content.clone(), 2).await;
        self.expected.insert(key, Some(content));
    }

    fn some_key(&self) -> String {
        let there = self.expected.iter().find(|(_, content)| content.is_some());
        there.expect("at least one file exists").0.clone()
    }

    /// Makes the node die at this point, during the operation that reaches it, and starts it again.
    async fn die_at(&mut self, point: &str) {
        if ["relayout", "release", "scrub", "heal"].contains(&point.split('.').next().unwrap_or(""))
        {
            // It was drained before, so it must first hold something that can move.
            let held = async |trial: &Self| trial.nodes[VICTIM].json("/v1/status").await;
            while held(self).await["replicas"]["files"] == 0 {
                self.store_something(VICTIM).await;
            }
        }
        if point == "store.quarantined" {
            self.spoil_a_small_file().await;
        }
        let step = point.split('.').next().expect("a point has a step");
        if step == "upgrade" {
            self.nodes[VICTIM].terminate();
            make_older(self.nodes[VICTIM].path());
            self.nodes[VICTIM].die_starting_at(point);
        } else {
            let victim = self.nodes.remove(VICTIM).restart_to_die_at(point);
            self.nodes.insert(VICTIM, victim);
            self.all_are_there().await;
        }
        match step {
            "upgrade" => {}
            "write" => self.overwrite_until_it_dies(VICTIM, 2, point).await,
            "prepare" | "commit" => self.overwrite_until_it_dies(0, 4, point).await,
            "store" if point == "store.quarantined" => self.scrub_until_it_dies(point).await,
            "store" => self.overwrite_until_it_dies(VICTIM, 4, point).await,
            "delete" => self.delete_until_it_dies(point).await,
            "transfer" => self.read_until_it_dies(point).await,
            "relayout" | "release" => self.drain_until_it_dies(point).await,
            "scrub" | "heal" => self.scrub_until_it_dies(point).await,
            step => panic!("nothing leads to {step}"),
        }
        let victim = self.nodes.remove(VICTIM).restart();
        self.nodes.insert(VICTIM, victim);
        self.all_are_there().await;
        self.delete_again().await;
        if matches!(step, "relayout" | "release") {
            // It continues where it was, and finishes.
            let drained = async || self.nodes[VICTIM].json("/v1/status").await;
            eventually(&format!("it is drained after {point}"), async || {
                drained().await["drain"]["drained"] == true
            })
            .await;
            let undrain = self.nodes[VICTIM].request(Method::DELETE, "/v1/drain");
            assert_eq!(sent(undrain).await.status(), StatusCode::OK);
        }
    }

    async fn all_are_there(&self) {
        for node in &self.nodes {
            node.sees_alive(self.nodes.len()).await;
        }
    }

    async fn until_it_dies(&mut self, point: &str, mut act: impl AsyncFnMut(&[Node], u64)) {
        let mut tried = 0;
        let nodes = &mut self.nodes;
        eventually(&format!("the node dies at {point}"), async || {
            if !nodes[VICTIM].has_ended() {
                tried += 1;
                act(nodes, tried).await;
            }
            nodes[VICTIM].has_ended()
        })
        .await;
    }

    /// Whether the last of these writes happened is unknown: readers may find it, or the one before.
    async fn overwrite_until_it_dies(&mut self, at: usize, factor: u32, point: &str) {
        let key = self.some_key();
        let content = self.content();
        self.until_it_dies(point, async |nodes, tried| {
            let mut body = content.clone();
            body.extend(tried.to_le_bytes());
            let put = nodes[at].put(&key, body);
            let _ = put.header("Dataverse-Factor", factor).send().await;
        })
        .await;
        self.expected.remove(&key);
        let left = if at == VICTIM { 0 } else { at };
        // After another write, it is known.
        let content = self.content();
        eventually("it is written again", async || {
            let put = self.nodes[left].put(&key, content.clone());
            let put = put.header("Dataverse-Factor", 2);
            put.send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        self.expected.insert(key, Some(content));
    }

    async fn delete_until_it_dies(&mut self, point: &str) {
        let key = self.some_key();
        self.until_it_dies(point, async |nodes, _| {
            let _ = nodes[VICTIM].delete(&key).send().await;
        })
        .await;
        // Whether that happened is unknown until the node is back and others can ask it.
        self.expected.remove(&key);
        self.half_deleted = Some(key);
    }

    async fn delete_again(&mut self) {
        let Some(key) = self.half_deleted.take() else {
            return;
        };
        eventually("it is deleted by another", async || {
            let status = sent(self.nodes[0].delete(&key)).await.status();
            status == StatusCode::NO_CONTENT || status == StatusCode::NOT_FOUND
        })
        .await;
        self.expected.insert(key, None);
    }

    /// Reads files that the node does not hold, of which it then keeps copies.
    async fn read_until_it_dies(&mut self, point: &str) {
        let mut stored = Vec::new();
        self.until_it_dies(point, async |nodes, tried| {
            let (key, content) = (format!("ada/fresh-{tried}"), bytes(BYTES, 1_000 + tried));
            nodes[0].store_on(&key, content.clone(), 2).await;
            if let Ok(answer) = nodes[VICTIM].get(&key).send().await {
                let _ = answer.bytes().await;
            }
            stored.push((key, Some(content)));
        })
        .await;
        self.expected.extend(stored);
    }

    async fn drain_until_it_dies(&mut self, point: &str) {
        self.until_it_dies(point, async |nodes, _| {
            let drain = nodes[VICTIM].request(Method::POST, "/v1/drain");
            let _ = drain.send().await;
        })
        .await;
    }

    /// Stores a file that is so small that the victim keeps it in its index, and flips a bit of it there. The other
    /// holder has a good copy.
    async fn spoil_a_small_file(&mut self) {
        let victim = self.nodes[VICTIM].name.clone();
        loop {
            let content = self.content()[..1_000].to_vec();
            let key = format!("ada/small-{}", self.writes);
            let stored = self.nodes[0].store_on(&key, content.clone(), 2).await;
            self.expected.insert(key, Some(content));
            if names(&stored["replicas"]).contains(&victim) {
                break;
            }
        }
        self.nodes[VICTIM].terminate();
        spoil_small_contents(self.nodes[VICTIM].path());
    }

    /// Flips bits in everything on its disk; every file has another copy.
    async fn scrub_until_it_dies(&mut self, point: &str) {
        if !["scrub.noted", "store.quarantined"].contains(&point) {
            for content in contents(self.nodes[VICTIM].path()) {
                flip(&content);
            }
        }
        self.until_it_dies(point, async |nodes, _| {
            let scrub = nodes[VICTIM].request(Method::POST, "/v1/scrub");
            let _ = scrub.send().await;
        })
        .await;
    }

    /// Checks that every reader finds what was acknowledged last, at every node.
    async fn check(&self, after: &str) {
        for (key, content) in &self.expected {
            all_read(
                &self.nodes,
                key,
                content.as_deref(),
                &format!("after {after}"),
            )
            .await;
        }
    }

    /// In the end every file has exactly its replicas.
    async fn check_factor(&self) {
        let files = self.expected.values().filter(|content| content.is_some());
        let files = files.count() as u64;
        eventually("every file has two replicas", async || {
            replicas(&self.nodes).await == files * 2
        })
        .await;
    }
}

/// Flips a bit of every content in a node's index.
fn spoil_small_contents(folder: &Path) {
    let contents = TableDefinition::<&[u8; 33], &[u8]>::new("contents");
    let index = Database::open(folder.join("index.redb")).expect("it is closed");
    let change = index.begin_write().expect("it can be changed");
    {
        let mut contents = change.open_table(contents).expect("it exists");
        let rows = contents.iter().expect("it can be read");
        let rows = rows.map(|row| {
            let (id, bytes) = row.expect("it can be read");
            (*id.value(), bytes.value().to_vec())
        });
        for (id, mut bytes) in rows.collect::<Vec<_>>() {
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            contents
                .insert(&id, bytes.as_slice())
                .expect("it can be written");
        }
    }
    change.commit().expect("it is durable");
}

/// Turns a node's index into format 1, which had no list of replicas to heal and not always a row of the node's
/// lifetime.
fn make_older(folder: &Path) {
    let meta = TableDefinition::<&str, &[u8]>::new("meta");
    let missing = TableDefinition::<&str, &[u8]>::new("missing");
    let index = Database::open(folder.join("index.redb")).expect("it is closed");
    let change = index.begin_write().expect("it can be changed");
    change.delete_table(missing).expect("it can be deleted");
    {
        let mut meta = change.open_table(meta).expect("it exists");
        let one = 1u32.to_le_bytes();
        meta.remove("life").expect("it can be removed");
        meta.insert("format", one.as_slice())
            .expect("it can be written");
    }
    change.commit().expect("it is durable");
}

#[tokio::test]
async fn a_node_that_dies_at_any_step_loses_nothing() {
    let mut trial = Trial::begin().await;
    for point in POINTS {
        trial.die_at(point).await;
        trial.store_something(VICTIM).await;
        trial.check(point).await;
    }
    trial.check_factor().await;
}
