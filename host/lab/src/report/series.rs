//! Charts of the runs' distributions and series: one per series and point of the sweep, one line per entry.

use super::axis::Axis;
use super::chart::{Chart, Joined, LINES_MAX, Line};
use super::figure::Figure;
use super::sweep::sentence;
use super::text::words;
use crate::measures::Series;
use crate::results::{AssertionOutcome, Cell, Point, Results, shown_point};

/// Maximum number of points of the sweep that get charts.
const POINTS_MAX: usize = 4;
/// Maximum number of points of a line in the figure's numbers; of more, every n-th is listed.
const NUMBERS_MAX: usize = 400;
/// Maximum number of series that get charts.
const SERIES_MAX: usize = 16;

/// The charts of the series, those of the sweep's first point first, and how many those are.
pub(super) fn figures(results: &Results) -> (Vec<Figure>, usize) {
    let mut names: Vec<&str> = Vec::new();
    for cell in &results.cells {
        for series in runs(cell) {
            names.extend(series.keys().map(String::as_str));
        }
    }
    names.sort_unstable();
    names.dedup();
    names.truncate(SERIES_MAX);
    let at = |point: &Point| -> Vec<Figure> {
        names
            .iter()
            .filter_map(|name| figure(results, name, point))
            .collect()
    };
    let mut points = results.points().into_iter().take(POINTS_MAX);
    let mut figures = points.next().map_or_else(Vec::new, at);
    let first = figures.len();
    figures.extend(points.flat_map(at));
    (figures, first)
}

/// The series of each successful run of the cell.
fn runs(cell: &Cell) -> impl Iterator<Item = &std::collections::BTreeMap<String, Series>> {
    cell.repetitions
        .iter()
        .filter_map(|run| match &run.outcome {
            AssertionOutcome::Measures(measures) => Some(&measures.series),
            AssertionOutcome::Error(_) => None,
        })
}

fn figure(results: &Results, name: &str, point: &Point) -> Option<Figure> {
    let joined = joined(name);
    let mut axes: Option<(&str, &str)> = None;
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for cell in results.cells.iter().filter(|cell| cell.point == *point) {
        let series: Vec<&Series> = runs(cell).filter_map(|run| run.get(name)).collect();
        let Some(first) = series.first().filter(|it| !it.points.is_empty()) else {
            continue;
        };
        axes.get_or_insert((&first.x_axis, &first.y_axis));
        let points = if joined == Joined::Steps {
            mean_of_steps(&series)
        } else {
            mean(&series)
        };
        let every = points.len().div_ceil(NUMBERS_MAX).max(1);
        let kept = points.iter().step_by(every);
        rows.extend(kept.map(|(x, y)| vec![x.to_string(), cell.compare.clone(), y.to_string()]));
        let number = results
            .plan
            .compare
            .iter()
            .position(|it| *it == cell.compare);
        lines.push(Line {
            name: cell.compare.clone(),
            number: number.unwrap_or(0),
            points: points.into_iter().map(|(x, y)| (x, y, None)).collect(),
        });
    }
    let (x_axis, y_axis) = axes?;
    if joined == Joined::Steps {
        to_the_end(&mut lines);
    }
    let shown = || lines.iter().take(LINES_MAX).flat_map(|line| &line.points);
    let xs = shown().map(|it| it.0);
    let x = if name.ends_with("_by_rank")
        && xs.clone().all(|x| x > 0.0)
        && xs.clone().any(|x| x >= 50.0)
    {
        Axis::decades(x_axis, xs)
    } else {
        Axis::within(x_axis, xs)
    };
    let ys = shown().map(|it| it.1);
    let y = if joined == Joined::Steps && ys.clone().all(|y| (0.0..=1.0).contains(&y)) {
        Axis::over(y_axis, ys.chain([0.0, 1.0]))
    } else {
        Axis::over(y_axis, ys)
    };
    let at = shown_point(point);
    let at = if at.is_empty() {
        at
    } else {
        format!(" at {at}")
    };
    let title = format!("{}{at}", sentence(&words(name)));
    let chart = Chart {
        x,
        y,
        joined,
        title: None,
        lines,
    };
    let which = match results.plan.repetitions {
        0 | 1 => String::new(),
        runs => format!("Mean of {runs} repetitions."),
    };
    Some(Figure {
        caption: which + &chart.hidden(),
        description: format!(
            "{y_axis} over {x_axis} for {}",
            results.plan.compare.join(", ")
        ),
        head: vec![x_axis.to_owned(), "entry".to_owned(), y_axis.to_owned()],
        drawing: chart.drawing(),
        title,
        rows,
    })
}

