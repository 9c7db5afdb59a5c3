//! The table: each cell's measures over its repetitions, compared with the baseline and ranked.

use std::collections::{BTreeMap, BTreeSet};

use super::expect::values;
use crate::measures::{self, Better};
use crate::results::{AssertionOutcome, Cell, Difference, Point, Rank, Results, Row, Summary};
use crate::stats::{self, Estimate, Ranking};

/// The rows of all cells, in order.
pub(super) fn rows(results: &Results) -> Vec<Row> {
    let points: Vec<Point> = results.points().into_iter().cloned().collect();
    points
        .iter()
        .flat_map(|point| rows_at(results, point))
        .collect()
}

fn rows_at(results: &Results, point: &Point) -> Vec<Row> {
    let cells: Vec<&Cell> = results
        .cells
        .iter()
        .filter(|cell| &cell.point == point)
        .collect();
    let mut rows: Vec<Row> = cells.iter().map(|cell| empty_row(cell)).collect();
    for measure in names(&cells) {
        let columns: Vec<Vec<Option<f64>>> = cells
            .iter()
            .map(|cell| values(results, &cell.compare, point, measure))
            .collect();
        let baseline = cells
            .iter()
            .position(|cell| cell.compare == results.plan.baseline);
        let ranks = ranked(measure, &columns);
        for (place, row) in rows.iter_mut().enumerate() {
            let present: Vec<f64> = columns[place].iter().flatten().copied().collect();
            let Some(Estimate { n, mean, interval }) = stats::estimate(&present) else {
                continue;
            };
            let difference = baseline
                .filter(|baseline| *baseline != place)
                .and_then(|baseline| stats::paired_difference(&columns[place], &columns[baseline]))
                .map(|Estimate { n, mean, interval }| Difference { n, mean, interval });
            let summary = Summary {
                n,
                mean,
                interval,
                difference,
                rank: ranks[place],
            };
            row.measures.insert(measure.to_owned(), summary);
        }
    }
    rows
}

fn empty_row(cell: &Cell) -> Row {
    let failed = cell
        .repetitions
        .iter()
        .filter(|run| matches!(run.outcome, AssertionOutcome::Error(_)))
        .count();
    Row {
        compare: cell.compare.clone(),
        point: cell.point.clone(),
        failed: u32::try_from(failed).unwrap_or(u32::MAX),
        measures: BTreeMap::new(),
    }
}

/// Every measure that at least one of these cells has.
pub(super) fn names<'a>(cells: &[&'a Cell]) -> BTreeSet<&'a str> {
    cells
        .iter()
        .flat_map(|cell| &cell.repetitions)
        .filter_map(|run| match &run.outcome {
            AssertionOutcome::Measures(measures) => {
                Some(measures.numbers.keys().map(String::as_str))
            }
            AssertionOutcome::Error(_) => None,
        })
        .flatten()
        .collect()
}

fn ranked(measure: &str, columns: &[Vec<Option<f64>>]) -> Vec<Option<Rank>> {
    let better = measures::find(measure).map_or(Better::Neither, |measure| measure.better);
    if better == Better::Neither {
        return vec![None; columns.len()];
    }
    stats::ranks(columns, better == Better::Lower)
        .into_iter()
        .map(|standing| standing.map(|Ranking { place, from, to }| Rank { place, from, to }))
        .collect()
}
