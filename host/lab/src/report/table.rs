//! The comparison in numbers: means with intervals, differences from the baseline, ranks.

use super::figure::scrolling;
use super::text::{escaped, label, number, scaled, with_interval, words};
use crate::measures::{self, Better};
use crate::results::{Results, Row, Summary, shown_point};

/// The measures that the results have: first those with a better and a worse direction, in the order of the list
/// of measures.
pub(super) fn measured(results: &Results) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in &results.table {
        names.extend(row.measures.keys().map(String::as_str));
    }
    names.sort_unstable();
    names.dedup();
    let place = |name: &str| {
        let listed = measures::ALL
            .iter()
            .position(|measure| measure.name == name);
        (
            better(name) == Better::Neither,
            listed.unwrap_or(usize::MAX),
        )
    };
    names.sort_by_key(|name| place(name));
    names
}

/// Which way this measure is better.
pub(super) fn better(name: &str) -> Better {
    measures::find(name).map_or(Better::Neither, |measure| measure.better)
}

/// The unit of this measure; empty when it has none, or is not listed.
pub(super) fn unit(name: &str) -> &'static str {
    measures::find(name).map_or("", |measure| measure.unit)
}

/// The greatest absolute mean of this measure.
pub(super) fn largest(results: &Results, name: &str) -> f64 {
    let means = results
        .table
        .iter()
        .filter_map(|row| row.measures.get(name));
    means.map(|summary| summary.mean.abs()).fold(0.0, f64::max)
}

/// Whether the cells have different means of this measure.
pub(super) fn differs(results: &Results, name: &str) -> bool {
    let measures = results
        .table
        .iter()
        .filter_map(|row| row.measures.get(name));
    let mut means = measures.map(|summary| summary.mean);
    let first = means.next();
    means.any(|mean| Some(mean) != first)
}

/// All numbers. Without a sweep, one table with one row per measure; with one, a table per measure with one row
/// per point. A separate table lists measures that are the same everywhere.
pub(super) fn html(results: &Results) -> String {
    let (names, same): (Vec<&str>, Vec<&str>) = measured(results)
        .into_iter()
        .partition(|name| differs(results, name));
    let points = results.points();
    let mut html = String::new();
    if let [point] = points[..] {
        let rows: Vec<(String, &str, Vec<Option<&Row>>)> = names
            .iter()
            .map(|name| (heading(results, name), *name, row_of(results, point)))
            .collect();
        if !rows.is_empty() {
            html = comparison(results, "Measures", "Measure", &rows);
        }
        return html + &alike(results, &same);
    }
    for (place, name) in names.iter().enumerate() {
        let rows: Vec<(String, &str, Vec<Option<&Row>>)> = points
            .iter()
            .map(|point| (escaped(&shown_point(point)), *name, row_of(results, point)))
            .collect();
        let open = if place == 0 { " open=\"open\"" } else { "" };
        html.push_str(&format!(
            "<details{open}><summary>{}</summary>{}</details>\n",
            heading(results, name),
            comparison(results, &words(name), "Sweep", &rows)
        ));
    }
    html + &alike(results, &same)
}

