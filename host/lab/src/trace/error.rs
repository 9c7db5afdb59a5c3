//! What can be wrong with a trace.

/// Why a trace, or the rest of it, can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The file can't be opened, read or unpacked.
    #[error("{file} can't be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A line makes no sense.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1 on.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A request of a binary trace makes no sense.
    #[error("{file}: request {request}: {reason}")]
    Record {
        /// The file.
        file: String,
        /// The request, from 1 on.
        request: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The trace to be generated is none.
    #[error("`{spec}`: {reason}")]
    Spec {
        /// As it was given.
        spec: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The trace as a whole is of no use.
    #[error("{file}: {reason}")]
    Whole {
        /// The trace.
        file: String,
        /// Why.
        reason: String,
    },
}
