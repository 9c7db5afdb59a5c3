//! Logs a panic's message on the node before the policy traps: the trap itself only says where.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};

use crate::Level;

/// Reports panics to the node from now on. Cheap to call again.
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
        .unwrap_or("a message that is not text");
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    // A failed `assert_eq!` has a message of three lines; a log line must be one.
    let message = format!("it panicked at {place}: {message}").replace('\n', ";");
    super::log(Level::Error, &message);
}
