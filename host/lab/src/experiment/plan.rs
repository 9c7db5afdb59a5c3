//! What is to be compared, and whether so many runs can be kept.

use super::document::{Document, Malformed, Table};
use super::sections::compare_entries;
use super::settings::{Run, check_names};
use super::sweep::Sweep;
use crate::limits;
use crate::results::Plan;

/// Who is compared with whom, over what and how often.
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
                    "no compare entry is called `{}`; there are {}",
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

/// Every run's numbers are kept until the end.
pub(super) fn check_runs(document: &Document, plan: &Plan, points: usize) -> Result<(), Malformed> {
    let cells = points.saturating_mul(plan.compare.len());
    let runs = cells.saturating_mul(plan.repetitions as usize);
    if runs <= limits::EXPERIMENT_RUNS_MAX {
        return Ok(());
    }
    Err(document.incomplete(format!(
        "{points} points of the sweep, {} entries and {} repetitions are {runs} runs; at most {} are kept",
        plan.compare.len(),
        plan.repetitions,
        limits::EXPERIMENT_RUNS_MAX
    )))
}
