//! `PolicyApi`: what the faces of a node may ask about its policies, as a trait.
//!
//! The node's own policies stand behind it in production. Changes write the folder and wait until the
//! watcher has acted on it, so they take as long as a swap takes.

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::policy::Kind;

use super::view::{Available, KindView, PoliciesView};
use crate::policies::spec::KindSpec;

/// Why a change of policies was not made. Nothing has changed then, but for what the text says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The policy, its name, its configuration or its file is refused.
    #[error("{0}")]
    Refused(String),
    /// It is in use.
    #[error("{0}")]
    InUse(String),
    /// Something else has changed at the same time, or would be lost.
    #[error("{0}")]
    Conflict(String),
    /// There is no such policy, or none to go back to.
    #[error("{0}")]
    NotFound(String),
    /// It can't be done now; nothing has changed.
    #[error("{0}")]
    Unavailable(String),
    /// The folder could not be written or read.
    #[error("{0}")]
    Failed(String),
}

/// What may be asked about the policies of a node.
#[async_trait]
pub trait PolicyApi: Send + Sync + 'static {
    /// All that there is to tell.
    fn view(&self) -> PoliciesView;
    /// Checks a file and puts it into the folder under this name; whoever has that name there is replaced. The
    /// questions of its kind are put to it first, and it is refused if it answers one of them badly, unless
    /// whoever asks insists.
    async fn install(
        &self,
        name: &str,
        wasm: Bytes,
        insists: bool,
    ) -> Result<Available, PolicyError>;
    /// Takes a file out of the folder.
    async fn remove(&self, name: &str) -> Result<(), PolicyError>;
    /// Replaces the whole table of this kind in `policies.toml`, and answers when the swap has happened.
    async fn spec(&self, kind: Kind, spec: KindSpec) -> Result<KindView, PolicyError>;
    /// Makes the shadow the active policy. If something else is wished by now than at the revision that whoever
    /// asks has `seen`, nothing is changed: nodes may share a folder, and then the first changes it for all.
    async fn promote(&self, kind: Kind, seen: Option<String>) -> Result<KindView, PolicyError>;
    /// Goes back to the policy before, or to the one that is named (by its name or at least four digits that its
    /// digest begins with), file and table included; `seen` as for [`PolicyApi::promote`].
    async fn rollback(
        &self,
        kind: Kind,
        to: Option<String>,
        seen: Option<String>,
    ) -> Result<KindView, PolicyError>;
}
