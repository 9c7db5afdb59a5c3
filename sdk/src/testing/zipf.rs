//! `Zipf`: realistic requests, in which a few objects are requested often and most hardly ever.

use crate::Random;

/// Object ids from 1 on, where the `k`-th is requested in proportion to `1 / k` (Zipf's law with exponent 1),
/// without end. The same on every machine: no `pow`, one splitmix64, sums from left to right.
///
/// ```
/// use dataverse_sdk::testing::{Zipf, file_size};
///
/// let ids: Vec<u64> = Zipf::new(10_000, 7).take(4).collect();
/// assert_eq!(ids, [25, 1, 3786, 169]);
/// assert_eq!(file_size(25), 131_072);
/// ```
#[derive(Clone, Debug)]
pub struct Zipf {
    /// The share of requests for the objects up to this index + 1.
    cumulative: Vec<f64>,
    random: Random,
}

impl Zipf {
    /// Requests to this many objects.
    ///
    /// # Panics
    /// When `objects` is 0.
    #[must_use]
    pub fn new(objects: u32, seed: u64) -> Self {
        assert!(objects > 0, "requests need at least one object");
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=objects)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        cumulative.iter_mut().for_each(|share| *share /= sum);
        Self {
            cumulative,
            random: Random::new(seed),
        }
    }
}

impl Iterator for Zipf {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let point = self.random.unit();
        let index = self.cumulative.partition_point(|&share| share < point);
        Some(index as u64 + 1)
    }
}

/// The size of an object that is a file: a power of two from 1 KiB to 1 MiB that depends only on its id.
#[must_use]
pub fn file_size(id: u64) -> u64 {
    1024 << (Random::new(id ^ 0xF11E5).next_u64() % 11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_the_published_one() {
        let ids: Vec<u64> = Zipf::new(10_000, 7).take(10).collect();
        assert_eq!(ids, [25, 1, 3786, 169, 47, 6, 55, 14, 2, 32]);
        let sizes: Vec<u64> = ids.iter().map(|&id| file_size(id)).collect();
        let published = [
            131_072, 1024, 65_536, 8192, 8192, 262_144, 2048, 8192, 1024, 262_144,
        ];
        assert_eq!(sizes, published);
    }
}
