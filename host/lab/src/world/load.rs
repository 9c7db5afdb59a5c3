//! `Load`: a node's recent requests per second, computed as in a live node.

use dataverse_core::version::Millis;

/// How often a live node updates its load.
const LOOK_EVERY_MS: u64 = 500;

/// An exponential average: a quarter of the new rate and three quarters of the old one, every half second. Overdue
/// updates are made when the load is next used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    counted: u64,
    per_second: u32,
    looks: u64,
}

impl Load {
    /// Counts a request.
    pub(super) fn count(&mut self, now: Millis) {
        self.catch_up(now);
        self.counted += 1;
    }

    /// The current load, in requests per second.
    pub(super) fn per_second(&mut self, now: Millis) -> u32 {
        self.catch_up(now);
        self.per_second
    }

    fn catch_up(&mut self, now: Millis) {
        let due = now / LOOK_EVERY_MS;
        while self.looks < due {
            if self.counted == 0 && self.per_second == 0 {
                self.looks = due;
                return;
            }
            self.looks += 1;
            let rate = std::mem::take(&mut self.counted) * 1_000 / LOOK_EVERY_MS;
            let smoothed = (u64::from(self.per_second) * 3 + rate) / 4;
            self.per_second = u32::try_from(smoothed).unwrap_or(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_approached_and_forgotten() {
        let mut load = Load::default();
        for ms in 0..20_000 {
            if ms % 10 == 0 {
                load.count(ms);
            }
        }
        let per_second = load.per_second(20_000);
        assert!((96..=100).contains(&per_second), "{per_second}");
        assert!(load.per_second(21_000) < per_second);
        assert_eq!(load.per_second(10_000_000), 0);
    }
}
