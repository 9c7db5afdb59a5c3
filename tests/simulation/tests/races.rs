//! Races: what clients observed of each file must be linearizable, and the check can fail.

use std::collections::BTreeSet;

use dataverse_simulation::check::linearizable::Anomaly;
use dataverse_simulation::race::{race, race_broken};

#[test]
fn the_same_race_happens_again_as_it_did() {
    for seed in [3, 10] {
        let (first, second) = (race(seed, false), race(seed, false));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.findings, second.findings, "seed {seed}");
        assert!(first.trace.events > 1_000, "{:?}", first.trace);
    }
    assert_ne!(race(3, false).trace, race(4, false).trace);
}

#[test]
fn every_history_of_a_race_is_linearizable() {
    for seed in 0..24 {
        let report = race(seed, false);
        assert!(
            report.findings.is_empty() && report.undecided == 0,
            "seed {seed}: {:#?}, {} undecided\nreplay: cargo run -p dataverse-simulation -- replay {seed} --race",
            report.findings,
            report.undecided
        );
    }
}

/// A conditional deletion found a greater one on the only holder, and ended without its own node learning of either.
/// A conditional write whose round had asked the holder before that did not see that the file was gone.
#[test]
fn a_deletion_that_another_one_superseded_is_seen_by_every_round_after_it() {
    let report = race(90359, false);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// A node was drained and left that alone linked two parts of the graph. The smaller part took files of the other for
/// missing.
#[test]
fn a_node_that_leaves_does_not_cut_the_graph_in_two() {
    let report = race(211_195, false);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// Without the rule that a conditional write waits for those that come before it, two win, and an update is lost.
#[test]
fn a_race_on_nodes_that_hide_pending_writes_is_found_out() {
    let mut found: BTreeSet<Anomaly> = BTreeSet::new();
    let wanted = BTreeSet::from([Anomaly::DoubleWinner, Anomaly::LostUpdate]);
    let mut seeds = 0..100;
    while !found.is_superset(&wanted) {
        let seed = seeds.next().expect("both are found within 100 seeds");
        found.extend(race_broken(seed).anomalies);
    }
}
