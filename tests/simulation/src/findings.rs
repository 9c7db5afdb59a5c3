//! What was found to be wrong while a run goes on.

use parking_lot::Mutex;

use crate::log::Log;

/// Findings kept of one run; the first say what matters.
const KEPT: usize = 50;

/// What is wrong, in words.
#[derive(Default)]
pub struct Findings(Mutex<Vec<String>>);

impl Findings {
    /// Notes that something is wrong.
    pub fn add(&self, log: &Log, what: String) {
        log.note(format_args!("WRONG: {what}"));
        let mut findings = self.0.lock();
        if findings.len() < KEPT {
            findings.push(what);
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let findings = self.0.lock();
        findings.clone()
    }
}
