//! `[[expect]]`: assertions about the numbers, for grading homework and for guarding a policy in automation.
//!
//! An assertion names a measure, a compare entry (all of them if it names none) and bounds, each a number or
//! another compare entry. With `sure = true` it holds only if the whole interval lies beyond the bound: the
//! interval of the mean for a number, of the paired difference for an entry. An assertion with `optional = true`
//! is reported but does not change the exit code: use it for a bonus, for example.

use std::collections::BTreeMap;

use dataverse_core::plural::plural;
use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Malformed, Value};
use crate::limits;
use crate::measures;
use crate::results::{AssertionOutcome, Expectation, Plan, Point, Results};
use crate::stats::{self, Estimate};

/// A bound: a number, or the same measure of another entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number or the name of a compare entry"
)]
enum Bound {
    Number(f64),
    Entry(String),
}

/// One table `[[expect]]`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    measure: Spanned<String>,
    #[serde(default)]
    of: Option<Spanned<String>>,
    #[serde(default)]
    at_least: Option<Spanned<Bound>>,
    #[serde(default)]
    at_most: Option<Spanned<Bound>>,
    #[serde(default)]
    more_than: Option<Spanned<Bound>>,
    #[serde(default)]
    less_than: Option<Spanned<Bound>>,
    /// How far beyond the bound the number must be; a negative value allows it to fall short by that much.
    #[serde(default = "nothing")]
    by: Spanned<f64>,
    #[serde(default)]
    sure: Option<Spanned<bool>>,
    #[serde(default)]
    optional: bool,
    /// At which points of the sweep; all of them by default.
    #[serde(default)]
    at: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
}

