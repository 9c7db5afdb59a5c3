//! The placement study of the built-in policies, and `lab placement`.

use std::process::{Command, Output};
use std::sync::LazyLock;

use dataverse_core::policy::Kind;
use dataverse_lab::library::PolicyLibrary;
use dataverse_lab::placement::{Change, Finding, Method, Moves, Study, Weights, closed_form};
use serde_json::Value;

use crate::policy_library;

/// Shared by all tests, so that each policy is compiled once.
static LIBRARY: LazyLock<PolicyLibrary> = LazyLock::new(policy_library);

const BINARY: &str = env!("CARGO_BIN_EXE_dataverse");

fn study(nodes: u32, factor: u32, files: u32) -> Study {
    Study {
        nodes,
        zones: 0,
        weights: Weights::default(),
        factor,
        files,
        fail: vec![factor],
        changes: Vec::new(),
        seed: 1,
    }
}

fn found(study: &Study, policy: &str, config: &str) -> Finding {
    let chosen = LIBRARY.choose(Kind::Placement, policy, config);
    let chosen = chosen.expect("it is built in");
    let mut findings = study.run(&[chosen]).expect("the study is valid");
    let finding = findings.remove(0);
    assert_eq!(finding.faults, 0, "{policy}");
    finding
}

fn moves_of(finding: &Finding, change: Change) -> Moves {
    let found = finding.moves.iter().find(|it| it.change == change);
    *found.expect("every change is studied")
}

#[test]
fn rendezvous_moves_no_more_than_the_change_asks_for() {
    let study = Study {
        changes: Change::ALL.to_vec(),
        ..study(10, 1, 100_000)
    };
    let finding = found(&study, "rendezvous", "");
    let double = moves_of(&finding, Change::Double);
    assert!((double.copies - 0.0818).abs() < 0.002, "{double:?}");
    for moves in &finding.moves {
        assert_eq!(moves.stray, 0.0, "{moves:?}");
    }
}

/// Doubling one of sixty weights requires 2/61 - 1/60 of the copies to move. Scaling the points of all nodes to
/// the largest moved half of them.
#[test]
fn the_ring_moves_no_more_than_the_change_asks_for() {
    for weights in ["equal", "1,3,7", "zipf:1"] {
        let study = Study {
            weights: weights.parse().expect("the text describes weights"),
            changes: Change::ALL.to_vec(),
            ..study(60, 3, 3000)
        };
        let finding = found(&study, "ring", "");
        for moves in &finding.moves {
            assert_eq!(moves.stray, 0.0, "{weights}: {moves:?}");
            assert!(
                moves.copies <= 1.5 * moves.least + 0.003,
                "{weights}: {moves:?}"
            );
        }
        if weights == "equal" {
            let double = moves_of(&finding, Change::Double);
            assert!((double.copies - 0.016).abs() < 0.006, "{double:?}");
        }
    }
}

#[test]
fn rendezvous_finds_what_the_baseline_finds() {
    let study = Study {
        zones: 3,
        weights: "1,2,5".parse().expect("the text describes weights"),
        changes: Change::ALL.to_vec(),
        ..study(11, 3, 2000)
    };
    let (native, wasm) = (
        found(&study, "baseline", ""),
        found(&study, "rendezvous", ""),
    );
    assert!(native.digest.is_none() && wasm.digest.is_some());
    let renamed = Finding {
        policy: native.policy.clone(),
        digest: None,
        ..wasm
    };
    assert_eq!(renamed, native);
}

