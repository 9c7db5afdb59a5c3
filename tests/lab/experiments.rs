//! Experiments with the built-in policies, and `lab run` and `lab new`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_lab::experiment::{Experiment, Malformed, Reading, Running, TEMPLATE, Unwatched};
use dataverse_lab::library::PolicyLibrary;
use dataverse_lab::results::{AssertionOutcome, Results, Timings};

use crate::policy_library;

const BINARY: &str = env!("CARGO_BIN_EXE_dataverse");

/// Reads it as `lab run` does.
pub(super) fn read_whole(
    file: &Path,
    policy_library: &PolicyLibrary,
) -> Result<Experiment, Malformed> {
    let reading = Reading {
        default_policy: dataverse_builtin::default_name,
        ..Reading::new(policy_library)
    };
    Experiment::read(file, &reading)
}

fn read_small(file: &Path, policy_library: &PolicyLibrary) -> Result<Experiment, Malformed> {
    read_cut(file, policy_library, (200, 2))
}

/// Reads it with at most this many requests and repetitions.
pub(super) fn read_cut(
    file: &Path,
    policy_library: &PolicyLibrary,
    (requests, repetitions): (u64, u32),
) -> Result<Experiment, Malformed> {
    let reading = Reading {
        default_policy: dataverse_builtin::default_name,
        requests_max: Some(requests),
        repetitions_max: Some(repetitions),
        ..Reading::new(policy_library)
    };
    Experiment::read(file, &reading)
}

pub(super) fn run(experiment: &Experiment, jobs: usize) -> Results {
    let stop = AtomicBool::new(false);
    let results = experiment.run(&Running::new(jobs, &stop, &Unwatched));
    results.expect("threads")
}

/// Why runs failed.
pub(super) fn errors(results: &Results) -> Vec<&str> {
    let runs = results.cells.iter().flat_map(|cell| &cell.repetitions);
    runs.filter_map(|run| match &run.outcome {
        AssertionOutcome::Error(error) => Some(error.as_str()),
        AssertionOutcome::Measures(_) => None,
    })
    .collect()
}

#[test]
fn jobs_change_nothing_but_the_time() {
    let policy_library = policy_library();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/experiments/four-nodes.toml");
    let timeless = |jobs| {
        let experiment = read_small(&file, &policy_library).expect("it is valid");
        let results = Results {
            timings: Timings::default(),
            ..run(&experiment, jobs)
        };
        serde_json::to_string(&results).expect("JSON")
    };
    let alone = timeless(1);
    assert_eq!(alone, timeless(1));
    assert_eq!(alone, timeless(3));
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("it.toml");
    std::fs::write(&file, text).expect("it is written");
    file
}

const SMALL: &str = r#"
[topology]
kind = "line"
nodes = 3
[workload]
files = 50
[run]
requests = 200
repetitions = 2
[[compare]]
name = "lru"
eviction = "lru"
"#;

#[test]
fn a_policy_of_the_wrong_kind_is_refused_where_it_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = dataverse_builtin::find(Kind::Placement, "ring").expect("it is built in");
    std::fs::write(folder.path().join("mine.wasm"), policy.wasm).expect("it is written");
    let text = format!("{SMALL}[[compare]]\nname = \"mine\"\neviction = \"mine.wasm\"\n");
    let line = text.lines().count();
    let refused =
        read_small(&written(folder.path(), &text), &policy_library()).expect_err("wrong kind");
    assert_eq!(refused.place.map(|place| place.line as usize), Some(line));
    assert!(refused.reason.contains("placement"), "{}", refused.reason);
    let placing = text.replace("eviction = \"mine.wasm\"", "placement = \"mine.wasm\"");
    let experiment =
        read_small(&written(folder.path(), &placing), &policy_library()).expect("it is valid");
    let results = run(&experiment, 1);
    assert_eq!(
        results.digests.policies.get("placement/mine.wasm"),
        Some(&Digest::of(policy.wasm).to_string())
    );
}

