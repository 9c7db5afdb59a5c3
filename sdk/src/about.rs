//! How a policy introduces itself.

/// What a policy says of itself before it is asked anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What its author calls it; on a node it goes by the name of its file.
    pub name: &'static str,
    /// The version of its code.
    pub version: &'static str,
    /// One sentence for whoever chooses among policies.
    pub summary: &'static str,
    /// JSON Schema of its configuration; empty when it takes none.
    pub config_schema: &'static str,
}

/// An [`About`](crate::About) with the name and version of the crate that it is written in.
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
