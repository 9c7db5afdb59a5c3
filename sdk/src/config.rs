//! The configuration of a policy: JSON into a struct.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The configuration of a policy that takes none. Any key in it is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration. An empty one is `{}`.
///
/// # Errors
/// What is wrong with it, for the operator to read.
pub fn parse<C: DeserializeOwned>(json: &str) -> Result<C, String> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    serde_json::from_str(json).map_err(|error| format!("the configuration is refused: {error}"))
}
