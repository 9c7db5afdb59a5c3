//! Sentences for the reader of an experiment's numbers, about how they were obtained.

use super::{PlannedCell, expect};
use crate::quantity::Portion;
use crate::workload::{OnResizeWord, Workload};

/// What a reader of the numbers needs to know.
pub(super) fn notes(cells: &[PlannedCell]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for cell in cells {
        let scenario = &cell.scenario;
        let warm_up = match scenario.warm_up {
            Portion::Count(0) => "Every request counts: there is no warm-up.".to_owned(),
            Portion::Count(1) => {
                "The first request of each run warms the caches up and is not counted.".to_owned()
            }
            Portion::Count(count) => {
                format!(
                    "The first {count} requests of each run warm the caches up and are not counted."
                )
            }
            Portion::Share(share) => format!(
                "The first {} % of each run's requests warm the caches up and are not counted.",
                expect::digits(share * 100.0)
                    .trim_end_matches('0')
                    .trim_end_matches('.')
            ),
        };
        let of_trace = [
            note_of_sizes(&scenario.workload),
            note_of_what_is_left_out(&scenario.workload),
        ];
        for note in std::iter::once(warm_up).chain(of_trace.into_iter().flatten()) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// How reads of objects that changed their size in a trace were counted.
fn note_of_sizes(workload: &Workload) -> Option<String> {
    let trace = workload.spec().trace.as_ref()?.display();
    let resized = workload.footprint().ok()??.resized;
    let (became_one, became) = match workload.spec().on_resize {
        Some(OnResizeWord::Write) => ("counts as a write", "count as writes"),
        Some(OnResizeWord::Keep) | None => {
            ("is a read of the first size", "are reads of the first size")
        }
    };
    Some(match resized {
        0 => format!("No object of {trace} is read with another size than before."),
        1 => format!("1 read of {trace} with another size than before {became_one}."),
        resized => format!("{resized} reads of {trace} with another size than before {became}."),
    })
}

/// The requests of a recording that are not replayed.
fn note_of_what_is_left_out(workload: &Workload) -> Option<String> {
    let trace = workload.spec().trace.as_ref()?.display();
    let left_out = workload.footprint().ok()??.left_out;
    match left_out {
        0 => None,
        1 => Some(format!(
            "1 request of {trace} is left out: there was no such file, or it failed."
        )),
        _ => Some(format!(
            "{left_out} requests of {trace} are left out: there was no such file, or they failed."
        )),
    }
}
