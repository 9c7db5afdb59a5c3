//! `Pace`: a rate limit in bytes per second. Callers wait for their turn.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// When the next bytes may move.
#[derive(Default)]
pub(in crate::driver) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits until this many bytes may move at this rate. More than a second's worth moves at once when its turn
    /// comes, and the next caller waits longer.
    pub(in crate::driver) async fn take(&self, bytes: u64, bytes_per_second: u64) {
        let turn = {
            let mut next = self.0.lock().await;
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            let lasts = bytes as f64 / bytes_per_second.max(1) as f64;
            *next = Some(turn + Duration::from_secs_f64(lasts.min(LONGEST_SECONDS)));
            turn
        };
        sleep_until(turn).await;
    }
}

/// A day: no single content delays the others for longer.
const LONGEST_SECONDS: f64 = 24.0 * 60.0 * 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_move_no_faster_than_the_pace() {
        let (pace, began) = (Pace::default(), Instant::now());
        for _ in 0..5 {
            pace.take(1_000, 1_000).await;
        }
        assert_eq!(began.elapsed().as_secs(), 4);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        pace.take(1_000, 1_000).await;
        assert_eq!(began.elapsed().as_secs(), 0, "pauses are not saved up");
    }
}
