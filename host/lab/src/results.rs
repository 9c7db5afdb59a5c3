//! The results of an experiment, as `results.json` holds them: all that a table, a plot or another program needs.
//!
//! Everything except [`Timings`] depends only on the experiment's text, its files and its seed, and is
//! bit-identical from run to run and for any number of jobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::measures::Measures;

/// The version of the format; incremented when a reader of the previous one would misread it.
pub const FORMAT: u32 = 1;

/// Which values of the sweep a cell has, by key; empty without a sweep.
pub type Point = BTreeMap<String, Value>;

/// All results of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The versions that produced them.
    pub versions: Versions,
    /// The experiment itself.
    pub experiment: ExperimentFile,
    /// The run's seed; the seeds of the repetitions derive from it.
    pub seed: u64,
    /// Whether every repetition of every cell was run; false when the experiment was stopped early.
    pub complete: bool,
    /// Digests of the inputs.
    pub digests: Digests,
    /// What was compared.
    pub plan: Plan,
    /// Sentences that a reader of the numbers needs to know: the warm-up, how a trace was read.
    pub notes: Vec<String>,
    /// One per compare entry and point of the sweep: by point first, then in the order of the plan.
    pub cells: Vec<Cell>,
    /// The cells' measures over their repetitions: one row per cell, in the same order.
    pub table: Vec<Row>,
    /// The results of the experiment's assertions: one per assertion and point of the sweep.
    pub expectations: Vec<Expectation>,
    /// How long it took: the only part that differs between two runs.
    pub timings: Timings,
}

/// The versions that produced the results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of the program.
    pub program: String,
    /// Of the policy contract.
    pub contract: String,
    /// Of this format: [`FORMAT`].
    pub results: u32,
}

/// The experiment, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentFile {
    /// Its file's name, without folders.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// BLAKE3 digests of the inputs, in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Of each policy, by kind and name, such as `eviction/lru`; empty for the native baselines.
    pub policies: BTreeMap<String, String>,
    /// Of each other file that was read (traces, topologies, sizes), by its name in the experiment.
    pub files: BTreeMap<String, String>,
}

/// What was compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the compare entries, in order.
    pub compare: Vec<String>,
    /// The entry that the others are compared with.
    pub baseline: String,
    /// The axes of the sweep, in the experiment's order; the last varies fastest.
    pub sweep: Vec<Axis>,
    /// Repetitions of each cell.
    pub repetitions: u32,
}

/// One axis of the sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// The dotted key, such as `nodes.capacity`.
    pub key: String,
    /// Its values, in order.
    pub values: Vec<Value>,
}

/// One compare entry at one point of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The compare entry.
    pub compare: String,
    /// Its point in the sweep.
    pub point: Point,
    /// Its runs, in order; fewer than planned if the experiment was stopped.
    pub repetitions: Vec<Repetition>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repetition {
    /// Its position among the cell's repetitions, from 0; the same position has the same seed in all cells.
    pub repetition: u32,
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: AssertionOutcome,
}

/// How a run ended: in the file, the key `measures` or the key `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssertionOutcome {
    /// Its measures.
    Measures(Measures),
    /// Why it has none.
    Error(String),
}

/// A cell's measures over its repetitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The compare entry.
    pub compare: String,
    /// Its point in the sweep.
    pub point: Point,
    /// Runs that failed; the numbers leave them out.
    pub failed: u32,
    /// By measure.
    pub measures: BTreeMap<String, Summary>,
}

/// One measure over the repetitions of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Runs that have the measure.
    pub n: u32,
    /// Their mean.
    pub mean: f64,
    /// Half the width of the mean's 95 % Student-t interval; none for fewer than two runs.
    pub interval: Option<f64>,
    /// Against the baseline at the same point, seed by seed; none for the baseline itself.
    pub difference: Option<Difference>,
    /// Among the compare entries at the same point; none for a measure that is neither better high nor low.
    pub rank: Option<Rank>,
}

/// A cell's number minus the baseline's, over the seeds that both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Pairs.
    pub n: u32,
    /// Their mean difference.
    pub mean: f64,
    /// Half the width of its 95 % Student-t interval; none for fewer than two pairs.
    pub interval: Option<f64>,
}