/// With `v` points per node, a node's share is the sum of `v` of `n v` gaps, whose coefficient of variation is the
/// square root of (n - 1) / (n v + 1).
#[test]
fn the_rings_coefficient_of_variation_falls_as_one_over_the_root_of_its_points() {
    const NODES: u32 = 32;
    const FILES: u32 = 10_000;
    let (mut above, mut below) = (0.0, 0.0);
    let points = [1u32, 4, 16, 64, 256];
    let middle = f64::ln(16.0);
    for v in points {
        let variances = [1, 2, 3, 4].map(|seed| {
            let study = Study {
                seed,
                ..study(NODES, 1, FILES)
            };
            let finding = found(&study, "ring", &format!(r#"{{"points": {v}}}"#));
            let found = finding.balance.coefficient_of_variation;
            // Subtract the variation that so few files have by chance.
            found * found - f64::from(NODES - 1) / f64::from(FILES)
        });
        let variation = (variances.iter().sum::<f64>() / 4.0).sqrt();
        let expected = (f64::from(NODES - 1) / f64::from(NODES * v + 1)).sqrt();
        assert!(
            (variation / expected - 1.0).abs() < 0.3,
            "{v}: {variation} for {expected}"
        );
        let x = f64::from(v).ln() - middle;
        above += x * variation.ln();
        below += x * x;
    }
    let slope: f64 = above / below;
    assert!((slope + 0.5).abs() < 0.05, "{slope}");
}

#[test]
fn copysets_are_few_and_rarely_lost() {
    let study = Study {
        fail: vec![3, 15],
        ..study(300, 3, 8000)
    };
    let few = found(&study, "copyset", r#"{"scatter_width": 10}"#);
    // Five permutations, each cut into 100 sets.
    assert_eq!(few.replica_sets, 500);
    let [three, fifteen] = [few.loss[0], few.loss[1]];
    assert_eq!(three.method, Method::Exact);
    assert!((three.chance - 500.0 / (300.0 * 299.0 * 298.0 / 6.0)).abs() < 1e-12);
    assert_eq!(fifteen.method, Method::MonteCarlo);
    let expected = closed_form(300, 3, 15, 500);
    assert!(
        fifteen.low < expected && expected < fifteen.high,
        "{fifteen:?} for {expected}"
    );

    let many = found(&study, "random", "");
    assert!(many.replica_sets > 7950);
    assert!(
        many.loss[1].low > 0.5 && fifteen.high < 0.06,
        "{:?}",
        many.loss[1]
    );
    // On average both lose equally many.
    assert_eq!(many.loss[1].files_lost_mean, fifteen.files_lost_mean);
}

#[test]
fn two_choices_fill_nodes_more_evenly_than_one() {
    let study = Study {
        changes: vec![Change::Join],
        ..study(50, 1, 20_000)
    };
    let [one, two] = [r#"{"choices": 1}"#, ""].map(|config| found(&study, "two-choices", config));
    let of = |finding: &Finding| finding.balance.coefficient_of_variation;
    assert!(of(&two) * 5.0 < of(&one), "{} and {}", of(&two), of(&one));
    // It answers by how full the nodes are, so a change of one node affects others.
    assert!(moves_of(&two, Change::Join).stray > 0.1);
}

#[test]
fn random_placement_is_another_one_each_time() {
    let study = Study {
        changes: vec![Change::Again],
        ..study(10, 1, 10_000)
    };
    let again = moves_of(&found(&study, "random", ""), Change::Again);
    assert!((again.copies - 0.9).abs() < 0.02, "{again:?}");
    assert_eq!(again.least, 0.0);
}

fn command(arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    let output = command.args(["lab", "placement"]).args(arguments).output();
    output.expect("the binary starts")
}

#[test]
fn the_command_tells_of_policies_side_by_side() {
    let output = command(&[
        "--policy",
        "rendezvous",
        r#"copyset:{"scatter_width": 2}"#,
        "--nodes",
        "9",
        "--zones",
        "3",
        "--factor",
        "3",
        "--files",
        "2000",
        "--fail",
        "3,4",
        "--weights",
        "1,2",
        "--json",
    ]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(told[0]["policy"], "rendezvous");
    assert_eq!(told[1]["config"], r#"{"scatter_width": 2}"#);
    assert_eq!(told[1]["digest"].as_str().map(str::len), Some(64));
    // Nine nodes make three sets, and four failures hit one of them if they include three of its nodes.
    assert_eq!(told[1]["replica_sets"], 3);
    assert_eq!(told[1]["loss"][1]["method"], "exact");
    let chance = told[1]["loss"][1]["chance"].as_f64().expect("a number");
    assert!((chance - 18.0 / 126.0).abs() < 1e-12, "{chance}");
    assert_eq!(told[0]["zones_per_file"]["min"], 3);
    assert_eq!(told[0]["moves"][1]["change"], "join");
    assert_eq!(told[0]["moves"][1]["stray"], 0.0);
}

#[test]
fn the_command_tells_people_in_a_table() {
    let output = command(&[
        "--policy", "ring", "baseline", "--nodes", "5", "--files", "100",
    ]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text
        .lines()
        .next()
        .expect("a head")
        .split_whitespace()
        .collect();
    assert_eq!(words, ["ring", "baseline"]);
    for row in [
        "load, max over mean",
        "join: stray",
        "2 fail: chance of a loss",
        "faults",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(row)),
            "{row} in {text}"
        );
    }
}

#[test]
fn wrong_numbers_and_policies_are_refused() {
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = command(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(expected), "{told}");
    };
    check(
        &["--policy", "ring", "--nodes", "1"],
        2,
        "`nodes` is 1; it has to be from 2",
    );
    check(
        &["--policy", "ring", "--nodes", "9", "--fail", "10"],
        2,
        "`fail` is 10",
    );
    check(
        &["--policy", "ring", "--nodes", "9", "--weights", "0"],
        2,
        "does not describe weights",
    );
    check(
        &["--policy", "lru", "--nodes", "9"],
        2,
        "there is no placement policy `lru`",
    );
    check(
        &["--policy", "ring:{\"points\": 0}", "--nodes", "9"],
        2,
        "`points` is 0",
    );
    check(
        &["--policy", "ring", "lru", "rign", "--nodes", "9"],
        2,
        "error: --policy there is no placement policy `rign`",
    );
}
