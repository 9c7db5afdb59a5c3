//! One cache in the lab: the built-in policies, as WebAssembly, have the expected miss ratios; and `lab trace`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use dataverse_core::policy::Kind;
use dataverse_core::recording::{Line, RequestOutcome, Writer};
use dataverse_lab::library::PolicyLibrary;
use dataverse_lab::single::{self, Access, SingleCache};
use dataverse_lab::trace::Op;
use dataverse_sdk::testing::Counts;
use serde_json::Value;

use crate::reference::{self, Request};
use crate::{guests, policy_library};

static LIBRARY: LazyLock<PolicyLibrary> = LazyLock::new(policy_library);

/// Replays with the policy as WebAssembly, under the cache of a node.
fn in_the_lab(policy: &str, capacity: u64, requests: &[Request]) -> Counts {
    let chosen = LIBRARY
        .choose(Kind::Eviction, policy, "")
        .expect("it is built in");
    let mut cache = SingleCache::new(&chosen, capacity, 7).expect("it starts");
    for (&(id, size), now) in requests.iter().zip(1..) {
        cache.put(&Access {
            id,
            size,
            now,
            hops: 1,
            kind: single::Kind::Read,
            first: false,
            next: u32::MAX,
        });
    }
    assert_eq!(cache.faults().total(), 0, "{policy}");
    let counts = cache.counts();
    Counts {
        requests: counts.requests,
        misses: counts.misses,
        bytes: counts.bytes as u64,
        missed_bytes: counts.missed_bytes as u64,
    }
}

#[test]
fn objects_by_zipf_are_missed_as_often_as_in_libcachesim() {
    reference::check_objects(&mut in_the_lab);
}

#[test]
fn files_by_zipf_are_missed_as_often_as_in_libcachesim() {
    reference::check_files(&mut in_the_lab);
}

#[test]
fn a_product_page_is_missed_as_often_as_in_libcachesim() {
    reference::check_web07(&mut in_the_lab);
}

/// Runs `dataverse lab trace` with these arguments.
fn lab_trace(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataverse"));
    command.args(["lab", "trace"]).args(arguments);
    command.output().expect("the program runs")
}

