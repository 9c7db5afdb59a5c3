//! `Chance`: the random numbers of a simulation, derived from its seed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of a seed for one purpose. Purposes do not affect each other.
    #[must_use]
    pub fn of(seed: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_be_bytes());
        hasher.update(purpose.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Any number.
    pub fn wide(&mut self) -> u128 {
        u128::from(self.number()) << 64 | u128::from(self.number())
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "the range is not empty");
        // Ends are small, so the bias of the remainder is negligible.
        self.number() % end
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in this many of 1000 cases.
    pub fn permille(&mut self, cases: u64) -> bool {
        self.below(1_000) < cases
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Two different indices below `end`.
    pub fn two_below(&mut self, end: usize) -> (usize, usize) {
        let first = self.below(end as u64) as usize;
        let second = self.below(end as u64 - 1) as usize;
        (first, second + usize::from(second >= first))
    }

    /// At most this long.
    pub fn millis(&mut self, at_most: u64) -> Duration {
        Duration::from_millis(self.below(at_most + 1))
    }
}
