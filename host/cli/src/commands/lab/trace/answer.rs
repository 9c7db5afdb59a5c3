//! The results of `lab trace`, for people and as JSON.

use dataverse_core::plural::plural;
use dataverse_lab::single::{Figures, OnResize, Plan, Row, Survey, Unit, che};
use serde_json::{Value, json};

use crate::commands::failure::{Exit, Failure};
use crate::commands::screen::{Screen, size};

/// The results of one trace.
pub(super) type Found = (Plan, Survey, Vec<Row>);

/// The results of each trace, in the order in which they were given.
pub(super) struct Answer {
    several: bool,
    as_json: bool,
    json: Vec<Value>,
    table: Vec<Vec<String>>,
    notes: Vec<String>,
    worst: Option<Exit>,
}

impl Answer {
    pub(super) fn new(traces: usize, as_json: bool) -> Self {
        Self {
            several: traces > 1,
            as_json,
            json: Vec::new(),
            table: Vec::new(),
            notes: Vec::new(),
            worst: None,
        }
    }

    /// Adds the results of a trace.
    pub(super) fn take(&mut self, plan: &Plan, survey: &Survey, rows: Vec<Row>) {
        let trace = plan.trace.name();
        for row in &rows {
            self.json.push(row_as_json(trace, row));
            let named = self.several.then(|| trace.to_owned());
            let cells = row_of_table(row, plan.unit);
            self.table.push(named.into_iter().chain(cells).collect());
        }
        self.notes.extend(notes(plan, survey));
        self.judge(&rows);
    }

    /// Adds a trace that failed. If it is the only one, returns its failure.
    pub(super) fn fail(&mut self, trace: &str, failure: Failure) -> Result<(), Failure> {
        if !self.several {
            return Err(failure);
        }
        self.json
            .push(json!({ "trace": trace, "error": failure.to_string() }));
        self.notes.push(format!("error: {failure}"));
        self.worst = self.worst.max(Some(failure.exit()));
        Ok(())
    }

    /// Prints the results. Failures are reported last.
    pub(super) fn tell(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        if self.as_json {
            screen.line(&Value::from(self.json).to_string())?;
        } else if !self.table.is_empty() {
            let head: Vec<&str> = self
                .several
                .then_some("TRACE")
                .into_iter()
                .chain(HEAD)
                .collect();
            screen.table(&head, self.table)?;
        }
        for note in &self.notes {
            screen.note(note);
        }
        self.worst.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
    }
}

const HEAD: [&str; 9] = [
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

fn row_as_json(trace: &str, row: &Row) -> Value {
    let digest = row.digest.map(|digest| digest.to_string());
    match &row.figures {
        Err(reason) => json!({
            "trace": trace,
            "policy": row.policy,
            "capacity": row.capacity,
            "error": reason,
            "digest": digest,
        }),
        Ok(figures) => json!({
            "trace": trace,
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

/// Notes that help to interpret the figures.
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
        let (were, them) = match survey.left_out {
            1 => ("was", "it"),
            _ => ("were", "them"),
        };
        notes.push(format!(
            "{} {were} skipped: the node answered {them} without its cache",
            plural(survey.left_out, "request", "requests")
        ));
    }
    if survey.goes_back > 0 {
        let (say, are) = match survey.goes_back {
            1 => ("has", "is"),
            _ => ("have", "are"),
        };
        notes.push(format!(
            "{} {say} an earlier time than one before, and {are} treated as simultaneous with it; sort the trace by \
             time",
            plural(survey.goes_back, "request", "requests")
        ));
    }
    let resized = &survey.resized;
    if resized.objects > 0 {
        let example =
            |&(id, before, after): &(u64, u64, u64)| format!("{id} ({before} to {after})");
        let examples: Vec<String> = resized.examples.iter().map(example).collect();
        let taken = match plan.on_resize {
            OnResize::Keep => "each keeps its first size",
            OnResize::Write => "each such read counts as a read after a write",
        };
        let more = match resized.objects > examples.len() as u64 {
            true => ", …",
            false => "",
        };
        let change = match resized.objects {
            1 => "changes its size",
            _ => "change their size",
        };
        notes.push(format!(
            "{} {change}, in {}; {taken}: {}{more}",
            plural(resized.objects, "object", "objects"),
            plural(resized.reads, "read", "reads"),
            examples.join(", ")
        ));
    }
    if plan.unit == Unit::Bytes {
        notes.push(
            "belady is not optimal where objects have sizes, only a rule of thumb".to_owned(),
        );
    } else if let Some(objects) = plan.trace.zipf_objects() {
        let popularity = che::zipf(objects);
        let said = plan
            .capacities
            .iter()
            .map(|&capacity| format!("{capacity}: {:.6}", che::lru_miss(&popularity, capacity)));
        let said: Vec<String> = said.collect();
        notes.push(format!(
            "LRU's steady state, by Che's approximation: {}",
            said.join(", ")
        ));
    }
    notes
}

impl Answer {
    /// Records which policies failed.
    fn judge(&mut self, rows: &[Row]) {
        for row in rows {
            let who = format!("{} with capacity {}", row.policy, row.capacity);
            match &row.figures {
                Err(reason) => {
                    self.notes
                        .push(format!("error: {who} did not start: {reason}"));
                    self.worst = self.worst.max(Some(Exit::Refused));
                }
                Ok(figures) if figures.faults.total() > 0 => {
                    self.notes
                        .push(format!("warning: {who} failed: {}", faults(figures)));
                }
                Ok(_) => {}
            }
        }
    }
}

fn faults(figures: &Figures) -> String {
    let kinds = figures.faults.by_kind();
    let kinds: Vec<String> = kinds
        .map(|(kind, times)| format!("{times} {}", kind.as_str()))
        .collect();
    let then = match figures.given_up {
        true => {
            "after that many it was not asked again, and the least recently used objects were evicted"
        }
        false => "the least recently used objects were evicted instead",
    };
    format!("{}; {then}", kinds.join(", "))
}
