//! `Axis`: the meaning, range and tick marks of a chart's axis.

use super::text::{number, short};

/// The approximate number of tick marks of an axis.
const MARKS: f64 = 5.0;
/// An axis over given values is logarithmic from this ratio of the greatest to the least value.
const LOGARITHMIC_FROM: f64 = 10.0;
/// Fraction of an axis that stays free beyond the first and last given value.
const EDGE: f64 = 0.04;
/// Maximum number of characters of a tick label.
const MARK_CHARS_MAX: usize = 12;

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// What it means, with its unit.
    pub(super) label: String,
    /// Its lower and upper end, in plotting coordinates.
    pub(super) ends: (f64, f64),
    /// Positions of the tick marks, and their labels.
    pub(super) marks: Vec<(f64, String)>,
    logarithmic: bool,
}

impl Axis {
    /// An axis over these values with ticks at round numbers; it starts at zero where that wastes little space.
    pub(super) fn over(label: &str, values: impl Iterator<Item = f64> + Clone) -> Self {
        let (low, high) = ends(values.clone());
        let whole = are_whole(values);
        let spare = (high - low) * EDGE;
        let (low, high) = if high <= low {
            around(low)
        } else if low >= 0.0 && low < high * 0.4 {
            (0.0, high + spare)
        } else {
            (low - spare, high + spare)
        };
        Self {
            label: label.to_owned(),
            marks: round_marks(low, high, whole),
            ends: (low, high),
            logarithmic: false,
        }
    }

    /// An axis over these values, exactly from the least to the greatest.
    pub(super) fn within(label: &str, values: impl Iterator<Item = f64> + Clone) -> Self {
        let (low, high) = ends(values.clone());
        let whole = are_whole(values);
        let (low, high) = if high <= low {
            around(low)
        } else {
            (low, high)
        };
        Self {
            label: label.to_owned(),
            marks: round_marks(low, high, whole),
            ends: (low, high),
            logarithmic: false,
        }
    }

    /// A logarithmic axis over these values, all above zero, with ticks at powers of ten.
    pub(super) fn decades(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values.filter(|value| *value > 0.0));
        let (low, high) = (
            low.max(f64::MIN_POSITIVE).log10(),
            high.max(f64::MIN_POSITIVE).log10(),
        );
        let (low, high) = if high <= low {
            around(low)
        } else {
            (low, high)
        };
        let powers = low.ceil() as i32..=high.floor() as i32;
        let marks = powers.map(|power| {
            let value = 10f64.powi(power);
            (f64::from(power), mark(value, value))
        });
        Self {
            label: label.to_owned(),
            ends: (low, high),
            marks: marks.collect(),
            logarithmic: true,
        }
    }

    /// An axis with ticks at these values, in ascending order; logarithmic if they span a wide range.
    pub(super) fn at(label: &str, values: &[(f64, String)]) -> Self {
        let (low, high) = ends(values.iter().map(|it| it.0));
        let logarithmic = low > 0.0 && high / low >= LOGARITHMIC_FROM;
        let place = |value: f64| if logarithmic { value.log10() } else { value };
        let (first, last) = (place(low), place(high));
        let (first, last) = if last <= first {
            around(first)
        } else {
            (first, last)
        };
        let spare = (last - first) * EDGE;
        Self {
            label: label.to_owned(),
            ends: (first - spare, last + spare),
            marks: (values.iter())
                .map(|(value, shown)| (place(*value), short(shown, MARK_CHARS_MAX)))
                .collect(),
            logarithmic,
        }
    }

    /// An axis of unordered things, at 0, 1, 2 and so on.
    pub(super) fn named(label: &str, names: &[String], chars: usize) -> Self {
        let last = names.len() as f64 - 0.5;
        Self {
            label: label.to_owned(),
            ends: (-0.5, last.max(0.5)),
            marks: (names.iter().enumerate())
                .map(|(place, name)| (place as f64, short(name, chars)))
                .collect(),
            logarithmic: false,
        }
    }

    /// The position of this value.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.log10()
        } else {
            value
        }
    }

    /// The tick label at this position.
    pub(super) fn mark(&self, place: f64) -> String {
        let found = self.marks.iter().find(|it| it.0 == place);
        found.map_or_else(String::new, |it| it.1.clone())
    }

    /// Leaves out tick labels that would overlap on an axis of `pixels` pixels.
    pub(super) fn thinned(mut self, pixels: f64, pixels_a_char: f64) -> Self {
        let scale = pixels / (self.ends.1 - self.ends.0);
        let mut free_from = f64::NEG_INFINITY;
        self.marks.retain(|(place, mark)| {
            let half = mark.chars().count() as f64 * pixels_a_char / 2.0 + pixels_a_char;
            let middle = place * scale;
            let fits = middle - half >= free_from;
            if fits {
                free_from = middle + half;
            }
            fits
        });
        self
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high { (0.0, 1.0) } else { (low, high) }
}

