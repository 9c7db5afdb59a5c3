//! Swaps: find the policy → have it compiled → read it once → run a canary → put it into the slot → note it in the
//! history.
//!
//! If a step fails, the policy that runs stays. What was refused is not tried again unchanged.

use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::{Kind, Trouble};
use dataverse_sandbox::{About, Program, Refusal};

use super::super::instance::{fill_slot, maker};
use super::super::name::PolicyName;
use super::super::running::{Running, now};
use super::super::view::Origin;
use super::Controller;
use super::source::{self, PolicySource};
use crate::driver::{Health, OnTrouble};
use crate::metrics::Swap;
use crate::policies::controller::compilation::{Progress, Role};
use crate::policies::history::History;
use crate::policies::reference::PolicyRef;
use crate::policies::spec::KindSpec;
use crate::policies::spec_file::Desired;

/// A policy that was read and compiled and is of the right kind.
pub(super) struct Candidate {
    pub(super) policy_ref: PolicyRef,
    pub(super) program: Program,
    pub(super) wasm: Bytes,
}

/// Why a policy can't be fetched.
pub(super) struct FetchError {
    /// The policy, if its file was read.
    pub(super) policy_ref: Option<PolicyRef>,
    /// Why, as a sentence.
    pub(super) reason: String,
    /// Whether the reason may pass without a change of the policy.
    pub(super) may_pass: bool,
}

impl FetchError {
    fn unread(reason: String) -> Self {
        Self {
            policy_ref: None,
            reason,
            may_pass: false,
        }
    }

    fn refused(policy_ref: PolicyRef, refusal: &Refusal) -> Self {
        Self {
            reason: format!("{}: {refusal}", policy_ref.name),
            may_pass: refusal.may_pass(),
            policy_ref: Some(policy_ref),
        }
    }

    /// The file, if it only has to be compiled first.
    pub(super) fn not_compiled(&self) -> Option<Digest> {
        let policy_ref = self.policy_ref.as_ref().filter(|_| self.may_pass)?;
        (policy_ref.origin == Origin::Folder).then_some(policy_ref.digest)
    }
}

/// Whether a policy starts on probation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    OnProbation,
    Proven,
}

impl Controller {
    /// Makes the desired policy of a kind active, unless it is.
    pub(super) async fn reconcile_kind(&mut self, kind: Kind) {
        let kind_state = &self.kinds[kind as usize];
        let outcome = match kind_state.desired.clone() {
            Some(desired) => self.try_desired(kind, &desired).await,
            None => Ok(Progress::Compiled),
        };
        let outcome = match outcome {
            // An earlier error stays until more is known of this policy.
            Ok(Progress::Underway) => return,
            Ok(Progress::Compiled) => Ok(()),
            Err(reason) => Err(reason),
        };
        self.forget_compilation(kind, Role::Active);
        if self.kinds[kind as usize].note_swap(kind, outcome) {
            self.status.count(kind, Swap::Refused);
        }
        if !self.kinds[kind as usize].is_filled {
            self.fall_back(kind).await;
        }
    }

    async fn try_desired(&mut self, kind: Kind, desired: &Desired) -> Result<Progress, String> {
        let table = desired.table(kind);
        let name: PolicyName = table.policy.parse().map_err(|bad| format!("{bad}"))?;
        let found = source::find(&self.listing, &self.compiler, kind, &name);
        let none_shipped = *desired == Desired::Default
            && found.is_err()
            && !self.listing.files.contains_key(&name);
        if none_shipped || source::is_baseline(&self.listing, &name) {
            self.use_baseline(kind).await;
            return Ok(Progress::Compiled);
        }
        let source = found?;
        let expected = expected(&name, source, &table);
        if self.is_settled(kind, &expected).await? {
            return Ok(Progress::Compiled);
        }
        if self.compile_in_background(kind, Role::Active, &name, source)? == Progress::Underway {
            return Ok(Progress::Underway);
        }
        let candidate = match self.fetch(kind, &table).await {
            Ok(candidate) => candidate,
            Err(fetch_error) => {
                if let Some(file) = fetch_error.not_compiled() {
                    return self.reread_and_compile(kind, Role::Active, &name, file);
                }
                let FetchError {
                    policy_ref,
                    reason,
                    may_pass,
                } = fetch_error;
                // A temporary problem is not remembered, so that the policy is tried again.
                if let Some(policy_ref) = policy_ref.filter(|_| !may_pass) {
                    self.kinds[kind as usize].refused = Some((policy_ref, reason.clone()));
                }
                return Err(reason);
            }
        };
        if candidate.policy_ref != expected && self.is_settled(kind, &candidate.policy_ref).await? {
            return Ok(Progress::Compiled);
        }
        let (policy_ref, trust) = (
            candidate.policy_ref.clone(),
            self.trust(kind, desired, &candidate.policy_ref),
        );
        let swapped = self.swap(kind, candidate, trust).await;
        swapped.map(|()| Progress::Compiled).inspect_err(|reason| {
            self.kinds[kind as usize].refused = Some((policy_ref, reason.clone()));
        })
    }

