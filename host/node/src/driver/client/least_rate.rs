//! `LeastRate`: content that arrives must keep up a least rate, so that a sender that drips does not hold its place.
//!
//! Only the time spent waiting for the sender counts, not what this node's disk takes. A sender may fall behind by an
//! allowance, a minute for a client and `read.stall` for a holder that is read from: it may be slow to begin, or pause.
//! What it sends faster wins back what it used of that, and no more, so a fast beginning does not pay for a slow end.

use std::time::Duration;

use tokio::time::Instant;

/// How far a client may fall behind.
pub(in crate::driver) const CLIENT_ALLOWANCE: Duration = Duration::from_secs(60);

/// The rate at which one content arrives.
#[derive(Debug)]
pub(in crate::driver) struct LeastRate {
    bytes_per_second: u32,
    allowance: Duration,
    left: Duration,
    since: Instant,
}

impl LeastRate {
    /// The waiting begins now. A rate of 0 allows any.
    pub(in crate::driver) fn begin(bytes_per_second: u32, allowance: Duration) -> Self {
        Self {
            bytes_per_second,
            allowance,
            left: allowance,
            since: Instant::now(),
        }
    }

    /// So many bytes have arrived. Returns whether the sender has kept up.
    pub(in crate::driver) fn arrived(&mut self, bytes: usize) -> bool {
        let nanos = |rate: u64| (bytes as u64).saturating_mul(1_000_000_000) / rate;
        let rate = u64::from(self.bytes_per_second);
        let earned = match rate {
            0 => return true,
            rate => Duration::from_nanos(nanos(rate)),
        };
        let left = self.left.saturating_add(earned);
        let Some(left) = left.checked_sub(self.since.elapsed()) else {
            return false;
        };
        self.left = left.min(self.allowance);
        true
    }

    /// What arrived is dealt with, and the waiting goes on.
    pub(in crate::driver) fn go_on(&mut self) {
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a sender that sends so many bytes after so many seconds, again and again, keeps up each time.
    async fn check(rate: &mut LeastRate, sent: &[(u64, usize)], expected: &[bool]) {
        let mut kept_up = Vec::new();
        for (seconds, bytes) in sent {
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
            kept_up.push(rate.arrived(*bytes));
            rate.go_on();
        }
        assert_eq!(kept_up, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_drips_falls_behind_and_one_that_is_slow_does_not() {
        let begin = || LeastRate::begin(1_000, CLIENT_ALLOWANCE);
        check(&mut begin(), &[(60, 1), (1, 1)], &[true, false]).await;
        check(&mut begin(), &[(60, 1), (1, 1_000)], &[true, true]).await;
        check(&mut begin(), &[(1, 1_000); 300], &[true; 300]).await;
        // A fast beginning does not pay for a slow end.
        let fast = [(0, 1 << 30), (30, 1), (30, 1), (30, 1)];
        check(&mut begin(), &fast, &[true, true, true, false]).await;
        // One that was slow and becomes fast may pause again.
        let caught_up = [(59, 0), (1, 60_000), (59, 0)];
        check(&mut begin(), &caught_up, &[true; 3]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_does_not_count_and_a_rate_of_0_allows_any() {
        let mut rate = LeastRate::begin(1_000, CLIENT_ALLOWANCE);
        check(&mut rate, &[(59, 1)], &[true]).await;
        tokio::time::sleep(Duration::from_secs(60 * 60)).await;
        rate.go_on();
        check(&mut rate, &[(1, 1)], &[true]).await;
        let mut any = LeastRate::begin(0, CLIENT_ALLOWANCE);
        check(&mut any, &[(60 * 60, 0)], &[true]).await;
    }
}