fn nothing() -> Spanned<f64> {
    Spanned::new(0..0, 0.0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    AtLeast,
    AtMost,
    MoreThan,
    LessThan,
}

/// An assertion: one measure, one bound.
#[derive(Clone, Debug)]
pub(super) struct Expect {
    line: u32,
    measure: String,
    /// All entries except that of the bound, if none is named.
    of: Option<String>,
    side: Side,
    bound: Bound,
    by: f64,
    sure: bool,
    optional: bool,
    at: Point,
}

/// Reads one table and returns one assertion per bound.
///
/// # Errors
/// [`Malformed`] when it names something that does not exist, or has no bound.
pub(super) fn read(
    document: &Document,
    value: Value<'_>,
    plan: &Plan,
) -> Result<Vec<Expect>, Malformed> {
    let (span, entries) = (value.span(), &plan.compare);
    let written: Written = document.section(value)?;
    let check_entry = |name: &str, span| match entries.iter().any(|entry| entry == name) {
        true => Ok(()),
        false => Err(document.malformed(
            &span,
            format!(
                "no compare entry is named `{name}`; choose one of {}",
                entries.join(", ")
            ),
        )),
    };
    let measure = written.measure.get_ref();
    if measures::find(measure).is_none() {
        let known: Vec<_> = measures::ALL.iter().map(|measure| measure.name).collect();
        return Err(document.malformed(
            &written.measure.span(),
            format!(
                "there is no measure `{measure}`; choose one of {}",
                known.join(", ")
            ),
        ));
    }
    if let Some(of) = &written.of {
        check_entry(of.get_ref(), of.span())?;
    }
    if !written.by.get_ref().is_finite() {
        let reason = "it is not a finite number";
        return Err(document.malformed(&written.by.span(), reason));
    }
    let sure = written.sure.as_ref().is_some_and(|sure| *sure.get_ref());
    if let Some(asked) = written
        .sure
        .as_ref()
        .filter(|_| sure && plan.repetitions < 2)
    {
        return Err(document.malformed(
            &asked.span(),
            "one repetition has no interval; set `repetitions` in [run] to 2 or more",
        ));
    }
    let at = point(document, written.at, plan)?;
    let bounds = [
        (Side::AtLeast, &written.at_least),
        (Side::AtMost, &written.at_most),
        (Side::MoreThan, &written.more_than),
        (Side::LessThan, &written.less_than),
    ];
    let mut expects = Vec::new();
    for (side, bound) in bounds {
        let Some(bound) = bound else { continue };
        if let Bound::Number(number) = bound.get_ref()
            && !number.is_finite()
        {
            let reason = format!("{number} is not a finite number");
            return Err(document.malformed(&bound.span(), reason));
        }
        if let Bound::Entry(name) = bound.get_ref() {
            check_entry(name, bound.span())?;
            if written.of.is_none() && entries.len() < 2 {
                let reason = format!("there is no other compare entry to compare `{name}` with");
                return Err(document.malformed(&bound.span(), reason));
            }
            if written.of.as_ref().is_some_and(|of| of.get_ref() == name) {
                return Err(document.malformed(
                    &bound.span(),
                    format!("`{name}` can't be compared with itself"),
                ));
            }
        }
        expects.push(Expect {
            line: document.line(&span),
            measure: measure.clone(),
            of: written.of.as_ref().map(|of| of.get_ref().clone()),
            side,
            bound: bound.get_ref().clone(),
            by: *written.by.get_ref(),
            sure,
            optional: written.optional,
            at: at.clone(),
        });
    }
    match expects.is_empty() {
        true => Err(document.malformed(
            &span,
            "it expects nothing: give `at_least`, `at_most`, `more_than` or `less_than`",
        )),
        false => Ok(expects),
    }
}

/// The part of the sweep that an assertion applies to.
fn point(
    document: &Document,
    at: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    plan: &Plan,
) -> Result<Point, Malformed> {
    let mut point = Point::new();
    for (key, value) in at {
        let Some(axis) = plan.sweep.iter().find(|axis| axis.key == *key.get_ref()) else {
            return Err(
                document.malformed(&key.span(), format!("`{}` is not swept", key.get_ref()))
            );
        };
        let wanted = serde_json::to_value(value.get_ref()).unwrap_or_default();
        if !axis.values.contains(&wanted) {
            return Err(document.malformed(
                &value.span(),
                format!("`{}` never has the value {wanted}", key.get_ref()),
            ));
        }
        point.insert(key.into_inner(), wanted);
    }
    Ok(point)
}

impl Expect {
    /// Evaluates it at every point of the sweep.
    pub(super) fn policy(&self, results: &Results) -> Vec<Expectation> {
        let mut judged = Vec::new();
        let is_meant = |point: &&Point| {
            self.at
                .iter()
                .all(|(key, value)| point.get(key) == Some(value))
        };
        for point in results.points().into_iter().filter(is_meant) {
            for entry in &results.plan.compare {
                if self.is_about(entry) {
                    judged.push(self.judge_one(results, entry, point));
                }
            }
        }
        judged
    }

    fn is_about(&self, entry: &str) -> bool {
        match (&self.of, &self.bound) {
            (Some(of), _) => of == entry,
            (None, Bound::Entry(other)) => other != entry,
            (None, Bound::Number(_)) => true,
        }
    }

    fn judge_one(&self, results: &Results, entry: &str, point: &Point) -> Expectation {
        let ours = values(results, entry, point, &self.measure);
        let (found, against) = match &self.bound {
            Bound::Number(number) => {
                let present: Vec<f64> = ours.iter().flatten().copied().collect();
                (stats::estimate(&present), *number)
            }
            Bound::Entry(other) => {
                let theirs = values(results, other, point, &self.measure);
                (stats::paired_difference(&ours, &theirs), 0.0)
            }
        };
        Expectation {
            expected: self.sentence(entry),
            line: self.line,
            point: point.clone(),
            optional: self.optional,
            holds: found.is_some_and(|found| self.holds(found, against)),
            found: self.describe(found),
        }
    }

    fn holds(&self, found: Estimate, against: f64) -> bool {
        let half = match (self.sure, found.interval) {
            (false, _) => 0.0,
            (true, Some(half)) => half,
            (true, None) => return false,
        };
        match self.side {
            Side::AtLeast => found.mean - half >= against + self.by,
            Side::MoreThan => found.mean - half > against + self.by,
            Side::AtMost => found.mean + half <= against - self.by,
            Side::LessThan => found.mean + half < against - self.by,
        }
    }

    fn sentence(&self, entry: &str) -> String {
        let side = match self.side {
            Side::AtLeast => "at least",
            Side::AtMost => "at most",
            Side::MoreThan => "more than",
            Side::LessThan => "less than",
        };
        let bound = match &self.bound {
            Bound::Number(number) => number.to_string(),
            Bound::Entry(other) => format!("that of {other}"),
        };
        let by = match self.by {
            0.0 => String::new(),
            by => format!(" by {by}"),
        };
        let surely = if self.sure { "surely " } else { "" };
        format!("{} of {entry} is {surely}{side} {bound}{by}", self.measure)
    }

    fn describe(&self, found: Option<Estimate>) -> String {
        let Some(Estimate { n, mean, interval }) = found else {
            return "no run has this measure".to_owned();
        };
        let what = match self.bound {
            Bound::Number(_) => "",
            Bound::Entry(_) => "a difference of ",
        };
        let interval = interval.map_or_else(String::new, |half| format!(" ± {}", digits(half)));
        let runs = plural(n, "run", "runs");
        format!("{what}{}{interval} in {runs}", digits(mean))
    }
}

/// One measure of a cell, by repetition; none where the run failed or lacks the measure.
pub(super) fn values(
    results: &Results,
    entry: &str,
    point: &Point,
    measure: &str,
) -> Vec<Option<f64>> {
    let cell = results
        .cells
        .iter()
        .find(|cell| cell.compare == entry && &cell.point == point);
    let mut values = vec![None; results.plan.repetitions as usize];
    for run in cell.into_iter().flat_map(|cell| &cell.repetitions) {
        let AssertionOutcome::Measures(measures) = &run.outcome else {
            continue;
        };
        if let Some(value) = values.get_mut(run.repetition as usize) {
            *value = measures.numbers.get(measure).copied();
        }
    }
    values
}

/// A number with as many digits as people compare.
pub(super) fn digits(number: f64) -> String {
    const SIGNIFICANT: i32 = 4;
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let magnitude = libm::floor(libm::log10(number.abs())) as i32;
    let decimals = (SIGNIFICANT - 1 - magnitude).clamp(0, 9) as usize;
    format!("{number:.decimals$}")
}

/// Checks the number of assertions.
pub(super) fn check_count(document: &Document, tables: &[Value<'_>]) -> Result<(), Malformed> {
    match tables.get(limits::EXPERIMENT_EXPECTS_MAX) {
        None => Ok(()),
        Some(one_too_many) => Err(document.malformed(
            &one_too_many.span(),
            format!(
                "an experiment has at most {} assertions",
                limits::EXPERIMENT_EXPECTS_MAX
            ),
        )),
    }
}
