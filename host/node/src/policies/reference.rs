//! `PolicyRef`: which policy, and how it is run. Two picks that are equal decide alike, so no swap is between
//! them.

use std::fmt;

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_sandbox::Setup;
use serde_json::Value;

use super::name::PolicyName;
use super::view::Origin;
use crate::policies::spec::{KindSpec, LimitsSpec};

/// A policy, to be run in one way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PolicyRef {
    /// What it goes by.
    pub(super) name: PolicyName,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// BLAKE3 of its file.
    pub(super) digest: Digest,
    /// Its configuration.
    pub(super) config: Value,
    /// What it may use up.
    pub(super) limits: LimitsSpec,
}

impl PolicyRef {
    /// The policy of this name and digest, run as this table says.
    pub(super) fn new(name: &PolicyName, origin: Origin, digest: Digest, table: &KindSpec) -> Self {
        Self {
            name: name.clone(),
            origin,
            digest,
            config: table.config.clone(),
            limits: table.limits.unwrap_or_default(),
        }
    }

    /// Whether the same code is run in the same way, whatever it is called.
    pub(super) fn runs_like(&self, other: &Self) -> bool {
        (self.digest, self.limits.filled()) == (other.digest, other.limits.filled())
            && self.config == other.config
    }

    /// The table that asks for it.
    pub(super) fn spec(&self, shadow: Option<String>) -> KindSpec {
        KindSpec {
            policy: self.name.to_string(),
            config: self.config.clone(),
            shadow,
            limits: Some(self.limits).filter(|limits| *limits != LimitsSpec::default()),
        }
    }

    /// How its instances are made.
    pub(super) fn setup(&self, seed: u64) -> Setup {
        Setup {
            name: self.name.to_string(),
            config: self.config.to_string(),
            seed,
            limits: self.limits.filled(),
            log: None,
        }
    }

    /// What it is called in gossip, where everybody is to see whether others run the same.
    pub(super) fn tag(&self, kind: Kind) -> String {
        format!("{kind}:{self}")
    }
}

/// Its name and the beginning of its digest.
impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, short(self.digest))
    }
}

/// The beginning of a digest, for people.
pub(super) fn short(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(12);
    text
}