impl Difference {
    /// Whether the interval excludes zero: the difference is more than chance.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.interval
            .is_some_and(|half| self.mean.abs() > half && self.mean != 0.0)
    }
}

/// A rank among the compare entries, 1 being the best, and how certain it is.
///
/// An entry that is not significantly worse than the best may be the best, so its rank starts at 1. These
/// repetitions cannot tell apart two entries whose ranks overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// By the mean alone; equal means share a place.
    pub place: u32,
    /// One more than the entries that are significantly better.
    pub from: u32,
    /// The number of entries less those that are significantly worse.
    pub to: u32,
}

/// One assertion of the experiment, at one point of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// As a sentence, such as `hit_ratio of gdsf is at least 0.3`.
    pub expected: String,
    /// Its line in the experiment, from 1.
    pub line: u32,
    /// Its point in the sweep.
    pub point: Point,
    /// Whether it is only reported, and may fail without changing the exit code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, with numbers.
    pub found: String,
}

/// How long it took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From the first run's start to the last one's end, in seconds.
    pub seconds: f64,
    /// Threads that ran the cells.
    pub jobs: u32,
    /// Seconds of each run, by cell and repetition, in the order of the cells.
    pub runs: Vec<Vec<f64>>,
}

impl Results {
    /// The row of this entry at this point.
    #[must_use]
    pub fn row(&self, compare: &str, point: &Point) -> Option<&Row> {
        self.table
            .iter()
            .find(|row| row.compare == compare && &row.point == point)
    }

    /// The points of the sweep, in order; one empty point without a sweep.
    #[must_use]
    pub fn points(&self) -> Vec<&Point> {
        let mut points: Vec<&Point> = Vec::new();
        for cell in &self.cells {
            if points.last() != Some(&&cell.point) {
                points.push(&cell.point);
            }
        }
        points
    }
}

/// A value of a sweep, as a table or an axis shows it: text without quotes, everything else as JSON.
#[must_use]
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A point of the sweep in one line, such as `nodes.capacity = 5%, workload.exponent = 0.8`; empty without a
/// sweep.
#[must_use]
pub fn shown_point(point: &Point) -> String {
    let parts: Vec<String> = point
        .iter()
        .map(|(key, value)| format!("{key} = {}", shown(value)))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repetition(outcome: AssertionOutcome) -> Repetition {
        Repetition {
            repetition: 0,
            seed: 9,
            outcome,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut measures = Measures::default();
        measures.numbers.insert("hit_ratio".to_owned(), 0.1);
        let results = Results {
            cells: vec![Cell {
                compare: "lru".to_owned(),
                point: Point::from([("nodes.capacity".to_owned(), Value::from("5%"))]),
                repetitions: vec![
                    repetition(AssertionOutcome::Measures(measures)),
                    repetition(AssertionOutcome::Error("it fell over".to_owned())),
                ],
            }],
            ..Results::default()
        };
        let text = serde_json::to_string(&results).expect("results serialize to JSON");
        let read: Results = serde_json::from_str(&text).expect("the JSON parses as results");
        assert_eq!(read, results);
        assert!(
            text.contains(r#""seed":9,"error":"it fell over""#),
            "{text}"
        );
    }

    #[test]
    fn a_point_reads_as_a_line() {
        let point = Point::from([
            ("nodes.capacity".to_owned(), Value::from("5%")),
            ("workload.exponent".to_owned(), Value::from(0.8)),
        ]);
        assert_eq!(
            shown_point(&point),
            "nodes.capacity = 5%, workload.exponent = 0.8"
        );
        assert_eq!(shown_point(&Point::new()), "");
    }

    #[test]
    fn a_difference_within_its_interval_is_chance() {
        let difference = |mean, interval| Difference {
            n: 5,
            mean,
            interval,
        };
        assert!(difference(-0.2, Some(0.1)).is_significant());
        assert!(!difference(0.1, Some(0.1)).is_significant());
        assert!(!difference(0.2, None).is_significant());
        assert!(difference(0.2, Some(0.0)).is_significant());
        assert!(!difference(0.0, Some(0.0)).is_significant());
    }
}
