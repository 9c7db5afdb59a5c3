//! What will be compared, and whether the results of that many runs fit in memory.

use super::document::{Document, Malformed, Table};
use super::sections::compare_entries;
use super::settings::{Run, check_names};
use super::sweep::Sweep;
use crate::limits;
use crate::results::Plan;

/// Which entries are compared with which, over which points and how often.
pub(super) fn plan(
    document: &Document,
    tree: &Table<'_>,
    sweep: &Sweep<'_>,
    run: &Run,
) -> Result<Plan, Malformed> {
    let entries = compare_entries(document, tree)?;
    check_names(document, &entries)?;
    let compare: Vec<String> = entries
        .into_iter()
        .map(|entry| entry.name.into_inner())
        .collect();
    let baseline = match &run.baseline {
        None => compare.first().cloned().unwrap_or_default(),
        Some(named) if compare.contains(named.get_ref()) => named.get_ref().clone(),
        Some(named) => {
            return Err(document.malformed(
                &named.span(),
                format!(
                    "no compare entry is named `{}`; choose one of {}",
                    named.get_ref(),
                    compare.join(", ")
                ),
            ));
        }
    };
    Ok(Plan {
        compare,
        baseline,
        sweep: sweep.axes(),
        repetitions: *run.repetitions.get_ref(),
    })
}

/// The numbers of every run are kept until the end.
pub(super) fn check_runs(document: &Document, plan: &Plan, points: usize) -> Result<(), Malformed> {
    let cells = points.saturating_mul(plan.compare.len());
    let runs = cells.saturating_mul(plan.repetitions as usize);
    if runs <= limits::EXPERIMENT_RUNS_MAX {
        return Ok(());
    }
    Err(document.incomplete(format!(
        "{points} points of the sweep, {} entries and {} repetitions make {runs} runs; at most {} can be kept",
        plan.compare.len(),
        plan.repetitions,
        limits::EXPERIMENT_RUNS_MAX
    )))
}
