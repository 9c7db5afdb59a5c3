//! `Draw`: a stream of random numbers that is the same on every machine.
//!
//! ChaCha8 with a derived seed. Logarithms and the like come from `libm`, because those of the platforms differ in
//! the last bit. Not for secrets.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of this seed, which must be a derived one ([`crate::seed::derive`]).
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform from 0 (included) to 1 (excluded).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform over the whole numbers below `end`, which must be above 0. Without bias (Lemire 2019, "Fast random
    /// integer generation in an interval").
    pub(crate) fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "the range holds at least one number");
        let end = end as u64;
        let threshold = end.wrapping_neg() % end;
        loop {
            let product = u128::from(self.bits()) * u128::from(end);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// True with this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// From the exponential distribution with mean 1, by inversion.
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// From the normal distribution with mean 0 and deviation 1 (Box, Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(2.0 * self.exponential());
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Shuffles the items (Fisher, Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(count: u32, mut draw: impl FnMut() -> f64) -> f64 {
        (0..count).map(|_| draw()).sum::<f64>() / f64::from(count)
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let (mut one, mut other) = (Draw::new(7), Draw::new(7));
        assert!((0..100).all(|_| one.bits() == other.bits()));
        assert_ne!(Draw::new(8).bits(), Draw::new(7).bits());
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut draw = Draw::new(1);
        let count = 200_000;
        assert!((mean(count, || draw.unit()) - 0.5).abs() < 0.005);
        assert!((mean(count, || draw.exponential()) - 1.0).abs() < 0.01);
        assert!(mean(count, || draw.normal()).abs() < 0.01);
        assert!((mean(count, || libm::pow(draw.normal(), 2.0)) - 1.0).abs() < 0.02);
        assert!((mean(count, || draw.below(7) as f64) - 3.0).abs() < 0.02);
    }

    #[test]
    fn every_order_comes_about_as_often() {
        let mut draw = Draw::new(3);
        let mut seen = std::collections::BTreeMap::<[u8; 3], u32>::new();
        for _ in 0..6_000 {
            let mut items = [1, 2, 3];
            draw.shuffle(&mut items);
            *seen.entry(items).or_default() += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(
            seen.values().all(|count| (850..1150).contains(count)),
            "{seen:?}"
        );
    }
}
