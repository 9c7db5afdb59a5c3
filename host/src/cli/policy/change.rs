//! A change of a node's policies: as a request, and as what came of it.

use std::time::Duration;

use bytes::Bytes;
use dataverse_core::policy::Kind;
use reqwest::{Method, RequestBuilder};

use super::prefix;
use crate::cli::client::{Client, escaped, understood};
use crate::cli::failure::Failure;
use crate::policies::name::PolicyName;
use crate::policies::view::{Available, KindView, PoliciesView};
use crate::policies::wish::KindWish;

/// How long a change may take. A node compiles and tries a policy before it answers.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What shall be changed; the same at every node.
#[derive(Debug)]
pub(super) enum Change {
    /// A file is put into the folder.
    Install(PolicyName, Bytes),
    /// A policy is chosen.
    Use(Kind, KindWish),
    /// The shadow takes over.
    Promote(Kind),
    /// The policy before comes back.
    Rollback(Kind),
}

/// How things stood with a kind at a node before anything was changed anywhere.
#[derive(Debug)]
pub(super) struct Before(KindView);

/// Who runs what after a change.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Another one decides than before; taken for granted where it is not known who did.
    pub(super) changed: bool,
    /// Digest and configuration of who decides.
    runs: Option<(String, serde_json::Value)>,
    kind: String,
    policy: String,
    version: String,
    digest: String,
    state: String,
}

impl Change {
    /// The kind about which it depends on how things stand what the change comes to.
    pub(super) fn goes_on_from(&self) -> Option<Kind> {
        match self {
            Self::Promote(kind) | Self::Rollback(kind) => Some(*kind),
            Self::Install(..) | Self::Use(..) => None,
        }
    }

    /// Makes the change at one node, unless it has changed otherwise since it was looked at.
    ///
    /// Returns what the node answered, and the same for people.
    pub(super) async fn make(
        &self,
        client: &Client,
        before: Option<&Before>,
    ) -> Result<(String, Outcome), Failure> {
        let request = self.request(client, before).timeout(PATIENCE);
        let text = client.ask_text(request).await?;
        let mut outcome = self.outcome(&text)?;
        outcome.changed = before.is_none_or(|before| before.differs_from(&outcome));
        Ok((text, outcome))
    }

    fn request(&self, client: &Client, before: Option<&Before>) -> RequestBuilder {
        let seen = before.map_or_else(String::new, |Before(before)| {
            format!("?revision={}", escaped(&before.revision))
        });
        match self {
            Self::Install(name, wasm) => {
                let path = format!("/v1/policies/files/{}", escaped(name.as_str()));
                let request = client.patient_request(Method::PUT, &path);
                request
                    .header(reqwest::header::CONTENT_TYPE, "application/wasm")
                    .body(wasm.clone())
            }
            Self::Use(kind, wish) => {
                let path = format!("/v1/policies/{kind}");
                client.patient_request(Method::PUT, &path).json(wish)
            }
            Self::Promote(kind) => {
                client.patient_request(Method::POST, &format!("/v1/policies/{kind}/promote{seen}"))
            }
            Self::Rollback(kind) => {
                client.patient_request(Method::POST, &format!("/v1/policies/{kind}/rollback{seen}"))
            }
        }
    }

    fn outcome(&self, text: &str) -> Result<Outcome, Failure> {
        match self {
            Self::Install(..) => Ok(Outcome::of_file(understood(text)?)),
            Self::Use(kind, _) | Self::Promote(kind) | Self::Rollback(kind) => {
                Ok(Outcome::of_kind(*kind, understood(text)?))
            }
        }
    }
}

impl Before {
    /// Looks how things stand with a kind at a node.
    pub(super) async fn look(client: &Client, kind: Kind) -> Result<Self, Failure> {
        let request = client.request(Method::GET, "/v1/policies");
        let view: PoliciesView = understood(&client.ask_text(request).await?)?;
        Ok(Self(match kind {
            Kind::Placement => view.placement,
            Kind::Eviction => view.eviction,
            Kind::Relocation => view.relocation,
        }))
    }

    fn differs_from(&self, now: &Outcome) -> bool {
        let before = &self.0.active;
        now.runs.as_ref() != Some(&(before.digest.clone(), before.config.clone()))
    }
}

impl Outcome {
    pub(super) const HEAD: [&'static str; 5] = ["kind", "policy", "version", "digest", "state"];

    fn of_file(file: Available) -> Self {
        Self {
            changed: true,
            runs: None,
            kind: file.kind.unwrap_or_else(|| "-".to_owned()),
            policy: file.name,
            version: file.version,
            digest: prefix(&file.digest),
            state: "installed".to_owned(),
        }
    }

    fn of_kind(kind: Kind, view: KindView) -> Self {
        Self {
            changed: true,
            runs: Some((view.active.digest.clone(), view.active.config)),
            kind: kind.to_string(),
            policy: view.active.name,
            version: view.active.version,
            digest: prefix(&view.active.digest),
            state: view.active.state,
        }
    }

    /// A row below [`Self::HEAD`].
    pub(super) fn into_row(self) -> Vec<String> {
        vec![
            self.kind,
            self.policy,
            self.version,
            self.digest,
            self.state,
        ]
    }
}
