//! What is told of a node's policies: the answer of `GET /v1/policies`, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The policies of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoliciesView {
    /// Where the copies of a new file go.
    pub placement: KindView,
    /// Which cached copies make room.
    pub eviction: KindView,
    /// Whether data moves towards its readers.
    pub relocation: KindView,
    /// What could be chosen: the files of the folder and the built-in policies.
    pub available: Vec<Available>,
    /// What is wrong with `policies.toml` or the folder as a whole.
    pub last_error: Option<String>,
    /// Why the system does not tell of changes in the folder, and how often it is looked at instead; absent as long as
    /// it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// The folder.
    pub folder: String,
}

/// The policies of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KindView {
    /// Who decides.
    pub active: ActiveView,
    /// Who is asked and not obeyed.
    pub shadow: Option<ShadowView>,
    /// Who is being compiled, to decide or to be the shadow.
    pub pending: Option<String>,
    /// Who decided before, the last first.
    pub previous: Vec<PreviousView>,
    /// Why what runs is not what is wished, until the wish or the file changes.
    pub last_error: Option<String>,
    /// What is wished, as a word: another one whenever this kind's table, or a file that it names, changes.
    /// Whoever promotes or rolls back may say it, so that what has changed since is not changed once more.
    #[schema(example = "5f0c6f8a2b9d4e11")]
    pub revision: String,
}

/// The policy that decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActiveView {
    /// The name that it goes by.
    pub name: String,
    /// The version of its code, in its author's words.
    pub version: String,
    /// What it does, in its author's words.
    pub summary: String,
    /// BLAKE3 of its file; empty for a native baseline.
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
    /// What was wrong the last time, with the question; absent before the first fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<String>,
    /// Fuel of a decision, lately.
    pub fuel: Spread,
    /// Microseconds of a decision, lately.
    pub latency_us: Spread,
}

/// Where a policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It came with the program.
    BuiltIn,
    /// It is a file in the folder.
    Folder,
    /// It is the native stand-in.
    Baseline,
}

impl Origin {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Folder => "folder",
            Self::Baseline => "baseline",
        }
    }
}

/// What is usual and what is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// Half are at most this.
    pub p50: f64,
    /// All but one in a hundred are at most this.
    pub p99: f64,
}

/// A policy that is asked and not obeyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowView {
    /// The name that it goes by.
    pub name: String,
    /// The version of its code, in its author's words.
    pub version: String,
    /// What it does, in its author's words.
    pub summary: String,
    /// BLAKE3 of its file.
    pub digest: String,
    /// Where it comes from.
    pub origin: Origin,
    /// `active` or `suspended`.
    pub state: String,
    /// When it was put there, RFC 3339.
    pub loaded_at: String,
    /// Questions that it answered.
    pub decisions: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<String, u64>,
    /// What was wrong the last time, with the question; absent before the first fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<String>,
    /// Questions that it did not get because it was behind.
    pub dropped: u64,
    /// How its answers compare.
    pub comparison: Comparison,
}

/// How a shadow's answers compare with those that were obeyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Comparison {
    /// Of a placement policy.
    Placement {
        /// Share of the questions that both answered with the same nodes; null before the first.
        agreement: Option<f64>,
        /// Bytes on the fullest node over the mean, of what the shadow placed.
        balance: Option<f64>,
        /// The same of what the active policy placed.
        active_balance: Option<f64>,
    },
    /// Of an eviction policy.
    Eviction {
        /// Share of the reads that a cache of the same size under the shadow would have had.
        hit_ratio: Option<f64>,
        /// The same of the real cache, over the same reads.
        active_hit_ratio: Option<f64>,
        /// The share in bytes, under the shadow.
        byte_hit_ratio: Option<f64>,
        /// The share in bytes of the real cache.
        active_byte_hit_ratio: Option<f64>,
    },
    /// Of a relocation policy.
    Relocation {
        /// Share of the questions that both answered alike; null before the first.
        agreement: Option<f64>,
        /// Bytes that the shadow would have had copied or moved.
        bytes: u64,
        /// The same of the active policy.
        active_bytes: u64,
    },
}

/// A policy that decided before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreviousView {
    /// The name that it went by.
    pub name: String,
    /// BLAKE3 of its file.
    pub digest: String,
    /// Where it came from.
    pub origin: Origin,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// When it took over, RFC 3339.
    pub loaded_at: String,
}

/// A policy that could be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Available {
    /// The name that it goes by.
    pub name: String,
    /// Its kind; null when the file is not a policy.
    pub kind: Option<String>,
    /// The version of its code.
    pub version: String,
    /// What it does.
    pub summary: String,
    /// BLAKE3 of its file.
    pub digest: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Bytes of its file.
    pub size: u64,
    /// What may be other than meant, though it is not refused; absent if there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Why it would be refused.
    pub error: Option<String>,
}
