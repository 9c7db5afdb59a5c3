//! Crash points: named places at which a test has the process die as by `kill -9`.
//!
//! In a build with debug assertions, a process that is started with `DATAVERSE_CRASH_AT=<point>` aborts when it comes to
//! that point, with `DATAVERSE_CRASH_AT=<point>:<n>` when it comes there for the n-th time. In a release build this
//! is nothing at all. The tests walk through [`POINTS`] and check after each that nothing was lost.

/// Every crash point, by the step after which it lies.
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

    /// The point at which to die, and how many visits are left until then.
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
            // Written by hand: whatever is buffered dies with the process, as it would.
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
