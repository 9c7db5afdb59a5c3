//! What was found to be wrong during a run.

use parking_lot::Mutex;

use crate::log::Log;

/// The number of findings kept per run; the first ones matter most.
const KEPT: usize = 50;

/// Descriptions of what is wrong.
#[derive(Default)]
pub struct Findings(Mutex<Vec<String>>);

impl Findings {
    /// Adds a finding.
    pub fn add(&self, log: &Log, what: String) {
        log.note(format_args!("WRONG: {what}"));
        let mut findings = self.0.lock();
        if findings.len() < KEPT {
            findings.push(what);
        }
    }

    /// All findings so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let findings = self.0.lock();
        findings.clone()
    }
}