    /// True if this policy is active already.
    ///
    /// # Errors
    /// If it is barred, or was refused before.
    async fn is_settled(&mut self, kind: Kind, policy_ref: &PolicyRef) -> Result<bool, String> {
        let looked_up = policy_ref.clone();
        let (bar, lifted) = self
            .history(move |history| {
                let bar = history.bar_of(kind, &looked_up).map(str::to_owned);
                let lifted = bar.is_none() && history.lift(kind);
                (bar, lifted)
            })
            .await;
        if lifted {
            self.save_history().await;
        }
        if let Some(reason) = bar {
            return Err(reason);
        }
        let kind_state = &self.kinds[kind as usize];
        match &kind_state.refused {
            Some((refused, reason)) if refused == policy_ref => Err(reason.clone()),
            _ => Ok((kind_state.active.as_ref())
                .is_some_and(|running| running.policy_ref == *policy_ref)),
        }
    }

    /// Reads the policy that a table asks for, which was compiled before.
    ///
    /// # Errors
    /// Why it can't be fetched.
    pub(super) async fn fetch(
        &self,
        kind: Kind,
        table: &KindSpec,
    ) -> Result<Candidate, FetchError> {
        let name: PolicyName =
            (table.policy.parse()).map_err(|bad| FetchError::unread(format!("{bad}")))?;
        let source = source::find(&self.listing, &self.compiler, kind, &name);
        let source = source.map_err(FetchError::unread)?;
        let decision = kind.as_str();
        tracing::info!(decision, policy = name.as_str(), "checking a policy");
        let candidate = self.fetch_from(source, &name, table).await?;
        let found = candidate.program.kind();
        if found == kind {
            return Ok(candidate);
        }
        match dataverse_builtin::find(kind, name.as_str()) {
            Some(policy) => {
                let source = PolicySource::BuiltIn(policy);
                self.fetch_from(source, &name, table).await
            }
            None => {
                let wanted = kind;
                let other = Refusal::OtherKind { found, wanted };
                Err(FetchError::refused(candidate.policy_ref, &other))
            }
        }
    }

    async fn fetch_from(
        &self,
        source: PolicySource,
        name: &PolicyName,
        table: &KindSpec,
    ) -> Result<Candidate, FetchError> {
        let read = source.read(&self.folder, name).await;
        let wasm = read.map_err(|error| {
            let file = name.file();
            FetchError::unread(format!("{file} can't be read: {error}"))
        })?;
        let policy_ref = PolicyRef::new(name, source.origin(), Digest::of(&wasm), table);
        match self.compiler.ready(&wasm).await {
            Ok(program) => Ok(Candidate {
                policy_ref,
                program,
                wasm,
            }),
            Err(refusal) => Err(FetchError::refused(policy_ref, &refusal)),
        }
    }

    /// Runs a canary of a policy with the configuration and limits that it will have.
    pub(super) async fn run_canary(
        &self,
        kind: Kind,
        candidate: &Candidate,
    ) -> Result<About, String> {
        let setup = candidate.policy_ref.setup(self.seed(kind));
        let canary = self.compiler.canary(&candidate.program, &setup).await;
        let canary =
            canary.map_err(|refusal| format!("{}: {refusal}", candidate.policy_ref.name))?;
        let digest = candidate.policy_ref.digest;
        self.compiler.introduce(digest, kind, canary.about.clone());
        Ok(canary.about)
    }

    /// Makes a policy active after its canary has passed.
    pub(super) async fn swap(
        &mut self,
        kind: Kind,
        next: Candidate,
        trust: Trust,
    ) -> Result<(), String> {
        let about = self.run_canary(kind, &next).await?;
        let Candidate {
            policy_ref,
            program,
            wasm,
        } = next;
        let digest = policy_ref.digest;
        if let Err(error) = self
            .history(move |history| history.put(digest, &wasm))
            .await
        {
            tracing::warn!(%error, policy = %policy_ref, "a policy can't be saved in the history; it can't be rolled back to");
        }
        let setup = policy_ref.setup(self.seed(kind));
        let health = Arc::new(Health::new(
            kind,
            policy_ref.name.as_str(),
            setup.limits.wall_ms,
            trust == Trust::OnProbation,
            self.on_trouble(kind, &policy_ref),
        ));
        let filled = fill_slot(
            &self.policy_slots,
            maker(&program, &setup),
            Arc::clone(&health),
        )
        .await;
        filled.map_err(|fault| format!("{}: {}", policy_ref.name, Refusal::Fault(fault)))?;
        let running = Arc::new(Running::new(policy_ref, about, health));
        self.record_active(kind, Some(running)).await;
        Ok(())
    }

