//! Numbers of things, as sentences have them.

use std::fmt::Display;

/// So many of these: `1 node`, `2 nodes`. The word is one whose plural has an `s` and nothing else.
///
/// ```
/// use dataverse_lab::counted;
///
/// assert_eq!(counted(1, "run"), "1 run");
/// assert_eq!(counted(0, "run"), "0 runs");
/// ```
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, word: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {word}{plural}")
}
