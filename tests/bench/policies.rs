//! The cost of a decision, native and as WebAssembly; the cost of an instance, a compilation and a swap.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, FileView, Kind, NodeView, Placement, PlacementRequest,
    ReaderKeepsCopy, Relocation, RemoteRead, Rendezvous,
};
use dataverse_sandbox::{Program, Sandbox, SandboxOptions, Setup};

use crate::http::{Connection, piece};
use crate::large::ALONE;
use crate::node::{Node, folder};
use crate::report::{Row, median, timed};

const CANDIDATES: u64 = 16;
const DECISIONS: usize = 2_000;
const BATCHES: usize = 25;
const INSTANCES: usize = 500;
const SWAPS: usize = 30;
const READERS: usize = 8;
const READS_EACH: usize = 1_000;
const READ_FILES: usize = 200;
const READ_ROUNDS: usize = 5;
/// Copies in the cache from which the policy evicts.
const SLOTS: u32 = 10_000;

pub(crate) fn measure() -> Vec<Row> {
    let sandbox = Sandbox::new(SandboxOptions::default()).expect("an engine can be created");
    let mut rows = Vec::new();
    let (placement, compile_ms) = compiled(&sandbox, Kind::Placement, "rendezvous");
    rows.push(Row::at_most("compile `rendezvous`", "ms", compile_ms, None));
    let (eviction, compile_ms) = compiled(&sandbox, Kind::Eviction, "gdsf");
    rows.push(Row::at_most("compile `gdsf`", "ms", compile_ms, None));
    let (relocation, _) = compiled(&sandbox, Kind::Relocation, "reader");

    let setup = Setup::default();
    rows.push(place("placement of 16, native", &mut Rendezvous, None));
    let mut guest = placement.placement(&setup).expect("it can be created");
    rows.push(place("placement of 16, Wasm", &mut guest, Some(2.0)));
    rows.push(fuel("placement of 16, Wasm", guest.last_cost().fuel));
    rows.push(read("relocation, native", &mut ReaderKeepsCopy));
    let mut guest = relocation.relocation(&setup).expect("it can be created");
    rows.push(read("relocation, Wasm", &mut guest));
    rows.push(fuel("relocation, Wasm", guest.last_cost().fuel));
    for name in ["lru", "gdsf"] {
        let program = if name == "gdsf" {
            eviction.clone()
        } else {
            compiled(&sandbox, Kind::Eviction, name).0
        };
        let mut guest = program.eviction(&setup).expect("it can be created");
        rows.extend(evict(name, &mut guest));
    }
    rows.extend(instances(&eviction));
    rows.extend(swaps());
    rows.extend(reads());
    rows
}

fn compiled(sandbox: &Arc<Sandbox>, kind: Kind, name: &str) -> (Program, f64) {
    let wasm = dataverse_builtin::find(kind, name)
        .expect("it is built in")
        .wasm;
    let program = sandbox.compile(wasm).expect("it compiles");
    let ms = program.compile_time().as_secs_f64() * 1e3;
    (program, ms)
}

/// The median over batches of the microseconds of one decision.
fn micros(mut decide: impl FnMut(u64)) -> f64 {
    let mut asked = 0;
    let mut batch = || {
        let took = timed(|| {
            for _ in 0..DECISIONS {
                asked += 1;
                decide(asked);
            }
        });
        1e6 * took / DECISIONS as f64
    };
    batch();
    let batches: Vec<f64> = (0..BATCHES).map(|_| batch()).collect();
    median(&batches)
}

fn place(what: &str, policy: &mut dyn Placement, most: Option<f64>) -> Row {
    let candidates: Vec<NodeView> = (0..CANDIDATES).map(node).collect();
    let mut request = PlacementRequest {
        file: file(),
        factor: 2,
        now: 0,
    };
    let took = micros(|asked| {
        request.file.id = asked.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let order = policy.place(&request, &candidates);
        assert!(order.is_ok_and(|order| order.len() >= 2));
    });
    Row::at_most(what, "µs", took, most)
}

/// Most instructions of a guest cost one unit of fuel: a number that other work on the machine does not change.
fn fuel(what: &str, units: u64) -> Row {
    Row::at_most(&format!("{what}, fuel"), "units", units as f64, None)
}

fn read(what: &str, policy: &mut dyn Relocation) -> Row {
    let read = RemoteRead {
        file: file(),
        reads: 3,
        path: (0..4).map(node).collect(),
        now: 0,
    };
    let took = micros(|_| assert!(policy.on_read(&read).is_ok()));
    Row::at_most(what, "µs", took, None)
}

/// An admission that evicts a copy, and a read noted, on a full cache.
fn evict(name: &str, policy: &mut dyn Eviction) -> Vec<Row> {
    let entry = |slot: u32, file: u64| CacheEntry {
        slot,
        file,
        size: 1,
        cost: 1,
        now: file,
    };
    policy.set_capacity(u64::from(SLOTS)).expect("it succeeds");
    for slot in 0..SLOTS {
        let admitted = policy.admit(entry(slot, u64::from(slot)), 0);
        assert_eq!(admitted, Ok(Admission::Admit(Vec::new())));
    }
    let mut free = SLOTS;
    let admit = micros(|asked| {
        let incoming = entry(free, asked + u64::from(SLOTS));
        match policy.admit(incoming, 1) {
            Ok(Admission::Admit(victims)) => free = victims[0],
            other => panic!("{other:?}"),
        }
    });
    let slots: Vec<u32> = (0..512).filter(|slot| *slot != free).collect();
    let hits = micros(|_| policy.hit(&slots).expect("it succeeds")) / slots.len() as f64;
    vec![
        Row::at_most(
            &format!("eviction of one by `{name}`, Wasm"),
            "µs",
            admit,
            None,
        ),
        Row::at_most(
            &format!("a read noted by `{name}` (in batches), Wasm"),
            "µs",
            hits,
            None,
        ),
    ]
}