    /// Records the new active policy, or the baseline, and puts the previous one into the history.
    pub(super) async fn record_active(&mut self, kind: Kind, running: Option<Arc<Running>>) {
        let kind_state = &mut self.kinds[kind as usize];
        let new_ref = running.as_ref().map(|running| running.policy_ref.clone());
        let goes_back = new_ref.is_some() && kind_state.returning == new_ref;
        let is_first = !kind_state.is_filled;
        let before = std::mem::replace(&mut kind_state.active, running);
        (kind_state.proved, kind_state.refused, kind_state.returning) = (false, None, None);
        let desired = kind_state
            .desired
            .as_ref()
            .map(|desired| desired.table(kind));
        if desired.is_some_and(|table| is_desired(new_ref.as_ref(), &table)) {
            kind_state.forget_refusal();
        }
        if kind_state.active.is_none() {
            kind_state.baseline_since = now();
        }
        let shown = |running: &Option<Arc<Running>>| match running {
            Some(running) => running.policy_ref.to_string(),
            None => "baseline".to_owned(),
        };
        let (from, to) = (shown(&before), shown(&kind_state.active));
        let from = if kind_state.is_filled {
            from
        } else {
            "none".to_owned()
        };
        tracing::info!(decision = kind.as_str(), from, to, "policy swapped");
        if kind_state.is_filled {
            self.status.count(kind, Swap::Swapped);
        }
        self.kinds[kind as usize].is_filled = true;
        let good = before.clone().filter(|before| before.is_sound());
        let past = good.as_ref().map(|before| before.as_past());
        // Neither a rollback nor a restart changes the order in which policies became active.
        let stays = goes_back || is_first;
        let noted = move |history: &mut History| match (past, stays) {
            (past, true) => past
                .into_iter()
                .for_each(|past| history.note_still_good(kind, past)),
            (past, false) => {
                past.into_iter()
                    .for_each(|past| history.note_good(kind, past));
                new_ref.iter().for_each(|now| history.note_anew(kind, now));
            }
        };
        self.history(noted).await;
        self.publish_change(kind, before.as_deref());
        if good.is_some() {
            self.save_history().await;
        }
    }

    /// Notes this policy in the history as one to roll back to.
    pub(super) async fn note_good(&self, kind: Kind, running: &Running) {
        let past = running.as_past();
        self.history(move |history| history.note_still_good(kind, past))
            .await;
        self.save_history().await;
    }

    fn trust(&self, kind: Kind, desired: &Desired, policy_ref: &PolicyRef) -> Trust {
        let kind_state = &self.kinds[kind as usize];
        let default = *desired == Desired::Default && policy_ref.origin == Origin::BuiltIn;
        let returns = kind_state.returning.as_ref() == Some(policy_ref);
        // At the start a policy needs no probation if it was good before, or if there is nothing to roll back to.
        let proven_before = !kind_state.is_filled && {
            let history = self.history.lock();
            let good = history.good(kind);
            let never_was = good.is_empty() && !history.was_lost();
            never_was
                || good
                    .iter()
                    .any(|past| past.policy_ref.runs_like(policy_ref))
        };
        if default || returns || proven_before {
            Trust::Proven
        } else {
            Trust::OnProbation
        }
    }

    fn on_trouble(&self, kind: Kind, policy_ref: &PolicyRef) -> OnTrouble {
        let (look, policy, decision) = (
            Arc::clone(&self.look),
            policy_ref.to_string(),
            kind.as_str(),
        );
        Box::new(move |trouble| {
            if let Trouble::Suspended { delay_ms } = trouble {
                tracing::warn!(
                    decision,
                    policy,
                    delay_ms,
                    "policy suspended after too many faults; the baseline answers"
                );
            }
            look.notify_one();
        })
    }
}

/// Whether a table asks for this policy, or for the baseline if there is none.
fn is_desired(policy_ref: Option<&PolicyRef>, table: &KindSpec) -> bool {
    match policy_ref {
        Some(policy_ref) => {
            policy_ref.name.as_str() == table.policy && policy_ref.config == table.config
        }
        None => table.policy == dataverse_builtin::BASELINE,
    }
}

/// The policy that a table asks for, if its file is unchanged since the folder was last read.
pub(super) fn expected(name: &PolicyName, source: PolicySource, table: &KindSpec) -> PolicyRef {
    PolicyRef::new(name, source.origin(), source.digest(), table)
}
