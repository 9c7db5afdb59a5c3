//! Experiments from text to results, on a world that is simple enough to predict.

mod refusals;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dataverse_sandbox::{Sandbox, SandboxOptions};

use super::*;
use crate::library::PolicyLibrary;
use crate::measures::Measures;
use crate::quantity::Portion;
use crate::results::{AssertionOutcome, Results};
use crate::world::RunError;
use crate::wrong::Wrong;

fn policy_library() -> PolicyLibrary {
    let sandbox = Sandbox::new(SandboxOptions::default()).expect("a sandbox");
    PolicyLibrary::new(sandbox, Vec::new())
}

fn read(text: &str) -> Result<Experiment, Malformed> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.toml");
    std::fs::write(&file, text).expect("it is written");
    Experiment::read(&file, &Reading::new(&policy_library()))
}

const TWO: &str = r#"
[topology]
kind = "ring"
nodes = 4

[[compare]]
name = "one"

[[compare]]
name = "two"
"#;

/// The line and the reason of an error.
fn refused(text: &str) -> (Option<u32>, String) {
    let malformed = read(text).expect_err(text);
    assert!(malformed.file.ends_with("it.toml"), "{malformed}");
    (malformed.place.map(|place| place.line), malformed.reason)
}

fn check_refused(rest: &str, line: u32, reason: &str) {
    let text = format!("{TWO}{rest}");
    let before = u32::try_from(TWO.lines().count()).expect("few");
    let (found_line, found) = refused(&text);
    assert!(found.contains(reason), "{rest}: {found}");
    assert_eq!(found_line, Some(before + line), "{rest}: {found}");
}

#[test]
fn an_assertion_can_be_about_a_part_of_the_sweep() {
    let swept =
        "[sweep]\nnodes.factor = [1, 3]\n[[expect]]\nmeasure = \"hit_ratio\"\nat_least = 0.25\n";
    check_refused(
        &format!("{swept}at = {{ \"nodes.cache\" = 1 }}\n"),
        6,
        "`nodes.cache` is not swept",
    );
    check_refused(
        &format!("{swept}at = {{ \"nodes.factor\" = 2 }}\n"),
        6,
        "`nodes.factor` never has the value 2",
    );
    let text = format!("{TWO}{swept}at = {{ \"nodes.factor\" = 3 }}\n");
    let results = run(&read(&text).expect("it is valid"), 1, &simple);
    let judged: Vec<bool> = results.expectations.iter().map(|it| it.holds).collect();
    assert_eq!(judged, [true, true], "one an entry, at one of the points");
}

