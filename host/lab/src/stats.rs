//! The statistics of repetitions: means with their intervals, paired differences, ranks and quantiles.
//!
//! Repetitions are few (five, ten), so the intervals are Student's (1908), not the normal distribution's. They
//! assume that the runs' numbers are independent, which holds because each run has its own seed, and roughly
//! normal. All sums are taken in the order of the repetitions, so that equal runs give equal bits.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The confidence of this module's intervals: 95 of 100 such intervals cover the true value.
pub const CONFIDENCE: f64 = 0.95;

/// A mean and its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Values.
    pub n: u32,
    /// Their mean.
    pub mean: f64,
    /// Half the width of the mean's 95 % Student-t interval; none for fewer than two values.
    pub interval: Option<f64>,
}

/// The mean; none without values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation (n − 1 degrees of freedom); none for fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The mean with its interval; none without values.
#[must_use]
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let interval = standard_deviation(values)
        .map(|deviation| critical(values.len()) * deviation / (values.len() as f64).sqrt());
    Some(Estimate {
        n: u32::try_from(values.len()).unwrap_or(u32::MAX),
        mean: mean(values)?,
        interval,
    })
}

/// The mean of `ours − theirs`, pair by pair, over the pairs in which both have a value.
///
/// Runs with the same seed see the same requests, so the effect of the seed on both cancels out: the interval of
/// the differences is mostly far narrower than that of either side.
#[must_use]
pub fn paired_difference(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Estimate> {
    let differences: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .filter_map(|(ours, theirs)| Some((*ours)? - (*theirs)?))
        .collect();
    estimate(&differences)
}

/// A rank among several, and how certain it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// From 1, by the mean alone; equal means share a place.
    pub place: u32,
    /// One more than the number of those that are significantly better.
    pub from: u32,
    /// The number of all, less those that are significantly worse.
    pub to: u32,
}

/// Ranks several contenders by their repetitions, the greatest mean first, or the least if `lower_is_better`.
///
/// One is significantly better than another when the interval of their paired difference excludes zero. The
/// intervals are not widened for the number of comparisons: of twenty pairs without any true difference, one is
/// expected to look different. Contenders without a value have no rank and are not counted.
#[must_use]
pub fn ranks(contenders: &[Vec<Option<f64>>], lower_is_better: bool) -> Vec<Option<Ranking>> {
    let sign = if lower_is_better { -1.0 } else { 1.0 };
    let means: Vec<Option<f64>> = contenders
        .iter()
        .map(|values| {
            let present: Vec<f64> = values.iter().flatten().copied().collect();
            mean(&present).map(|mean| sign * mean)
        })
        .collect();
    let ranked = means.iter().flatten().count();
    contenders
        .iter()
        .zip(&means)
        .map(|(ours, &our_mean)| {
            let our_mean = our_mean?;
            let (mut ahead, mut better, mut worse) = (0, 0, 0);
            for (theirs, their_mean) in contenders.iter().zip(&means) {
                let Some(their_mean) = *their_mean else {
                    continue;
                };
                ahead += usize::from(their_mean > our_mean);
                match sure_sign(paired_difference(ours, theirs)) {
                    Some(found) if found * sign < 0.0 => better += 1,
                    Some(_) => worse += 1,
                    None => {}
                }
            }
            Some(Ranking {
                place: count(ahead) + 1,
                from: count(better) + 1,
                to: count(ranked - worse),
            })
        })
        .collect()
}

/// The sign of a difference that is significant.
fn sure_sign(difference: Option<Estimate>) -> Option<f64> {
    let Estimate { mean, interval, .. } = difference?;
    (mean != 0.0 && mean.abs() > interval?).then(|| mean.signum())
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// The quantile at `share` (from 0 to 1) of ascending values, interpolated linearly between neighbours: type 7 of
/// Hyndman and Fan (1996), the default of R and `NumPy`. None without values.
#[must_use]
pub fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor();
    let (low, part) = (below as usize, place - below);
    let high = (low + 1).min(last);
    Some(ascending[low] + part * (ascending[high] - ascending[low]))
}

