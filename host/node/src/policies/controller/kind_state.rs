//! `KindState`: the controller's state of one kind of policy: what is desired, what runs, and what is wrong.

use std::sync::Arc;

use dataverse_core::policy::Kind;

use super::super::running::Running;
use super::super::running_shadow::RunningShadow;
use crate::policies::controller::compilation::{Compilation, Role};
use crate::policies::history::{History, Past};
use crate::policies::reference::PolicyRef;
use crate::policies::spec::KindSpec;
use crate::policies::spec_file::Desired;
use crate::policies::status::OfKind;

/// The state of one kind.
#[derive(Default)]
pub(super) struct KindState {
    /// What is desired, as of the last valid table.
    pub(super) desired: Option<Desired>,
    /// The active policy; the baseline decides if there is none.
    pub(super) active: Option<Arc<Running>>,
    /// Whether the active policy is in the history as a good one.
    pub(super) proved: bool,
    /// Whether the slot has been filled since the start, if only by the baseline.
    pub(super) is_filled: bool,
    /// Since when the baseline decides.
    pub(super) baseline_since: String,
    /// The policy that was refused last, and why; it is not tried again unchanged.
    pub(super) refused: Option<(PolicyRef, String)>,
    /// What is being compiled in the background, to become active and to become the shadow.
    pub(super) compilation: [Option<Compilation>; Role::ALL.len()],
    /// The target of a rollback in progress, which needs no probation.
    pub(super) returning: Option<PolicyRef>,
    /// The shadow policy.
    pub(super) shadow: Option<Arc<RunningShadow>>,
    /// As `refused`, for the shadow.
    pub(super) refused_shadow: Option<(PolicyRef, String)>,
    table_error: Option<String>,
    swap_error: Option<String>,
    shadow_error: Option<String>,
}

impl KindState {
    /// Notes what the folder asks for.
    pub(super) fn take_note(&mut self, desired: &Result<Desired, String>) {
        let refusal = desired.as_ref().err().cloned();
        match desired {
            Ok(desired) => self.desired = Some(desired.clone()),
            Err(reason) => warn_if_new(reason, self.table_error.as_ref()),
        }
        self.table_error = refusal;
    }

    /// Notes the outcome of a swap. True if it was refused for another reason than before.
    pub(super) fn note_swap(&mut self, kind: Kind, outcome: Result<(), String>) -> bool {
        note(kind, &mut self.swap_error, outcome)
    }

    /// Clears the reason of an earlier refusal, since the desired policy is active now.
    pub(super) fn forget_refusal(&mut self) {
        self.swap_error = None;
    }

    /// Notes the outcome of starting the desired shadow.
    pub(super) fn note_shadow(&mut self, kind: Kind, outcome: Result<(), String>) -> bool {
        note(kind, &mut self.shadow_error, outcome)
    }

    /// The policy that is being compiled.
    fn pending(&self) -> Option<String> {
        let compilation = self.compilation.iter().flatten().next();
        compilation.map(|compilation| compilation.name.to_string())
    }

    /// Whether what runs is not what is desired.
    pub(super) fn is_unmet(&self) -> bool {
        self.table_error.is_some() || self.swap_error.is_some()
    }

    /// Why what runs is not what is desired.
    pub(super) fn error(&self) -> Option<String> {
        let errors = [&self.table_error, &self.swap_error, &self.shadow_error];
        joined(errors.into_iter().flatten().map(String::as_str))
    }

    /// The report that is published.
    pub(super) fn report(
        &self,
        kind: Kind,
        history: &History,
        whole: Option<&str>,
        revision: String,
        table: KindSpec,
    ) -> OfKind {
        let now = self.active.as_ref().map(|running| &running.policy_ref);
        OfKind {
            active: self.active.clone(),
            baseline_since: self.baseline_since.clone(),
            shadow: self.shadow.clone(),
            pending: self.pending(),
            table,
            previous: history.before(kind, now).map(Past::view).collect(),
            last_error: joined(whole.into_iter().chain(self.error().as_deref())),
            revision,
        }
    }
}

fn note(kind: Kind, error: &mut Option<String>, outcome: Result<(), String>) -> bool {
    let Err(reason) = outcome else {
        *error = None;
        return false;
    };
    if error.as_ref() == Some(&reason) {
        return false;
    }
    let decision = kind.as_str();
    tracing::warn!(decision, reason, "policy refused; the one that runs stays");
    *error = Some(reason);
    true
}

fn warn_if_new(reason: &String, before: Option<&String>) {
    if before != Some(reason) {
        tracing::warn!(
            reason,
            "a table of policies.toml is refused; the policy that runs stays"
        );
    }
}

fn joined<'a>(errors: impl Iterator<Item = &'a str>) -> Option<String> {
    let errors: Vec<_> = errors.collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}
