//! The demo's output: numbered steps and what was measured in each.

use std::io::Write;
use std::time::Duration;

use dataverse_core::plural::plural;

/// Prints the demo's steps on standard output.
#[derive(Default)]
pub(super) struct Story {
    step: u32,
}

impl Story {
    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) {
        self.step += 1;
        say(&format!("\n{}. {title}", self.step));
    }

    /// Prints something that happened in the step.
    pub(super) fn tell(&self, line: &str) {
        say(&format!("   {line}"));
    }
}

/// Prints a line. The demo goes on even if the output is closed.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub(super) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

/// `1 hop`, `2 hops`.
pub(super) fn counted(count: u64, what: &str) -> String {
    plural(count, what, &format!("{what}s"))
}
