//! Crash points: named places at which a test makes the process die as if by `kill -9`.
//!
//! In a build with debug assertions, a process started with `DATAVERSE_CRASH_AT=<point>` aborts when it reaches that
//! point; with `DATAVERSE_CRASH_AT=<point>:<n>` it aborts on the n-th visit. In a release build a crash point does
//! nothing. The tests go through [`POINTS`] and check after each crash that nothing was lost.

/// Every crash point, named after the step that it follows.
pub const POINTS: &[&str] = &[
    "write.spooled",
    "write.prepared",
    "write.stamped",
    "write.committed",
    "write.announced",
    "prepare.sealed",
    "commit.asked",
    "commit.applied",
    "store.placed",
    "store.committed",
    "store.released",
    "store.quarantined",
    "relayout.copied",
    "relayout.committed",
    "relayout.told",
    "relayout.own",
    "release.confirmed",
    "release.done",
    "delete.stamped",
    "delete.committed",
    "transfer.received",
    "scrub.noted",
    "scrub.bad",
    "heal.done",
    "upgrade.copied",
    "upgrade.backed_up",
    "upgrade.stepped",
    "upgrade.committed",
];

/// Marks a crash point.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::reach(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The point at which to die, and how many visits remain until then.
    struct Armed {
        point: String,
        visits_left: AtomicU64,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub(super) fn reach(name: &'static str) {
        debug_assert!(super::POINTS.contains(&name), "{name} is not in the list");
        let Some(armed) = ARMED.get_or_init(read) else {
            return;
        };
        if armed.point == name && armed.visits_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nothing is flushed: buffered output dies with the process, as in a real crash.
            eprintln!("crash point {name}");
            std::process::abort();
        }
    }

    fn read() -> Option<Armed> {
        let text = std::env::var("DATAVERSE_CRASH_AT").ok()?;
        let (point, visits) = match text.split_once(':') {
            Some((point, visits)) => (point, visits.parse().ok()?),
            None => (text.as_str(), 1),
        };
        Some(Armed {
            point: point.to_owned(),
            visits_left: AtomicU64::new(visits),
        })
    }
}
