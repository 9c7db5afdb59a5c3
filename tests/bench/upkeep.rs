//! Upkeep with many small files: a node of four is lost and its replicas are made again elsewhere; then it is back,
//! after one file in a hundred has changed, and gives up what it need not hold any more.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Answer, piece};
use crate::load::rate;
use crate::node::{Node, folder, network};
use crate::report::Row;
use crate::small::{create, writer};

/// Unless `DATAVERSE_BENCH_FILES` says otherwise.
const FILES: u64 = 100_000;
const SIZE: usize = 4 << 10;
const CLIENTS: u64 = 16;
const TWO: &str = "Dataverse-Factor: 2\r\n";
/// Every so many files, one is written again while a node is away.
const CHANGED_EVERY: u64 = 100;
/// How long the counts of replicas may take to be right.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How long nothing is counted after the replicas are right.
const SETTLING: Duration = Duration::from_secs(60);
/// How long agreeing rounds are counted.
const AGREEING: Duration = Duration::from_secs(90);

fn files() -> u64 {
    let asked = std::env::var("DATAVERSE_BENCH_FILES").ok();
    asked.map_or(FILES, |files| {
        files.parse().expect("it is a number of files")
    })
}

pub(crate) fn measure() -> Vec<Row> {
    let files = files();
    let folder = folder();
    let links = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)];
    let settings = ["--set", "repair.after=2s", "--set", "gossip.suspect=1s"];
    let mut nodes = network(4, folder.path(), &links, &settings);
    let limit = plain(folder.path());
    let begun = Instant::now();
    write(&nodes[0], 1);
    let written = files as f64 / begun.elapsed().as_secs_f64();

    let lost = replicas(&nodes[3]);
    nodes[3].kill();
    let cpu_before = cpu(&nodes[..3]);
    let seconds = until_replicas(&nodes[..3], 2 * files, "waiting");
    let cpu_s = cpu(&nodes[..3]) - cpu_before;
    let made = lost as f64 / seconds;

    write(&nodes[0], CHANGED_EVERY);
    let back = nodes.remove(3).again();
    nodes.push(back);
    let converged = until_replicas(&nodes, 2 * files, "");
    vec![
        Row::rates(
            "PUT 4 KiB to two of four nodes, 16 clients",
            "files/s",
            &[written],
            ("16 writers + fsync", &[limit]),
            None,
        ),
        Row::rates(
            "re-replication after a node is lost",
            "files/s",
            &[made],
            ("16 writers + fsync", &[limit]),
            None,
        ),
        Row::at_most("… files", "", lost as f64, None),
        Row::at_most("… all of them", "s", seconds, None),
        Row::at_most(
            "… content",
            "MiB/s",
            made * SIZE as f64 / f64::from(1 << 20),
            None,
        ),
        Row::at_most(
            "… CPU of three nodes",
            "ms/file",
            cpu_s * 1e3 / lost as f64,
            None,
        ),
        Row::at_most(
            "the node is back: right again, 1 % changed",
            "s",
            converged,
            None,
        ),
        Row::at_most(
            "an agreeing round, both ways",
            "bytes",
            agreeing(&nodes),
            None,
        ),
    ]
}

/// Writes every so many-th file, each with new content.
fn write(node: &Node, every: u64) {
    let files = files();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = node.connect();
                let mut piece = piece(SIZE);
                loop {
                    let at = next.fetch_add(every, Ordering::Relaxed);
                    if at >= files {
                        return;
                    }
                    let path = format!("/v1/files/ada/{}/{at}.bin", at % 100);
                    connection
                        .put(&path, TWO, SIZE as u64, &mut piece, at << 8 | every)
                        .expect_success();
                }
            });
        }
    });
}

/// Files a second that the disk takes from writers that fsync each.
fn plain(folder: &Path) -> f64 {
    let folder = folder.join("plain");
    std::fs::create_dir(&folder).expect("a folder can be created");
    let writers = (0..CLIENTS).map(|number| writer(&folder, number, SIZE));
    rate(&mut writers.collect::<Vec<_>>(), create)
}

fn status(node: &Node) -> serde_json::Value {
    let answer = node.connect().request("GET", "/v1/status");
    answer.expect_success().json()
}

fn replicas(node: &Node) -> u64 {
    status(node)["replicas"]["files"].as_u64().unwrap_or(0)
}

/// Waits until these nodes hold so many replicas, and returns how long that took: from when the first of them has
/// something to do, if `from` is `waiting`, else from now.
fn until_replicas(nodes: &[Node], replicas: u64, from: &str) -> f64 {
    let called = Instant::now();
    let mut begun = (from != "waiting").then_some(called);
    loop {
        let all: Vec<_> = nodes.iter().map(status).collect();
        let held: u64 = all
            .iter()
            .filter_map(|it| it["replicas"]["files"].as_u64())
            .sum();
        if all.iter().any(|it| it["repair"]["waiting"]["files"] != 0) {
            begun.get_or_insert_with(Instant::now);
        }
        if let Some(begun) = begun.filter(|_| held == replicas) {
            return begun.elapsed().as_secs_f64();
        }
        assert!(
            called.elapsed() < PATIENCE,
            "{held} of {replicas} replicas: {all:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn cpu(nodes: &[Node]) -> f64 {
    nodes.iter().map(Node::cpu_seconds).sum()
}

/// Bytes of content of a comparison of two nodes that agree.
fn agreeing(nodes: &[Node]) -> f64 {
    let count = || {
        let of = |answer: &Answer, name: &str| {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let lines = text.lines().filter(|line| line.starts_with(name));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            values.sum::<f64>()
        };
        let all = nodes
            .iter()
            .map(|node| node.connect().request("GET", "/metrics"));
        all.fold((0.0, 0.0), |(rounds, bytes), answer| {
            let answer = answer.expect_success();
            let agreed = "dataverse_reconcile_rounds_total{outcome=\"agreed\"}";
            (
                rounds + of(&answer, agreed),
                bytes + of(&answer, "dataverse_reconcile_bytes_total{direction=\"out\""),
            )
        })
    };
    // What the return of the node led to is over by then.
    std::thread::sleep(SETTLING);
    let before = count();
    std::thread::sleep(AGREEING);
    let after = count();
    2.0 * (after.1 - before.1) / (after.0 - before.0).max(1.0)
}