/// A range around a single value.
fn around(value: f64) -> (f64, f64) {
    if value == 0.0 {
        return (0.0, 1.0);
    }
    let half = value.abs() * 0.1;
    (value - half, value + half)
}

/// Whether the values are whole numbers, so that ticks between whole numbers make no sense.
fn are_whole(mut values: impl Iterator<Item = f64> + Clone) -> bool {
    let (low, high) = ends(values.clone());
    high - low >= 2.0 && values.all(|value| value.fract() == 0.0)
}

/// Round numbers from `low` to `high`.
fn round_marks(low: f64, high: f64, whole: bool) -> Vec<(f64, String)> {
    let rough = (high - low) / MARKS;
    let rough = if whole { rough.max(1.0) } else { rough };
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|it| it * power);
    let fits = |step: &f64| *step >= rough && (!whole || step.fract() == 0.0);
    let step = steps.into_iter().find(fits).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    // Bounded, whatever the ends are.
    (first..=last)
        .take(4 * MARKS as usize)
        .map(|count| {
            let place = count as f64 * step;
            (place, mark(place, step))
        })
        .collect()
}

/// A round number, with thousands, millions and so on as letters.
fn mark(place: f64, step: f64) -> String {
    if place == 0.0 {
        return "0".to_owned();
    }
    for (unit, letter) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if place.abs() >= unit && step >= unit / 100.0 {
            return format!("{}{letter}", number(place / unit));
        }
    }
    number(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|it| it.1.as_str()).collect()
    }

    #[test]
    fn marks_are_round() {
        let check = |values: [f64; 2], expected: &[&str]| {
            assert_eq!(marks(&Axis::over("x", values.into_iter())), expected);
        };
        check([0.0, 1.0], &["0", "0.25", "0.5", "0.75", "1"]);
        check([0.41, 0.47], &["0.42", "0.44", "0.46"]);
        check([0.0, 5_300_000.0], &["0", "2M", "4M"]);
        check([1.0, 12.0], &["0", "5", "10"]);
        check([3.0, 3.0], &["2.8", "3", "3.2"]);
        check([0.0, 0.0], &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check([f64::NAN, 2.0], &["1.8", "1.9", "2", "2.1", "2.2"]);
    }

    #[test]
    fn values_that_span_much_lie_evenly() {
        let values = [1.0, 10.0, 100.0].map(|it| (it, it.to_string()));
        let axis = Axis::at("capacity", &values);
        assert_eq!(marks(&axis), ["1", "10", "100"]);
        assert_eq!(
            [axis.place(1.0), axis.place(10.0), axis.place(100.0)],
            [0.0, 1.0, 2.0]
        );
        assert_eq!(axis.mark(1.0), "10");
    }

    #[test]
    fn marks_do_not_touch() {
        let values: Vec<_> = (0..100).map(|it| (f64::from(it), it.to_string())).collect();
        let axis = Axis::at("x", &values).thinned(300.0, 7.0);
        assert!((5..20).contains(&axis.marks.len()), "{:?}", marks(&axis));
    }
}
