//! `Wrong`: something that an experiment says and that can't be, by the key that says it.
//!
//! What the parser refuses (an unknown key, a word for a number) names a line by itself. What only shows when
//! everything is read names the key, from which whoever holds the file finds the line.

/// Something that can't be, and the key that asks for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Wrong {
    /// The key with its table, dots between: `topology.nodes`, `event.2.node` (the third event).
    pub key: String,
    /// Why it can't be, and what to do.
    pub reason: String,
}

impl Wrong {
    /// This key, for this reason.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            reason: reason.into(),
        }
    }
}
