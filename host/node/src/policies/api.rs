//! `PolicyApi`: what HTTP handlers may ask of a node's policies, as a trait.
//!
//! `Policies` implements it; tests of the HTTP server have an implementation of their own. A change writes the
//! policies folder and returns once the controller has acted on it, so it takes as long as a swap.

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::policy::Kind;

use super::view::{Available, KindView, PoliciesView};
use crate::policies::spec::KindSpec;

/// Why a change of policies was not made. Unless the text says otherwise, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The policy, its name, its configuration or its file is refused.
    #[error("{0}")]
    Refused(String),
    /// The policy is in use.
    #[error("{0}")]
    InUse(String),
    /// Something else changed at the same time, or would be lost.
    #[error("{0}")]
    Conflict(String),
    /// There is no such policy, or none to roll back to.
    #[error("{0}")]
    NotFound(String),
    /// It can't be done now. Nothing was changed; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// The folder could not be written or read.
    #[error("{0}")]
    Failed(String),
}

/// Reads and changes the policies of a node.
#[async_trait]
pub trait PolicyApi: Send + Sync + 'static {
    /// The state of all policies.
    fn view(&self) -> PoliciesView;
    /// Checks a policy file and puts it into the folder under this name, replacing a file of that name. The policy is
    /// asked the test questions of its kind first and refused if an answer is a fault, unless `force` is set.
    async fn install(&self, name: &str, wasm: Bytes, force: bool)
    -> Result<Available, PolicyError>;
    /// Removes a policy file from the folder.
    async fn remove(&self, name: &str) -> Result<(), PolicyError>;
    /// Replaces the whole table of this kind in `policies.toml`, and returns when the swap has happened.
    async fn spec(&self, kind: Kind, spec: KindSpec) -> Result<KindView, PolicyError>;
    /// Makes the shadow the active policy. If the kind's revision is no longer the `seen` one, nothing is changed:
    /// when nodes share a folder, the first one that is asked changes it for all.
    async fn promote(&self, kind: Kind, seen: Option<String>) -> Result<KindView, PolicyError>;
    /// Rolls back to the previous policy, or to the one named by `to` (its name, or at least the first four digits of
    /// its digest), file and table included. `seen` as for [`PolicyApi::promote`].
    async fn rollback(
        &self,
        kind: Kind,
        to: Option<String>,
        seen: Option<String>,
    ) -> Result<KindView, PolicyError>;
}
