//! `Journal`: passes on the lines that a policy logs.
//!
//! A line is shortened, its control characters are escaped, and it goes to the node's log under the policy's name
//! or to a given sink. The number of lines per second is limited. Further lines are only counted, and the count is
//! logged with the next line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentType, Lift};

use crate::limits;

const WINDOW: Duration = Duration::from_secs(1);

/// The importance of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// For the policy's author.
    #[component(name = "debug")]
    Debug,
    /// Life cycle.
    #[component(name = "info")]
    Info,
    /// Degraded but handled.
    #[component(name = "warn")]
    Warn,
    /// Someone must act.
    #[component(name = "error")]
    Error,
}

/// Receives a policy's lines instead of the node's log. Called on the thread that asks the policy, so it must be
/// quick.
pub type LogSink = Arc<dyn Fn(Level, &str) + Send + Sync>;

pub(crate) struct Journal {
    policy: String,
    sink: Option<LogSink>,
    window_began: Instant,
    lines: u32,
    suppressed: u64,
    /// The last line of level error in the current call: a panic is logged just before it traps.
    last_error: Option<String>,
}

impl Journal {
    pub(crate) fn new(policy: String, sink: Option<LogSink>) -> Self {
        Self {
            policy,
            sink,
            window_began: Instant::now(),
            lines: 0,
            suppressed: 0,
            last_error: None,
        }
    }

    /// Whether a line may be written now. If not it is counted, and need not be read.
    pub(crate) fn accepts(&mut self, now: Instant) -> bool {
        if now.duration_since(self.window_began) >= WINDOW {
            self.window_began = now;
            self.lines = 0;
            self.tell_suppressed();
        }
        if self.lines >= limits::POLICY_LOG_LINES_PER_SECOND_MAX {
            self.suppressed += 1;
            return false;
        }
        self.lines += 1;
        true
    }

    /// Writes a line that was accepted.
    pub(crate) fn write(&mut self, level: Level, message: &str) {
        let line = legible(message);
        self.emit(level, &line);
        if level == Level::Error {
            self.last_error = Some(line);
        }
    }

    pub(crate) fn forget_error(&mut self) {
        self.last_error = None;
    }

    pub(crate) fn take_error(&mut self) -> Option<String> {
        self.last_error.take()
    }

    fn tell_suppressed(&mut self) {
        let count = std::mem::take(&mut self.suppressed);
        if count > 0 {
            let most = limits::POLICY_LOG_LINES_PER_SECOND_MAX;
            let line =
                format!("{count} more lines were dropped; at most {most} per second are logged");
            self.emit(Level::Warn, &line);
        }
    }

    fn emit(&self, level: Level, line: &str) {
        if let Some(sink) = &self.sink {
            return sink(level, line);
        }
        let policy = self.policy.as_str();
        match level {
            Level::Debug => {
                tracing::debug!(target: "dataverse::policy", policy, line, "policy log line")
            }
            Level::Info => {
                tracing::info!(target: "dataverse::policy", policy, line, "policy log line")
            }
            Level::Warn => {
                tracing::warn!(target: "dataverse::policy", policy, line, "policy log line")
            }
            Level::Error => {
                tracing::error!(target: "dataverse::policy", policy, line, "policy log line")
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.tell_suppressed();
    }
}

/// The beginning of `message`, without characters that could move the cursor or forge a second line.
fn legible(message: &str) -> String {
    let end = message.floor_char_boundary(limits::POLICY_LOG_BYTES_MAX);
    let mut line = String::with_capacity(end);
    for character in message[..end].chars() {
        if character.is_control() || ('\u{2028}'..='\u{202e}').contains(&character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    fn recording() -> (Journal, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let sink: LogSink = Arc::new(move |_, line| kept.lock().push(line.to_owned()));
        (Journal::new("p".to_owned(), Some(sink)), lines)
    }

    #[test]
    fn a_line_is_cut_on_a_character_and_escaped() {
        assert_eq!(legible("a\nb\u{1b}[2J\u{202e}"), "a\\nb\\u{1b}[2J\\u{202e}");
        let long = "é".repeat(1000);
        assert_eq!(legible(&long), "é".repeat(512));
        assert_eq!(
            legible(&format!("x{long}")),
            format!("x{}", "é".repeat(511))
        );
    }

    #[test]
    fn a_flood_is_counted_and_told_with_the_next_line() {
        let (mut journal, lines) = recording();
        let begin = journal.window_began;
        for _ in 0..limits::POLICY_LOG_LINES_PER_SECOND_MAX + 7 {
            if journal.accepts(begin) {
                journal.write(Level::Info, "again");
            }
        }
        assert_eq!(lines.lock().len(), 20);
        assert!(journal.accepts(begin + WINDOW));
        journal.write(Level::Info, "later");
        let lines = lines.lock();
        assert!(lines[20].starts_with("7 more lines"), "{}", lines[20]);
        assert_eq!(lines[21], "later");
    }

    #[test]
    fn what_was_left_out_is_told_at_the_end_too() {
        let (mut journal, lines) = recording();
        let begin = journal.window_began;
        let accepted = (0..21).filter(|_| journal.accepts(begin)).count();
        assert_eq!(accepted, 20);
        drop(journal);
        assert!(lines.lock()[0].starts_with("1 more lines"));
    }
}
