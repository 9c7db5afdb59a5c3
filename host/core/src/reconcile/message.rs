//! What a node asks another when it compares their holdings, and what that one answers.

use super::{BucketRange, Compared, DigestEntry};
use crate::filter::Filter;

/// Asks a node to compare what it holds with what the asker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconcileAsk {
    /// Is this the root over the files that we both should hold?
    Root(u128),
    /// Which of these files differ there? With a range, the answer also lists the shared files in it that are not
    /// among the entries.
    Compare {
        /// A part of the files that we both should hold.
        range: Option<BucketRange>,
        /// Digest entries of the sender's files.
        entries: Vec<DigestEntry>,
    },
    /// Which files do you hold or remember as deleted? Not needed if it is still this filter.
    Filter {
        /// The tag of a known filter, or 0.
        known: u128,
    },
}

/// The answer to a [`ReconcileAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconcileAnswer {
    /// Nothing differs: the root is the same, or the filter is.
    Agreed,
    /// The sums of every bucket.
    Sums(Vec<u128>),
    /// The differences that were found.
    Compared(Compared),
    /// The files that are held or remembered as deleted.
    Filter(Filter),
}

impl ReconcileAsk {
    /// Bytes of the message without its sender.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        match self {
            Self::Root(_) | Self::Filter { .. } => 16,
            Self::Compare { range, entries } => {
                let buckets = range.as_ref().map_or(0, |range| range.buckets.len());
                (16 * entries.len() + 2 * buckets + 16) as u64
            }
        }
    }
}

impl ReconcileAnswer {
    /// Bytes of the message without its sender; a record is estimated as its texts plus 150 bytes.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Agreed => 0,
            Self::Sums(sums) => 16 * sums.len(),
            Self::Filter(filter) => filter.as_bytes().len(),
            Self::Compared(compared) => {
                let texts = compared.records.iter();
                let texts = texts.map(|it| 150 + it.key.as_str().len() + it.content_type.len());
                texts.sum::<usize>() + 8 * compared.unknown.len() + 8
            }
        };
        bytes as u64
    }
}
