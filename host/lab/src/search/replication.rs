//! Replication strategies: how many copies each file gets, and what that means for random probing.

use std::fmt;
use std::str::FromStr;

use crate::workload::Law;

/// How a total number of copies is divided among the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replication {
    /// Equally many of each.
    Uniform,
    /// In proportion to how often each file is requested.
    Proportional,
    /// In proportion to the square root of that: the least expected search size (Cohen, Shenker 2002, theorem 2).
    SquareRoot,
}

impl Replication {
    /// All strategies.
    pub const ALL: [Self; 3] = [Self::Uniform, Self::Proportional, Self::SquareRoot];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Proportional => "proportional",
            Self::SquareRoot => "square-root",
        }
    }

    /// The share of all copies that each file gets.
    #[must_use]
    pub fn shares(self, law: &Law) -> Vec<f64> {
        let weight = |rank| match self {
            Self::Uniform => 1.0,
            Self::Proportional => law.share(rank),
            Self::SquareRoot => libm::sqrt(law.share(rank)),
        };
        let weights: Vec<f64> = (0..law.ranks()).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    /// Whole numbers of copies that are closest to these shares of `copies` in total, by largest remainder; at
    /// least one of each file, and at most the number of nodes.
    #[must_use]
    pub fn copies(self, law: &Law, copies: u64, nodes: usize) -> Vec<usize> {
        let shares = self.shares(law);
        let exact = |share: &f64| (share * copies as f64).clamp(1.0, nodes as f64);
        let mut counts: Vec<usize> = shares
            .iter()
            .map(|it| libm::floor(exact(it)) as usize)
            .collect();
        let left = (copies as usize).saturating_sub(counts.iter().sum());
        let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
        let remainder = |&file: &usize| exact(&shares[file]) - counts[file] as f64;
        by_remainder.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
        by_remainder.retain(|&file| counts[file] < nodes);
        for file in by_remainder.into_iter().take(left) {
            counts[file] += 1;
        }
        counts
    }
}

impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that is not the name of a strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of uniform, proportional and square-root")]
pub struct UnknownReplication(String);

impl FromStr for Replication {
    type Err = UnknownReplication;

    fn from_str(word: &str) -> Result<Self, UnknownReplication> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == word);
        found.ok_or_else(|| UnknownReplication(word.to_owned()))
    }
}

/// The expected number of nodes that random probing asks until it finds a requested file, divided by the number of
/// nodes per copy of a file on average: Σ q / p over the files, divided by the number of files, where q is how
/// often each file is requested and p its share of the copies (Cohen, Shenker 2002, equation 2). 1 if all files
/// have equally many copies.
///
/// ```
/// use dataverse_lab::search::{Replication, expected_size};
/// use dataverse_lab::workload::Law;
///
/// let law = Law::zipf(1000, 1.0);
/// let size = expected_size(&law, &Replication::SquareRoot.shares(&law));
/// assert!((size - 0.510).abs() < 0.0005);
/// ```
#[must_use]
pub fn expected_size(law: &Law, shares: &[f64]) -> f64 {
    let sizes = shares
        .iter()
        .enumerate()
        .map(|(rank, share)| law.share(rank) / share);
    sizes.sum::<f64>() / law.ranks() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Draw;

    #[test]
    fn the_square_root_halves_what_probing_takes_on_zipf_one() {
        let law = Law::zipf(1_000, 1.0);
        let size = |replication: Replication| expected_size(&law, &replication.shares(&law));
        assert!((size(Replication::Uniform) - 1.0).abs() < 1e-9);
        // Proportional is no better than uniform, the paper's first surprise.
        assert!((size(Replication::Proportional) - 1.0).abs() < 1e-9);
        assert!((size(Replication::SquareRoot) - 0.510).abs() < 0.0005);
    }

    /// Measures by real probes: each asks a random node, until one has the file.
    fn probed(replication: Replication) -> f64 {
        let law = Law::zipf(1_000, 1.0);
        let (nodes, mean) = (100_000, 500);
        let copies = replication.copies(&law, mean * 1_000, nodes);
        assert_eq!(copies.iter().sum::<usize>(), mean as usize * 1_000);
        let mut draw = Draw::new(9);
        let (searches, mut probes) = (40_000u32, 0u64);
        for _ in 0..searches {
            let holders = copies[law.choose(&mut draw)];
            // For a random prober it makes no difference which nodes hold the copies.
            probes += 1;
            while draw.below(nodes) >= holders {
                probes += 1;
            }
        }
        probes as f64 / f64::from(searches)
    }

    #[test]
    fn probing_at_random_takes_what_the_closed_form_says() {
        let (even, best) = (
            probed(Replication::Uniform),
            probed(Replication::SquareRoot),
        );
        assert!((even / 200.0 - 1.0).abs() < 0.02, "{even}");
        assert!((best / even - 0.510).abs() < 0.02, "{best} of {even}");
    }

    #[test]
    fn copies_are_whole_and_add_up() {
        let law = Law::zipf(10, 1.0);
        assert_eq!(Replication::Uniform.copies(&law, 40, 100), [4; 10]);
        let root = Replication::SquareRoot.copies(&law, 40, 100);
        assert_eq!(root.iter().sum::<usize>(), 40);
        assert!(root.is_sorted_by(|a, b| a >= b), "{root:?}");
        let crowded = Replication::Proportional.copies(&law, 40, 6);
        assert!(
            crowded.iter().all(|count| (1..=6).contains(count)),
            "{crowded:?}"
        );
    }
}
