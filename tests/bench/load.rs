//! Concurrent load: threads that repeat a step until the round is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

/// The duration of a round of small files.
pub(crate) const ROUND: Duration = Duration::from_secs(2);

/// Runs each worker in its own thread until the round is over. `step` does something and returns how many things
/// it did. Returns things per second.
pub(crate) fn rate<W>(workers: &mut [W], step: impl Fn(&mut W) -> u64 + Sync) -> f64
where
    W: Send,
{
    let gate = Barrier::new(workers.len());
    let done = AtomicU64::new(0);
    let begun = Mutex::new(None);
    std::thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| {
                gate.wait();
                let start = Instant::now();
                begun.lock().expect("no thread panics").get_or_insert(start);
                while start.elapsed() < ROUND {
                    let count = step(worker);
                    done.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    let begun = begun.into_inner().expect("no thread panics");
    let seconds = begun.map_or(1.0, |begun| begun.elapsed().as_secs_f64());
    done.into_inner() as f64 / seconds
}
