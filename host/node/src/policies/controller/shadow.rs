//! Starts and ends shadow policies. A shadow has to pass the same canary as an active policy. It runs with the
//! limits of the kind's table and without a configuration.

use std::sync::Arc;

use dataverse_core::policy::Kind;

use super::super::instance::maker;
use super::super::name::PolicyName;
use super::super::running_shadow::RunningShadow;
use super::Controller;
use super::source;
use super::swap::{Candidate, expected};
use crate::policies::controller::compilation::{Progress, Role};
use crate::policies::spec::KindSpec;

impl Controller {
    /// Starts the desired shadow, unless it runs already.
    pub(super) async fn reconcile_shadow(&mut self, kind: Kind) {
        let Some(desired) = self.kinds[kind as usize].desired.clone() else {
            return;
        };
        let outcome = match desired.table(kind).of_shadow() {
            None => {
                self.end_shadow(kind).await;
                Ok(Progress::Compiled)
            }
            Some(table) => self.try_shadow(kind, &table).await,
        };
        let outcome = match outcome {
            Ok(Progress::Underway) => return,
            Ok(Progress::Compiled) => Ok(()),
            Err(reason) => Err(reason),
        };
        self.forget_compilation(kind, Role::Shadow);
        self.kinds[kind as usize].note_shadow(kind, outcome);
    }

    async fn try_shadow(&mut self, kind: Kind, table: &KindSpec) -> Result<Progress, String> {
        let name: PolicyName = table
            .policy
            .parse()
            .map_err(|bad| format!("shadow: {bad}"))?;
        let found = source::find(&self.listing, &self.compiler, kind, &name);
        let source = found.map_err(|reason| format!("shadow: {reason}"))?;
        let expected = expected(&name, source, table);
        let kind_state = &self.kinds[kind as usize];
        if kind_state
            .shadow
            .as_ref()
            .is_some_and(|shadow| shadow.policy_ref == expected)
        {
            return Ok(Progress::Compiled);
        }
        if let Some((refused, reason)) = &kind_state.refused_shadow
            && *refused == expected
        {
            return Err(reason.clone());
        }
        let progress = self.compile_in_background(kind, Role::Shadow, &name, source);
        if progress.map_err(|reason| format!("shadow: {reason}"))? == Progress::Underway {
            return Ok(Progress::Underway);
        }
        let (policy_ref, reason) = match self.fetch(kind, table).await {
            Err(fetch_error) => {
                if let Some(file) = fetch_error.not_compiled() {
                    return self.reread_and_compile(kind, Role::Shadow, &name, file);
                }
                (fetch_error.policy_ref, fetch_error.reason)
            }
            Ok(candidate) => match self.shadow_with(kind, &candidate).await {
                Ok(()) => return Ok(Progress::Compiled),
                Err(reason) => (Some(candidate.policy_ref), reason),
            },
        };
        let reason = format!("shadow: {reason}");
        self.kinds[kind as usize].refused_shadow =
            policy_ref.map(|policy_ref| (policy_ref, reason.clone()));
        Err(reason)
    }

    async fn shadow_with(&mut self, kind: Kind, candidate: &Candidate) -> Result<(), String> {
        let about = self.run_canary(kind, candidate).await?;
        let policy_ref = candidate.policy_ref.clone();
        let maker = maker(&candidate.program, &policy_ref.setup(self.seed(kind)));
        self.end_shadow(kind).await;
        tracing::info!(decision = kind.as_str(), policy = %policy_ref, "shadow policy started");
        let shadow = RunningShadow::start(&self.policy_slots, policy_ref, about, maker).await;
        let shadow = shadow.map_err(|error| format!("no thread for it: {error}"))?;
        let kind_state = &mut self.kinds[kind as usize];
        (kind_state.shadow, kind_state.refused_shadow) = (Some(Arc::new(shadow)), None);
        Ok(())
    }

    /// Ends the shadow.
    pub(super) async fn end_shadow(&mut self, kind: Kind) {
        if let Some(shadow) = self.kinds[kind as usize].shadow.take() {
            shadow.end().await;
        }
    }
}
