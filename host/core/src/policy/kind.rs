//! `Kind`: the three kinds of decision, and of policy.

use std::fmt;
use std::str::FromStr;

/// A kind of decision, and of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Where the copies of a new file go.
    Placement,
    /// Which cached copies are evicted.
    Eviction,
    /// Whether data moves towards its readers.
    Relocation,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Placement, Self::Eviction, Self::Relocation];

    /// The kind's name in files, paths, API answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placement => "placement",
            Self::Eviction => "eviction",
            Self::Relocation => "relocation",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

/// A word that is not a kind of policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of policy; the kinds are placement, eviction and relocation")]
pub struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| UnknownKind(word.to_owned()))
    }
}