fn instances(program: &Program) -> Vec<Row> {
    let setup = Setup::default();
    let before = resident_kib();
    let mut kept = Vec::new();
    let took = timed(|| {
        for _ in 0..INSTANCES {
            kept.push(program.eviction(&setup).expect("it can be created"));
        }
    });
    let each_kib = (resident_kib() - before) / INSTANCES as f64;
    drop(kept);
    vec![
        Row::at_most(
            "making an instance",
            "µs",
            1e6 * took / INSTANCES as f64,
            None,
        ),
        Row::at_most("memory of an instance", "KiB", each_kib, None),
    ]
}

/// A swap as an operator sees it, from request to response, and its effect on concurrent reads.
fn swaps() -> Vec<Row> {
    let folder = folder();
    let node = Node::start("A", folder.path(), &[]);
    let mut operator = node.connect();
    let mut reader = node.connect();
    let mut content = piece(16 << 10);
    let path = "/v1/files/ada/read.bin";
    reader
        .put(path, ALONE, 16 << 10, &mut content, 1)
        .expect_success();
    let mut ask = || {
        1e3 * timed(|| {
            reader.request("GET", path).expect_success();
        })
    };
    let before: Vec<f64> = (0..2_000).map(|_| ask()).collect();
    let (mut took, mut during) = (Vec::new(), Vec::new());
    for swap in 0..SWAPS {
        let policy = ["lru", "sieve", "arc"][swap % 3];
        let body = format!(r#"{{"policy":"{policy}"}}"#);
        std::thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                1e3 * timed(|| {
                    operator
                        .put_json("/v1/policies/eviction", &body)
                        .expect_success();
                })
            });
            while !swapping.is_finished() {
                during.push(ask());
            }
            took.push(swapping.join().expect("the swap was answered"));
        });
        std::thread::sleep(Duration::from_millis(10));
    }
    vec![
        Row::times("a swap, from request to answer", &took, None),
        Row::times("GET of 16 KiB before swaps", &before, None),
        Row::times("GET of 16 KiB during swaps", &during, None),
    ]
}

/// GETs of cached copies by several readers: with a Wasm policy that hears of each read, with the native baseline,
/// and, for replicas, without any policy.
fn reads() -> Vec<Row> {
    let (home, away) = (folder(), folder());
    let holder = Node::start("A", home.path(), &[]);
    let options = [
        "--link",
        holder.grpc.as_str(),
        "--set",
        "read.revalidate_after=1h",
    ];
    let reader = Node::start("B", away.path(), &options.map(str::to_owned));
    let mut content = piece(16 << 10);
    let cached: Vec<String> = (0..READ_FILES)
        .map(|at| format!("/v1/files/ada/{at}"))
        .collect();
    let kept: Vec<String> = (0..READ_FILES)
        .map(|at| format!("/v1/files/bob/{at}"))
        .collect();
    let (mut to_holder, mut to_reader) = (holder.connect(), reader.connect());
    let mut put = |to: &mut Connection, path: &str, seed: usize| {
        to.put(path, ALONE, 16 << 10, &mut content, seed as u64)
            .expect_success();
    };
    for (at, path) in cached.iter().enumerate() {
        put(&mut to_holder, path, at);
    }
    for (at, path) in kept.iter().enumerate() {
        put(&mut to_reader, path, READ_FILES + at);
    }
    for path in cached.iter().chain(&kept) {
        to_reader.request("GET", path).expect_success();
    }
    let mut take = |policy: Option<&str>| {
        if let Some(policy) = policy {
            let body = format!(r#"{{"policy":"{policy}"}}"#);
            to_reader
                .put_json("/v1/policies/eviction", &body)
                .expect_success();
        }
        let paths = if policy.is_some() { &cached } else { &kept };
        reads_per_second(&reader, paths)
    };
    take(Some("gdsf"));
    let (mut wasm, mut native, mut none) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..READ_ROUNDS {
        wasm.push(take(Some("gdsf")));
        native.push(take(Some(dataverse_builtin::BASELINE)));
        none.push(take(None));
    }
    vec![
        Row::rates(
            "GET of cached copies, eviction in Wasm",
            "/s",
            &wasm,
            ("native baseline", &native),
            Some(0.99),
        ),
        Row::rates(
            "GET of cached copies, eviction in Wasm",
            "/s",
            &wasm,
            ("replicas, no eviction", &none),
            None,
        ),
    ]
}

fn reads_per_second(node: &Node, paths: &[String]) -> f64 {
    let took = timed(|| {
        std::thread::scope(|scope| {
            for first in 0..READERS {
                let mut connection = node.connect();
                scope.spawn(move || {
                    for turn in 0..READS_EACH {
                        let path = &paths[(first * 37 + turn) % paths.len()];
                        connection.request("GET", path).expect_success();
                    }
                });
            }
        });
    });
    (READERS * READS_EACH) as f64 / took
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or_default()
}

fn file() -> FileView {
    FileView {
        id: 1,
        user: "ada".to_owned(),
        name: "notes.txt".to_owned(),
        size: 1 << 20,
    }
}

fn node(number: u64) -> NodeView {
    NodeView {
        id: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        zone: format!("zone-{}", number % 4),
        hops: number as u32,
        capacity: 1 << 40,
        free: 1 << 39,
        load: 10,
    }
}
