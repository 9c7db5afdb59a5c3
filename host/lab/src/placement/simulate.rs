//! The probability that some replica set fails as a whole, estimated by drawing failed nodes repeatedly.

use rayon::prelude::*;

use super::sets::{ReplicaSets, draw};
use crate::sample::Draw;
use crate::seed::derive;

/// Parts that the draws are split into, each with its own seed: the same for any number of threads.
const PARTS: u64 = 64;
/// Half the width, in standard deviations, of an interval that holds 95 % of a normal distribution.
const NORMAL_95: f64 = 1.959_963_984_540_054;

/// An estimated probability: losses out of trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Draws in which some set failed as a whole.
    pub lost: u64,
    /// Draws.
    pub trials: u64,
}

impl Estimate {
    /// The share of the draws in which some set failed.
    #[must_use]
    pub fn chance(&self) -> f64 {
        self.lost as f64 / self.trials as f64
    }

    /// The 95 % interval of the probability (Wilson, "Probable inference, the law of succession, and statistical
    /// inference", Journal of the American Statistical Association, 1927). It has a width even if no draw, or
    /// every draw, was a loss.
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        let (share, n) = (self.chance(), self.trials as f64);
        let z2 = NORMAL_95 * NORMAL_95;
        let middle = share + z2 / (2.0 * n);
        let half = NORMAL_95 * libm::sqrt(share * (1.0 - share) / n + z2 / (4.0 * n * n));
        let scale = 1.0 + z2 / n;
        let low = if self.lost == 0 {
            0.0
        } else {
            (middle - half) / scale
        };
        let high = if self.lost == self.trials {
            1.0
        } else {
            (middle + half) / scale
        };
        (low, high)
    }
}

/// Draws `fail` failed nodes `trials` times and counts how often they include some whole set.
#[must_use]
pub fn simulate(sets: &ReplicaSets, fail: u32, trials: u64, seed: u64) -> Estimate {
    let lost = (0..PARTS)
        .into_par_iter()
        .map(|part| {
            let share = trials / PARTS + u64::from(part < trials % PARTS);
            lost_of(
                sets,
                fail as usize,
                share,
                derive(seed, &["part", &part.to_string()]),
            )
        })
        .sum();
    Estimate { lost, trials }
}

fn lost_of(sets: &ReplicaSets, fail: usize, trials: u64, seed: u64) -> u64 {
    let mut random = Draw::new(seed);
    let mut order: Vec<u32> = (0..sets.nodes()).collect();
    let mut is_failed = vec![false; order.len()];
    let mut lost = 0;
    for _ in 0..trials {
        draw(&mut order, fail, &mut random);
        let failed = &order[..fail];
        failed
            .iter()
            .for_each(|&node| is_failed[node as usize] = true);
        lost += u64::from(sets.any_within(failed, |node| is_failed[node as usize]));
        failed
            .iter()
            .for_each(|&node| is_failed[node as usize] = false);
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{exact, random_sets};

    #[test]
    fn the_interval_is_wilsons() {
        let check = |lost, trials, low: f64, high: f64| {
            let found = Estimate { lost, trials }.interval();
            assert!(
                (found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5,
                "{found:?}"
            );
        };
        // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
        check(81, 263, 0.2553, 0.3662);
        check(15, 148, 0.0624, 0.1605);
        check(0, 20, 0.0, 0.1611);
        check(1, 29, 0.0061, 0.1718);
    }

    #[test]
    fn it_finds_what_is_counted() {
        let sets = random_sets(18, 3, 40, 5);
        let expected = exact::chance(&sets, 5).expect("few enough combinations to count");
        let (low, high) = simulate(&sets, 5, 40_000, 6).interval();
        assert!(
            low < expected && expected < high,
            "{low} to {high} for {expected}"
        );
        assert!(high - low < 0.01);
    }

    #[test]
    fn the_same_seed_draws_the_same_failures() {
        let sets = random_sets(30, 2, 40, 7);
        assert_eq!(simulate(&sets, 4, 1001, 8), simulate(&sets, 4, 1001, 8));
        assert_ne!(simulate(&sets, 4, 1001, 8), simulate(&sets, 4, 1001, 9));
    }
}
