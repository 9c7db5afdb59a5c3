//! Many at once: threads that do something until time is up or all is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

/// How long a round of small files takes.
pub(crate) const ROUND: Duration = Duration::from_secs(2);

/// Runs a worker in each of so many threads until the round is over; `step` does something and returns how
/// many things it did. Returns things a second.
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
                begun.lock().expect("nobody panics").get_or_insert(start);
                while start.elapsed() < ROUND {
                    let count = step(worker);
                    done.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    let begun = begun.into_inner().expect("nobody panics");
    let seconds = begun.map_or(1.0, |begun| begun.elapsed().as_secs_f64());
    done.into_inner() as f64 / seconds
}
