//! `Entropy`: the node's source of randomness, for preparation ids, jitter of pauses, nonces and the seed of
//! membership.
//!
//! Besides transport, store and clock it is the only thing that a node takes from outside. A real node draws from
//! the system; a simulation passes a seed, so that the same seed reproduces the same run.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::secret::Nonce;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A random number generator. Clones share its state.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<StdRng>>);

impl Entropy {
    /// Seeded by the system, so its numbers are unpredictable.
    #[must_use]
    pub fn of_system() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_rng(&mut rand::rng()))))
    }

    /// The same seed gives the same numbers in the same order, within one build of the program.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A random id, unique for practical purposes.
    pub(crate) fn name(&self) -> u128 {
        self.draw(|chance| chance.random())
    }

    /// A seed for another generator.
    pub(crate) fn seed(&self) -> u64 {
        self.draw(|chance| chance.random())
    }

    /// An unpredictable number for one challenge.
    pub(crate) fn nonce(&self) -> Nonce {
        self.draw(|chance| Nonce::from(chance.random::<[u8; 32]>()))
    }

    /// Between half and all of a pause, so that nodes that failed together do not retry together.
    pub(crate) fn jittered(&self, pause: Duration) -> Duration {
        pause.mul_f64(self.draw(|chance| chance.random_range(0.5..1.0)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_the_system_others() {
        let drawn = |entropy: Entropy| (entropy.name(), entropy.seed());
        assert_eq!(drawn(Entropy::seeded(7)), drawn(Entropy::seeded(7)));
        assert_ne!(drawn(Entropy::seeded(7)), drawn(Entropy::seeded(8)));
        assert_ne!(drawn(Entropy::of_system()), drawn(Entropy::of_system()));
    }

    #[test]
    fn a_jittered_pause_is_at_least_half_of_it_and_never_longer() {
        let (entropy, pause) = (Entropy::seeded(1), Duration::from_secs(2));
        for _ in 0..1_000 {
            let jittered = entropy.jittered(pause);
            assert!(jittered >= pause / 2 && jittered <= pause, "{jittered:?}");
        }
    }
}