/// Student's t for the 95 % interval of the mean of `values` values, at least two.
///
/// Rounded to ten digits: the last bits depend on the platform's logarithm, and results must not.
fn critical(values: usize) -> f64 {
    const DIGITS: f64 = 1e9;
    let freedom = (values - 1) as f64;
    let student = StudentsT::new(0.0, 1.0, freedom).expect("there are at least two values");
    let upper = student.inverse_cdf(f64::midpoint(1.0, CONFIDENCE));
    (upper * DIGITS).round() / DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, within: f64) {
        assert!(
            (found - expected).abs() <= within,
            "{found} is not {expected}"
        );
    }

    /// Student's t, two-sided 95 %, from the table of the NIST/SEMATECH handbook, section 1.3.6.7.2.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (freedom, expected) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (9, 2.262),
            (10, 2.228),
            (29, 2.045),
            (30, 2.042),
            (99, 1.984),
            (1000, 1.962),
        ] {
            close(critical(freedom + 1), expected, 5e-4);
        }
    }

    /// Student's own first example (Biometrika 6, 1908): how much longer the same ten patients slept with each of
    /// two soporifics.
    #[test]
    fn students_sleepers_come_out_as_published() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        close(mean(&first).expect("values"), 0.75, 1e-12);
        close(standard_deviation(&first).expect("values"), 1.789_010, 1e-6);
        let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        let difference = paired_difference(&some(&first), &some(&second)).expect("ten pairs");
        // R: t.test(extra ~ group, data = sleep, paired = TRUE) gives −1.58 and −2.4598858 … −0.7001142.
        close(difference.mean, -1.58, 1e-12);
        close(difference.interval.expect("ten pairs"), 0.879_885_8, 1e-6);
        assert_eq!(difference.n, 10);
    }

    #[test]
    fn too_few_values_give_no_interval() {
        assert_eq!(estimate(&[]), None);
        assert_eq!(
            estimate(&[3.0]),
            Some(Estimate {
                n: 1,
                mean: 3.0,
                interval: None
            })
        );
        let equal = estimate(&[2.0, 2.0]).expect("two");
        assert_eq!(equal.interval, Some(0.0));
    }

    #[test]
    fn a_pair_without_one_half_does_not_count() {
        let ours = [Some(1.0), None, Some(3.0), Some(9.0)];
        let theirs = [Some(0.0), Some(7.0), Some(1.0), None];
        let difference = paired_difference(&ours, &theirs).expect("two pairs");
        assert_eq!((difference.n, difference.mean), (2, 1.5));
    }

    #[test]
    fn quantiles_are_those_of_r() {
        // R: quantile(c(1, 2, 4, 8), c(0, 0.25, 0.5, 0.99, 1)).
        let values = [1.0, 2.0, 4.0, 8.0];
        for (share, expected) in [
            (0.0, 1.0),
            (0.25, 1.75),
            (0.5, 3.0),
            (0.99, 7.88),
            (1.0, 8.0),
        ] {
            close(quantile(&values, share).expect("values"), expected, 1e-12);
        }
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[5.0], 0.99), Some(5.0));
    }

    fn standing(place: u32, from: u32, to: u32) -> Option<Ranking> {
        Some(Ranking { place, from, to })
    }

    #[test]
    fn what_can_not_be_told_apart_shares_a_rank() {
        // The second and third differ only by chance, the first differs from both for certain.
        let contenders = [
            vec![Some(0.9), Some(0.8), Some(0.7)],
            vec![Some(0.5), Some(0.4), Some(0.31)],
            vec![Some(0.49), Some(0.42), Some(0.29)],
        ];
        assert_eq!(
            ranks(&contenders, false),
            [standing(1, 1, 1), standing(2, 2, 3), standing(3, 2, 3)]
        );
        assert_eq!(
            ranks(&contenders, true),
            [standing(3, 3, 3), standing(2, 1, 2), standing(1, 1, 2)]
        );
    }

    #[test]
    fn one_run_tells_places_but_nothing_sure() {
        let contenders = [
            vec![Some(2.0)],
            vec![None],
            vec![Some(2.0)],
            vec![Some(5.0)],
        ];
        assert_eq!(
            ranks(&contenders, false),
            [
                standing(2, 1, 3),
                None,
                standing(2, 1, 3),
                standing(1, 1, 3)
            ]
        );
    }
}
