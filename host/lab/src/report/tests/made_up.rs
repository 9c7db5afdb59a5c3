//! Made-up results that use everything results can have.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::measures::{LinkLoad, Measures, NetworkLoad, NodeLoad, Series};
use crate::results::{
    AssertionOutcome, Axis, Cell, Difference, Digests, Expectation, ExperimentFile, FORMAT, Plan,
    Point, Rank, Repetition, Results, Row, Summary, Timings, Versions,
};

/// Text that would be dangerous if it were not escaped.
pub(super) const HOSTILE: &str = "<script>alert('x')</script>&\"\u{202e}\u{1b}";

/// Results of these entries at these points of one axis.
pub(super) fn results(entries: &[&str], key: &str, values: &[Value], repetitions: u32) -> Results {
    let compare: Vec<String> = entries.iter().map(|&it| it.to_owned()).collect();
    let points: Vec<Point> = if values.is_empty() {
        vec![Point::new()]
    } else {
        values
            .iter()
            .map(|value| Point::from([(key.to_owned(), value.clone())]))
            .collect()
    };
    let mut results = Results {
        versions: Versions {
            program: "0.1.0".to_owned(),
            contract: "dataverse:policy@0.1.0".to_owned(),
            results: FORMAT,
        },
        experiment: ExperimentFile {
            file: "made-up.toml".to_owned(),
            text: "[run]\nseed = 7\n# a < b && c > d\n".to_owned(),
        },
        seed: 7,
        complete: true,
        digests: Digests {
            policies: BTreeMap::from([("eviction/lru".to_owned(), "0123456789abcdef".repeat(4))]),
            files: BTreeMap::from([("geant.graphml".to_owned(), "fedcba9876543210".repeat(4))]),
        },
        plan: Plan {
            baseline: compare[0].clone(),
            compare,
            sweep: if values.is_empty() {
                Vec::new()
            } else {
                vec![Axis {
                    key: key.to_owned(),
                    values: values.to_vec(),
                }]
            },
            repetitions,
        },
        notes: vec![
            "The first 20 % of the requests warm the caches and count for nothing.".to_owned(),
        ],
        timings: Timings {
            seconds: 12.3456,
            jobs: 2,
            runs: Vec::new(),
        },
        ..Results::default()
    };
    for (place, point) in points.iter().enumerate() {
        for (number, entry) in entries.iter().enumerate() {
            results
                .cells
                .push(cell(entry, number, place, point, repetitions));
            results
                .table
                .push(row(entry, number, place, point, repetitions));
        }
    }
    results.expectations = [true, false]
        .map(|holds| Expectation {
            expected: format!("hit_ratio of {} is at least 0.3", entries[0]),
            line: 31,
            point: points[0].clone(),
            optional: false,
            holds,
            found: "0.312 ± 0.004".to_owned(),
        })
        .to_vec();
    results
}

/// A number from 0 to 1 that looks random.
fn noise(seed: usize) -> f64 {
    (((seed as f64) * 12.9898).sin() * 43_758.545).fract().abs()
}

