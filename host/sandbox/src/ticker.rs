//! `Ticker`: the thread that advances the engine's epoch, which interrupts calls into guests.
//!
//! It runs as long as its owner lives and is joined when the owner is dropped. Without it an endless loop with
//! enough fuel would never end.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

use crate::limits;

const TICK: Duration = Duration::from_millis(limits::POLICY_TICK_MS);

pub(crate) struct Ticker {
    /// Dropped to stop the thread.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system can't start a thread.
    pub(crate) fn start(engine: &Engine) -> io::Result<Self> {
        let (alive, stopped) = mpsc::channel::<()>();
        let engine = engine.weak();
        let thread = thread::Builder::new()
            .name("policy-epochs".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    if let Some(engine) = engine.upgrade() {
                        engine.increment_epoch();
                    }
                }
            })?;
        Ok(Self {
            alive: Some(alive),
            thread: Some(thread),
        })
    }

    /// The number of ticks after which this many milliseconds have certainly passed.
    pub(crate) const fn ticks(wall_ms: u64) -> u64 {
        // One more, because the current tick may be about to end.
        wall_ms.div_ceil(limits::POLICY_TICK_MS).saturating_add(1)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.alive.take();
        if let Some(thread) = self.thread.take() {
            // The thread runs nothing that panics, and the error would help no one.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        assert_eq!(Ticker::ticks(0), 1);
        assert_eq!(Ticker::ticks(1), 2);
        assert_eq!(Ticker::ticks(100), 21);
        assert_eq!(
            Ticker::ticks(u64::MAX),
            u64::MAX / limits::POLICY_TICK_MS + 1
        );
    }

    #[test]
    fn the_thread_ends_with_its_owner() {
        let engine = Engine::default();
        let ticker = Ticker::start(&engine).expect("there is a thread");
        // Joins; a thread that did not stop would hang the test.
        drop(ticker);
    }
}
