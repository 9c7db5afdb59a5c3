//! `Changing`: a value that tasks can wait on until it meets a condition.
//!
//! It works like tokio's `watch`, but wakes waiters in the order in which they came. `watch` spreads its waiters
//! over several queues at random, which no seed controls, so a simulation could not be reproduced.

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// A value that tasks can wait on.
#[derive(Debug, Default)]
pub struct Changing<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Changing<T> {
    /// Creates one with this initial value.
    pub fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Notify::new(),
        }
    }

    /// The current value.
    pub fn now(&self) -> MutexGuard<'_, T> {
        self.value.lock()
    }

    /// Changes the value and wakes every waiter to look at it.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.now());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `wanted` returns something for the value. Dropping the future loses nothing.
    pub async fn until<R>(&self, wanted: impl Fn(&T) -> Option<R>) -> R {
        loop {
            // Registered here: this waiter sees every change from now on, even before it is polled.
            let changed = self.changed.notified();
            let found = wanted(&self.now());
            if let Some(found) = found {
                return found;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let value = Arc::new(Changing::new(0));
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting = (0..20).map(|number| {
            let (value, order) = (Arc::clone(&value), Arc::clone(&order));
            tokio::spawn(async move {
                value.until(|value| (*value == 2).then_some(())).await;
                order.lock().push(number);
            })
        });
        let waiting: Vec<_> = waiting.collect();
        for next in [1, 2] {
            tokio::task::yield_now().await;
            value.change(|value| *value = next);
        }
        for one in waiting {
            one.await.expect("no one panics");
        }
        let order = order.lock();
        assert_eq!(*order, (0..20).collect::<Vec<_>>());
    }
}