/// The made-up mean of each measure.
fn means(number: usize, place: usize) -> [(&'static str, f64); 5] {
    let hit = 1.0 - 1.0 / (1.25 + 0.35 * place as f64 + 0.11 * number as f64);
    let wobble = noise(number * 31 + place);
    [
        ("hit_ratio", hit),
        ("hops_mean", 2.6 * (1.0 - hit) + 0.05 * wobble),
        ("latency_ms_p99", 180.0 * (1.0 - hit) + 9.0 * wobble),
        (
            "relocated_bytes",
            3.2e9 * (1.0 + number as f64) * (1.0 - hit),
        ),
        ("faults", 0.0),
    ]
}

fn row(entry: &str, number: usize, place: usize, point: &Point, repetitions: u32) -> Row {
    let base = means(0, place);
    let summary = |(name, mean): (&str, f64), before: f64| {
        let half = (repetitions > 1).then_some(mean * (0.004 + 0.02 * noise(number + place * 7)));
        let summary = Summary {
            n: repetitions,
            mean,
            interval: half,
            difference: (number > 0).then_some(Difference {
                n: repetitions,
                mean: mean - before,
                interval: half,
            }),
            rank: (name == "hit_ratio").then_some(Rank {
                place: number as u32 + 1,
                from: number as u32 + 1,
                to: number as u32 + 1 + (number as u32 + place as u32) % 2,
            }),
        };
        (name.to_owned(), summary)
    };
    Row {
        compare: entry.to_owned(),
        point: point.clone(),
        failed: 0,
        measures: means(number, place)
            .into_iter()
            .zip(base)
            .map(|(it, (_, before))| summary(it, before))
            .collect(),
    }
}

fn cell(entry: &str, number: usize, place: usize, point: &Point, repetitions: u32) -> Cell {
    let run = |repetition: u32| Repetition {
        repetition,
        seed: u64::from(repetition) * 1_000_003,
        outcome: AssertionOutcome::Measures(Measures {
            numbers: means(number, place)
                .map(|(name, mean)| (name.to_owned(), mean))
                .into(),
            series: series(number, place, repetition as usize),
            network: network(number),
        }),
    };
    Cell {
        compare: entry.to_owned(),
        point: point.clone(),
        repetitions: (0..repetitions).map(run).collect(),
    }
}

fn series(number: usize, place: usize, repetition: usize) -> BTreeMap<String, Series> {
    let series = |x_axis: &str, y_axis: &str, points: Vec<(f64, f64)>| Series {
        x_axis: x_axis.to_owned(),
        y_axis: y_axis.to_owned(),
        points,
    };
    let hops = (0..8).map(|hop| {
        let share = 1.0 - (0.6 - 0.04 * (number + place) as f64).powi(hop + 1);
        (f64::from(hop), share)
    });
    let over_time = (1..=200).map(|step| {
        let x = f64::from(step);
        (
            x * 30.0,
            (1.0 - (-x / 40.0).exp()) * (0.4 + 0.05 * number as f64)
                + 0.02 * noise(step as usize + repetition * 977 + number),
        )
    });
    let copies = (1..=1000).map(|rank| {
        let x = f64::from(rank);
        (x, 2.0 + 22.0 / (1.0 + x / (20.0 + 8.0 * number as f64)))
    });
    BTreeMap::from([
        (
            "hops_cdf".to_owned(),
            series("hops to the copy", "share of reads", hops.collect()),
        ),
        (
            "hit_ratio_over_time".to_owned(),
            series("time (s)", "hit ratio", over_time.collect()),
        ),
        (
            "replicas_by_rank".to_owned(),
            series("file, most read first", "copies", copies.collect()),
        ),
    ])
}

fn network(number: usize) -> NetworkLoad {
    let cities = [
        ("Lisbon", -9.1, 38.7, "west"),
        ("Madrid", -3.7, 40.4, "west"),
        ("Paris", 2.3, 48.9, "west"),
        ("London", -0.1, 51.5, "west"),
        ("Brussels", 4.4, 50.8, "west"),
        ("Amsterdam", 4.9, 52.4, "west"),
        ("Geneva", 6.1, 46.2, "middle"),
        ("Milan", 9.2, 45.5, "middle"),
        ("Frankfurt", 8.7, 50.1, "middle"),
        ("Copenhagen", 12.6, 55.7, "north"),
        ("Stockholm", 18.1, 59.3, "north"),
        ("Oslo", 10.7, 59.9, "north"),
        ("Prague", 14.4, 50.1, "east"),
        ("Vienna", 16.4, 48.2, "east"),
        ("Budapest", 19.0, 47.5, "east"),
        ("Warsaw", 21.0, 52.2, "east"),
        ("Athens", 23.7, 38.0, "east"),
        ("Sofia", 23.3, 42.7, "east"),
    ];
    let links = [
        (0, 1),
        (1, 2),
        (2, 3),
        (2, 4),
        (4, 5),
        (3, 5),
        (2, 6),
        (6, 7),
        (6, 8),
        (5, 8),
        (8, 9),
        (9, 10),
        (9, 11),
        (10, 11),
        (8, 12),
        (12, 13),
        (13, 14),
        (12, 15),
        (8, 15),
        (7, 13),
        (14, 17),
        (17, 16),
        (7, 16),
        (1, 6),
        (0, 3),
    ];
    NetworkLoad {
        nodes: (cities.iter().enumerate())
            .map(|(node, &(name, x, y, zone))| NodeLoad {
                name: name.to_owned(),
                zone: zone.to_owned(),
                position: Some((x, y)),
                served: (noise(node + number) * 10_000.0) as u64,
                replica_bytes: (noise(node + 99) * 1e9) as u64,
            })
            .collect(),
        links: (links.iter().enumerate())
            .map(|(link, &ends)| LinkLoad {
                ends,
                bytes: (noise(link * 3 + number) * 5e9) as u64,
            })
            .collect(),
    }
}