/// Extends all distributions to where the longest of them ends, each with its last value.
fn to_the_end(lines: &mut [Line]) {
    let ends = lines.iter().filter_map(|line| line.points.last());
    let end = ends.map(|it| it.0).fold(f64::NEG_INFINITY, f64::max);
    for line in lines {
        if let Some(&(_, y, _)) = line.points.last().filter(|it| it.0 < end) {
            line.points.push((end, y, None));
        }
    }
}

/// Distributions keep their value until the next one.
fn joined(name: &str) -> Joined {
    if name.contains("cdf") || name.contains("distribution") {
        Joined::Steps
    } else {
        Joined::Straight
    }
}

/// The mean of several series, at those positions of the first one that all of them reach; the values of the
/// others are interpolated linearly.
fn mean(series: &[&Series]) -> Vec<(f64, f64)> {
    let firsts = series.iter().filter_map(|it| it.points.first());
    let lasts = series.iter().filter_map(|it| it.points.last());
    let from = firsts.map(|it| it.0).fold(f64::NEG_INFINITY, f64::max);
    let to = lasts.map(|it| it.0).fold(f64::INFINITY, f64::min);
    let places = series[0].points.iter().map(|it| it.0);
    places
        .filter(|place| (from..=to).contains(place))
        .map(|place| {
            let sum: f64 = series.iter().map(|it| at(&it.points, place)).sum();
            (place, sum / series.len() as f64)
        })
        .collect()
}

/// The value at a position between the first and the last point.
fn at(points: &[(f64, f64)], place: f64) -> f64 {
    let after = points.partition_point(|it| it.0 < place);
    let (right, left) = (points[after], points[after.saturating_sub(1)]);
    if right.0 == place || right.0 <= left.0 {
        return right.1;
    }
    left.1 + (right.1 - left.1) * (place - left.0) / (right.0 - left.0)
}

/// The mean of series whose value is constant until their next point, and 0 before their first.
fn mean_of_steps(series: &[&Series]) -> Vec<(f64, f64)> {
    let all = series.iter().flat_map(|it| &it.points);
    let mut places: Vec<f64> = all.map(|it| it.0).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let mut next = vec![0; series.len()];
    let mean = |place: f64| {
        let mut sum = 0.0;
        for (series, next) in series.iter().zip(&mut next) {
            while series.points.get(*next).is_some_and(|it| it.0 <= place) {
                *next += 1;
            }
            sum += next
                .checked_sub(1)
                .map_or(0.0, |last| series.points[last].1);
        }
        (place, sum / series.len() as f64)
    };
    places.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_averaged_where_all_of_them_are() {
        let series = |points: &[(f64, f64)]| Series {
            points: points.to_vec(),
            ..Series::default()
        };
        let a = series(&[(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]);
        let same = series(&[(0.0, 3.0), (1.0, 6.0), (2.0, 3.0)]);
        assert_eq!(mean(&[&a, &same]), [(0.0, 2.0), (1.0, 4.0), (2.0, 3.0)]);
        let between = series(&[(0.5, 2.0), (1.5, 4.0), (2.5, 6.0)]);
        assert_eq!(mean(&[&a, &between]), [(1.0, 2.5), (2.0, 4.0)]);
        assert_eq!(mean(&[&a, &series(&[(9.0, 1.0)])]), []);
    }

    #[test]
    fn steps_are_averaged_wherever_they_are() {
        let series = |points: &[(f64, f64)]| Series {
            points: points.to_vec(),
            ..Series::default()
        };
        let (a, b) = (
            series(&[(0.0, 0.5), (2.0, 1.0)]),
            series(&[(1.0, 0.5), (3.0, 1.0)]),
        );
        let expected = [(0.0, 0.25), (1.0, 0.5), (2.0, 0.75), (3.0, 1.0)];
        assert_eq!(mean_of_steps(&[&a, &b]), expected);
    }
}