/// A hit ratio that depends on the seed, on the swept value and on the entry.
fn simple(
    scenario: &Scenario,
    seed: u64,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Result<Measures, RunError> {
    if !progress(scenario.requests) {
        return Err(RunError::Stopped);
    }
    let mut measures = Measures::default();
    let chance = (seed % 1000) as f64 / 10_000.0;
    let earned = f64::from(scenario.nodes.factor) / 10.0;
    let numbers = [("hit_ratio", earned + chance), ("nonsense", f64::NAN)];
    for (name, number) in numbers {
        measures.numbers.insert(name.to_owned(), number);
    }
    Ok(measures)
}

fn run(experiment: &Experiment, jobs: usize, world: &RunCell<'_>) -> Results {
    let stop = AtomicBool::new(false);
    let running = Running {
        world,
        ..Running::new(jobs, &stop, &Unwatched)
    };
    experiment.run(&running).expect("threads")
}

const SWEPT: &str = r#"
[sweep]
"nodes.factor" = [1, 3]
[run]
repetitions = 4
warm_up = "25%"
baseline = "two"
[[expect]]
measure = "hit_ratio"
of = "one"
at_least = 0.25
[[expect]]
measure = "hit_ratio"
at_most = "two"
sure = true
"#;

fn swept() -> Experiment {
    read(&format!("{TWO}{SWEPT}")).expect("it is valid")
}

#[test]
fn any_number_of_jobs_gives_the_same_results() {
    let experiment = swept();
    let timeless = |jobs| {
        let results = Results {
            timings: crate::results::Timings::default(),
            ..run(&experiment, jobs, &simple)
        };
        serde_json::to_string(&results).expect("JSON")
    };
    let alone = timeless(1);
    assert_eq!(alone, timeless(1));
    assert_eq!(alone, timeless(4));
}

#[test]
fn all_entries_meet_the_same_seeds() {
    let results = run(&swept(), 2, &simple);
    assert!(results.complete);
    let seeds = |cell: &crate::results::Cell| -> Vec<u64> {
        cell.repetitions.iter().map(|run| run.seed).collect()
    };
    let first = seeds(&results.cells[0]);
    assert_eq!(first.len(), 4);
    assert_eq!(
        first
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        4
    );
    assert!(first.iter().all(|seed| *seed < 1 << 53));
    assert!(results.cells.iter().all(|cell| seeds(cell) == first));
    let order: Vec<(String, String)> = results
        .cells
        .iter()
        .map(|cell| {
            (
                crate::results::shown_point(&cell.point),
                cell.compare.clone(),
            )
        })
        .collect();
    let expected = [
        ("nodes.factor = 1", "one"),
        ("nodes.factor = 1", "two"),
        ("nodes.factor = 3", "one"),
        ("nodes.factor = 3", "two"),
    ];
    let expected = expected.map(|(point, entry)| (point.to_owned(), entry.to_owned()));
    assert_eq!(order, expected);
}

#[test]
fn the_table_sets_every_entry_against_the_baseline() {
    let results = run(&swept(), 2, &simple);
    let [one, two, ..] = results.table.as_slice() else {
        panic!("{:?}", results.table);
    };
    let summary = &one.measures["hit_ratio"];
    assert_eq!((summary.n, one.failed), (4, 0));
    assert!(summary.interval.expect("four runs") > 0.0);
    let difference = summary.difference.as_ref().expect("it is not the baseline");
    // The seed affects both alike, so their difference is certainly 0.
    assert_eq!((difference.mean, difference.interval), (0.0, Some(0.0)));
    assert_eq!(two.measures["hit_ratio"].difference, None);
    let rank = summary.rank.expect("it judges");
    assert_eq!((rank.place, rank.from, rank.to), (1, 1, 2));
    // A value that is not finite is left out, not written.
    assert!(!one.measures.contains_key("nonsense"));
    assert_eq!(
        results.notes,
        ["The first 25 % of each run's requests warm the caches up and are not counted."]
    );
}

#[test]
fn assertions_are_judged_at_every_point() {
    let results = run(&swept(), 2, &simple);
    let judged: Vec<(u32, &str, bool)> = results
        .expectations
        .iter()
        .map(|it| (it.line, it.expected.as_str(), it.holds))
        .collect();
    let first = "hit_ratio of one is at least 0.25";
    let second = "hit_ratio of one is surely at most that of two";
    let line = u32::try_from(TWO.lines().count()).expect("few");
    assert_eq!(
        judged,
        [
            (line + 8, first, false),
            (line + 8, first, true),
            (line + 12, second, true),
            (line + 12, second, true),
        ]
    );
}

#[test]
fn what_fails_is_told_and_stops_nothing_else() {
    let world =
        |scenario: &Scenario, seed: u64, progress: &(dyn Fn(u64) -> bool + Sync)| match scenario
            .nodes
            .factor
        {
            1 => Err(Wrong::new("nodes.factor", "one copy is too few").into()),
            _ if seed.is_multiple_of(2) => panic!("seed {seed} is even"),
            _ => simple(scenario, seed, progress),
        };
    let results = run(&swept(), 2, &world);
    assert!(results.complete);
    let errors = |cell: usize| -> Vec<&str> {
        let runs = &results.cells[cell].repetitions;
        runs.iter()
            .filter_map(|run| match &run.outcome {
                AssertionOutcome::Error(error) => Some(error.as_str()),
                AssertionOutcome::Measures(_) => None,
            })
            .collect()
    };
    assert_eq!(errors(0), ["nodes.factor: one copy is too few"; 4]);
    let odd = results.cells[2]
        .repetitions
        .iter()
        .filter(|run| run.seed % 2 == 1);
    assert_eq!(errors(2).len(), 4 - odd.count());
    assert!(
        errors(2)
            .iter()
            .all(|error| error.starts_with("the lab itself failed: seed "))
    );
    assert_eq!(results.table[0].failed, 4);
    assert!(
        results
            .expectations
            .iter()
            .any(|it| it.found == "no run has this measure")
    );
}

#[test]
fn what_was_done_before_the_end_is_kept() {
    let experiment = swept();
    let stop = AtomicBool::new(false);
    let ran = AtomicUsize::new(0);
    let world = |scenario: &Scenario, seed: u64, progress: &(dyn Fn(u64) -> bool + Sync)| {
        if ran.fetch_add(1, Ordering::Relaxed) == 5 {
            stop.store(true, Ordering::Relaxed);
        }
        simple(scenario, seed, progress)
    };
    let running = Running {
        world: &world,
        ..Running::new(1, &stop, &Unwatched)
    };
    let results = experiment.run(&running).expect("a thread");
    assert!(!results.complete);
    let runs: Vec<usize> = results
        .cells
        .iter()
        .map(|cell| cell.repetitions.len())
        .collect();
    // The first repetition of all four cells, and one more: the sixth run was abandoned.
    assert_eq!(runs, [2, 1, 1, 1]);
    assert_eq!(results.table[0].measures["hit_ratio"].n, 2);
}

#[test]
fn a_watcher_sees_all_requests() {
    #[derive(Default)]
    struct Counting {
        requests: std::sync::atomic::AtomicU64,
        ended: AtomicUsize,
    }
    impl Watch for Counting {
        fn advanced(&self, requests: u64) {
            self.requests.fetch_add(requests, Ordering::Relaxed);
        }
        fn ended(&self, run: &EndedRun<'_>) {
            self.requests.fetch_add(run.left_out, Ordering::Relaxed);
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
    let experiment = swept();
    let world = |scenario: &Scenario, seed: u64, progress: &(dyn Fn(u64) -> bool + Sync)| {
        let _ = progress(10) && progress(30);
        if seed.is_multiple_of(2) {
            Err(RunError::Stopped)
        } else {
            simple(scenario, seed, progress)
        }
    };
    let counting = Counting::default();
    let stop = AtomicBool::new(false);
    let running = Running {
        world: &|scenario, seed, progress| world(scenario, seed | 1, progress),
        ..Running::new(3, &stop, &counting)
    };
    experiment.run(&running).expect("threads");
    assert_eq!(counting.ended.into_inner(), experiment.runs());
    assert_eq!(counting.requests.into_inner(), experiment.requests());
    assert_eq!(experiment.requests(), 16 * 10_000);
}

#[test]
fn an_experiment_is_made_smaller_to_try_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.toml");
    std::fs::write(&file, format!("{TWO}{SWEPT}")).expect("it is written");
    let policy_library = policy_library();
    let reading = Reading {
        seed: Some(77),
        requests_max: Some(100),
        repetitions_max: Some(2),
        ..Reading::new(&policy_library)
    };
    let experiment = Experiment::read(&file, &reading).expect("it is valid");
    assert_eq!(experiment.requests(), 4 * 2 * 100);
    assert_eq!(experiment.stem(), "it");
    let results = run(&experiment, 1, &simple);
    assert_eq!((results.seed, results.plan.repetitions), (77, 2));
    assert!(matches!(
        experiment.cells[0].scenario.warm_up,
        Portion::Share(share) if share == 0.25
    ));
}

#[test]
fn the_table_of_runs_is_one_line_each() {
    let results = run(&swept(), 2, &simple);
    let csv = to_csv(&results);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "compare,nodes.factor,repetition,seed,hit_ratio,error"
    );
    assert_eq!(lines.len(), 1 + 16);
    let seed = results.cells[0].repetitions[0].seed;
    assert!(
        lines[1].starts_with(&format!("one,1,0,{seed},0.")),
        "{}",
        lines[1]
    );
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("a/results");
    let results = run(&swept(), 1, &simple);
    for _ in 0..2 {
        let claimed = ResultsFolder::claim(&folder).expect("the folder holds only results");
        claimed.write(&results, Some("<p>")).expect("it is written");
    }
    let text = std::fs::read_to_string(folder.join("results.json")).expect("it exists");
    assert_eq!(text, serde_json::to_string_pretty(&results).expect("JSON"));
    assert!(folder.join("results.csv").exists() && folder.join("report.html").exists());
    std::fs::write(folder.join("thesis.tex"), "years of work").expect("it is written");
    let refused = ResultsFolder::claim(&folder).expect_err("the folder holds another file");
    assert!(refused.to_string().contains("`thesis.tex`"), "{refused}");
}

#[test]
fn files_that_only_have_the_names_of_results_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let refused = |found: &str| {
        let refused =
            ResultsFolder::claim(folder.path()).expect_err("no experiment wrote this file");
        assert!(refused.to_string().contains(found), "{refused}");
        std::fs::remove_file(path(found)).expect("it exists");
    };
    std::fs::write(path("results.csv"), "years of work").expect("it is written");
    refused("results.csv");
    std::fs::write(path("results.json"), "{}").expect("it is written");
    refused("results.json");
    std::os::unix::fs::symlink("elsewhere", path("results.json.unfinished")).expect("a link");
    refused("results.json.unfinished");
    ResultsFolder::claim(folder.path()).expect("the folder holds nothing else");
}

