//! The report: the results of an experiment as one self-contained page, and charts as files.
//!
//! `html` takes [`Results`] and builds the page section by section: tables (`table`), charts of measures (`sweep`)
//! and of distributions (`series`), drawings of the network (`network`), and what was run (`made`). `chart`,
//! `dots`, `axis`, `canvas` and `palette` draw; `text` escapes and formats.
//!
//! The page loads nothing and runs nothing: its style, drawings and files to save are embedded, and its content
//! security policy forbids the browser to fetch anything for it. Any name in it may come from a stranger and is
//! escaped. It is well-formed XML, so any XML reader finds a mistake in that.
//!
//! The report never computes results; it only decides how to draw them.

mod axis;
mod canvas;
mod chart;
mod dots;
mod figure;
mod layout;
mod made;
mod network;
mod palette;
mod series;
mod sweep;
mod table;
mod text;

use crate::results::Results;
use axis::Axis;
use chart::{Chart, Joined, Line};
use figure::Figure;
use text::{escaped, number};

const STYLE: &str = include_str!("page.css");
/// Figures of a section that are visible immediately; the others are collapsed.
const SHOWN_MAX: usize = 6;
/// Maximum number of values of an axis that all get a tick label.
const MARKED_VALUES_MAX: usize = 14;

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// `x` and `y`, `x` ascending.
    pub points: Vec<(f64, f64)>,
}

/// A chart of these curves, as an SVG file. At most twelve are drawn. The axis labels include the units.
#[must_use]
pub fn curves_svg(title: &str, x_axis: &str, y_axis: &str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let mut values: Vec<f64> = all().map(|it| it.0).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let marks: Vec<(f64, String)> = values
        .iter()
        .map(|value| (*value, number(*value)))
        .collect();
    let chart = Chart {
        x: if marks.len() <= MARKED_VALUES_MAX {
            Axis::at(x_axis, &marks)
        } else {
            Axis::within(x_axis, values.into_iter())
        },
        y: Axis::over(y_axis, all().map(|it| it.1)),
        joined: Joined::Straight,
        title: Some(title.to_owned()),
        lines: (curves.iter().enumerate())
            .map(|(number, curve)| Line {
                name: curve.name.clone(),
                number,
                points: curve.points.iter().map(|&(x, y)| (x, y, None)).collect(),
            })
            .collect(),
    };
    let names: Vec<&str> = curves.iter().map(|curve| curve.name.as_str()).collect();
    let description = format!("{y_axis} over {x_axis} for {}", names.join(", "));
    chart.drawing().alone(title, &description)
}

/// A section of the page.
struct Section {
    id: &'static str,
    name: &'static str,
    /// Empty if there is nothing to show.
    body: String,
}

/// Renders the page of these results.
#[must_use]
pub fn html(results: &Results) -> String {
    let mut number = 0;
    let mut plots = |figures: &[Figure], shown: usize| {
        let mut html = figures.iter().map(|figure| {
            number += 1;
            figure.html(number)
        });
        let first: String = html.by_ref().take(shown).collect();
        let rest: String = html.collect();
        if first.is_empty() {
            return first;
        }
        let more = match figures.len().saturating_sub(shown) {
            0 => String::new(),
            left => format!(
                "<details><summary>{left} more</summary><div class=\"plots\">{rest}</div></details>\n"
            ),
        };
        format!("<div class=\"plots\">{first}</div>{more}")
    };
    let section = |id, name, body| Section { id, name, body };
    let (series, first_series) = series::figures(results);
    let sections = [
        section("failures", "Runs that failed", made::failures(results)),
        section("expectations", "Expectations", made::expectations(results)),
        section(
            "charts",
            "Comparison",
            plots(&sweep::figures(results), SHOWN_MAX),
        ),
        section("numbers", "In numbers", in_numbers(results)),
        section(
            "series",
            "Distributions and series",
            plots(&series, first_series),
        ),
        section(
            "network",
            "Network and load",
            drawn(&plots(&network::figures(results), SHOWN_MAX), results),
        ),
        section("run", "What was run", made::html(results)),
    ];
    let present = || sections.iter().filter(|section| !section.body.is_empty());
    let links: String = present()
        .map(|it| format!("<li><a href=\"#{}\">{}</a></li>", it.id, it.name))
        .collect();
    let body: String = present()
        .map(|it| {
            format!(
                "<section id=\"{}\"><h2>{}</h2>\n{}</section>\n",
                it.id, it.name, it.body
            )
        })
        .collect();
    let title = match results.experiment.file.strip_suffix(".toml") {
        Some(name) if !name.is_empty() => name,
        _ => "Experiment",
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/><title>{title} – Dataverse lab</title>\
         <style>{STYLE}{}</style></head>\n<body><header><h1>{title}</h1><p class=\"lead\">{}</p>{}\
         <nav aria-label=\"Sections\"><ul>{links}</ul></nav></header>\n<main>\n{body}</main></body></html>\n",
        palette::dark_rules(),
        made::summary(results),
        made::notes(results),
        title = escaped(title),
    )
}

fn in_numbers(results: &Results) -> String {
    if results.table.is_empty() {
        return String::new();
    }
    let several = results.plan.compare.len() > 1;
    let how = if several {
        "Means over the repetitions, ± half of the 95 % Student-t interval; below, the paired difference from the \
         baseline, coloured where its interval excludes zero. The rank next to a mean is a range where the \
         repetitions cannot tell entries apart; entries that may be the best are dark."
    } else {
        "Means over the repetitions, ± half of the 95 % Student-t interval."
    };
    format!("<p class=\"hint\">{how}</p>{}", table::html(results))
}

fn drawn(plots: &str, results: &Results) -> String {
    if plots.is_empty() {
        return String::new();
    }
    let repetitions = results.plan.repetitions;
    let which = if repetitions > 1 || results.points().len() > 1 {
        " The drawings show the first point of the sweep and the first repetition."
    } else {
        ""
    };
    format!(
        "<p class=\"hint\">A node's area shows the reads it answered, a link's width the bytes it carried. All drawings \
         have the same scale.{which}</p>{}{plots}",
        network::zones(results)
    )
}

#[cfg(test)]
mod tests;
