//! How one policy follows another: find → have it compiled → read once → try → let decide → remember.
//!
//! Whatever fails on the way, the one before goes on. Nothing is tried twice as it is.

use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::{Kind, Trouble};
use dataverse_sandbox::{About, Program, Refusal};

use super::super::instance::{maker, slot};
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

/// A policy that was read and compiled, and is of the right kind.
pub(super) struct Candidate {
    pub(super) reference: PolicyRef,
    pub(super) program: Program,
    pub(super) wasm: Bytes,
}

/// Why a policy can't be had.
pub(super) struct Missed {
    /// Which it is, if it was read.
    pub(super) reference: Option<PolicyRef>,
    /// Why, in words.
    pub(super) reason: String,
    /// Whether it may be had later as it is.
    pub(super) may_pass: bool,
}

impl Missed {
    fn unread(reason: String) -> Self {
        Self {
            reference: None,
            reason,
            may_pass: false,
        }
    }

    fn refused(reference: PolicyRef, refusal: &Refusal) -> Self {
        Self {
            reason: format!("{}: {refusal}", reference.name),
            may_pass: refusal.may_pass(),
            reference: Some(reference),
        }
    }

    /// The file that has to be compiled first.
    pub(super) fn not_compiled(&self) -> Option<Digest> {
        let reference = self.reference.as_ref().filter(|_| self.may_pass)?;
        (reference.origin == Origin::Folder).then_some(reference.digest)
    }
}

/// Whether a policy has to prove itself first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    OnProbation,
    Proven,
}

impl Controller {
    /// Lets the policy decide that is wished, unless it does.
    pub(super) async fn fulfil(&mut self, kind: Kind) {
        let kind_state = &self.kinds[kind as usize];
        let outcome = match kind_state.desired.clone() {
            Some(desired) => self.attempt(kind, &desired).await,
            None => Ok(Progress::Compiled),
        };
        let outcome = match outcome {
            // What was said of the one before holds until more is known of this one.
            Ok(Progress::Underway) => return,
            Ok(Progress::Compiled) => Ok(()),
            Err(reason) => Err(reason),
        };
        self.forget_compilation(kind, Role::Active);
        if self.kinds[kind as usize].note_swap(kind, outcome) {
            self.status.count(kind, Swap::Refused);
        }
        if !self.kinds[kind as usize].begun {
            self.fall_back(kind).await;
        }
    }

    async fn attempt(&mut self, kind: Kind, desired: &Desired) -> Result<Progress, String> {
        let table = desired.table(kind);
        let name: PolicyName = table.policy.parse().map_err(|bad| format!("{bad}"))?;
        let found = source::find(&self.listing, &self.compiler, kind, &name);
        let none_shipped = *desired == Desired::Default
            && found.is_err()
            && !self.listing.files.contains_key(&name);
        if none_shipped || source::is_baseline(&self.listing, &name) {
            self.leave_to_baseline(kind).await;
            return Ok(Progress::Compiled);
        }
        let source = found?;
        let supposed = supposed(&name, source, &table);
        if self.is_settled(kind, &supposed).await? {
            return Ok(Progress::Compiled);
        }
        if self.compile_in_background(kind, Role::Active, &name, source)? == Progress::Underway {
            return Ok(Progress::Underway);
        }
        let candidate = match self.fetch(kind, &table).await {
            Ok(candidate) => candidate,
            Err(missed) => {
                if let Some(file) = missed.not_compiled() {
                    return self.compile_anew(kind, Role::Active, &name, file);
                }
                let Missed {
                    reference,
                    reason,
                    may_pass,
                } = missed;
                // What may pass is not remembered, and tried again.
                if let Some(reference) = reference.filter(|_| !may_pass) {
                    self.kinds[kind as usize].refused = Some((reference, reason.clone()));
                }
                return Err(reason);
            }
        };
        if candidate.reference != supposed && self.is_settled(kind, &candidate.reference).await? {
            return Ok(Progress::Compiled);
        }
        let (reference, trust) = (
            candidate.reference.clone(),
            self.trust(kind, desired, &candidate.reference),
        );
        let swapped = self.swap(kind, candidate, trust).await;
        swapped.map(|()| Progress::Compiled).inspect_err(|reason| {
            self.kinds[kind as usize].refused = Some((reference, reason.clone()));
        })
    }