#[test]
fn all_policies_that_there_are_not_are_told_of_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = "[[compare]]\nname = \"b\"\neviction = \"lur\"\nplacement = \"rign\"\n[[compare]]\nname = \"c\"\nrelocation = \"no.wasm\"\n";
    let file = written(folder.path(), &format!("{SMALL}{more}"));
    let refused = read_small(&file, &policy_library()).expect_err("no such policies");
    let told = refused.to_string();
    for name in ["`lur`", "`rign`", "no.wasm can't be read"] {
        assert_eq!(told.matches(name).count(), 1, "{told}");
    }
    assert_eq!(refused.also.len(), 2);
}

#[test]
fn a_configuration_that_a_policy_does_not_take_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy_spec = "eviction = { policy = \"lru\", config = { depth = \"deep\" } }";
    let text = SMALL.replace("eviction = \"lru\"", policy_spec);
    let line = text.lines().count();
    let refused =
        read_small(&written(folder.path(), &text), &policy_library()).expect_err("no such key");
    assert_eq!(refused.place.map(|place| place.line as usize), Some(line));
}

fn dataverse(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it is text")
}

#[test]
fn what_is_written_to_begin_with_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = dataverse(folder.path(), &["lab", "new", "mine"]);
    assert_eq!(text(&made.stdout), "mine.toml\n");
    let file = folder.path().join("mine.toml");
    let whole = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(whole, TEMPLATE);
    let again = dataverse(folder.path(), &["lab", "new", "mine.toml"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("already exists"));
    let small = whole.replace("requests = 5000", "requests = 400");
    assert_ne!(small, whole);
    std::fs::write(&file, small).expect("it is written");
    let ran = dataverse(folder.path(), &["lab", "run", "mine.toml", "--jobs", "2"]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let table = text(&ran.stdout);
    assert!(
        table.starts_with("nodes.cache  compare  hit_ratio"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 1 + 2 * 3);
    for name in ["results.json", "results.csv"] {
        assert!(
            folder.path().join("mine-results").join(name).exists(),
            "{name}"
        );
    }
}

#[test]
fn results_are_printed_as_json_and_obey_the_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), SMALL);
    let run = |seed: &str| -> Results {
        let arguments = [
            "lab", "run", "it.toml", "--out", "o", "--json", "--seed", seed,
        ];
        let ran = dataverse(folder.path(), &arguments);
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        let file = std::fs::read_to_string(folder.path().join("o/results.json"));
        assert_eq!(format!("{}\n", file.expect("it exists")), text(&ran.stdout));
        serde_json::from_slice(&ran.stdout).expect("results")
    };
    let (seven, eight) = (run("7"), run("8"));
    assert_eq!((seven.seed, eight.seed), (7, 8));
    assert_ne!(seven.cells, eight.cells);
    assert_eq!(seven.cells, run("7").cells);
}

#[test]
fn an_experiment_ends_with_what_came_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |rest: &str, code: i32, told: &str| {
        written(folder.path(), &format!("{SMALL}{rest}"));
        let ran = dataverse(folder.path(), &["lab", "run", "it.toml"]);
        let notes = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{notes}");
        assert!(notes.contains(told), "{told:?} in {notes}");
    };
    let expect = "[[expect]]\nmeasure = \"hit_ratio\"\n";
    let line = SMALL.lines().count() + 1;
    check(
        &format!("{expect}at_least = 0"),
        0,
        "1 of 1 assertion holds",
    );
    check(
        &format!("{expect}at_least = 1.5"),
        1,
        &format!("error: it.toml:{line}: expected that hit_ratio of lru is at least 1.5; found 0."),
    );
    check(
        &format!("{expect}at_least = 0\n{expect}at_least = 1.5\noptional = true"),
        0,
        "1 of 1 assertion holds\nnote: ",
    );
    check(
        &format!("{expect}at_least = 1.5\noptional = true"),
        0,
        "0 of 1 optional assertion hold",
    );
    check(
        "[nodse]\n",
        2,
        &format!("error: it.toml:{line}:2: there is no section `nodse`"),
    );
    std::fs::write(folder.path().join("it-results/mine.txt"), "mine").expect("it is written");
    check("", 1, "holds `mine.txt`, which is not a result of the lab");
}
