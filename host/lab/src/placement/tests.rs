//! The study of the native baseline, and of policies with known behaviour.

use dataverse_core::policy::Kind;
use dataverse_sandbox::{Sandbox, SandboxOptions};

use super::*;
use crate::library::{BASELINE, PolicyLibrary};

fn study(nodes: u32, factor: u32) -> Study {
    Study {
        nodes,
        zones: 0,
        weights: Weights::default(),
        factor,
        files: 20_000,
        fail: vec![factor],
        changes: Change::ALL.to_vec(),
        seed: 1,
    }
}

fn baseline() -> Chosen {
    let sandbox =
        Sandbox::new(SandboxOptions::default()).expect("the platform supports the sandbox");
    let library = PolicyLibrary::new(sandbox, Vec::new());
    library
        .choose(Kind::Placement, BASELINE, "")
        .expect("the baseline is always there")
}

fn found(study: &Study) -> Finding {
    let mut findings = study.run(&[baseline()]).expect("the study is valid");
    findings.remove(0)
}

fn moves_of(finding: &Finding, change: Change) -> Moves {
    let found = finding.moves.iter().find(|it| it.change == change);
    *found.expect("every change is studied")
}

#[test]
fn weighted_rendezvous_moves_what_it_must_when_a_node_doubles() {
    let finding = found(&Study {
        files: 200_000,
        ..study(10, 1)
    });
    let moves = moves_of(&finding, Change::Double);
    // From one tenth to two elevenths. Three standard deviations over 200,000 files are 0.18 %.
    assert!((moves.least - (2.0 / 11.0 - 0.1)).abs() < 1e-12);
    assert!((moves.copies - 0.0818).abs() < 0.002, "{moves:?}");
    assert_eq!(moves.stray, 0.0);
}

#[test]
fn weighted_rendezvous_has_no_stray_moves() {
    for (zones, weights, factor) in [
        (0, "equal", 1),
        (0, "1,2,4", 3),
        (4, "zipf:1", 3),
        (3, "1,9", 2),
    ] {
        let finding = found(&Study {
            zones,
            weights: weights.parse().expect("the text describes weights"),
            ..study(13, factor)
        });
        for moves in &finding.moves {
            assert_eq!(moves.stray, 0.0, "{weights}, {zones} zones: {moves:?}");
        }
        assert_eq!(moves_of(&finding, Change::Again).copies, 0.0);
        assert!(moves_of(&finding, Change::Join).copies > 0.0);
        let leave = moves_of(&finding, Change::Leave);
        assert_eq!(leave.copies, leave.least);
    }
}

#[test]
fn zones_are_spread_as_widely_as_can_be() {
    let spread = |zones, factor| {
        let finding = found(&Study {
            zones,
            ..study(12, factor)
        });
        finding.zones_per_file
    };
    let in_all = |zones: u32| ZonesPerFile {
        mean: f64::from(zones),
        min: zones,
        widest_share: 1.0,
    };
    assert_eq!(spread(4, 3), Some(in_all(3)));
    assert_eq!(spread(2, 3), Some(in_all(2)));
    assert_eq!(spread(0, 3), None);
}

#[test]
fn balance_and_sets_are_those_of_an_even_draw() {
    let finding = found(&study(10, 1));
    // 2,000 files per node: a standard deviation of 42, and the greatest of ten is about 1.5 of those above.
    let balance = finding.balance;
    assert!(
        (0.01..0.04).contains(&balance.coefficient_of_variation),
        "{balance:?}"
    );
    assert!((1.01..1.08).contains(&balance.max_over_mean), "{balance:?}");
    assert!((0.92..0.99).contains(&balance.min_over_mean), "{balance:?}");
    assert_eq!(finding.replica_sets, 10);
    // Every one of the C(10, 3) sets holds some file.
    assert_eq!(found(&study(10, 3)).replica_sets, 120);
}

#[test]
fn more_copies_than_nodes_are_one_on_each() {
    let finding = found(&Study {
        fail: vec![3],
        ..study(3, 5)
    });
    assert_eq!((finding.factor, finding.replica_sets), (3, 1));
    assert_eq!(finding.balance.coefficient_of_variation, 0.0);
    let join = moves_of(&finding, Change::Join);
    assert_eq!((join.files, join.stray), (1.0, 0.0));
}

#[test]
fn no_more_nodes_are_asked_about_than_a_node_asks_about() {
    let nodes = dataverse_core::limits::CANDIDATES_MAX as u32 + 4;
    let finding = found(&Study {
        files: 10,
        ..study(nodes, 2)
    });
    assert_eq!((finding.nodes, finding.candidates), (nodes, nodes - 4));
}

#[test]
fn the_same_seed_finds_the_same() {
    let of = |seed| {
        found(&Study {
            seed,
            files: 500,
            ..study(10, 2)
        })
    };
    assert_eq!(of(3), of(3));
    assert_ne!(of(3).balance, of(4).balance);
}

#[test]
fn what_is_out_of_bounds_is_refused_by_name() {
    let check = |study: Study, expected: &str| {
        let refused = study.run(&[]).expect_err(expected).to_string();
        assert_eq!(refused, expected);
    };
    check(study(1, 1), "`nodes` is 1; it has to be from 2 to 65536");
    check(study(4, 0), "`factor` is 0; it has to be from 1 to 64");
    check(
        Study {
            files: 0,
            ..study(4, 1)
        },
        "`files` is 0; it has to be from 1 to 1000000",
    );
    check(
        Study {
            zones: 5,
            ..study(4, 1)
        },
        "`zones` is 5; it has to be from 0 to 4",
    );
    check(
        Study {
            fail: vec![2, 5],
            ..study(4, 1)
        },
        "`fail` is 5; it has to be from 1 to 4",
    );
}
