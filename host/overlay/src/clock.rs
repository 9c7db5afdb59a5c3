//! The wall clock as a port.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dataverse_core::version::Millis;

/// The wall clock: milliseconds since the Unix epoch.
pub type Now = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The machine's own wall clock.
#[must_use]
pub fn system_now() -> Now {
    Arc::new(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        since_epoch.map_or(0, |elapsed| elapsed.as_millis() as Millis)
    })
}
