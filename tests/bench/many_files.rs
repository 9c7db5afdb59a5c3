//! A node with 100,000 files: how long it takes to start, after a stop and after `kill -9` during uploads, and how
//! much memory it uses.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Connection, piece};
use crate::large::ALONE;
use crate::node::{Node, folder};
use crate::report::{Row, median};

const FILES: u64 = 100_000;
const CLIENTS: usize = 16;
const SIZE: u64 = 1 << 10;
const STARTS: usize = 5;
/// Budget for a million files: 2 s and 400 MiB.
const READY_S: f64 = 2.0;
const HELD_MIB: f64 = 400.0;

pub(crate) fn measure() -> Vec<Row> {
    let folder = folder();
    let mut node = Node::start("N", &folder.path().join("node"), &[]);
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    fill(&node, &next);
    let rate = FILES as f64 / begun.elapsed().as_secs_f64();
    let filled = node.resident_mib();
    let (mut stopped, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        node = node.restarted();
        stopped.push(node.ready_after.as_secs_f64());
    }
    let resident = node.resident_mib();
    for round in 0..STARTS {
        node = killed_amid_uploads(node, round as u64);
        killed.push(node.ready_after.as_secs_f64());
    }
    let status = node
        .connect()
        .request("GET", "/v1/status")
        .expect_success()
        .json();
    let files = status["replicas"]["files"].as_u64().unwrap_or(0);
    vec![
        Row::at_most("filling it, 1 KiB each, 16 clients", "files/s", rate, None),
        Row::at_most(
            "start with 100,000 files, stopped",
            "s",
            median(&stopped),
            Some(READY_S),
        ),
        Row::at_most(
            "start with 100,000 files, kill -9",
            "s",
            median(&killed),
            Some(READY_S),
        ),
        Row::at_most(
            "memory, 100,000 files, filled",
            "MiB",
            filled,
            Some(HELD_MIB),
        ),
        Row::at_most(
            "memory, 100,000 files, restarted",
            "MiB",
            resident,
            Some(HELD_MIB),
        ),
        Row::held(
            "files after five kills",
            files.to_string(),
            "≥ 100000",
            files >= FILES,
        ),
    ]
}

fn fill(node: &Node, next: &AtomicU64) {
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = node.connect();
                let mut piece = piece(SIZE as usize);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= FILES {
                        return;
                    }
                    let path = format!("/v1/files/ada/{}/{at}.bin", at % 100);
                    connection
                        .put(&path, ALONE, SIZE, &mut piece, at)
                        .expect_success();
                }
            });
        }
    });
}

fn killed_amid_uploads(mut node: Node, round: u64) -> Node {
    let over = AtomicBool::new(false);
    let address = node.http.clone();
    std::thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            let mut connection = Connection::open(&address);
            let mut piece = piece(SIZE as usize);
            for at in 0.. {
                let path = format!("/v1/files/ada/late/{round}/{at}.bin");
                let answered = connection.try_put(&path, ALONE, SIZE, &mut piece, at);
                if over.load(Ordering::Relaxed) || answered.is_err() {
                    return;
                }
            }
        });
        std::thread::sleep(Duration::from_millis(300));
        node.kill();
        over.store(true, Ordering::Relaxed);
        let _ = uploads.join();
    });
    node.killed_and_restarted()
}
