//! The section on what was run: the experiment and everything needed to run it again.

use super::figure::table;
use super::text::{escaped, number};
use crate::results::{AssertionOutcome, Results, shown, shown_point};

/// One sentence: what was compared, how often and from which seed.
pub(super) fn summary(results: &Results) -> String {
    let plan = &results.plan;
    let count = |number: usize, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {what}{plural}")
    };
    let points = results.points().len();
    let sweep = if points > 1 {
        format!(" at {} of the sweep", count(points, "point"))
    } else {
        String::new()
    };
    let baseline = if plan.compare.len() > 1 && !plan.baseline.is_empty() {
        format!(" Differences are against {}, seed by seed.", plan.baseline)
    } else {
        String::new()
    };
    let stopped = if results.complete {
        ""
    } else {
        " It was stopped early."
    };
    let entries = if plan.compare.len() == 1 {
        "1 entry".to_owned()
    } else {
        format!("{} entries", plan.compare.len())
    };
    let sentence = format!(
        "{entries}{sweep}, {} each, from seed {}.{baseline}{stopped}",
        count(plan.repetitions as usize, "repetition"),
        results.seed
    );
    escaped(&sentence)
}

/// The section on everything that produced the results.
pub(super) fn html(results: &Results) -> String {
    let plan = &results.plan;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("Experiment", results.experiment.file.clone()),
        row("Seed", results.seed.to_string()),
        row("Repetitions", plan.repetitions.to_string()),
        row("Compared", plan.compare.join(", ")),
        row("Baseline", plan.baseline.clone()),
    ];
    rows.extend(plan.sweep.iter().map(|axis| {
        let values: Vec<String> = axis.values.iter().map(shown).collect();
        row(&format!("Sweep of {}", axis.key), values.join(", "))
    }));
    rows.push(row(
        "Program",
        format!("dataverse {}", results.versions.program),
    ));
    rows.push(row("Policy contract", results.versions.contract.clone()));
    rows.push(row(
        "Format of results.json",
        results.versions.results.to_string(),
    ));
    let timings = &results.timings;
    rows.push(row(
        "Took",
        format!("{} s on {} threads", number(timings.seconds), timings.jobs),
    ));
    let head = ["What", "Value"].map(str::to_owned);
    let digests = results
        .digests
        .policies
        .iter()
        .chain(&results.digests.files);
    let digests: Vec<Vec<String>> = digests
        .map(|(name, digest)| {
            row(
                name,
                if digest.is_empty() {
                    "native".to_owned()
                } else {
                    digest.clone()
                },
            )
        })
        .collect();
    let digest_head = ["Input", "BLAKE3"].map(str::to_owned);
    let digests = if digests.is_empty() {
        String::new()
    } else {
        table("Digests", &digest_head, &digests)
    };
    format!(
        "{}{digests}<details><summary>The experiment as it was written</summary><pre tabindex=\"0\">{}</pre></details>\n",
        table("What was run", &head, &rows),
        escaped(&results.experiment.text)
    )
}

/// The notes as a list; empty if there are none.
pub(super) fn notes(results: &Results) -> String {
    let notes: String = results
        .notes
        .iter()
        .map(|note| format!("<li>{}</li>", escaped(note)))
        .collect();
    if notes.is_empty() {
        notes
    } else {
        format!("<ul class=\"notes\">{notes}</ul>\n")
    }
}

/// The assertions and whether they hold; empty if there are none.
pub(super) fn expectations(results: &Results) -> String {
    let rows: String = (results.expectations.iter())
        .map(|it| {
            let (class, word) = match (it.holds, it.optional) {
                (true, false) => ("good", "holds"),
                (true, true) => ("good", "holds (optional)"),
                (false, false) => ("bad", "does not hold"),
                (false, true) => ("", "does not hold (optional)"),
            };
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"{class}\">{word}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&it.expected),
                escaped(&shown_point(&it.point)),
                escaped(&it.found),
                it.line
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let table = format!(
        "<table class=\"words\"><thead><tr><th scope=\"col\">Expected</th><th scope=\"col\">Outcome</th><th \
         scope=\"col\">Sweep</th><th scope=\"col\">Found</th><th scope=\"col\">Line</th></tr></thead><tbody>{rows}\
         </tbody></table>"
    );
    super::figure::scrolling("Expectations", &table)
}

/// The runs that failed, and why; empty if none did.
pub(super) fn failures(results: &Results) -> String {
    let mut rows = Vec::new();
    for cell in &results.cells {
        for run in &cell.repetitions {
            if let AssertionOutcome::Error(why) = &run.outcome {
                let [repetition, seed] = [run.repetition.to_string(), run.seed.to_string()];
                rows.push(vec![
                    cell.compare.clone(),
                    shown_point(&cell.point),
                    repetition,
                    seed,
                    why.clone(),
                ]);
            }
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = ["Entry", "Sweep", "Repetition", "Seed", "Why"].map(str::to_owned);
    table("Runs that failed", &head, &rows)
}
