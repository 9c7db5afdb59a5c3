//! `PendingReleases`: files of which something greater than what this node holds is said to exist, and which were not
//! verified yet.
//!
//! One entry per file, each with its own pauses, so that one whose holders don't answer holds up no other. New ones go
//! first. Kept in memory and bounded; what does not fit is found again when the holders next reconcile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits;

/// The greater record; `None` when only its version was heard.
type Greater = Option<Arc<Record>>;

/// When it is tried: what was never tried goes first.
type Turn = (bool, Instant);

struct Case {
    greater: Greater,
    backoff: Backoff,
    turn: Turn,
    /// It is being tried, and not in the queue.
    under_way: bool,
}

#[derive(Default)]
struct Cases {
    by_key: BTreeMap<Key, Case>,
    queue: BTreeSet<(Turn, Key)>,
}

/// Greater records to verify.
#[derive(Default)]
pub(in crate::driver) struct PendingReleases {
    cases: Mutex<Cases>,
    /// Notified when there is something new to try.
    pub(super) more: Notify,
    /// Notified after every attempt.
    tried: Notify,
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
        let mut cases = self.cases.lock();
        let cases = &mut *cases;
        let Some(case) = cases.by_key.get_mut(key) else {
            if cases.by_key.len() < limits::PENDING_RELEASES_MAX {
                let turn = (false, now);
                let case = Case {
                    greater,
                    backoff: backoff(),
                    turn,
                    under_way: false,
                };
                cases.by_key.insert(key.clone(), case);
                cases.queue.insert((turn, key.clone()));
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
        let soon = (
            case.turn.0,
            case.turn.1.min(now + limits::RELEASE_RETRY_MIN),
        );
        if !case.under_way && soon < case.turn {
            cases.queue.remove(&(case.turn, key.clone()));
            cases.queue.insert((soon, key.clone()));
            case.turn = soon;
            self.more.notify_one();
        }
    }

    /// Takes up to `at_most` due files off the queue. Also returns when the next one is due.
    pub(super) fn take_due(
        &self,
        at_most: usize,
        now: Instant,
    ) -> (Vec<(Key, Greater)>, Option<Instant>) {
        let mut cases = self.cases.lock();
        let cases = &mut *cases;
        let mut due = Vec::new();
        while due.len() < at_most
            && let Some(((_, at), _)) = cases.queue.first()
            && *at <= now
            && let Some((_, key)) = cases.queue.pop_first()
        {
            if let Some(case) = cases.by_key.get_mut(&key) {
                case.under_way = true;
                due.push((key, case.greater.clone()));
            }
        }
        (due, cases.queue.first().map(|((_, at), _)| *at))
    }

    /// Records the result of an attempt.
    pub(super) fn tried(&self, key: &Key, greater: &Greater, tried: Tried, now: Instant) {
        let mut cases = self.cases.lock();
        let Some(mut case) = cases.by_key.remove(key) else {
            return;
        };
        let is_renewed = case.greater > *greater;
        if is_renewed || tried == Tried::Waits {
            let pause = match is_renewed {
                true => limits::RELEASE_RETRY_MIN,
                false => case.backoff.next_pause(),
            };
            case.turn = (true, now + pause);
            case.under_way = false;
            cases.queue.insert((case.turn, key.clone()));
            cases.by_key.insert(key.clone(), case);
        }
        drop(cases);
        self.tried.notify_waiters();
    }

    /// Waits, for at most this long, until the first attempt with this file is over, if it is listed.
    pub(super) async fn first_try(&self, key: &Key, patience: Duration) {
        let is_untried = || {
            let cases = self.cases.lock();
            cases.by_key.get(key).is_some_and(|case| !case.turn.0)
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
        self.cases.lock().by_key.len()
    }
}

fn backoff() -> Backoff {
    Backoff::new(limits::RELEASE_RETRY_MIN, limits::RELEASE_RETRY_MAX)
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
