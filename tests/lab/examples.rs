//! The examples: each runs, and its own assertions hold.
//!
//! Each runs at the smallest size at which its assertions mean something: the requests and repetitions listed with
//! its name. In full they take minutes: `DATAVERSE_EXAMPLES=whole cargo test --release --test lab examples`, as in
//! `.ci/weekly`.

use std::path::{Path, PathBuf};

use dataverse_lab::experiment::{Experiment, Malformed};
use dataverse_lab::library::PolicyLibrary;
use dataverse_lab::results::{Expectation, Results};

use crate::experiments::{errors, read_cut, read_whole, run};
use crate::policy_library;

/// Requests and repetitions that are enough for the assertions of each example. Assertions with `sure` need
/// repetitions, events need requests before and after them, and ratios to the hundredth need a few thousand
/// requests.
const ENOUGH: [(&str, (u64, u32)); 9] = [
    // The node is away from the 1800th request to the 5400th.
    ("a-failure-at-noon", (3600, 4)),
    ("a-swap-while-it-runs", (1000, 2)),
    ("a-zone-goes-dark", (1500, 3)),
    ("copies-on-a-grid", (2000, 3)),
    ("favourites-that-drift", (8000, 3)),
    ("four-nodes", (500, 3)),
    (HOMEWORK, (8000, 5)),
    ("how-large-a-cache", (4000, 3)),
    ("who-gets-the-copies", (1000, 3)),
];

const HOMEWORK: &str = "homework-beat-lru";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/experiments")
}

/// Whether to run the examples in full.
fn is_whole() -> bool {
    std::env::var("DATAVERSE_EXAMPLES").is_ok_and(|size| size == "whole")
}

fn read(file: &Path, name: &str, policy_library: &PolicyLibrary) -> Result<Experiment, Malformed> {
    let enough = ENOUGH.iter().find(|(of, _)| *of == name);
    let (_, enough) = enough.unwrap_or_else(|| panic!("add to ENOUGH what is enough for {name}"));
    match is_whole() {
        true => read_whole(file, policy_library),
        false => read_cut(file, policy_library, *enough),
    }
}

/// The results of an example, in which no run may fail.
fn results(file: &Path, name: &str, policy_library: &PolicyLibrary) -> Results {
    let experiment = read(file, name, policy_library).unwrap_or_else(|error| panic!("{error}"));
    let results = run(&experiment, 2);
    assert!(results.complete, "{name}");
    assert_eq!(errors(&results), [""; 0], "{name}");
    for row in &results.table {
        assert!(row.measures.contains_key("hit_ratio"), "{name}");
    }
    println!("{name}: {:.1} s", results.timings.seconds);
    results
}

/// The assertions that do not hold.
fn broken(results: &Results) -> Vec<&Expectation> {
    let expectations = results.expectations.iter();
    expectations.filter(|it| !it.holds).collect()
}

#[test]
fn every_example_says_what_it_found_and_is_right() {
    let policy_library = policy_library();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the examples exist")
        .map(|entry| entry.expect("the entry can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    assert_eq!(files.len(), ENOUGH.len(), "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let name = file
            .file_stem()
            .expect("it has a name")
            .to_string_lossy()
            .into_owned();
        if name == HOMEWORK {
            continue;
        }
        let results = results(&file, &name, &policy_library);
        assert!(!results.expectations.is_empty(), "{name} asserts nothing");
        for it in broken(&results) {
            wrong.push(format!("{name}:{}: {}: {}", it.line, it.expected, it.found));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// The homework with this policy in place of the one it is handed out with.
fn homework(solution: &str) -> Results {
    let text = std::fs::read_to_string(folder().join(HOMEWORK).with_extension("toml"));
    let text = text.expect("it exists");
    let handed_out = "name = \"mine\"\neviction = \"lru\"";
    assert_eq!(text.matches(handed_out).count(), 1, "{text}");
    let solved = text.replace(
        handed_out,
        &format!("name = \"mine\"\neviction = \"{solution}\""),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("homework.toml");
    std::fs::write(&file, solved).expect("it is written");
    results(&file, HOMEWORK, &policy_library())
}

/// Checks whether this solution passes and earns the bonus. Only assertions about hits may fail.
fn check_homework(solution: &str, passes: bool, bonus: bool) {
    let results = homework(solution);
    let broken = broken(&results);
    for (is_bonus, expected) in [(false, passes), (true, bonus)] {
        let missed: Vec<_> = broken.iter().filter(|it| it.optional == is_bonus).collect();
        assert_eq!(missed.is_empty(), expected, "{solution}: {missed:?}");
        let of_hits =
            |it: &&&Expectation| it.expected.starts_with("hit_ratio of mine is surely more");
        assert!(missed.iter().all(of_hits), "{solution}: {missed:?}");
    }
}

#[test]
fn the_homework_fails_as_it_is_handed_out() {
    check_homework("lru", false, false);
}

#[test]
fn the_homework_is_passed_by_what_beats_lru_and_earns_more_by_what_beats_the_sample() {
    check_homework("sieve", true, false);
    check_homework("s3-fifo", true, true);
}
