//! The answer of `GET /v1/policies`, field by field. The docs of these types are the descriptions in the OpenAPI
//! document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The policies of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoliciesView {
    /// Placement: where the copies of a new file go.
    pub placement: KindView,
    /// Eviction: which cached copies are dropped to make space.
    pub eviction: KindView,
    /// Relocation: whether data moves towards its readers.
    pub relocation: KindView,
    /// The policies that can be used: the files of the folder and the built-in policies.
    pub available: Vec<Available>,
    /// What is wrong with `policies.toml` or the folder as a whole.
    pub last_error: Option<String>,
    /// Why the system does not report changes in the folder, and how often the folder is read instead; absent while
    /// it does report them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// The path of the policies folder.
    pub folder: String,
}

/// The policies of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KindView {
    /// The policy that decides.
    pub active: ActiveView,
    /// The policy that is asked but not obeyed.
    pub shadow: Option<ShadowView>,
    /// The policy that is being compiled, to become active or the shadow.
    pub pending: Option<String>,
    /// The policies that can be rolled back to, the next one first.
    pub previous: Vec<PreviousView>,
    /// Why what runs is not what `policies.toml` asks for, until the table or the policy's file changes.
    pub last_error: Option<String>,
    /// A word that changes whenever this kind's table, or a file that it names, does. Pass it to promote or roll
    /// back, and nothing is changed if somebody else has made a change since.
    #[schema(example = "5f0c6f8a2b9d4e11")]
    pub revision: String,
}

/// The policy that decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActiveView {
    /// Its name.
    pub name: String,
    /// The version of its code, in its author's words.
    pub version: String,
    /// What it does, as its author describes it.
    pub summary: String,
    /// BLAKE3 digest of its file; empty for a native baseline.
    pub digest: String,
    /// Where it comes from.
    #[schema(example = "built-in")]
    pub origin: Origin,
    /// `active`, `probation` or `suspended`.
    #[schema(example = "active")]
    pub state: String,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// When it took over, RFC 3339.
    pub loaded_at: String,
    /// Decisions since then.
    pub decisions: u64,
    /// Faults since then, by kind.
    pub faults: BTreeMap<String, u64>,
    /// The last fault, with its question; absent before the first fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<String>,
    /// Fuel of recent decisions.
    pub fuel: Spread,
    /// Microseconds of recent decisions.
    pub latency_us: Spread,
}

/// Where a policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Shipped with the program.
    BuiltIn,
    /// A file in the policies folder.
    Folder,
    /// The native baseline.
    Baseline,
}

impl Origin {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Folder => "folder",
            Self::Baseline => "baseline",
        }
    }
}

/// Median and 99th percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

impl Spread {
    /// Nearest-rank percentiles; zeros if there are no values.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

/// A policy that is asked but not obeyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowView {
    /// Its name.
    pub name: String,
    /// The version of its code, in its author's words.
    pub version: String,
    /// What it does, as its author describes it.
    pub summary: String,
    /// BLAKE3 digest of its file.
    pub digest: String,
    /// Where it comes from.
    pub origin: Origin,
    /// `active` or `suspended`.
    pub state: String,
    /// When it became the shadow, RFC 3339.
    pub loaded_at: String,
    /// Questions that it was asked.
    pub decisions: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<String, u64>,
    /// The last fault, with its question; absent before the first fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<String>,
    /// Questions dropped because it was behind.
    pub dropped: u64,
    /// How its answers compare with those of the active policy.
    pub comparison: Comparison,
}

/// How a shadow's answers compare with those of the active policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Comparison {
    /// Of a placement policy.
    Placement {
        /// Share of questions that both answered with the same nodes; null before the first.
        agreement: Option<f64>,
        /// Bytes on the fullest node divided by the mean, as the shadow would have placed them; null before the
        /// first.
        balance: Option<f64>,
        /// The same, as the active policy placed them.
        active_balance: Option<f64>,
    },
    /// Of an eviction policy.
    Eviction {
        /// Share of reads that a cache of the same size under the shadow would have hit; null before the first.
        hit_ratio: Option<f64>,
        /// Share of the same reads that the real cache hit.
        active_hit_ratio: Option<f64>,
        /// Share of bytes that the shadow's cache would have hit.
        byte_hit_ratio: Option<f64>,
        /// Share of bytes that the real cache hit.
        active_byte_hit_ratio: Option<f64>,
    },
    /// Of a relocation policy.
    Relocation {
        /// Share of questions that both answered alike; null before the first.
        agreement: Option<f64>,
        /// Bytes that the shadow wanted to copy or move.
        bytes: u64,
        /// Bytes that the active policy wanted to copy or move.
        active_bytes: u64,
    },
}

/// A policy that can be rolled back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreviousView {
    /// Its name.
    pub name: String,
    /// BLAKE3 digest of its file.
    pub digest: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// When it took over, RFC 3339.
    pub loaded_at: String,
}

/// A policy that can be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Available {
    /// Its name.
    pub name: String,
    /// Its kind; null when the file is not a policy.
    pub kind: Option<String>,
    /// The version of its code, in its author's words.
    pub version: String,
    /// What it does, as its author describes it.
    pub summary: String,
    /// BLAKE3 digest of its file.
    pub digest: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Size of its file in bytes.
    pub size: u64,
    /// What may be a mistake though it is not refused; absent if there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Why it would be refused; null if it would not.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_costs_is_their_nearest_rank() {
        let of = |values: &[u32]| Spread::of(values.iter().copied().map(f64::from).collect());
        let spread = |p50, p99| Spread { p50, p99 };
        assert_eq!(of(&[]), spread(0.0, 0.0));
        assert_eq!(of(&[7]), spread(7.0, 7.0));
        assert_eq!(of(&[3, 1, 2, 4]), spread(2.0, 4.0));
        let hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(of(&hundred), spread(50.0, 99.0));
    }
}
