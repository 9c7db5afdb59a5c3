//! Opens content for reading, off the async threads, with many requests sharing one thread.
//!
//! Small content is read in microseconds once its pages are in memory. Running each read on a thread of its own
//! would cost more than the read, because two threads must be woken. So reads queue behind a thread that is already
//! at work, and more threads start only when the queue grows, as it does when reads wait for the disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::StoreError;
use crate::limits;

type Job = Box<dyn FnOnce() + Send>;

/// The reads that wait for a thread. There are never more than callers waiting for one.
#[derive(Default)]
pub(super) struct Opening(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    threads: usize,
}

impl Opening {
    /// Runs this blocking work. It fails only when the runtime is shutting down or the work panics.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let needs_thread = self.hand_in(Box::new(move || {
            // The caller may have stopped waiting.
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        }));
        if needs_thread {
            let opening = Arc::clone(self);
            tokio::task::spawn_blocking(move || opening.work_off());
        }
        answer.await.map_err(|_| StoreError::Closed)
    }

    /// Queues the job. Returns whether another thread must be started.
    fn hand_in(&self, job: Job) -> bool {
        let mut queue = self.0.lock();
        queue.waiting.push_back(job);
        let is_short = queue.waiting.len() <= queue.threads * limits::OPENING_QUEUE;
        if is_short || queue.threads == limits::OPENING_THREADS_MAX {
            return false;
        }
        queue.threads += 1;
        true
    }

    fn work_off(&self) {
        while let Some(job) = self.next() {
            // A panic drops the reply, which its caller sees; the other jobs still run.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job; `None` ends this thread, which is no longer counted.
    fn next(&self) -> Option<Job> {
        let mut queue = self.0.lock();
        let job = queue.waiting.pop_front();
        if job.is_none() {
            queue.threads -= 1;
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn everyone_gets_an_own_answer() {
        let opening = Arc::new(Opening::default());
        let asked = (0..500).map(|number| {
            let opening = Arc::clone(&opening);
            async move { opening.run(move || number * 2).await }
        });
        for (number, answer) in join_all(asked).await.into_iter().enumerate() {
            assert_eq!(answer.expect("it is answered"), number * 2);
        }
        assert!(opening.0.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_panic_fails_only_the_one_that_panicked() {
        let opening = Arc::new(Opening::default());
        let (bad, good) = tokio::join!(
            opening.run(|| panic!("damage that redb panics on")),
            opening.run(|| 7)
        );
        let bad: Result<(), StoreError> = bad;
        assert!(matches!(bad, Err(StoreError::Closed)), "{bad:?}");
        assert_eq!(good.expect("it is answered"), 7);
    }

    #[test]
    fn threads_join_as_the_queue_grows_up_to_a_bound() {
        let opening = Opening::default();
        let most = limits::OPENING_THREADS_MAX * limits::OPENING_QUEUE;
        let started = (0..most * 2).filter(|_| opening.hand_in(Box::new(|| {})));
        assert_eq!(started.count(), limits::OPENING_THREADS_MAX);
        assert_eq!(opening.0.lock().threads, limits::OPENING_THREADS_MAX);
    }
}
