//! How the demonstration speaks: numbered steps, what was measured, and what did not hold.

use std::io::Write;
use std::time::Duration;

use dataverse_core::plural::plural;

/// Tells the story on standard output.
#[derive(Default)]
pub(super) struct Story {
    step: u32,
}

impl Story {
    /// A new step.
    pub(super) fn step(&mut self, title: &str) {
        self.step += 1;
        say(&format!("\n{}. {title}", self.step));
    }

    /// Something that happened in it.
    pub(super) fn tell(&self, line: &str) {
        say(&format!("   {line}"));
    }
}

/// Whoever listens may have gone away; the story is told to its end all the same.
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
