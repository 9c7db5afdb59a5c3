//! `Law`: a discrete distribution over ranks, and sampling from it.

use crate::sample::Draw;

/// A distribution over ranks from 0, by its cumulative sums: exact, whatever the exponent.
#[derive(Clone, Debug)]
pub struct Law {
    /// The share of the first k + 1 ranks together; the last is 1.
    cumulative: Vec<f64>,
}

impl Law {
    /// Zipf's law: rank k, counted from 1, is chosen in proportion to 1 / k^`exponent`; uniform for exponent 0.
    /// There must be at least one rank.
    ///
    /// ```
    /// use dataverse_lab::workload::Law;
    /// let law = Law::zipf(3, 1.0);
    /// assert!((law.share(0) - 6.0 / 11.0).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn zipf(ranks: usize, exponent: f64) -> Self {
        assert!(ranks > 0, "there is at least one rank");
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=ranks)
            .map(|rank| {
                sum += match exponent {
                    0.0 => 1.0,
                    1.0 => 1.0 / rank as f64,
                    _ => libm::pow(rank as f64, -exponent),
                };
                sum
            })
            .collect();
        for share in &mut cumulative {
            *share /= sum;
        }
        Self { cumulative }
    }

    /// The number of ranks.
    #[must_use]
    pub fn ranks(&self) -> usize {
        self.cumulative.len()
    }

    /// The probability of this rank, counted from 0.
    #[must_use]
    pub fn share(&self, rank: usize) -> f64 {
        let before = rank.checked_sub(1).map_or(0.0, |it| self.cumulative[it]);
        self.cumulative[rank] - before
    }

    /// Samples a rank, counted from 0.
    pub(crate) fn choose(&self, draw: &mut Draw) -> usize {
        let at = draw.unit();
        let rank = self.cumulative.partition_point(|&share| share < at);
        rank.min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_chosen_as_often_as_the_law_says() {
        for exponent in [0.0, 0.8, 1.0, 2.0] {
            let law = Law::zipf(50, exponent);
            let mut draw = Draw::new(5);
            let mut counts = [0u32; 50];
            for _ in 0..200_000 {
                counts[law.choose(&mut draw)] += 1;
            }
            for (rank, &count) in counts.iter().enumerate() {
                let expected = law.share(rank);
                let deviation = (expected * (1.0 - expected) / 200_000.0).sqrt();
                let found = f64::from(count) / 200_000.0;
                assert!(
                    (found - expected).abs() < 5.0 * deviation,
                    "{exponent} {rank} {found}"
                );
            }
        }
    }

    #[test]
    fn shares_add_up_and_fall_as_the_exponent_says() {
        let law = Law::zipf(1_000, 0.8);
        let sum: f64 = (0..law.ranks()).map(|rank| law.share(rank)).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!((law.share(0) / law.share(9) - libm::pow(10.0, 0.8)).abs() < 1e-9);
    }
}
