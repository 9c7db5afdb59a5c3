//! `PendingReleases`: files of which something greater than what this node holds is said to exist, and which were not
//! verified yet.
//!
//! One entry per file, each with its own pauses, so that one whose holders don't answer holds up no other. New ones go
//! first. Kept in memory and bounded; what does not fit is found again when the holders next reconcile.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_replication::Queue;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits;

/// The greater record; `None` when only its version was heard.
type Greater = Option<Arc<Record>>;

#[derive(Clone)]
struct Case {
    greater: Greater,
    /// Whether the first attempt is over.
    was_tried: bool,
}

/// Greater records to verify.
pub(in crate::driver) struct PendingReleases {
    /// What was never tried goes first.
    queue: Mutex<Queue<Key, Case, WasTried, Instant>>,
    /// Notified when there is something new to try.
    pub(super) more: Notify,
    /// Notified after every attempt.
    tried: Notify,
}

/// The rank of a file in the queue.
type WasTried = bool;

impl Default for PendingReleases {
    fn default() -> Self {
        let pauses = Backoff::new(limits::RELEASE_RETRY_MIN, limits::RELEASE_RETRY_MAX);
        Self {
            queue: Mutex::new(Queue::new(limits::PENDING_RELEASES_MAX, pauses)),
            more: Notify::new(),
            tried: Notify::new(),
        }
    }
}

/// Result of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// What was held is given up, or there is nothing greater.
    Settled,
    /// The holders have not confirmed it yet.
    Waits,
}

impl PendingReleases {
    /// Adds a file, or a greater record of one that is listed.
    pub(super) fn add(&self, key: &Key, greater: Greater, now: Instant) {
        let mut queue = self.queue.lock();
        let Some(case) = queue.get_mut(key) else {
            let case = Case {
                greater,
                was_tried: false,
            };
            if queue.put(key.clone(), case, false, now) {
                self.more.notify_one();
            }
            return;
        };
        if greater <= case.greater {
            return;
        }
        case.greater = greater;
        // Soon, however often the last one failed; but not at once, or the record would be asked about as often as
        // somebody announces a greater one.
        let soon = now + limits::RELEASE_RETRY_MIN;
        if queue.due(key).is_some_and(|due| due > soon) {
            queue.due_at(key, soon);
            self.more.notify_one();
        }
    }

    /// Takes up to `at_most` due files off the queue. Also returns when the next one is due.
    pub(super) fn take_due(
        &self,
        at_most: usize,
        now: Instant,
    ) -> (Vec<(Key, Greater)>, Option<Instant>) {
        let mut queue = self.queue.lock();
        let due = queue.take_due(at_most, now).into_iter();
        let due = due.map(|(key, case)| (key, case.greater)).collect();
        (due, queue.next_due())
    }

    /// Records the result of an attempt.
    pub(super) fn tried(&self, key: &Key, greater: &Greater, tried: Tried, now: Instant) {
        let mut queue = self.queue.lock();
        let Some(case) = queue.get_mut(key) else {
            return;
        };
        case.was_tried = true;
        let is_renewed = case.greater > *greater;
        if is_renewed || tried == Tried::Waits {
            queue.again(key, true, now);
        } else {
            queue.remove(key);
        }
        drop(queue);
        self.tried.notify_waiters();
    }

    /// Waits, for at most this long, until the first attempt with this file is over, if it is listed.
    pub(super) async fn first_try(&self, key: &Key, patience: Duration) {
        let is_untried = || {
            let queue = self.queue.lock();
            queue.get(key).is_some_and(|case| !case.was_tried)
        };
        let waiting = async {
            loop {
                let tried = self.tried.notified();
                if !is_untried() {
                    return;
                }
                tried.await;
            }
        };
        // After that it is read as if nothing had been heard.
        let _ = tokio::time::timeout(patience, waiting).await;
    }

    pub(in crate::driver) fn count(&self) -> usize {
        self.queue.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::key;

    fn due(pending: &PendingReleases, now: Instant) -> Vec<String> {
        let (due, _) = pending.take_due(10, now);
        due.into_iter().map(|(key, _)| key.to_string()).collect()
    }

    #[test]
    fn each_file_is_tried_on_its_own_with_pauses_that_double_and_new_ones_go_first() {
        let (pending, began) = (PendingReleases::default(), Instant::now());
        pending.add(&key("ada/x"), None, began);
        pending.add(&key("ada/x"), None, began);
        assert_eq!(due(&pending, began), ["ada/x"]);
        assert!(due(&pending, began).is_empty(), "it is under way");
        let mut at = began;
        for pause in [1, 2, 4] {
            pending.tried(&key("ada/x"), &None, Tried::Waits, at);
            at += limits::RELEASE_RETRY_MIN * pause;
            assert!(due(&pending, at - Duration::from_millis(1)).is_empty());
            assert_eq!(due(&pending, at), ["ada/x"], "after {pause}");
        }
        pending.tried(&key("ada/x"), &None, Tried::Waits, began);
        pending.add(&key("ada/y"), None, at);
        let later = at + limits::RELEASE_RETRY_MAX;
        assert_eq!(due(&pending, later), ["ada/y", "ada/x"]);
        pending.tried(&key("ada/x"), &None, Tried::Settled, later);
        assert_eq!(pending.count(), 1);
    }
}
