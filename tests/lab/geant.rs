//! Copies on the path in the Géant network: checks, on a small scale, the order of relocation policies that
//! docs/lab.md states and explains.
//!
//! The network is not part of this project. Without `shared/data/topologies` next to the project's folder the test
//! prints a message and passes.

use std::path::Path;

use crate::experiments::{errors, read_whole, run};
use crate::policy_library;

/// As in docs/lab.md, except for the number of files and requests.
const EXPERIMENT: &str = r#"
[topology]
kind = "file"
path = "GRAPHML"
[workload]
files = 2000
exponent = 0.8
[nodes]
factor = 1
cache = "0.5%"
[run]
repetitions = 8
requests = 16000
warm_up = "50%"
baseline = "reader"
"#;

const ENTRIES: [&str; 5] = ["never", "reader", "path", "leave-copy-down", "prob-cache"];

/// By hits on the node that was asked: everywhere < edge and everywhere < prob-cache < leave-copy-down, where edge
/// and prob-cache cannot be told apart. By answers from any cache: everywhere < edge < prob-cache. The whole
/// interval of each difference must lie beyond 0.
const EXPECTED: &str = r#"
[[expect]]
measure = "hit_ratio"
of = "path"
more_than = "never"
sure = true
[[expect]]
measure = "hit_ratio"
of = "reader"
more_than = "path"
sure = true
[[expect]]
measure = "hit_ratio"
of = "prob-cache"
more_than = "path"
sure = true
[[expect]]
measure = "hit_ratio"
of = "leave-copy-down"
more_than = "prob-cache"
sure = true
[[expect]]
measure = "cached_ratio"
of = "reader"
more_than = "path"
sure = true
[[expect]]
measure = "cached_ratio"
of = "prob-cache"
more_than = "reader"
sure = true
[[expect]]
measure = "link_bytes_per_read"
of = "path"
more_than = "reader"
sure = true
[[expect]]
measure = "search_size_over_even"
of = "path"
less_than = 1
sure = true
[[expect]]
measure = "search_size_over_even"
of = "reader"
less_than = 1
sure = true
[[expect]]
measure = "search_size_over_even"
of = "prob-cache"
less_than = 1
sure = true
"#;

#[test]
fn on_geant_the_edge_is_ahead_of_everywhere_and_behind_those_that_thin_copies_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let graphml = root.join("../shared/data/topologies/Geant2012.graphml");
    if !graphml.exists() {
        eprintln!("skipped: there is no {}", graphml.display());
        return;
    }
    let mut text = EXPERIMENT.replace("GRAPHML", &graphml.to_string_lossy());
    for name in ENTRIES {
        text += &format!(
            "[[compare]]\nname = \"{name}\"\neviction = \"lru\"\nrelocation = \"{name}\"\n"
        );
    }
    text += EXPECTED;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("geant.toml");
    std::fs::write(&file, text).expect("it is written");
    let experiment = read_whole(&file, &policy_library()).unwrap_or_else(|error| panic!("{error}"));
    let results = run(&experiment, 2);
    assert_eq!(errors(&results), [""; 0]);
    let broken: Vec<String> = results
        .expectations
        .iter()
        .filter(|it| !it.holds)
        .map(|it| format!("{}: found {}", it.expected, it.found))
        .collect();
    assert_eq!(broken, [""; 0]);
}