/// Its rows, which must exist, and what it wrote to stderr.
fn rows(arguments: &[&str]) -> (Vec<Value>, String) {
    let output = lab_trace(&[arguments, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    let rows: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    (rows.as_array().expect("it is a list").clone(), said)
}

/// Checks that it ends with this code and these messages.
fn check_refused(arguments: &[&str], code: i32, says: &[&str]) {
    let output = lab_trace(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    for expected in says {
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

fn written(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("the disk has space");
    path
}

fn named(row: &Value, policy: &str, capacity: u64) -> bool {
    row["policy"] == policy && row["capacity"] == capacity
}

#[test]
fn the_optimum_and_chance_are_there_for_scale() {
    let zipf = ["--trace", "zipf:1000,50000,7", "--capacity", "100,1%,50%"];
    let policies = ["--policy", "lru", "arc", "w-tinylfu"];
    let (rows, said) = rows(&[&zipf[..], &policies].concat());
    assert!(said.contains("Che's approximation"), "{said}");
    let order: Vec<&Value> = rows.iter().map(|row| &row["policy"]).collect();
    let expected = ["lru", "arc", "w-tinylfu", "random", "belady"];
    let expected: Vec<&str> = expected.iter().flat_map(|name| [*name; 3]).collect();
    assert_eq!(order, expected);
    for capacity in [100, 10, 500] {
        let miss = |policy: &str| {
            let row = rows.iter().find(|row| named(row, policy, capacity));
            let row = row.expect("every policy has a row for every capacity");
            assert_eq!(
                (&row["requests"], &row["faults"]),
                (&50_000.into(), &0.into())
            );
            assert_eq!(row["object_miss"], row["byte_miss"]);
            assert!(row["requests_per_second"].as_f64() > Some(0.0));
            assert_eq!(row["digest"].is_null(), policy == "belady");
            row["object_miss"].as_f64().expect("it is a ratio")
        };
        let best = miss("belady");
        for policy in ["lru", "arc", "w-tinylfu", "random"] {
            assert!(best <= miss(policy), "{policy} with space for {capacity}");
        }
    }
}

#[test]
fn the_same_on_one_thread_and_on_two() {
    let of = |jobs| {
        let arguments = [
            "--trace",
            "zipf:500,30000,7",
            "--capacity",
            "1MiB,4MiB",
            "--jobs",
            jobs,
        ];
        let (mut rows, _) = rows(&[&arguments[..], &["--policy", "gdsf", "random"]].concat());
        for row in &mut rows {
            row["requests_per_second"].take();
        }
        rows
    };
    assert_eq!(of("1"), of("2"));
}

#[test]
fn a_policy_of_ones_own_goes_by_its_file() {
    let folder = tempfile::tempdir().expect("the disk has space");
    let mine = written(folder.path(), "lru.wasm", &guests::honest(Kind::Eviction));
    let mine = mine.to_string_lossy();
    let plot = folder.path().join("curves.svg");
    let (rows, _) = rows(&[
        "--trace",
        "zipf:100,5000,7",
        "--capacity",
        "10,20",
        "--policy",
        "lru",
        &mine,
        "baseline",
        "--plot",
        &plot.to_string_lossy(),
    ]);
    let miss = |policy: &str| {
        let row = rows.iter().find(|row| named(row, policy, 10));
        row.expect("it exists")["object_miss"].as_f64()
    };
    // It is first in, first out, and the baseline is LRU.
    assert!(miss(&mine) > miss("lru"));
    assert_eq!(miss("baseline"), miss("lru"));
    let svg = std::fs::read_to_string(plot).expect("it was drawn");
    for expected in ["belady", "capacity, objects", "prefers-color-scheme"] {
        assert!(svg.contains(expected), "{expected}");
    }
}

#[test]
fn a_policy_that_fails_is_replaced_and_counted() {
    let folder = tempfile::tempdir().expect("the disk has space");
    let evil = |name: &str| {
        let path = written(folder.path(), &format!("{name}.wasm"), &guests::evil(name));
        path.to_string_lossy().into_owned()
    };
    let names = ["trap-later", "names-nothing", "trap-in-hit"];
    let paths = names.map(evil);
    let mut arguments = vec![
        "--trace",
        "zipf:1000,20000,7",
        "--capacity",
        "100",
        "--policy",
        "lru",
    ];
    arguments.extend(paths.iter().map(String::as_str));
    let (rows, said) = rows(&arguments);
    let row = |policy: &str| rows.iter().find(|row| named(row, policy, 100));
    let faults = |policy| row(policy).expect("it exists")["faults"].as_u64();
    let miss = |policy| row(policy).expect("it exists")["object_miss"].as_f64();
    assert_eq!(faults("lru"), Some(0));
    // Each instance fails after a hundred questions.
    assert!(faults("trap-later") > Some(10) && faults("trap-later") < Some(400));
    // Its answers are invalid, so the baseline's apply: the least recently used copy goes, as under LRU.
    assert!(faults("names-nothing") > Some(1000));
    assert_eq!(miss("names-nothing"), miss("lru"));
    assert_eq!(faults("trap-in-hit"), Some(1000));
    assert!(
        said.contains("was not asked again") && said.contains("1000 trap"),
        "{said}"
    );
}

#[test]
fn a_recording_is_replayed_but_for_what_the_cache_had_no_part_in() {
    let folder = tempfile::tempdir().expect("the disk has space");
    let mut writer = Writer::begin(Vec::new(), false).expect("writing to memory never fails");
    let mut write = |id, op, size, outcome| {
        let line = Line {
            time: 1_767_225_600_000,
            reader: 1,
            op,
            id,
            size,
            outcome,
            hops: 2,
            key: None,
        };
        writer.write(&line).expect("writing to memory never fails");
    };
    write(1, Op::Write, 10, RequestOutcome::Done);
    write(1, Op::Read, 10, RequestOutcome::Cached);
    write(2, Op::Read, 10, RequestOutcome::Replica);
    write(3, Op::Read, 0, RequestOutcome::Missing);
    write(4, Op::Read, 10, RequestOutcome::Remote);
    write(4, Op::Read, 10, RequestOutcome::Cached);
    write(4, Op::Delete, 0, RequestOutcome::Done);
    write(4, Op::Read, 10, RequestOutcome::Failed);
    let recording = written(folder.path(), "node.rec", &writer.into_inner());
    let trace = recording.to_string_lossy();
    let (rows, said) = rows(&["--trace", &trace, "--policy", "lru", "--capacity", "100B"]);
    assert_eq!(
        (&rows[0]["requests"], &rows[0]["object_miss"]),
        (&3.into(), &(1.0 / 3.0).into())
    );
    assert!(said.contains("3 requests were skipped"), "{said}");
}

#[test]
fn what_can_not_be_done_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().expect("the disk has space");
    let mut table = "time,id,size\n".to_owned();
    for line in 0..1000 {
        writeln!(table, "{line},{},10", line % 7).expect("writing to memory never fails");
    }
    table.push_str("1000,5,ten\n");
    let bad = written(folder.path(), "bad.csv", table.as_bytes());
    let bad = bad.to_string_lossy();
    let zipf = ["--trace", "zipf:10,100,7"];
    let lru = ["--policy", "lru"];
    let ten = ["--capacity", "10"];
    let check = |parts: &[&[&str]], code, says: &[&str]| check_refused(&parts.concat(), code, says);
    let place = format!("{bad}:1002: `ten` is not a size");
    check(&[&["--trace", &bad], &lru, &ten], 1, &[&place]);
    let columns = ["--columns", "size=bytes"];
    check(
        &[&["--trace", &bad], &lru, &ten, &columns],
        1,
        &[":1: ", "`bytes`"],
    );
    check(
        &[&["--trace", "/no/such.csv"], &lru, &ten],
        1,
        &["/no/such.csv"],
    );
    check(
        &[&["--trace", "zipf:1,2"], &lru, &ten],
        2,
        &["zipf:OBJECTS"],
    );
    check(&[&zipf, &["--policy", "lur"], &ten], 2, &["lur", "sieve"]);
    check(
        &[&zipf, &["--policy", "rendezvous"], &ten],
        2,
        &["rendezvous"],
    );
    check(&[&zipf, &["--policy", &bad], &ten], 2, &["bad.csv"]);
    check(
        &[&zipf, &["--policy", "lur", "lru", "/no/such.wasm"], &ten],
        2,
        &[
            "error: --policy there is no eviction policy `lur`",
            "error: --policy /no/such.wasm can't be read",
        ],
    );
    check(&[&zipf, &["--policy", "lru", "lru"], &ten], 2, &["twice"]);
    check(&[&zipf, &["--policy", "lru:{\"x\": 1}"], &ten], 2, &["lru"]);
    check(&[&zipf, &lru, &ten, &["--config", "arc={}"]], 2, &["arc"]);
    let belady = ["--config", "belady={\"x\": 1}"];
    check(&[&zipf, &lru, &ten, &belady], 2, &["knows the future"]);
    let stand_in = ["--policy", "baseline:{\"x\": 1}"];
    check(&[&zipf, &stand_in, &ten], 2, &["takes no configuration"]);
    for jobs in ["0", "99999999"] {
        check(&[&zipf, &lru, &ten, &["--jobs", jobs]], 2, &["1 to 1024"]);
    }
    check(&[&zipf, &lru, &["--capacity", "0"]], 2, &["caches nothing"]);
    check(&[&zipf, &lru, &["--capacity", "10,1MiB"]], 2, &["--unit"]);
    let objects = ["--capacity", "1MiB", "--unit", "objects"];
    check(&[&zipf, &lru, &objects], 2, &["--unit bytes"]);
    check(
        &[&zipf, &lru, &ten, &["--warm-up", "100"]],
        2,
        &["leaves none"],
    );
    check(
        &[&zipf, &lru, &ten, &["--plot", "/no/such/x.svg"]],
        1,
        &["/no/such/x.svg"],
    );
    for name in ["x.png", "x.html", "x"] {
        let plot = ["--plot", name];
        check(&[&zipf, &lru, &ten, &plot], 2, &["SVG"]);
    }
    let twice = ["--trace", "zipf:10,100,7", "zipf:10,100,7"];
    check(&[&twice, &lru, &ten], 2, &["zipf:10,100,7 is given twice"]);
    check(&[&["--trace", ""], &lru, &ten], 2, &["the name is empty"]);
    let both = ["--trace", "zipf:1", "/no/such.csv", "zipf:2"];
    check(&[&both, &lru, &ten], 2, &["`zipf:1`", "`zipf:2`"]);
    let columns = ["--columns", "id=1,id=2"];
    check(&[&zipf, &lru, &ten, &columns], 2, &["`id=` is given twice"]);
    let columns = ["--columns", "id=1"];
    check(
        &[&zipf, &lru, &ten, &columns],
        2,
        &["--columns applies to CSV tables"],
    );
    let config = ["--config", "lru={}", "--config", "lru={}"];
    check(&[&zipf, &lru, &ten, &config], 2, &["given twice"]);
    let placement = written(folder.path(), "p.wasm", &guests::honest(Kind::Placement));
    let placement = placement.to_string_lossy();
    check(
        &[&zipf, &["--policy", &placement], &ten],
        2,
        &["placement", "eviction"],
    );
}

#[test]
fn of_several_traces_a_bad_one_is_told_of_and_the_others_are_gone_through() {
    let folder = tempfile::tempdir().expect("the disk has space");
    let good = written(folder.path(), "good.csv", b"id,size\n1,1\n2,1\n1,1\n");
    let bad = written(folder.path(), "bad.csv", b"id,size\n1,2\n1,many\n");
    let [good, bad] = [good, bad].map(|path| path.to_string_lossy().into_owned());
    let columns = ["--columns", "time="];
    let asked = [
        "--trace",
        &bad,
        "/no/such.csv",
        &good,
        "zipf:10,100,7",
        "--policy",
        "lru",
        "--capacity",
        "2",
    ];
    let output = lab_trace(&[&asked[..], &columns, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for expected in [
        "bad.csv:3: `many` is not a size",
        "error: /no/such.csv can't be read",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let told: Vec<Value> = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let of =
        |trace: &str| -> Vec<&Value> { told.iter().filter(|row| row["trace"] == trace).collect() };
    assert!(
        of(&bad)[0]["error"]
            .as_str()
            .is_some_and(|it| it.contains("many"))
    );
    assert!(of("/no/such.csv")[0]["error"].is_string());
    // lru, random and belady.
    assert_eq!((of(&good).len(), of("zipf:10,100,7").len()), (3, 3));
    assert_eq!(of(&good)[0]["object_miss"], 2.0 / 3.0);

    let output = lab_trace(&[&asked[..], &columns].concat());
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.starts_with("TRACE"), "{table}");
    assert_eq!(table.lines().count(), 1 + 2 * 3, "{table}");
}

#[test]
fn a_trace_may_come_through_a_pipe() {
    let check = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataverse"));
        let arguments = [
            "lab",
            "trace",
            "--trace",
            name,
            "--policy",
            "lru",
            "--capacity",
            "1",
            "--json",
        ];
        let mut running = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut input = running.stdin.take().expect("the pipe exists");
        input
            .write_all(b"0,1,10\n1,1,10\n2,2,10\n")
            .expect("it is read");
        drop(input);
        let output = running.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{name}");
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("it is JSON");
        assert_eq!(rows[0]["requests"], 3, "{name}");
        assert_eq!(rows[0]["object_miss"], 2.0 / 3.0, "{name}");
    };
    check("-");
    check("/dev/stdin");
}

#[test]
fn what_was_taken_for_granted_of_a_table_is_said() {
    let folder = tempfile::tempdir().expect("the disk has space");
    let table = written(
        folder.path(),
        "t.csv",
        b"# from elsewhere\r\n1;1;10\r\n0;2;10\r\n",
    );
    let trace = table.to_string_lossy();
    let (rows, said) = rows(&["--trace", &trace, "--policy", "lru", "--capacity", "100B"]);
    assert_eq!(rows[0]["requests"], 2);
    let assumed = "t.csv: it has no header; its columns are taken as time, id, size";
    assert!(said.contains(assumed), "{said}");
    assert!(said.contains("1 request has an earlier time"), "{said}");
    assert!(
        said.contains("2 reads, 0 writes and 0 deletions of 2 objects"),
        "{said}"
    );
}
