//! A change of a node's policies: as a request, and as what came of it.

use std::time::Duration;

use bytes::Bytes;
use dataverse_core::policy::Kind;
use dataverse_node::policies::name::PolicyName;
use dataverse_node::policies::spec::KindSpec;
use dataverse_node::policies::view::{Available, KindView, Origin, PoliciesView};
use reqwest::{Method, RequestBuilder};

use super::prefix;
use crate::commands::client::{Client, escaped, understood};
use crate::commands::failure::Failure;

/// How long a change may take. A node compiles and tries a policy before it answers.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What shall be changed; the same at every node.
#[derive(Debug)]
pub(super) enum Change {
    /// A file is put into the folder.
    Install {
        /// What it is to be called.
        name: PolicyName,
        /// What is in it.
        wasm: Bytes,
        /// Also if it answers badly.
        force: bool,
    },
    /// A policy is chosen.
    Use(Kind, KindSpec),
    /// The shadow takes over.
    Promote(Kind),
    /// The policy before comes back, or the one that is named.
    Rollback(Kind, Option<String>),
}

/// How things stood at a node before anything was changed anywhere.
#[derive(Debug)]
pub(super) struct Before(PoliciesView);

/// Who runs what after a change.
#[derive(Debug)]
pub(super) struct ChangeOutcome {
    /// It is otherwise than before; taken for granted where it is not known how it was.
    pub(super) changed: bool,
    came_of: Came,
    kind: String,
    policy: String,
    version: String,
    digest: String,
    state: String,
}

/// What a node answered.
#[derive(Debug)]
enum Came {
    /// A file is there.
    ToBe(Available),
    /// So it stands with a kind.
    ToRun(Box<KindView>),
}

impl Change {
    /// The kind about which it depends on how things stand what the change comes to.
    pub(super) fn goes_on_from(&self) -> Option<Kind> {
        match self {
            Self::Promote(kind) | Self::Rollback(kind, _) => Some(*kind),
            Self::Install { .. } | Self::Use(..) => None,
        }
    }

    /// Makes the change at one node, unless it has changed otherwise since it was looked at.
    ///
    /// Returns what the node answered, and the same for people.
    pub(super) async fn make(
        &self,
        client: &Client,
        before: Option<&Before>,
    ) -> Result<(String, ChangeOutcome), Failure> {
        let request = self.request(client, before).timeout(PATIENCE);
        let text = client.ask_text(request).await?;
        let outcome = self.outcome(&text)?;
        let changed = before.is_none_or(|before| before.differs_from(self, &outcome));
        Ok((text, ChangeOutcome { changed, ..outcome }))
    }

    fn request(&self, client: &Client, before: Option<&Before>) -> RequestBuilder {
        let seen = before.filter(|_| self.goes_on_from().is_some());
        let seen = seen.and_then(|before| Some(&self.kind_in(&before.0)?.revision));
        let (method, path, parameters) = match self {
            Self::Install { name, force, .. } => {
                let path = format!("files/{}", escaped(name.as_str()));
                (
                    Method::PUT,
                    path,
                    vec![("force", force.then(|| "true".to_owned()))],
                )
            }
            Self::Use(kind, _) => (Method::PUT, kind.to_string(), Vec::new()),
            Self::Promote(kind) => {
                let seen = ("revision", seen.cloned());
                (Method::POST, format!("{kind}/promote"), vec![seen])
            }
            Self::Rollback(kind, to) => {
                let parameters = vec![("to", to.clone()), ("revision", seen.cloned())];
                (Method::POST, format!("{kind}/rollback"), parameters)
            }
        };
        let given = parameters.into_iter();
        let given = given.filter_map(|(name, value)| Some(format!("{name}={}", escaped(&value?))));
        let query = given.collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        let request = client.patient_request(method, &format!("/v1/policies/{path}{mark}{query}"));
        match self {
            Self::Install { wasm, .. } => request
                .header(reqwest::header::CONTENT_TYPE, "application/wasm")
                .body(wasm.clone()),
            Self::Use(_, spec) => request.json(spec),
            Self::Promote(_) | Self::Rollback(..) => request,
        }
    }

    fn outcome(&self, text: &str) -> Result<ChangeOutcome, Failure> {
        match self {
            Self::Install { .. } => Ok(ChangeOutcome::of_file(understood(text)?)),
            Self::Use(kind, _) | Self::Promote(kind) | Self::Rollback(kind, _) => {
                Ok(ChangeOutcome::of_kind(*kind, understood(text)?))
            }
        }
    }

    /// How things stand with the kind that it is about.
    fn kind_in<'a>(&self, view: &'a PoliciesView) -> Option<&'a KindView> {
        match self {
            Self::Install { .. } => None,
            Self::Use(kind, _) | Self::Promote(kind) | Self::Rollback(kind, _) => {
                Some(match kind {
                    Kind::Placement => &view.placement,
                    Kind::Eviction => &view.eviction,
                    Kind::Relocation => &view.relocation,
                })
            }
        }
    }
}

impl Before {
    /// Looks how things stand at a node.
    pub(super) async fn look(client: &Client) -> Result<Self, Failure> {
        let request = client.request(Method::GET, "/v1/policies");
        Ok(Self(understood(&client.ask_text(request).await?)?))
    }

    fn differs_from(&self, change: &Change, now: &ChangeOutcome) -> bool {
        match (change.kind_in(&self.0), &now.came_of) {
            (Some(before), Came::ToRun(kind)) => {
                let runs = |kind: &KindView| {
                    let (active, shadow) = (&kind.active, kind.shadow.as_ref());
                    let shadow = shadow.map(|it| (it.name.clone(), it.digest.clone()));
                    let active = (active.name.clone(), active.digest.clone());
                    (active, kind.active.config.clone(), shadow)
                };
                // Other limits show in nothing but the revision.
                runs(before) != runs(kind) || before.revision != kind.revision
            }
            (_, Came::ToBe(file)) => !self.0.available.iter().any(|there| {
                let is_same = there.name == file.name && there.digest == file.digest;
                is_same && there.origin == Origin::Folder
            }),
            (None, Came::ToRun(_)) => true,
        }
    }
}

impl ChangeOutcome {
    pub(super) const HEAD: [&'static str; 5] = ["kind", "policy", "version", "digest", "state"];

    fn of_file(file: Available) -> Self {
        Self {
            changed: true,
            kind: file.kind.clone().unwrap_or_else(|| "-".to_owned()),
            policy: file.name.clone(),
            version: file.version.clone(),
            digest: prefix(&file.digest),
            state: "installed".to_owned(),
            came_of: Came::ToBe(file),
        }
    }

    fn of_kind(kind: Kind, view: KindView) -> Self {
        Self {
            changed: true,
            kind: kind.to_string(),
            policy: view.active.name.clone(),
            version: view.active.version.clone(),
            digest: prefix(&view.active.digest),
            state: view.active.state.clone(),
            came_of: Came::ToRun(Box::new(view)),
        }
    }

    /// What may be other than meant.
    pub(super) fn warning(&self) -> Option<&str> {
        match &self.came_of {
            Came::ToBe(file) => file.warning.as_deref(),
            Came::ToRun(_) => None,
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
