//! The log of a run: one line per event, hashed as it grows. Two equal runs have equal hashes.

use std::fmt::Display;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What happened, in order.
pub struct Log {
    began: Instant,
    state: Mutex<State>,
}

struct State {
    hasher: blake3::Hasher,
    events: u64,
    prints: bool,
}

/// A summary of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The number of events.
    pub events: u64,
    /// A hash of all events, including their times.
    pub hash: [u8; 32],
}

impl Log {
    /// A log that begins now; prints every line if `prints` is true.
    #[must_use]
    pub fn new(prints: bool) -> Self {
        Self {
            began: Instant::now(),
            state: Mutex::new(State {
                hasher: blake3::Hasher::new(),
                events: 0,
                prints,
            }),
        }
    }

    /// Adds an event.
    pub fn note(&self, event: impl Display) {
        let at = self.began.elapsed();
        let line = format!("{:>9.3} {event}\n", at.as_secs_f64());
        let mut state = self.state.lock();
        state.hasher.update(line.as_bytes());
        state.events += 1;
        if state.prints {
            eprint!("{line}");
        }
    }

    /// Its summary so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let state = self.state.lock();
        Trace {
            events: state.events,
            hash: *state.hasher.finalize().as_bytes(),
        }
    }
}