    /// True when this one decides already.
    ///
    /// # Errors
    /// When it is barred, or was refused as it is.
    async fn is_settled(&mut self, kind: Kind, reference: &PolicyRef) -> Result<bool, String> {
        let looked_up = reference.clone();
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
            Some((refused, reason)) if refused == reference => Err(reason.clone()),
            _ => {
                Ok((kind_state.active.as_ref())
                    .is_some_and(|running| running.reference == *reference))
            }
        }
    }

    /// Reads the policy that a table wishes, which was compiled before.
    ///
    /// # Errors
    /// Why it can't be had.
    pub(super) async fn fetch(&self, kind: Kind, table: &KindSpec) -> Result<Candidate, Missed> {
        let name: PolicyName =
            (table.policy.parse()).map_err(|bad| Missed::unread(format!("{bad}")))?;
        let source = source::find(&self.listing, &self.compiler, kind, &name);
        let source = source.map_err(Missed::unread)?;
        let decision = kind.as_str();
        tracing::info!(
            decision,
            policy = name.as_str(),
            "a policy is read and checked"
        );
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
                Err(Missed::refused(candidate.reference, &other))
            }
        }
    }

    async fn fetch_from(
        &self,
        source: PolicySource,
        name: &PolicyName,
        table: &KindSpec,
    ) -> Result<Candidate, Missed> {
        let read = source.read(&self.folder, name).await;
        let wasm = read.map_err(|error| {
            let file = name.file();
            Missed::unread(format!("{file} can't be read: {error}"))
        })?;
        let reference = PolicyRef::new(name, source.origin(), Digest::of(&wasm), table);
        match self.compiler.ready(&wasm).await {
            Ok(program) => Ok(Candidate {
                reference,
                program,
                wasm,
            }),
            Err(refusal) => Err(Missed::refused(reference, &refusal)),
        }
    }

    /// Tries a policy as it is to be run.
    pub(super) async fn rehearse(
        &self,
        kind: Kind,
        candidate: &Candidate,
    ) -> Result<About, String> {
        let setup = candidate.reference.setup(self.seed(kind));
        let canary = self.compiler.canary(&candidate.program, &setup).await;
        let canary =
            canary.map_err(|refusal| format!("{}: {refusal}", candidate.reference.name))?;
        let digest = candidate.reference.digest;
        self.compiler.introduce(digest, kind, canary.about.clone());
        Ok(canary.about)
    }

    /// Lets this one decide.
    pub(super) async fn swap(
        &mut self,
        kind: Kind,
        next: Candidate,
        trust: Trust,
    ) -> Result<(), String> {
        let about = self.rehearse(kind, &next).await?;
        let Candidate {
            reference,
            program,
            wasm,
        } = next;
        let digest = reference.digest;
        if let Err(error) = self
            .history(move |history| history.put(digest, &wasm))
            .await
        {
            tracing::warn!(%error, policy = %reference, "a policy can't be kept to go back to");
        }
        let setup = reference.setup(self.seed(kind));
        let health = Arc::new(Health::new(
            kind,
            reference.name.as_str(),
            setup.limits.wall_ms,
            trust == Trust::OnProbation,
            self.on_trouble(kind, &reference),
        ));
        let held = slot(
            &self.policy_slots,
            maker(&program, &setup),
            Arc::clone(&health),
        )
        .await;
        held.map_err(|fault| format!("{}: {}", reference.name, Refusal::Fault(fault)))?;
        let running = Arc::new(Running::new(reference, about, health));
        self.now_decides(kind, Some(running)).await;
        Ok(())
    }

    /// Notes who decides from now on, and parts with who did before.
    pub(super) async fn now_decides(&mut self, kind: Kind, running: Option<Arc<Running>>) {
        let kind_state = &mut self.kinds[kind as usize];
        let now_referenced = running.as_ref().map(|running| running.reference.clone());
        let goes_back = now_referenced.is_some() && kind_state.returning == now_referenced;
        let is_first = !kind_state.begun;
        let before = std::mem::replace(&mut kind_state.active, running);
        (kind_state.proved, kind_state.refused, kind_state.returning) = (false, None, None);
        let desired = kind_state
            .desired
            .as_ref()
            .map(|desired| desired.table(kind));
        if desired.is_some_and(|table| is_desired(now_referenced.as_ref(), &table)) {
            kind_state.forget_refusal();
        }
        if kind_state.active.is_none() {
            kind_state.baseline_since = now();
        }
        let shown = |running: &Option<Arc<Running>>| match running {
            Some(running) => running.reference.to_string(),
            None => "baseline".to_owned(),
        };
        let (from, to) = (shown(&before), shown(&kind_state.active));
        let from = if kind_state.begun {
            from
        } else {
            "nobody".to_owned()
        };
        tracing::info!(decision = kind.as_str(), from, to, "another policy decides");
        if kind_state.begun {
            self.status.count(kind, Swap::Swapped);
        }
        self.kinds[kind as usize].begun = true;
        let good = before.clone().filter(|before| before.is_sound());
        let past = good.as_ref().map(|before| before.as_past());
        // Going back changes nothing in the order in which they began to decide, and neither does a restart.
        let stays = goes_back || is_first;
        let noted = move |history: &mut History| match (past, stays) {
            (past, true) => past
                .into_iter()
                .for_each(|past| history.note_still_good(kind, past)),
            (past, false) => {
                past.into_iter()
                    .for_each(|past| history.note_good(kind, past));
                now_referenced
                    .iter()
                    .for_each(|now| history.note_anew(kind, now));
            }
        };
        self.history(noted).await;
        self.publish_change(kind, before.as_deref());
        if good.is_some() {
            self.save_history().await;
        }
    }

    /// Remembers this one as one to go back to.
    pub(super) async fn note_good(&self, kind: Kind, running: &Running) {
        let past = running.as_past();
        self.history(move |history| history.note_still_good(kind, past))
            .await;
        self.save_history().await;
    }

    fn trust(&self, kind: Kind, desired: &Desired, reference: &PolicyRef) -> Trust {
        let kind_state = &self.kinds[kind as usize];
        let default = *desired == Desired::Default && reference.origin == Origin::BuiltIn;
        let returns = kind_state.returning.as_ref() == Some(reference);
        // At the start there is nothing to go back to, or it is known to be good, or it has to prove itself.
        let proven_before = !kind_state.begun && {
            let history = self.history.lock();
            let good = history.good(kind);
            let never_was = good.is_empty() && !history.was_lost();
            never_was || good.iter().any(|past| past.reference.runs_like(reference))
        };
        if default || returns || proven_before {
            Trust::Proven
        } else {
            Trust::OnProbation
        }
    }

    fn on_trouble(&self, kind: Kind, reference: &PolicyRef) -> OnTrouble {
        let (look, policy, decision) =
            (Arc::clone(&self.look), reference.to_string(), kind.as_str());
        Box::new(move |trouble| {
            if let Trouble::Suspended { delay_ms } = trouble {
                tracing::warn!(
                    decision,
                    policy,
                    delay_ms,
                    "a policy failed too often and is suspended; the baseline answers"
                );
            }
            look.notify_one();
        })
    }
}

/// Whether a table wishes for this one, or for the baseline.
fn is_desired(reference: Option<&PolicyRef>, table: &KindSpec) -> bool {
    match reference {
        Some(reference) => {
            reference.name.as_str() == table.policy && reference.config == table.config
        }
        None => table.policy == dataverse_builtin::BASELINE,
    }
}

/// What a table wishes, if its policy still is what it was when the folder was last looked at.
pub(super) fn supposed(name: &PolicyName, source: PolicySource, table: &KindSpec) -> PolicyRef {
    PolicyRef::new(name, source.origin(), source.digest(), table)
}
