//! The table of an experiment, for people: one row per compare entry and point of the sweep.

use super::expect::digits;
use crate::results::{Rank, Results, Row, Summary, shown};

/// Measures that are shown for every experiment that has them.
const MAIN: &[&str] = &[
    "hit_ratio",
    "hops_mean",
    "latency_ms_mean",
    "link_bytes_per_read",
    "stored_cv",
];
/// Measures that are shown only when they are not zero everywhere.
const ALARMING: &[&str] = &[
    "unavailable_ratio",
    "files_lost",
    "writes_refused_ratio",
    "faults",
    "events_missed",
];

/// A table of text cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableShown {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// The main measures, each as its mean with the 95 % interval and, in brackets, the rank. Entries whose ranks
/// overlap, such as `2–3`, cannot be told apart.
#[must_use]
pub fn table(results: &Results) -> TableShown {
    let has = |name: &str| {
        results
            .table
            .iter()
            .any(|row| row.measures.contains_key(name))
    };
    let alarms = |name: &str| {
        let found = results
            .table
            .iter()
            .filter_map(|row| row.measures.get(name));
        found.into_iter().any(|summary| summary.mean != 0.0)
    };
    let measures: Vec<&str> = MAIN
        .iter()
        .copied()
        .filter(|name| has(name))
        .chain(ALARMING.iter().copied().filter(|name| alarms(name)))
        .collect();
    let axes: Vec<&str> = results
        .plan
        .sweep
        .iter()
        .map(|axis| axis.key.as_str())
        .collect();
    let header = axes
        .iter()
        .chain(&["compare"])
        .chain(&measures)
        .map(|name| (*name).to_owned())
        .chain(any_failed(results).then(|| "failed".to_owned()))
        .collect();
    let rows = results
        .table
        .iter()
        .map(|row| shown_row(row, &axes, &measures, any_failed(results)))
        .collect();
    TableShown { header, rows }
}

fn any_failed(results: &Results) -> bool {
    results.table.iter().any(|row| row.failed > 0)
}

fn shown_row(row: &Row, axes: &[&str], measures: &[&str], with_failed: bool) -> Vec<String> {
    let mut texts: Vec<String> = axes
        .iter()
        .map(|key| row.point.get(*key).map(shown).unwrap_or_default())
        .collect();
    texts.push(row.compare.clone());
    texts.extend(measures.iter().map(|name| {
        row.measures
            .get(*name)
            .map_or("-".to_owned(), shown_summary)
    }));
    texts.extend(with_failed.then(|| row.failed.to_string()));
    texts
}

fn shown_summary(summary: &Summary) -> String {
    let mut text = digits(summary.mean);
    if let Some(half) = summary.interval {
        text.push_str(" ± ");
        text.push_str(&digits(half));
    }
    if let Some(rank) = summary.rank {
        text.push_str(&format!(" ({})", shown_rank(rank)));
    }
    text
}

fn shown_rank(rank: Rank) -> String {
    match rank.from == rank.to {
        true => rank.from.to_string(),
        false => format!("{}–{}", rank.from, rank.to),
    }
}
