//! Conditions of writes and deletions, and when one may go on.

use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::record::Record;
use dataverse_core::version::{Stamp, Version};

use crate::round::{Surveyed, Undecided};

/// The condition under which a write or a deletion happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    #[default]
    Always,
    /// Only if the file does not exist (`If-None-Match: *`).
    Absent,
    /// Only if the file exists (`If-Match: *`).
    Present,
    /// Only if the file's content has one of these digests (`If-Match: "…"`).
    Matches(Vec<Digest>),
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// The file exists, with this digest.
    #[error("already exists, with digest {0}")]
    Exists(Digest),
    /// The file does not exist.
    #[error("does not exist")]
    Missing,
    /// The file has this digest, which is none of those given.
    #[error("has digest {0}, which is none of those given")]
    Differs(Digest),
}

impl Unmet {
    /// The digest of the file as it is.
    #[must_use]
    pub const fn current(&self) -> Option<Digest> {
        match self {
            Self::Exists(digest) | Self::Differs(digest) => Some(*digest),
            Self::Missing => None,
        }
    }
}

impl Condition {
    /// Whether it holds for the present version of the file.
    ///
    /// # Errors
    /// Why it does not.
    pub fn judge(&self, current: Option<&Record>) -> Result<(), Unmet> {
        match (self, current) {
            (Self::Absent, Some(record)) => Err(Unmet::Exists(record.digest)),
            (Self::Present | Self::Matches(_), None) => Err(Unmet::Missing),
            (Self::Matches(digests), Some(record)) if !digests.contains(&record.digest) => {
                Err(Unmet::Differs(record.digest))
            }
            _ => Ok(()),
        }
    }
}

/// What a conditional write does after a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask again after a pause: another write comes first.
    Wait,
    /// Take a version with a stamp above this one, and ask again.
    Restamp(Stamp),
    /// Commit. This is the version that it replaces.
    Commit(Option<Arc<Record>>),
    /// The file that should not exist already had the content when the client asked. It may be asking again after its
    /// connection broke, and this is its own write.
    Unchanged(Arc<Record>),
    /// The condition does not hold; nothing is written.
    Refuse(Unmet),
    /// Nobody can tell whether it holds; nothing is written.
    Undecided(Undecided),
}

/// One conditional write or deletion, from the moment when its content is ready.
#[derive(Debug, Clone)]
pub struct ConditionalWrite {
    condition: Condition,
    /// The version that had the same content when the client asked.
    same_before: Option<Version>,
    /// The version that no node had in the round before.
    missing: Option<Version>,
}

impl ConditionalWrite {
    /// A write or deletion under this condition. `same_before` is the version that already had the content to be
    /// written when the client asked, if any.
    ///
    /// It counts only for a file that should not exist. Where a client replaces what it has read, another client may
    /// have made the same change, and telling both that they succeeded would lose an increment.
    #[must_use]
    pub const fn new(condition: Condition, same_before: Option<Version>) -> Self {
        Self {
            condition,
            same_before,
            missing: None,
        }
    }

    /// What follows from a round that was asked with this version.
    #[must_use]
    pub fn after(&mut self, round: Surveyed, version: Version) -> Next {
        let current = match round.current {
            Err(undecided @ (Undecided::Silent(_) | Undecided::TooManyNodes)) => {
                return Next::Undecided(undecided);
            }
            _ if round.pending => return Next::Wait,
            // It may have been committed on nodes that were asked before that. The next round finds it then.
            Err(Undecided::Missing(version)) if self.missing.replace(version) != Some(version) => {
                return Next::Wait;
            }
            Err(undecided) => return Next::Undecided(undecided),
            Ok(current) => current,
        };
        if let Err(unmet) = self.condition.judge(current.as_deref()) {
            let is_same = |record: &Arc<Record>| {
                self.condition == Condition::Absent && self.same_before == Some(record.version)
            };
            return match current.filter(is_same) {
                Some(record) => Next::Unchanged(record),
                None => Next::Refuse(unmet),
            };
        }
        // Only with such a version is a write that is stamped from now on ordered after this one.
        match version.stamp <= round.above {
            true => Next::Restamp(round.above),
            false => Next::Commit(current),
        }
    }
}
