//! Rounds, medians and the table.

use std::time::Instant;

/// Rounds that count, after one warm-up round.
pub(crate) const ROUNDS: usize = 5;

/// One line of the table.
pub(crate) struct Row {
    what: String,
    measured: String,
    against: String,
    ratio: String,
    budget: String,
    verdict: &'static str,
}

impl Row {
    /// A rate compared with another rate that was measured in the same rounds. `least` is the smallest acceptable
    /// ratio.
    pub(crate) fn rates(
        what: &str,
        unit: &str,
        ours: &[f64],
        against: (&str, &[f64]),
        least: Option<f64>,
    ) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(against.1).map(|(a, b)| a / b).collect();
        let ratio = median(&ratios);
        let (low, high) = extremes(&ratios);
        Self {
            what: what.to_owned(),
            measured: format!("{} {unit}", figure(median(ours))),
            against: format!("{}: {} {unit}", against.0, figure(median(against.1))),
            ratio: format!("{ratio:.2} ({low:.2}–{high:.2})"),
            budget: least.map_or("–".into(), |least| format!("≥ {least}")),
            verdict: least.map_or("", |least| verdict(ratio >= least)),
        }
    }

    /// A number that should stay below a bound.
    pub(crate) fn at_most(what: &str, unit: &str, measured: f64, most: Option<f64>) -> Self {
        Self {
            what: what.to_owned(),
            measured: format!("{} {unit}", figure(measured)),
            against: String::new(),
            ratio: String::new(),
            budget: most.map_or("–".into(), |most| format!("≤ {} {unit}", figure(most))),
            verdict: most.map_or("", |most| verdict(measured <= most)),
        }
    }

    /// A time, compared with another that was measured in the same run: its name, its values and the greatest
    /// acceptable ratio.
    pub(crate) fn times(what: &str, ours_ms: &[f64], against: Option<(&str, &[f64], f64)>) -> Self {
        let measured = format!(
            "{:.2} ms, p99 {:.2} ms",
            median(ours_ms),
            quantile(ours_ms, 0.99)
        );
        let Some((name, theirs_ms, most)) = against else {
            return Self {
                what: what.to_owned(),
                measured,
                against: String::new(),
                ratio: String::new(),
                budget: "–".into(),
                verdict: "",
            };
        };
        let ratios: Vec<f64> = ours_ms.iter().zip(theirs_ms).map(|(a, b)| a / b).collect();
        let ratio = median(&ratios);
        Self {
            what: what.to_owned(),
            measured,
            against: format!("{name}: {:.2} ms", median(theirs_ms)),
            ratio: format!("{ratio:.2}"),
            budget: format!("≤ {most}"),
            verdict: verdict(ratio <= most),
        }
    }

    /// A statement and whether it held.
    pub(crate) fn held(what: &str, measured: String, budget: &str, held: bool) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            against: String::new(),
            ratio: String::new(),
            budget: budget.to_owned(),
            verdict: verdict(held),
        }
    }

    /// What could not be measured here, and why.
    pub(crate) fn left_out(what: &str, why: &str) -> Self {
        Self {
            what: what.to_owned(),
            measured: why.to_owned(),
            against: String::new(),
            ratio: String::new(),
            budget: String::new(),
            verdict: "left out",
        }
    }
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Runs these in turn, round after round, and returns the results of each in the order of the rounds. The order is
/// reversed in every other round, so that none always benefits from the one before it.
pub(crate) fn rounds(contenders: &mut [&mut dyn FnMut(usize) -> f64]) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::new(); contenders.len()];
    for round in 0..=ROUNDS {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let measured = contenders[at](round);
            if round > 0 {
                figures[at].push(measured);
            }
        }
    }
    figures
}

/// How long something takes, in seconds.
pub(crate) fn timed(run: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    run();
    begun.elapsed().as_secs_f64()
}

pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

pub(crate) fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted[(last as f64 * part).round() as usize]
}

fn extremes(figures: &[f64]) -> (f64, f64) {
    let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
    (low, figures.iter().copied().fold(0.0, f64::max))
}

fn figure(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Prints what this runs on.
pub(crate) fn machine() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unknown processor", |it| {
        it.trim_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    println!("{model}, {cores} cores; load before the run: {load}; medians of {ROUNDS} rounds\n");
}

/// Prints the table, in Markdown.
pub(crate) fn print(rows: &[Row]) {
    let head = ["what", "measured", "against", "ratio", "budget", "verdict"].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(head)
        .chain(rows.iter().map(|row| {
            let (what, measured, against) = (&row.what, &row.measured, &row.against);
            [
                what,
                measured,
                against,
                &row.ratio,
                &row.budget,
                &row.verdict.to_owned(),
            ]
            .map(String::clone)
        }))
        .collect();
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    println!();
    for (at, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        println!("| {} |", padded.join(" | "));
        if at == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("| {} |", rules.join(" | "));
        }
    }
}
