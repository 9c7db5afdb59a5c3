//! Writes lines to the node's log, under the policy's name.

/// The importance of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the policy's author.
    Debug,
    /// Life cycle.
    Info,
    /// Degraded but handled.
    Warn,
    /// Someone must act.
    Error,
}

/// Writes one line to the node's log; rate-limited, and cut off at 1 KiB. On other targets than `wasm32`, writes
/// to standard error.
pub fn log(level: Level, message: &str) {
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
    #[cfg(target_arch = "wasm32")]
    crate::guest::log(level, message);
}
