//! `KindState`: how things stand with one kind of policy.

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

/// How things stand with one kind.
#[derive(Default)]
pub(super) struct KindState {
    /// What is wished, as of the last table that made sense.
    pub(super) desired: Option<Desired>,
    /// Who decides; the baseline if nobody.
    pub(super) active: Option<Arc<Running>>,
    /// That one is noted as good.
    pub(super) proved: bool,
    /// Somebody was let decide, if only the baseline.
    pub(super) begun: bool,
    /// Since when the baseline does.
    pub(super) baseline_since: String,
    /// The last one that was refused, and why; it is not tried again as it is.
    pub(super) refused: Option<(PolicyRef, String)>,
    /// What is being compiled aside, to decide and to be the shadow.
    pub(super) compilation: [Option<Compilation>; Role::ALL.len()],
    /// The one that is gone back to needs no probation.
    pub(super) returning: Option<PolicyRef>,
    /// Who is asked beside.
    pub(super) shadow: Option<Arc<RunningShadow>>,
    /// As `refused`.
    pub(super) refused_shadow: Option<(PolicyRef, String)>,
    table_error: Option<String>,
    swap_error: Option<String>,
    shadow_error: Option<String>,
}

impl KindState {
    /// Takes note of what is wished.
    pub(super) fn take_note(&mut self, desired: &Result<Desired, String>) {
        let refusal = desired.as_ref().err().cloned();
        match desired {
            Ok(desired) => self.desired = Some(desired.clone()),
            Err(reason) => warn_if_new(reason, self.table_error.as_ref()),
        }
        self.table_error = refusal;
    }

    /// Takes note of what became of it. True when it was refused for another reason than before.
    pub(super) fn note_swap(&mut self, kind: Kind, outcome: Result<(), String>) -> bool {
        note(kind, &mut self.swap_error, outcome)
    }

    /// What is wished decides now, so that whatever was refused before is told no more.
    pub(super) fn forget_refusal(&mut self) {
        self.swap_error = None;
    }

    /// Takes note of what became of the shadow that is wished.
    pub(super) fn note_shadow(&mut self, kind: Kind, outcome: Result<(), String>) -> bool {
        note(kind, &mut self.shadow_error, outcome)
    }

    /// Who is being compiled.
    fn pending(&self) -> Option<String> {
        let compilation = self.compilation.iter().flatten().next();
        compilation.map(|compilation| compilation.name.to_string())
    }

    /// Whether what runs is not what is wished.
    pub(super) fn is_unmet(&self) -> bool {
        self.table_error.is_some() || self.swap_error.is_some()
    }

    /// Why what runs is not what is wished.
    pub(super) fn error(&self) -> Option<String> {
        let errors = [&self.table_error, &self.swap_error, &self.shadow_error];
        joined(errors.into_iter().flatten().map(String::as_str))
    }

    /// What is told.
    pub(super) fn report(
        &self,
        kind: Kind,
        history: &History,
        whole: Option<&str>,
        revision: String,
        table: KindSpec,
    ) -> OfKind {
        let now = self.active.as_ref().map(|running| &running.reference);
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
    tracing::warn!(decision, reason, "a policy is refused; what ran goes on");
    *error = Some(reason);
    true
}

fn warn_if_new(reason: &String, before: Option<&String>) {
    if before != Some(reason) {
        tracing::warn!(reason, "a wish for a policy is refused; what ran goes on");
    }
}

fn joined<'a>(errors: impl Iterator<Item = &'a str>) -> Option<String> {
    let errors: Vec<_> = errors.collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}
