//! `Backoff`: the pauses between the attempts at something that keeps failing. They double, between a shortest and a
//! longest.
//!
//! No clock and no randomness: the caller waits, and adds jitter where several nodes may fail at the same time.

use std::time::Duration;

/// The pauses between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// The first pause is `min`; each further one is twice as long as the one before, up to `max`.
    ///
    /// # Panics
    /// If `min` is longer than `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        assert!(min <= max, "the shortest pause is at most the longest");
        let next = min;
        Self { min, max, next }
    }

    /// The same for bounds in milliseconds.
    ///
    /// # Panics
    /// If `min_ms` is more than `max_ms`.
    #[must_use]
    pub fn from_millis(min_ms: u64, max_ms: u64) -> Self {
        Self::new(Duration::from_millis(min_ms), Duration::from_millis(max_ms))
    }

    /// An attempt failed: the pause before the next one.
    #[must_use]
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.max);
        pause
    }

    /// An attempt succeeded: the next pause is the shortest again.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses_ms(backoff: &mut Backoff, count: usize) -> Vec<u128> {
        let pause = || backoff.next_pause().as_millis();
        std::iter::repeat_with(pause).take(count).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::from_millis(500, 5_000);
        let pauses = pauses_ms(&mut backoff, 6);
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn after_a_success_they_start_again_with_the_shortest() {
        let mut backoff = Backoff::from_millis(1, 60);
        for _ in 0..2 {
            assert_eq!(pauses_ms(&mut backoff, 3), [1, 2, 4]);
            backoff.reset();
        }
    }

    #[test]
    fn equal_bounds_give_equal_pauses() {
        assert_eq!(pauses_ms(&mut Backoff::from_millis(7, 7), 3), [7; 3]);
    }

    #[test]
    fn the_longest_duration_is_a_bound_like_any_other() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::MAX);
        let last = std::iter::repeat_with(|| backoff.next_pause()).nth(100);
        assert_eq!(last, Some(Duration::MAX));
    }
}
