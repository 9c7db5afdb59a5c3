//! The comparison in charts: each measure over each axis of the sweep, or entry by entry without a sweep.

use serde_json::Value;

use super::axis::Axis;
use super::chart::{Chart, Joined, LINES_MAX, Line};
use super::dots::Dots;
use super::figure::Figure;
use super::table::{differs, largest, measured, unit};
use super::text::{self, scaled, words};
use crate::results::{Axis as SweepAxis, Point, Results, Summary, shown, shown_point};

/// The most important measures, in this order; other measures with a better and a worse direction follow in the
/// order of the list of measures.
const ASKED_MOST: [&str; 8] = [
    "hit_ratio",
    "hops_mean",
    "latency_ms_mean",
    "link_bytes_per_read",
    "served_cv",
    "unavailable_ratio",
    "byte_hit_ratio",
    "probes_per_search",
];
/// Maximum number of measures that get charts.
const MEASURES_MAX: usize = 12;
/// Maximum number of combinations of the other axes' values that get charts, per measure and axis.
const OTHERS_MAX: usize = 4;

/// Charts of the comparison, the most informative first.
pub(super) fn figures(results: &Results) -> Vec<Figure> {
    let names = telling(results);
    if results.plan.sweep.iter().all(|axis| axis.values.len() < 2) {
        let points = results.points();
        let point = points.first().copied();
        return point.map_or_else(Vec::new, |point| {
            names
                .iter()
                .filter_map(|name| dots(results, name, point))
                .collect()
        });
    }
    let mut figures = Vec::new();
    for name in names {
        for axis in results
            .plan
            .sweep
            .iter()
            .filter(|axis| axis.values.len() > 1)
        {
            let others = others(results, axis);
            let all = others.len();
            for (place, other) in others.iter().take(OTHERS_MAX).enumerate() {
                let mut figure = over(results, name, axis, other);
                if place + 1 == OTHERS_MAX && all > OTHERS_MAX {
                    figure.caption.push_str(&format!(
                        " {} more combinations are in the table only.",
                        all - OTHERS_MAX
                    ));
                }
                figures.push(figure);
            }
        }
    }
    figures
}

/// The measures that differ and are therefore worth a chart: first those with an assertion, then the most
/// important, then the others.
fn telling(results: &Results) -> Vec<&str> {
    let mut names: Vec<&str> = measured(results)
        .into_iter()
        .filter(|name| differs(results, name))
        .collect();
    let is_expected = |name: &str| {
        let mut expected = results.expectations.iter().map(|it| it.expected.as_str());
        expected.any(|text| text.split(' ').any(|word| word == name))
    };
    // A stable sort: the order within each group stays.
    names.sort_by_key(|name| {
        let asked = ASKED_MOST.iter().position(|it| it == name);
        (!is_expected(name), asked.unwrap_or(usize::MAX))
    });
    names.truncate(MEASURES_MAX);
    names
}

/// The points of the sweep without this axis, each once.
fn others(results: &Results, axis: &SweepAxis) -> Vec<Point> {
    let mut others: Vec<Point> = Vec::new();
    for point in results.points() {
        let mut other = point.clone();
        other.remove(&axis.key);
        if !others.contains(&other) {
            others.push(other);
        }
    }
    others
}

/// The numeric values of an axis: plain numbers, or numbers that all have the same unit.
fn quantities(values: &[Value]) -> Option<Vec<f64>> {
    let mut common = None;
    let mut quantities = Vec::with_capacity(values.len());
    for value in values {
        let text = shown(value);
        let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
        let suffix = text[digits.len()..].trim();
        let (factor, family) = match suffix {
            "" => (1.0, ""),
            "%" => (1.0, "%"),
            "B" => (1.0, "bytes"),
            "KiB" => (1024.0, "bytes"),
            "MiB" => (1024.0 * 1024.0, "bytes"),
            "GiB" => (1024.0 * 1024.0 * 1024.0, "bytes"),
            "KB" | "kB" => (1e3, "bytes"),
            "MB" => (1e6, "bytes"),
            "GB" => (1e9, "bytes"),
            other => (1.0, other),
        };
        let number: f64 = digits.parse().ok()?;
        if *common.get_or_insert(family.to_owned()) != family || !number.is_finite() {
            return None;
        }
        quantities.push(number * factor);
    }
    Some(quantities)
}

