//! A change of a node's policies: its request and its outcome.

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

/// The change to make; the same at every node.
#[derive(Debug)]
pub(super) enum Change {
    /// Installs a file in the policies folder.
    Install {
        /// The policy's name.
        name: PolicyName,
        /// The content of the file.
        wasm: Bytes,
        /// Install it even if it answers test questions badly.
        force: bool,
    },
    /// Sets the policy of a kind.
    Use(Kind, KindSpec),
    /// Puts the shadow in charge.
    Promote(Kind),
    /// Rolls back to the previous policy, or to the given one.
    Rollback(Kind, Option<String>),
}

/// A node's policies before anything was changed anywhere.
#[derive(Debug)]
pub(super) struct Before(PoliciesView);

/// What runs at a node after a change.
#[derive(Debug)]
pub(super) struct ChangeOutcome {
    /// Whether the change had an effect; true if the state before is not known.
    pub(super) changed: bool,
    came_of: Came,
    kind: String,
    policy: String,
    version: String,
    digest: String,
    state: String,
}

/// A node's answer.
#[derive(Debug)]
enum Came {
    /// The installed file.
    ToBe(Available),
    /// The new state of a kind.
    ToRun(Box<KindView>),
}

impl Change {
    /// The kind whose current state determines the result of the change, if any.
    pub(super) fn goes_on_from(&self) -> Option<Kind> {
        match self {
            Self::Promote(kind) | Self::Rollback(kind, _) => Some(*kind),
            Self::Install { .. } | Self::Use(..) => None,
        }
    }

    /// Makes the change at one node, unless its state has changed since `before`.
    ///
    /// Returns the node's answer, and the outcome for people.
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

    /// The state of the kind that this change is about.
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
    /// Queries a node's policies.
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
                // A change of limits shows only in the revision.
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

    /// A warning about something that may be unintended.
    pub(super) fn warning(&self) -> Option<&str> {
        match &self.came_of {
            Came::ToBe(file) => file.warning.as_deref(),
            Came::ToRun(_) => None,
        }
    }

    /// A row of the table with the header [`Self::HEAD`].
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
