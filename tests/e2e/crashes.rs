//! A node that dies at any step of what it does: nothing acknowledged is lost, nothing half-done is seen, what was
//! deleted stays deleted, and afterwards every file has its replicas again.

use std::collections::BTreeMap;
use std::path::Path;

use dataverse_store::crash::POINTS;
use redb::{Database, TableDefinition};
use reqwest::{Method, StatusCode};

use crate::failures::contents;
use crate::scrub::flip;
use crate::world::{Node, QUICK, all_read, bytes, eventually, network, replicas, sent};

const VICTIM: usize = 1;
const BYTES: usize = 60_000;

/// Four nodes in a ring, one of which dies again and again, and what a reader must find.
struct Trial {
    nodes: Vec<Node>,
    /// Each file's content; `None` once it was deleted.
    expected: BTreeMap<String, Option<Vec<u8>>>,
    writes: u64,
    /// A file whose deletion the node died in.
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
        there.expect("some file is there").0.clone()
    }

    /// The node dies at this point, while it does what leads there, and starts again.
    async fn die_at(&mut self, point: &str) {
        if ["relayout", "release", "scrub", "heal"].contains(&point.split('.').next().unwrap_or(""))
        {
            // It was emptied before: there has to be something to move.
            let held = async |trial: &Self| trial.nodes[VICTIM].json("/v1/status").await;
            while held(self).await["replicas"]["files"] == 0 {
                self.store_something(VICTIM).await;
            }
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
            // It goes on where it was, and ends.
            let drained = async || self.nodes[VICTIM].json("/v1/status").await;
            eventually(&format!("it is empty after {point}"), async || {
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

    /// Whether the last of these writes happened is not known: it may be read, or the one before.
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
        // Written again, it is known.
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
        // Whether that happened is not known before the node is back and others can ask it.
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

    /// Reads files that are new to it, of which it then keeps copies.
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

    /// Bits have turned on its disk, in whatever it holds; every file has another copy.
    async fn scrub_until_it_dies(&mut self, point: &str) {
        if point != "scrub.noted" {
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

    /// Every reader finds what was acknowledged last, at every node.
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

/// Turns a node's index into one of format 1: it had no list of replicas to be made good, and its row of the node's
/// life was not always there.
fn make_older(folder: &Path) {
    let meta = TableDefinition::<&str, &[u8]>::new("meta");
    let missing = TableDefinition::<&str, &[u8]>::new("missing");
    let index = Database::open(folder.join("index.redb")).expect("it is closed");
    let change = index.begin_write().expect("it can be changed");
    change.delete_table(missing).expect("it can be deleted");
    {
        let mut meta = change.open_table(meta).expect("it is there");
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