/// One measure over one axis; the other axes have the values in `other`.
fn over(results: &Results, name: &str, axis: &SweepAxis, other: &Point) -> Figure {
    let quantities = quantities(&axis.values);
    let joined = if quantities.is_some() {
        Joined::Straight
    } else {
        Joined::Apart
    };
    let places = quantities.unwrap_or_else(|| (0..axis.values.len()).map(|it| it as f64).collect());
    let (divisor, unit) = scaled(unit(name), largest(results, name));
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let label = text::label(name, &unit);
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (number, entry) in results.plan.compare.iter().enumerate() {
        let mut points = Vec::new();
        for &place in &order {
            let mut point = other.clone();
            point.insert(axis.key.clone(), axis.values[place].clone());
            let summary = results
                .row(entry, &point)
                .and_then(|row| row.measures.get(name));
            if let Some(Summary {
                mean, interval, n, ..
            }) = summary
            {
                // Side by side where several would be at the same position.
                let aside = if joined == Joined::Apart {
                    (number as f64 + 0.5) / results.plan.compare.len() as f64 * 0.6 - 0.3
                } else {
                    0.0
                };
                let half = interval.map(|half| half / divisor);
                points.push((places[place] + aside, mean / divisor, half));
                let half = interval.map(|it| it.to_string()).unwrap_or_default();
                rows.push(vec![
                    shown(&axis.values[place]),
                    entry.clone(),
                    mean.to_string(),
                    half,
                    n.to_string(),
                ]);
            }
        }
        lines.push(Line {
            name: entry.clone(),
            number,
            points,
        });
    }
    let marks: Vec<(f64, String)> = order
        .iter()
        .map(|&at| (places[at], shown(&axis.values[at])))
        .collect();
    let named: Vec<String> = axis.values.iter().map(shown).collect();
    let x_label = words(&axis.key);
    let chart = Chart {
        x: if joined == Joined::Apart {
            Axis::named(&x_label, &named, 14)
        } else {
            Axis::at(&x_label, &marks)
        },
        y: y_axis(&label, &lines),
        joined,
        title: None,
        lines,
    };
    let at = shown_point(other);
    let at = if at.is_empty() {
        at
    } else {
        format!(" at {at}")
    };
    Figure {
        title: format!(
            "{} over {}{at}",
            sentence(&text::bare(name, &unit)),
            axis.key
        ),
        caption: caption(results) + &chart.hidden(),
        description: format!(
            "{label} over {} for {}{at}, with 95 % intervals",
            axis.key,
            results.plan.compare.join(", ")
        ),
        drawing: chart.drawing(),
        head: ["point", "entry", name, "half the 95 % interval", "runs"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    }
}

/// One measure of all entries, side by side.
fn dots(results: &Results, name: &str, point: &Point) -> Option<Figure> {
    let (divisor, unit) = scaled(unit(name), largest(results, name));
    let label = text::label(name, &unit);
    let summaries: Vec<(String, usize, &Summary)> = (results.plan.compare.iter().enumerate())
        .filter_map(|(number, entry)| {
            let summary = results.row(entry, point)?.measures.get(name)?;
            Some((entry.clone(), number, summary))
        })
        .collect();
    let (first, _) = summaries.split_first()?;
    let ends = summaries.iter().flat_map(|(_, _, it)| {
        let half = it.interval.unwrap_or(0.0);
        [(it.mean - half) / divisor, (it.mean + half) / divisor]
    });
    let dots = Dots {
        x: Axis::over(&label, ends),
        rows: (summaries.iter())
            .map(|(entry, number, it)| {
                (
                    entry.clone(),
                    *number,
                    it.mean / divisor,
                    it.interval.map(|half| half / divisor),
                )
            })
            .collect(),
    };
    let rows = summaries.iter().map(|(entry, _, it)| {
        let half = it.interval.map(|half| half.to_string()).unwrap_or_default();
        vec![entry.clone(), it.mean.to_string(), half, it.n.to_string()]
    });
    Some(Figure {
        title: sentence(&text::bare(name, &unit)),
        caption: if first.2.interval.is_some() {
            INTERVALS.to_owned()
        } else {
            String::new()
        },
        description: format!(
            "{label} of {}, with 95 % intervals",
            results.plan.compare.join(", ")
        ),
        drawing: dots.drawing(),
        head: ["entry", name, "half the 95 % interval", "runs"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    })
}

const INTERVALS: &str = "Whiskers are 95 % intervals of the mean.";

fn caption(results: &Results) -> String {
    let mut caption = if results.plan.repetitions > 1 {
        INTERVALS.to_owned()
    } else {
        String::new()
    };
    let entries = results.plan.compare.len();
    if entries > LINES_MAX {
        caption.push_str(&format!(
            " The first {LINES_MAX} of {entries} entries are drawn."
        ));
    }
    caption
}

/// The axis of the values and their intervals.
fn y_axis(label: &str, lines: &[Line]) -> Axis {
    let ends = lines
        .iter()
        .take(LINES_MAX)
        .flat_map(|line| &line.points)
        .flat_map(|&(_, y, half)| {
            let half = half.unwrap_or(0.0);
            [y - half, y + half]
        });
    Axis::over(label, ends)
}

/// The words with an initial capital.
pub(super) fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sweeps_values_are_numbers_when_all_have_one_unit() {
        let check = |values: Value, expected: Option<&[f64]>| {
            let values = values.as_array().expect("a list").clone();
            assert_eq!(quantities(&values).as_deref(), expected);
        };
        check(json!([0.5, 1, 2]), Some(&[0.5, 1.0, 2.0]));
        check(json!(["5%", "10 %"]), Some(&[5.0, 10.0]));
        check(json!(["512 KiB", "1 MiB"]), Some(&[524_288.0, 1_048_576.0]));
        check(json!(["5%", 10]), None);
        check(json!(["lru", "gdsf"]), None);
        check(json!([true, 1]), None);
    }
}
