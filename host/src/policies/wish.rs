//! What the operator wishes of one kind of policy: a table of `policies.toml`, or the body of a request.

use dataverse_core::limits;
use dataverse_sandbox::GuestLimits;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which policy of a kind is to run, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KindWish {
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsWish>,
}

impl KindWish {
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
pub struct LimitsWish {
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

impl LimitsWish {
    /// The limits with the usual ones filled in.
    #[must_use]
    pub fn filled(self) -> GuestLimits {
        GuestLimits {
            fuel: self.fuel.unwrap_or(limits::POLICY_FUEL_DEFAULT),
            wall_ms: self.wall_ms.unwrap_or(limits::POLICY_WALL_MS_DEFAULT),
            memory_mib: self.memory_mib.unwrap_or(limits::POLICY_MEMORY_MIB_DEFAULT),
        }
    }
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn is_empty(config: &serde_json::Value) -> bool {
    config.as_object().is_some_and(serde_json::Map::is_empty)
}
