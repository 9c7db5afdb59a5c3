//! `Wrong`: an impossible setting of an experiment, and the key that sets it.
//!
//! Errors of the parser (an unknown key, a word instead of a number) name their line. An error that only shows
//! once everything has been read names the key instead, and the caller that has the file finds the line.

/// An impossible setting, and its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Wrong {
    /// The key with its table, separated by dots: `topology.nodes`, `event.2.node` (the third event).
    pub key: String,
    /// Why it is impossible, and what to do.
    pub reason: String,
}

impl Wrong {
    /// A `Wrong` with this key and reason.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            reason: reason.into(),
        }
    }
}
