//! Where a node's chance comes from: the numbers of its preparations, the jitter of its pauses, the seed of its
//! membership.
//!
//! Beside the transport, the store and the clock it is the last thing that a node takes from outside. A real
//! node draws from the system; a simulation gives a seed, and everything happens again as it did.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::secret::Nonce;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A source of chance. Clones share it.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<StdRng>>);

impl Entropy {
    /// Seeded by the system: nobody can foretell what comes.
    #[must_use]
    pub fn of_system() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_rng(&mut rand::rng()))))
    }

    /// The same seed gives the same numbers in the same order, as long as the program is the same.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A number that names something: no other is the same.
    pub(crate) fn name(&self) -> u128 {
        self.draw(|chance| chance.random())
    }

    /// What something else can be seeded with.
    pub(crate) fn seed(&self) -> u64 {
        self.draw(|chance| chance.random())
    }

    /// A number that nobody could foretell, for one question.
    pub(crate) fn nonce(&self) -> Nonce {
        self.draw(|chance| Nonce::from(chance.random::<[u8; 32]>()))
    }

    /// Between half and the whole of a pause, so that nodes that failed together do not return together.
    pub(crate) fn jittered(&self, pause: Duration) -> Duration {
        pause.mul_f64(self.draw(|chance| chance.random_range(0.5..1.0)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        // A generator is as good after a panic elsewhere as before.
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
