//! The wall clock as a port.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataverse_core::version::Millis;

/// The wall clock: milliseconds since the Unix epoch.
pub type Now = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The machine's own wall clock.
#[must_use]
pub fn system_now() -> Now {
    Arc::new(|| since_epoch().as_millis() as Millis)
}

/// Seconds since 1970 by the machine's own wall clock, in which certificates state their dates.
#[must_use]
pub fn system_seconds() -> u64 {
    since_epoch().as_secs()
}

fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}
