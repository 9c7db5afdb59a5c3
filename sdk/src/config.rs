//! The configuration of a policy: parses JSON into a struct.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The configuration of a policy that has none. Any key in it is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Parses a configuration. An empty text counts as `{}`.
///
/// # Errors
/// What is wrong with it, as a message for the operator.
pub fn parse<C: DeserializeOwned>(json: &str) -> Result<C, String> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    serde_json::from_str(json).map_err(|error| format!("the configuration is refused: {error}"))
}
