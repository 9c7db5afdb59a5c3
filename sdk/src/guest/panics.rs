//! A panic's message reaches the node's log before the policy traps: a trap alone says only where.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};

use crate::Level;

/// From now on panics are told to the node. Cheap to call again.
pub(super) fn tell_the_node() {
    thread_local! {
        static TOLD: Cell<bool> = const { Cell::new(false) };
    }
    if !TOLD.replace(true) {
        panic::set_hook(Box::new(tell));
    }
}

fn tell(panic: &PanicHookInfo<'_>) {
    let message = panic
        .payload_as_str()
        .unwrap_or("something that is no text");
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    // A failed `assert_eq!` has three lines; the log has one.
    let message = format!("it panicked at {place}: {message}").replace('\n', ";");
    super::log(Level::Error, &message);
}
