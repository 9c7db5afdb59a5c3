//! Lines in the node's log, under the policy's name.

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// Life cycle.
    Info,
    /// Degraded but handled.
    Warn,
    /// Someone must act.
    Error,
}

/// Writes one line in the node's log; rate-limited, cut at 1 KiB. Natively, on standard error.
pub fn log(level: Level, message: &str) {
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
    #[cfg(target_arch = "wasm32")]
    crate::guest::log(level, message);
}