/// The measures that have the same value in all cells.
fn alike(results: &Results, names: &[&str]) -> String {
    let rows: String = names
        .iter()
        .map(|name| {
            let value = common_mean(results, name);
            let (divisor, _) = scaled(unit(name), value);
            let heading = heading(results, name);
            format!(
                "<tr><th scope=\"row\">{heading}</th><td>{}</td></tr>",
                number(value / divisor)
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let table = format!(
        "<table class=\"compare\"><thead><tr><th scope=\"col\">Measure</th><th scope=\"col\">Mean</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    );
    format!(
        "<details><summary>The same everywhere: {}</summary>{}</details>\n",
        names.len(),
        scrolling("Measures that are the same everywhere", &table)
    )
}

/// The mean that all cells have.
fn common_mean(results: &Results, name: &str) -> f64 {
    let mut summaries = results
        .table
        .iter()
        .filter_map(|row| row.measures.get(name));
    summaries.next().map_or(0.0, |summary| summary.mean)
}

fn row_of<'a>(results: &'a Results, point: &crate::results::Point) -> Vec<Option<&'a Row>> {
    let compare = results.plan.compare.iter();
    compare.map(|name| results.row(name, point)).collect()
}

/// A measure's name, unit and meaning.
fn heading(results: &Results, name: &str) -> String {
    let (_, unit) = scaled(unit(name), largest(results, name));
    let meaning = measures::find(name).map_or("", |measure| measure.meaning);
    let way = match better(name) {
        Better::Higher => " <small>more is better</small>",
        Better::Lower => " <small>less is better</small>",
        Better::Neither => "",
    };
    format!(
        "<span title=\"{}\">{}</span>{way}",
        escaped(meaning),
        escaped(&label(name, &unit))
    )
}

/// Rows with a heading, a measure and the cells by compare entry.
fn comparison(
    results: &Results,
    name: &str,
    corner: &str,
    rows: &[(String, &str, Vec<Option<&Row>>)],
) -> String {
    let mut head = format!("<th scope=\"col\">{corner}</th>");
    for entry in &results.plan.compare {
        let baseline = if *entry == results.plan.baseline && results.plan.compare.len() > 1 {
            " <small>baseline</small>"
        } else {
            ""
        };
        head.push_str(&format!(
            "<th scope=\"col\">{}{baseline}</th>",
            escaped(entry)
        ));
    }
    let mut body = String::new();
    for (heading, measure, cells) in rows {
        let (divisor, _) = scaled(unit(measure), largest(results, measure));
        body.push_str(&format!("<tr><th scope=\"row\">{heading}</th>"));
        for row in cells {
            let summary = row.and_then(|row| row.measures.get(*measure));
            body.push_str(&summary.map_or_else(
                || "<td class=\"none\">–</td>".to_owned(),
                |summary| {
                    cell(
                        summary,
                        divisor,
                        better(measure),
                        results.plan.compare.len(),
                    )
                },
            ));
        }
        body.push_str("</tr>");
    }
    let table = format!(
        "<table class=\"compare\"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    );
    scrolling(name, &table)
}

fn cell(summary: &Summary, divisor: f64, better: Better, entries: usize) -> String {
    let scale = |half: Option<f64>| half.map(|half| half / divisor);
    let mean = with_interval(summary.mean / divisor, scale(summary.interval));
    let rank = summary.rank.map_or_else(String::new, |rank| {
        let shown = if rank.from == rank.to {
            rank.from.to_string()
        } else {
            format!("{}–{}", rank.from, rank.to)
        };
        // If every entry may be the best, none is highlighted.
        let best = if rank.from == 1 && (rank.to as usize) < entries {
            " best"
        } else {
            ""
        };
        format!("<b class=\"rank{best}\" title=\"rank\">{shown}</b>")
    });
    let difference = summary
        .difference
        .as_ref()
        .map_or_else(String::new, |difference| {
            let sign = if difference.mean > 0.0 { "+" } else { "" };
            let told = with_interval(difference.mean / divisor, scale(difference.interval));
            let good = match better {
                Better::Higher => difference.mean > 0.0,
                Better::Lower => difference.mean < 0.0,
                Better::Neither => false,
            };
            let (class, word) = match (difference.is_significant(), better, good) {
                (false, ..) => ("", "no significant difference"),
                (true, Better::Neither, _) => ("sure", "a significant difference"),
                (true, _, true) => ("good", "better"),
                (true, _, false) => ("bad", "worse"),
            };
            format!("<small class=\"{class}\" title=\"{word}\">{sign}{told}</small>")
        });
    let runs = match summary.n {
        1 => "one run".to_owned(),
        n => format!("mean of {} runs", number(f64::from(n))),
    };
    format!("<td><span title=\"{runs}\">{mean}</span>{rank}{difference}</td>")
}
