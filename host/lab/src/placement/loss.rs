//! The probability that a file is lost when several nodes fail together.

use serde::Serialize;

use super::exact;
use super::sets::ReplicaSets;
use super::simulate::simulate;
use crate::seed::derive;

/// Random draws of failed nodes where the probability can't be counted exactly.
const TRIALS: u64 = 100_000;

/// How a probability was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every combination was counted.
    Exact,
    /// Failed nodes were drawn at random.
    MonteCarlo,
}

/// The probability that a file is lost when `fail` nodes, drawn uniformly, fail together and never come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// Nodes that fail.
    pub fail: u32,
    /// The probability that at least one file is lost, from 0 to 1.
    pub chance: f64,
    /// The lower end of its 95 % interval, which has no width where the probability is exact.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How it was obtained.
    pub method: Method,
    /// Draws of failed nodes; 0 where the probability is exact.
    pub trials: u64,
    /// The value of [`closed_form`] for the number of replica sets: an approximation, for comparison.
    pub closed_form: f64,
    /// Files lost on average, which is the same for every placement: with fewer replica sets, losses are rarer and
    /// larger.
    pub files_lost_mean: f64,
}

/// The probability that one of `sets` sets of `size` nodes is among `fail` of `nodes` nodes, as if the sets were
/// independent: 1 - (1 - C(n - R, k - R) / C(n, k))^sets (Cidon et al., "Copysets", USENIX ATC 2013, section 3).
#[must_use]
pub fn closed_form(nodes: u32, size: usize, fail: u32, sets: u64) -> f64 {
    if (fail as usize) < size {
        return 0.0;
    }
    let one = exact::sharing(size, fail, nodes);
    // If one set is certain to be lost, the logarithm is minus infinity and the probability 1.
    if sets == 0 {
        0.0
    } else {
        -libm::expm1(sets as f64 * libm::log1p(-one))
    }
}

/// The probability for these sets, which hold `files` files.
pub(super) fn loss(sets: &ReplicaSets, fail: u32, files: u32, seed: u64) -> Loss {
    let closed_form = closed_form(sets.nodes(), sets.size(), fail, sets.len() as u64);
    let files_lost_mean = f64::from(files) * exact::sharing(sets.size(), fail, sets.nodes());
    if let Some(chance) = exact::chance(sets, fail) {
        return Loss {
            fail,
            chance,
            low: chance,
            high: chance,
            method: Method::Exact,
            trials: 0,
            closed_form,
            files_lost_mean,
        };
    }
    let estimate = simulate(sets, fail, TRIALS, derive(seed, &["failures"]));
    Loss {
        fail,
        chance: estimate.chance(),
        low: estimate.interval().0,
        high: estimate.interval().1,
        method: Method::MonteCarlo,
        trials: estimate.trials,
        closed_form,
        files_lost_mean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{copysets, random_sets};

    #[test]
    fn the_closed_form_knows_its_ends() {
        assert_eq!(closed_form(10, 3, 2, 100), 0.0);
        assert_eq!(closed_form(10, 3, 5, 0), 0.0);
        assert_eq!(closed_form(10, 3, 10, 1), 1.0);
        assert!((closed_form(10, 2, 2, 1) - 1.0 / 45.0).abs() < 1e-15);
    }

    /// Cidon et al. 2013: 5,000 nodes, three copies, one node in a hundred fails; scatter width 10.
    #[test]
    fn copysets_lose_a_file_in_fewer_than_one_such_failure_of_a_hundred() {
        let chance = closed_form(5000, 3, 50, 8330);
        assert!((chance - 0.00781).abs() < 0.000_005, "{chance}");

        let sets = copysets(5000, 3, 10, 1);
        let estimate = simulate(&sets, 50, 200_000, 2);
        let (low, high) = estimate.interval();
        assert!(low < 0.00781 && 0.00781 < high, "{low} to {high}");
        assert!(high - low < 0.001, "{low} to {high}");
    }

    /// The same failure with ten million files placed at random: 9,999 of 10,000 such failures lose one.
    #[test]
    fn random_placement_nearly_always_loses_a_file() {
        let chance = closed_form(5000, 3, 50, 10_000_000);
        assert!((chance - 0.9999).abs() < 0.000_05, "{chance}");

        let sets = random_sets(5000, 3, 10_000_000, 3);
        let estimate = simulate(&sets, 50, 20_000, 4);
        let expected = closed_form(5000, 3, 50, sets.len() as u64);
        let (low, high) = estimate.interval();
        assert!(
            low < expected && expected < high,
            "{low} to {high} for {expected}"
        );
        assert!(low > 0.999, "{low}");
    }
}
