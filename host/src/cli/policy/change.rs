//! A change of a node's policies: as a request, and as what came of it.

use std::time::Duration;

use bytes::Bytes;
use dataverse_core::policy::Kind;
use reqwest::{Method, RequestBuilder};

use super::prefix;
use crate::cli::client::{Client, escaped, understood};
use crate::cli::failure::Failure;
use crate::policies::name::PolicyName;
use crate::policies::view::{Available, KindView};
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

/// Who runs what after a change.
#[derive(Debug)]
pub(super) struct Outcome {
    kind: String,
    policy: String,
    version: String,
    digest: String,
    state: String,
}

impl Change {
    /// Makes the change at one node.
    ///
    /// Returns what the node answered, and the same for people.
    pub(super) async fn make(&self, client: &Client) -> Result<(String, Outcome), Failure> {
        let request = self.request(client).timeout(PATIENCE);
        let text = client.ask_text(request).await?;
        let outcome = self.outcome(&text)?;
        Ok((text, outcome))
    }

    fn request(&self, client: &Client) -> RequestBuilder {
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
                client.patient_request(Method::POST, &format!("/v1/policies/{kind}/promote"))
            }
            Self::Rollback(kind) => {
                client.patient_request(Method::POST, &format!("/v1/policies/{kind}/rollback"))
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

impl Outcome {
    pub(super) const HEAD: [&'static str; 5] = ["kind", "policy", "version", "digest", "state"];

    fn of_file(file: Available) -> Self {
        Self {
            kind: file.kind.unwrap_or_else(|| "-".to_owned()),
            policy: file.name,
            version: file.version,
            digest: prefix(&file.digest),
            state: "installed".to_owned(),
        }
    }

    fn of_kind(kind: Kind, view: KindView) -> Self {
        Self {
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
