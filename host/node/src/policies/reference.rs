//! `PolicyRef`: which policy, and how it is run. Two equal references decide alike, so no swap is needed between
//! them.

use std::fmt;

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_sandbox::Setup;
use serde_json::Value;

use super::name::PolicyName;
use super::view::Origin;
use crate::policies::spec::{KindSpec, LimitsSpec};

/// A policy and how it is run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PolicyRef {
    /// Its name.
    pub(super) name: PolicyName,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// BLAKE3 of its file.
    pub(super) digest: Digest,
    /// Its configuration.
    pub(super) config: Value,
    /// The limits of a decision.
    pub(super) limits: LimitsSpec,
}

impl PolicyRef {
    /// The policy of this name and digest, run as this spec says.
    pub(super) fn new(name: &PolicyName, origin: Origin, digest: Digest, spec: &KindSpec) -> Self {
        Self {
            name: name.clone(),
            origin,
            digest,
            config: spec.config.clone(),
            limits: spec.limits.unwrap_or_default(),
        }
    }

    /// Whether the same code is run in the same way, whatever the names.
    pub(super) fn runs_like(&self, other: &Self) -> bool {
        (self.digest, self.limits.filled()) == (other.digest, other.limits.filled())
            && self.config == other.config
    }

    /// The spec that asks for it.
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

    /// Its name in gossip, by which nodes can see whether others run the same policy.
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

/// The first digits of a digest, for display.
pub(super) fn short(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(12);
    text
}
