//! Errors about traces.

/// Why a trace, or the rest of it, can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The file can't be opened, read or decompressed.
    #[error("{file} can't be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A line is invalid.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A request of a binary trace is invalid.
    #[error("{file}: request {request}: {reason}")]
    Record {
        /// The file.
        file: String,
        /// The request, from 1.
        request: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The description of a generated trace is invalid.
    #[error("`{spec}`: {reason}")]
    Spec {
        /// As it was given.
        spec: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The trace as a whole is unusable.
    #[error("{file}: {reason}")]
    Whole {
        /// The trace.
        file: String,
        /// Why.
        reason: String,
    },
}
