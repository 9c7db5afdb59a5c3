//! `Histogram`: how often each number occurred, to about a thousandth, in bounded memory.

use std::collections::BTreeMap;

/// The precision of the numbers, in bits.
const DIGITS: u32 = 11;

/// Numbers and how often each occurred. Numbers below 2048 are exact; greater ones are rounded down to 11 binary
/// digits, an error of less than a thousandth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Histogram {
    counts: BTreeMap<u64, u64>,
    count: u64,
    sum: u128,
}

impl Histogram {
    pub(super) fn add(&mut self, number: u64) {
        let spare = (u64::BITS - number.leading_zeros()).saturating_sub(DIGITS);
        *self.counts.entry(number >> spare << spare).or_default() += 1;
        self.count += 1;
        self.sum += u128::from(number);
    }

    /// The exact mean; none without numbers.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The least number that is not exceeded by this share of all (nearest rank); none without numbers.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let rank = (libm::ceil(share * self.count as f64) as u64).max(1);
        let mut seen = 0;
        self.counts.iter().find_map(|(&number, &count)| {
            seen += count;
            (seen >= rank).then_some(number)
        })
    }

    /// The share of numbers that are no greater than each of about `points` numbers.
    pub(super) fn cumulative(&self, points: usize) -> Vec<(u64, f64)> {
        let mut curve = Vec::new();
        let (mut seen, mut due) = (0, 0.0);
        for (&number, &count) in &self.counts {
            seen += count;
            let share = seen as f64 / self.count as f64;
            if share >= due || seen == self.count || self.counts.len() <= points {
                curve.push((number, share));
                due = share + 1.0 / points as f64;
            }
        }
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        numbers.into_iter().for_each(|number| histogram.add(number));
        histogram
    }

    #[test]
    fn quantiles_are_numbers_that_were_seen() {
        let histogram = of(1..=100);
        assert_eq!(histogram.mean(), Some(50.5));
        for (share, expected) in [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)] {
            assert_eq!(histogram.quantile(share), Some(expected), "{share}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::default().mean(), None);
    }

    #[test]
    fn great_numbers_are_rounded_by_less_than_a_thousandth() {
        for number in [2_047, 2_048, 1_000_003, u64::MAX] {
            let found = of([number]).quantile(0.5).expect("one exists");
            assert!(
                found <= number && number - found <= number / 1_000,
                "{number} {found}"
            );
        }
    }

    #[test]
    fn a_curve_ends_at_one_and_has_about_as_many_points_as_asked_for() {
        let curve = of(1..=2_000).cumulative(50);
        assert!((40..=60).contains(&curve.len()), "{}", curve.len());
        assert_eq!(curve.last(), Some(&(2_000, 1.0)));
        assert_eq!(
            of([1, 1, 2, 5]).cumulative(50),
            [(1, 0.5), (2, 0.75), (5, 1.0)]
        );
    }
}
