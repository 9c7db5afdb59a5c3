//! `About`: how a policy describes itself.

/// A policy's description of itself, read before it is asked anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The author's name for it. A node uses the name of its file instead.
    pub name: &'static str,
    /// The version of its code.
    pub version: &'static str,
    /// One sentence that helps an operator choose among policies.
    pub summary: &'static str,
    /// JSON Schema of its configuration; empty if it has none.
    pub config_schema: &'static str,
}

/// An [`About`](crate::About) with the name and version of the calling crate.
///
/// ```
/// let about = dataverse_sdk::about!("drops the copy that came first");
/// assert_eq!(about.summary, "drops the copy that came first");
/// ```
#[macro_export]
macro_rules! about {
    ($summary:expr) => {
        $crate::about!($summary, "")
    };
    ($summary:expr, $config_schema:expr) => {
        $crate::About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            summary: $summary,
            config_schema: $config_schema,
        }
    };
}
