//! What the operator wishes of one kind of policy: a table of `policies.toml`, or the body of a request.

use dataverse_sandbox::GuestLimits;
use dataverse_sandbox::limits::{
    POLICY_FUEL_DEFAULT, POLICY_MEMORY_MIB_DEFAULT, POLICY_WALL_MS_DEFAULT,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::name::{BadName, PolicyName};
use crate::limits;

/// Which policy of a kind is to run, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KindSpec {
    /// The name of a file in the folder, without `.wasm`, else of a built-in policy.
    pub policy: String,
    /// Its configuration.
    #[serde(default = "empty", skip_serializing_if = "is_empty")]
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// A policy that is asked and not obeyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
    /// What it may use up.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "limits_by_name"
    )]
    pub limits: Option<LimitsSpec>,
}

impl KindSpec {
    /// The first thing that is wrong with it, whatever policies there are.
    pub(super) fn check(&self) -> Result<(), String> {
        let bad = |error: BadName| error.to_string();
        self.policy.parse::<PolicyName>().map_err(bad)?;
        if let Some(shadow) = &self.shadow {
            shadow.parse::<PolicyName>().map_err(bad)?;
        }
        if !self.config.is_object() {
            return Err("config has to be a table of settings, `{ }` if there are none".to_owned());
        }
        if deeper_than(&self.config, limits::POLICY_CONFIG_DEPTH_MAX) {
            let most = limits::POLICY_CONFIG_DEPTH_MAX;
            return Err(format!("config has more than {most} levels"));
        }
        let (bytes, most) = (self.config_json().len(), limits::POLICY_CONFIG_BYTES_MAX);
        if bytes > most {
            return Err(format!(
                "config has {bytes} bytes; at most {most} are allowed"
            ));
        }
        self.limits.map_or(Ok(()), LimitsSpec::check)
    }

    /// The wish with the names that are meant by a person, who may say the files'.
    ///
    /// # Errors
    /// [`BadName`] when no policy can be called so.
    pub fn said(mut self) -> Result<Self, BadName> {
        for name in [Some(&mut self.policy), self.shadow.as_mut()] {
            let Some(name) = name else { continue };
            *name = PolicyName::said(name)?.to_string();
        }
        Ok(self)
    }

    /// Whether both wish the same, though they may be written otherwise.
    pub(super) fn parts(&self, other: &Self) -> bool {
        (&self.policy, &self.config, &self.shadow) == (&other.policy, &other.config, &other.shadow)
            && self.limits.unwrap_or_default() == other.limits.unwrap_or_default()
    }

    /// The table that the shadow would have if it were the one to decide.
    pub(super) fn of_shadow(&self) -> Option<Self> {
        let shadow = self.shadow.as_deref()?;
        Some(Self {
            limits: self.limits,
            ..Self::plain(shadow)
        })
    }

    /// The configuration, as the policy is told it.
    pub(super) fn config_json(&self) -> String {
        self.config.to_string()
    }

    /// This policy with no configuration and no shadow.
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

/// What one decision may use up; what is absent is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Fuel.
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
                        "limits.{name} is 0, with which nothing can be decided"
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

    /// The limits with the usual ones filled in.
    #[must_use]
    pub fn filled(self) -> GuestLimits {
        GuestLimits {
            fuel: self.fuel.unwrap_or(POLICY_FUEL_DEFAULT),
            wall_ms: self.wall_ms.unwrap_or(POLICY_WALL_MS_DEFAULT),
            memory_mib: self.memory_mib.unwrap_or(POLICY_MEMORY_MIB_DEFAULT),
        }
    }
}

/// Limits that say which is which: a list of numbers is none.
fn limits_by_name<'de, D: Deserializer<'de>>(read: D) -> Result<Option<LimitsSpec>, D::Error> {
    let fields = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(read)?;
    let limits = fields.map(|fields| LimitsSpec::deserialize(serde_json::Value::Object(fields)));
    limits.transpose().map_err(D::Error::custom)
}

/// Whether something is nested deeper than so many levels; looks no deeper than that.
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
