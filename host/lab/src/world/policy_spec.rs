//! `PolicySpec`: a policy as an experiment specifies it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize as Read, Serialize};

/// A policy by name or path, with its configuration: `"lru"` or `{ policy = "lru", config = { … } }`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum PolicySpec {
    /// Only the name or path.
    Name(String),
    /// With a configuration.
    Configured(ConfiguredPolicy),
}

/// A policy with its configuration. Any other key is refused, because a mistyped `config` would silently leave the
/// default configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Read)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredPolicy {
    /// Name or path.
    policy: String,
    /// According to the policy's own schema.
    #[serde(default)]
    config: toml::Table,
}

impl PolicySpec {
    /// Name or path.
    #[must_use]
    pub fn policy(&self) -> &str {
        match self {
            Self::Name(policy) | Self::Configured(ConfiguredPolicy { policy, .. }) => policy,
        }
    }

    /// The configuration as JSON; empty if there is none.
    ///
    /// # Errors
    /// Why it can't be expressed in JSON.
    pub fn config(&self) -> Result<String, String> {
        match self {
            Self::Configured(ConfiguredPolicy { config, .. }) if !config.is_empty() => {
                serde_json::to_string(config).map_err(|error| error.to_string())
            }
            _ => Ok(String::new()),
        }
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = PolicySpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a policy, or { policy = \"…\", config = { … } }")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PolicySpec, E> {
        Ok(PolicySpec::Name(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<PolicySpec, A::Error> {
        ConfiguredPolicy::deserialize(MapAccessDeserializer::new(keys)).map(PolicySpec::Configured)
    }
}

impl<'de> Deserialize<'de> for PolicySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}