#[test]
fn people_see_means_with_intervals_and_ranks() {
    let shown = table(&run(&swept(), 1, &simple));
    assert_eq!(shown.header, ["nodes.factor", "compare", "hit_ratio"]);
    assert_eq!(shown.rows.len(), 4);
    assert_eq!(shown.rows[2][..2], ["3", "one"]);
    let cell = &shown.rows[2][2];
    assert!(
        cell.starts_with("0.3") && cell.contains(" ± ") && cell.ends_with("(1–2)"),
        "{cell}"
    );
}

#[test]
fn a_trace_is_replayed_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut trace = "time,id,size\n".to_owned();
    for request in 0..40 {
        trace.push_str(&format!(
            "{request},{},{}\n",
            request % 7,
            100 + request / 20
        ));
    }
    std::fs::write(folder.path().join("requests.csv"), &trace).expect("it is written");
    let file = folder.path().join("it.toml");
    let read = |run: &str| {
        let load = "[workload]\ntrace = \"requests.csv\"\n";
        std::fs::write(&file, format!("{TWO}{load}[run]\n{run}")).expect("it is written");
        Experiment::read(&file, &Reading::new(&policy_library())).expect("it is valid")
    };
    let requests = |run: &str| read(run).cells[0].scenario.requests;
    assert_eq!(requests(""), 40);
    assert_eq!(requests("requests = 100"), 40);
    assert_eq!(requests("requests = 30"), 30);
    let whole = read("warm_up = \"50%\"");
    assert_eq!(
        whole.digests.files.keys().collect::<Vec<_>>(),
        ["requests.csv"]
    );
    assert_eq!(
        whole.notes[1],
        "7 reads of requests.csv with another size than before are reads of the first size."
    );
    check_refused("[workload]\ntrace = \"nowhere.csv\"\n", 2, "nowhere.csv");
    std::fs::write(folder.path().join("empty.csv"), "time,id,size\n").expect("it is written");
    let empty = format!("{TWO}[workload]\ntrace = \"empty.csv\"\n");
    std::fs::write(&file, empty).expect("it is written");
    let refused =
        Experiment::read(&file, &Reading::new(&policy_library())).expect_err("nothing to do");
    assert!(refused.reason.contains("it has no request"), "{refused}");
}

#[test]
fn a_digest_is_that_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [("sizes.txt", "10\n20\n"), ("net.txt", "a b\nb c\n")];
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("it is written");
    }
    let file = folder.path().join("it.toml");
    let text = "[topology]\nkind = \"file\"\npath = \"net.txt\"\n[workload]\nsizes = \"file\"\n\
                sizes_file = \"sizes.txt\"\n[[compare]]\nname = \"x\"\n";
    std::fs::write(&file, text).expect("it is written");
    let experiment =
        Experiment::read(&file, &Reading::new(&policy_library())).expect("it is valid");
    for (name, content) in files {
        let digest = dataverse_core::content::Digest::of(content.as_bytes()).to_string();
        assert_eq!(experiment.digests.files.get(name), Some(&digest), "{name}");
    }
}
