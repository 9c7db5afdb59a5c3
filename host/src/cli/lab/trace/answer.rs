//! What `lab trace` found, for people and for programs.

use dataverse_core::plural::plural;
use dataverse_lab::single::{Figures, OnResize, Plan, Row, Survey, Unit, che};
use serde_json::json;

use crate::cli::failure::{Exit, Failure};
use crate::cli::screen::{Screen, size};

/// Tells it. A policy that did not start is a failure, told when everything else has been.
pub(super) fn tell(
    plan: &Plan,
    survey: &Survey,
    rows: &[Row],
    as_json: bool,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    if as_json {
        let rows: Vec<serde_json::Value> = rows.iter().map(row_as_json).collect();
        screen.line(&serde_json::Value::from(rows).to_string())?;
    } else {
        let head = [
            "POLICY",
            "CAPACITY",
            "REQUESTS",
            "OBJECT MISS",
            "BYTE MISS",
            "COMPULSORY",
            "REQUESTS/S",
            "FUEL/REQUEST",
            "FAULTS",
        ];
        let rows = rows.iter().map(|row| row_of_table(row, plan.unit));
        screen.table(&head, rows.collect())?;
    }
    for note in notes(plan, survey) {
        screen.note(&note);
    }
    judge(rows, screen)
}

fn row_as_json(row: &Row) -> serde_json::Value {
    let digest = row.digest.map(|digest| digest.to_string());
    match &row.figures {
        Err(reason) => json!({
            "policy": row.policy,
            "capacity": row.capacity,
            "error": reason,
            "digest": digest,
        }),
        Ok(figures) => json!({
            "policy": row.policy,
            "capacity": row.capacity,
            "requests": figures.counts.requests,
            "object_miss": figures.counts.object_miss(),
            "byte_miss": figures.counts.byte_miss(),
            "requests_per_second": figures.requests_per_second(),
            "faults": figures.faults.total(),
            "compulsory_miss": figures.counts.compulsory_miss(),
            "fuel": figures.fuel,
            "digest": digest,
        }),
    }
}

fn row_of_table(row: &Row, unit: Unit) -> Vec<String> {
    let capacity = match unit {
        Unit::Objects => row.capacity.to_string(),
        Unit::Bytes => size(row.capacity),
    };
    let mut cells = vec![row.policy.clone(), capacity];
    cells.extend(match &row.figures {
        Err(_) => vec!["did not start".to_owned()],
        Ok(figures) => figures_of_table(figures),
    });
    cells
}

fn figures_of_table(figures: &Figures) -> Vec<String> {
    let counts = figures.counts;
    let fuel = match figures.fuel {
        0 => "-".to_owned(),
        fuel => format!("{:.0}", fuel as f64 / figures.put as f64),
    };
    vec![
        counts.requests.to_string(),
        format!("{:.6}", counts.object_miss()),
        format!("{:.6}", counts.byte_miss()),
        format!("{:.6}", counts.compulsory_miss()),
        format!("{:.0}", figures.requests_per_second()),
        fuel,
        figures.faults.total().to_string(),
    ]
}

/// What to know about the figures.
fn notes(plan: &Plan, survey: &Survey) -> Vec<String> {
    let mut notes = vec![format!(
        "{}: {}, {} and {} of {}",
        plan.trace.name(),
        plural(survey.reads, "read", "reads"),
        plural(survey.writes, "write", "writes"),
        plural(survey.deletes, "deletion", "deletions"),
        plural(survey.objects, "object", "objects")
    )];
    if survey.left_out > 0 {
        notes.push(format!(
            "{} left out: the node answered without its cache",
            plural(survey.left_out, "request was", "requests were")
        ));
    }
    let resized = &survey.resized;
    if resized.objects > 0 {
        let example =
            |&(id, before, after): &(u64, u64, u64)| format!("{id} ({before} to {after})");
        let examples: Vec<String> = resized.examples.iter().map(example).collect();
        let taken = match plan.on_resize {
            OnResize::Keep => "each keeps the size it had first",
            OnResize::Write => "each such read is taken as one after a write",
        };
        let more = match resized.objects > examples.len() as u64 {
            true => ", …",
            false => "",
        };
        notes.push(format!(
            "{} size, in {}; {taken}: {}{more}",
            plural(
                resized.objects,
                "object changes its",
                "objects change their"
            ),
            plural(resized.reads, "read", "reads"),
            examples.join(", ")
        ));
    }
    if plan.unit == Unit::Bytes {
        notes
            .push("belady is no optimum where objects have sizes, only a rule of thumb".to_owned());
    } else if let Some(objects) = plan.trace.zipf_objects() {
        let popularity = che::zipf(objects);
        let said = plan
            .capacities
            .iter()
            .map(|&capacity| format!("{capacity}: {:.6}", che::lru_miss(&popularity, capacity)));
        let said: Vec<String> = said.collect();
        notes.push(format!(
            "LRU in the long run, by Che's approximation: {}",
            said.join(", ")
        ));
    }
    notes
}

/// Tells of policies that failed.
fn judge(rows: &[Row], screen: &mut Screen<'_>) -> Result<(), Failure> {
    let mut worst = Ok(());
    for row in rows {
        let who = format!("{} with room for {}", row.policy, row.capacity);
        match &row.figures {
            Err(reason) => {
                screen.note(&format!("error: {who} did not start: {reason}"));
                worst = Err(Failure::Told(Exit::Refused));
            }
            Ok(figures) if figures.faults.total() > 0 => {
                let kinds = figures.faults.by_kind();
                let kinds: Vec<String> = kinds
                    .map(|(kind, times)| format!("{times} {}", kind.as_str()))
                    .collect();
                let then = match figures.given_up {
                    true => {
                        "it was asked no more after so many, and what was used longest ago went"
                    }
                    false => "then what was used longest ago went",
                };
                screen.note(&format!(
                    "warning: {who} failed: {}; {then}",
                    kinds.join(", ")
                ));
            }
            Ok(_) => {}
        }
    }
    worst
}
