//! `KindSpec`: what the operator asks for of one kind of policy. A table of `policies.toml`, or the body of a
//! request.

use dataverse_sandbox::GuestLimits;
use dataverse_sandbox::limits::{
    POLICY_FUEL_DEFAULT, POLICY_MEMORY_MIB_DEFAULT, POLICY_WALL_MS_DEFAULT,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::name::{BadName, PolicyName};
use crate::limits;

/// Which policy of a kind should run, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = KindWish)]
#[serde(deny_unknown_fields)]
pub struct KindSpec {
    /// The name of a file in the policies folder without `.wasm`, or else of a built-in policy.
    pub policy: String,
    /// The configuration of the policy.
    #[serde(default = "empty", skip_serializing_if = "is_empty")]
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// A policy that is asked but not obeyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
    /// Limits of one decision.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "limits_by_name"
    )]
    pub limits: Option<LimitsSpec>,
}

impl KindSpec {
    /// Checks everything that does not depend on which policies there are; the error is the first problem.
    pub(super) fn check(&self) -> Result<(), String> {
        let bad = |error: BadName| error.to_string();
        self.policy.parse::<PolicyName>().map_err(bad)?;
        if let Some(shadow) = &self.shadow {
            shadow.parse::<PolicyName>().map_err(bad)?;
        }
        if !self.config.is_object() {
            return Err("config must be a table of settings, `{ }` if there are none".to_owned());
        }
        if deeper_than(&self.config, limits::POLICY_CONFIG_DEPTH_MAX) {
            let most = limits::POLICY_CONFIG_DEPTH_MAX;
            return Err(format!("config has more than {most} levels of nesting"));
        }
        let (bytes, most) = (self.config_json().len(), limits::POLICY_CONFIG_BYTES_MAX);
        if bytes > most {
            return Err(format!(
                "config has {bytes} bytes; at most {most} are allowed"
            ));
        }
        self.limits.map_or(Ok(()), LimitsSpec::check)
    }

    /// Normalizes names as people type them: the ending `.wasm` may be there.
    ///
    /// # Errors
    /// [`BadName`] if one is not a valid name.
    pub fn said(mut self) -> Result<Self, BadName> {
        for name in [Some(&mut self.policy), self.shadow.as_mut()] {
            let Some(name) = name else { continue };
            *name = PolicyName::said(name)?.to_string();
        }
        Ok(self)
    }

    /// Whether both ask for the same, however they are written.
    pub(super) fn asks_same_as(&self, other: &Self) -> bool {
        (&self.policy, &self.config, &self.shadow) == (&other.policy, &other.config, &other.shadow)
            && self.limits.unwrap_or_default() == other.limits.unwrap_or_default()
    }

    /// The spec that makes the shadow the active policy.
    pub(super) fn of_shadow(&self) -> Option<Self> {
        let shadow = self.shadow.as_deref()?;
        Some(Self {
            limits: self.limits,
            ..Self::plain(shadow)
        })
    }

    /// The configuration as JSON, as the policy gets it.
    pub(super) fn config_json(&self) -> String {
        self.config.to_string()
    }

    /// This policy with no configuration, no shadow and default limits.
    #[must_use]
    pub fn plain(policy: &str) -> Self {
        Self {
            policy: policy.to_owned(),
            config: empty(),
            shadow: None,
            limits: None,
        }
    }
}

/// Limits of one decision; an absent one has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LimitsWish)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Fuel; most instructions cost one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Milliseconds of wall-clock time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// Mebibytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
}

impl LimitsSpec {
    fn check(self) -> Result<(), String> {
        for (name, asked, most) in [
            ("fuel", self.fuel, u64::MAX),
            ("wall_ms", self.wall_ms, limits::POLICY_WALL_MS_MAX),
            ("memory_mib", self.memory_mib, limits::POLICY_MEMORY_MIB_MAX),
        ] {
            match asked {
                Some(0) => {
                    return Err(format!(
                        "limits.{name} is 0, which leaves nothing for a decision"
                    ));
                }
                Some(asked) if asked > most => {
                    return Err(format!(
                        "limits.{name} is {asked}; at most {most} is allowed"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The limits with defaults filled in.
    #[must_use]
    pub fn filled(self) -> GuestLimits {
        GuestLimits {
            fuel: self.fuel.unwrap_or(POLICY_FUEL_DEFAULT),
            wall_ms: self.wall_ms.unwrap_or(POLICY_WALL_MS_DEFAULT),
            memory_mib: self.memory_mib.unwrap_or(POLICY_MEMORY_MIB_DEFAULT),
        }
    }
}

/// Reads limits by name; serde would also accept a list of numbers.
fn limits_by_name<'de, D: Deserializer<'de>>(read: D) -> Result<Option<LimitsSpec>, D::Error> {
    let fields = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(read)?;
    let limits = fields.map(|fields| LimitsSpec::deserialize(serde_json::Value::Object(fields)));
    limits.transpose().map_err(D::Error::custom)
}

/// Whether a value is nested deeper than this many levels. Recurses no deeper than that.
fn deeper_than(value: &serde_json::Value, levels: usize) -> bool {
    let mut inner: Box<dyn Iterator<Item = &serde_json::Value>> = match value {
        serde_json::Value::Array(items) => Box::new(items.iter()),
        serde_json::Value::Object(fields) => Box::new(fields.values()),
        _ => return false,
    };
    levels == 0 || inner.any(|value| deeper_than(value, levels - 1))
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn is_empty(config: &serde_json::Value) -> bool {
    config.as_object().is_some_and(serde_json::Map::is_empty)
}
