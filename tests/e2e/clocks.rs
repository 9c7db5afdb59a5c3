//! Wall clocks that jump under running nodes, by means of libfaketime. Skipped, with a message, if that is not
//! installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use reqwest::StatusCode;
use tempfile::TempDir;

use crate::world::{Node, QUICK, all_read, bytes, eventually, replicas, sent};

/// A wall clock that can be set while the process that uses it runs. The monotonic clock stays the machine's.
#[derive(Clone)]
pub(crate) struct Clock {
    faketime: PathBuf,
    folder: Arc<TempDir>,
}

impl Clock {
    /// A correct clock, if libfaketime is installed.
    pub(crate) fn new() -> Option<Self> {
        let clock = Self {
            faketime: library()?,
            folder: Arc::new(TempDir::new().expect("a temporary folder can be created")),
        };
        clock.set_ahead(0);
        Some(clock)
    }

    /// Sets it this many seconds ahead of the machine's clock, immediately.
    pub(crate) fn set_ahead(&self, seconds: i64) {
        let unfinished = self.folder.path().join("new");
        fs::write(&unfinished, format!("{seconds:+}")).expect("it can be written");
        fs::rename(unfinished, self.file()).expect("it can be renamed");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }

    /// Makes the command use this clock.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.faketime)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

/// libfaketime, where distributions put it.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut folders: Vec<PathBuf> = folders.map(|folder| folder.path()).collect();
    folders.push("/usr/lib64".into());
    let places = folders.into_iter();
    places
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}

/// Three nodes that know each other, each with its own clock.
async fn trio() -> Option<(Vec<Node>, Vec<Clock>)> {
    let clocks: Option<Vec<Clock>> = (0..3).map(|_| Clock::new()).collect();
    let Some(clocks) = clocks else {
        eprintln!("skipped: libfaketime is not installed");
        return None;
    };
    let nodes: Vec<Node> = ["A", "B", "C"]
        .iter()
        .zip(&clocks)
        .map(|(name, clock)| Node::start_at(name, &QUICK, clock.clone()))
        .collect();
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        nodes[a].link(&nodes[b]).await;
    }
    for node in &nodes {
        node.sees_alive(3).await;
    }
    Some((nodes, clocks))
}

/// In seconds.
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

#[tokio::test]
async fn the_last_write_counts_while_clocks_jump() {
    let Some((mut nodes, clocks)) = trio().await else {
        return;
    };
    // B's and C's clocks: never further apart than the nodes tolerate.
    let skies = [
        (5 * MINUTE, 0),
        (0, 5 * MINUTE),
        (-3 * MINUTE, 6 * MINUTE),
        (6 * MINUTE, -3 * MINUTE),
        (0, 0),
    ];
    for (round, (b, c)) in (0u64..).zip(skies) {
        clocks[1].set_ahead(b);
        clocks[2].set_ahead(c);
        let when = format!("when B is {b} s ahead and C {c} s");
        let content = |turn: u64| bytes(50_000, 10 * round + turn);
        let gone = format!("ada/gone-{round}");
        nodes[2].store_on(&gone, content(9), 2).await;
        for turn in 0..6 {
            let at = turn as usize % 3;
            nodes[at].store_on("ada/x", content(turn), 2).await;
        }
        all_read(&nodes, "ada/x", Some(&content(5)), &when).await;
        assert_eq!(
            sent(nodes[1].delete(&gone)).await.status(),
            StatusCode::NO_CONTENT
        );
        all_read(&nodes, &gone, None, &when).await;
        let victim = nodes.remove(1).restart();
        nodes.insert(1, victim);
        nodes[1].sees_alive(3).await;
        nodes[1].store_on("ada/x", content(7), 2).await;
        all_read(&nodes, "ada/x", Some(&content(7)), &when).await;
        all_read(&nodes, &gone, None, &when).await;
    }
    eventually("there are two replicas", async || {
        replicas(&nodes).await == 2
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_clock_is_an_hour_behind_harms_nobody_and_is_back_when_it_is_right() {
    let Some((nodes, clocks)) = trio().await else {
        return;
    };
    let content = |turn| bytes(50_000, turn);
    nodes[1].store_on("ada/x", content(1), 2).await;
    clocks[1].set_ahead(-HOUR);
    // Later than its own clock can have counted to.
    for at in [0, 2] {
        let key = format!("ada/{at}");
        nodes[at].store("ada/x", content(2)).await;
        nodes[at].store(&key, content(3)).await;
        all_read(
            &nodes[at..=at],
            "ada/x",
            Some(&content(2)),
            "when B is behind",
        )
        .await;
    }
    clocks[1].set_ahead(0);
    nodes[1].store_on("ada/b", content(4), 2).await;
    for (key, turn) in [("ada/x", 2), ("ada/0", 3), ("ada/2", 3), ("ada/b", 4)] {
        all_read(&nodes, key, Some(&content(turn)), "when B is right again").await;
    }
    eventually("there are two replicas each", async || {
        replicas(&nodes).await == 8
    })
    .await;
}
