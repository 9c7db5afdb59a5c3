//! How a policy comes to be asked beside the one that decides. It is tried like one that is to decide, with
//! the limits of that one and no configuration.

use std::sync::Arc;

use dataverse_core::policy::Kind;

use super::super::instance::maker;
use super::super::name::PolicyName;
use super::super::running_shadow::RunningShadow;
use super::Controller;
use super::source;
use super::swap::{Candidate, supposed};
use crate::policies::controller::compilation::{Progress, Role};
use crate::policies::spec::KindSpec;

impl Controller {
    /// Lets the policy be asked beside that is wished, unless it is.
    pub(super) async fn fulfil_shadow(&mut self, kind: Kind) {
        let Some(desired) = self.kinds[kind as usize].desired.clone() else {
            return;
        };
        let outcome = match desired.table(kind).of_shadow() {
            None => {
                self.end_shadow(kind).await;
                Ok(Progress::Compiled)
            }
            Some(table) => self.attempt_shadow(kind, &table).await,
        };
        let outcome = match outcome {
            Ok(Progress::Underway) => return,
            Ok(Progress::Compiled) => Ok(()),
            Err(reason) => Err(reason),
        };
        self.forget_compilation(kind, Role::Shadow);
        self.kinds[kind as usize].note_shadow(kind, outcome);
    }

    async fn attempt_shadow(&mut self, kind: Kind, table: &KindSpec) -> Result<Progress, String> {
        let name: PolicyName = table
            .policy
            .parse()
            .map_err(|bad| format!("shadow: {bad}"))?;
        let found = source::find(&self.listing, &self.compiler, kind, &name);
        let source = found.map_err(|reason| format!("shadow: {reason}"))?;
        let supposed = supposed(&name, source, table);
        let kind_state = &self.kinds[kind as usize];
        if kind_state
            .shadow
            .as_ref()
            .is_some_and(|shadow| shadow.reference == supposed)
        {
            return Ok(Progress::Compiled);
        }
        if let Some((refused, reason)) = &kind_state.refused_shadow
            && *refused == supposed
        {
            return Err(reason.clone());
        }
        let progress = self.compile_in_background(kind, Role::Shadow, &name, source);
        if progress.map_err(|reason| format!("shadow: {reason}"))? == Progress::Underway {
            return Ok(Progress::Underway);
        }
        let (reference, reason) = match self.fetch(kind, table).await {
            Err(missed) => {
                if let Some(file) = missed.not_compiled() {
                    return self.compile_anew(kind, Role::Shadow, &name, file);
                }
                (missed.reference, missed.reason)
            }
            Ok(candidate) => match self.shadow_with(kind, &candidate).await {
                Ok(()) => return Ok(Progress::Compiled),
                Err(reason) => (Some(candidate.reference), reason),
            },
        };
        let reason = format!("shadow: {reason}");
        self.kinds[kind as usize].refused_shadow =
            reference.map(|reference| (reference, reason.clone()));
        Err(reason)
    }

    async fn shadow_with(&mut self, kind: Kind, candidate: &Candidate) -> Result<(), String> {
        let about = self.rehearse(kind, candidate).await?;
        let reference = candidate.reference.clone();
        let maker = maker(&candidate.program, &reference.setup(self.seed(kind)));
        self.end_shadow(kind).await;
        tracing::info!(decision = kind.as_str(), policy = %reference, "a policy is asked beside the one that decides");
        let shadow = RunningShadow::start(&self.policy_slots, reference, about, maker).await;
        let shadow = shadow.map_err(|error| format!("no thread for it: {error}"))?;
        let kind_state = &mut self.kinds[kind as usize];
        (kind_state.shadow, kind_state.refused_shadow) = (Some(Arc::new(shadow)), None);
        Ok(())
    }

    /// Asks nobody beside any more.
    pub(super) async fn end_shadow(&mut self, kind: Kind) {
        if let Some(shadow) = self.kinds[kind as usize].shadow.take() {
            shadow.end().await;
        }
    }
}
