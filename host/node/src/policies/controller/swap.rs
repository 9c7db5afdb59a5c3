//! How one policy follows another: find → have it compiled → read once → try → let decide → remember.
//!
//! Whatever fails on the way, the one before goes on. Nothing is tried twice as it is.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::{Kind, Trouble};
use dataverse_sandbox::{About, Program, Refusal};

use super::super::instance::{maker, seat};
use super::super::name::PolicyName;
use super::super::running::{Running, now};
use super::super::view::Origin;
use super::Steward;
use super::source::{self, Source};
use crate::driver::{OnTrouble, Tenure};
use crate::metrics::Swap;
use crate::policies::controller::compilation::{Progress, Role};
use crate::policies::history::Kept;
use crate::policies::reference::Pick;
use crate::policies::spec::KindWish;
use crate::policies::spec_file::Wished;

/// A policy that was read and compiled, and is of the right kind.
pub(super) struct Candidate {
    pub(super) pick: Pick,
    pub(super) program: Program,
    pub(super) wasm: Bytes,
}

/// Why a policy can't be had.
pub(super) struct Missed {
    /// Which it is, if it was read.
    pub(super) pick: Option<Pick>,
    /// Why, in words.
    pub(super) reason: String,
    /// Whether it may be had later as it is.
    pub(super) may_pass: bool,
}

impl Missed {
    fn unread(reason: String) -> Self {
        Self {
            pick: None,
            reason,
            may_pass: false,
        }
    }

    fn refused(pick: Pick, refusal: &Refusal) -> Self {
        Self {
            reason: format!("{}: {refusal}", pick.name),
            may_pass: refusal.may_pass(),
            pick: Some(pick),
        }
    }

    /// The file that has to be compiled first.
    pub(super) fn not_compiled(&self) -> Option<Digest> {
        let pick = self.pick.as_ref().filter(|_| self.may_pass)?;
        (pick.origin == Origin::Folder).then_some(pick.digest)
    }
}

/// Whether a policy has to prove itself first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    OnProbation,
    Proven,
}

impl Steward {
    /// Lets the policy decide that is wished, unless it does.
    pub(super) async fn fulfil(&mut self, kind: Kind) {
        let office = &self.offices[kind as usize];
        let outcome = match office.wished.clone() {
            Some(wished) => self.attempt(kind, &wished).await,
            None => Ok(Progress::Compiled),
        };
        let outcome = match outcome {
            // What was said of the one before holds until more is known of this one.
            Ok(Progress::Underway) => return,
            Ok(Progress::Compiled) => Ok(()),
            Err(reason) => Err(reason),
        };
        self.forget_aside(kind, Role::Active);
        if self.offices[kind as usize].note_swap(kind, outcome) {
            self.told.count(kind, Swap::Refused);
        }
        if !self.offices[kind as usize].begun {
            self.fall_back(kind).await;
        }
    }

    async fn attempt(&mut self, kind: Kind, wished: &Wished) -> Result<Progress, String> {
        let table = wished.table(kind);
        let name: PolicyName = table.policy.parse().map_err(|bad| format!("{bad}"))?;
        let found = source::find(&self.listing, &self.workshop, kind, &name);
        let none_shipped =
            *wished == Wished::Default && found.is_err() && !self.listing.files.contains_key(&name);
        if none_shipped || source::is_baseline(&self.listing, &name) {
            self.leave_to_baseline(kind).await;
            return Ok(Progress::Compiled);
        }
        let source = found?;
        let supposed = supposed(&name, source, &table);
        if self.is_settled(kind, &supposed).await? {
            return Ok(Progress::Compiled);
        }
        if self.compile_aside(kind, Role::Active, &name, source)? == Progress::Underway {
            return Ok(Progress::Underway);
        }
        let candidate = match self.fetch(kind, &table).await {
            Ok(candidate) => candidate,
            Err(missed) => {
                if let Some(file) = missed.not_compiled() {
                    return self.compile_anew(kind, Role::Active, &name, file);
                }
                let Missed {
                    pick,
                    reason,
                    may_pass,
                } = missed;
                // What may pass is not remembered, and tried again.
                if let Some(pick) = pick.filter(|_| !may_pass) {
                    self.offices[kind as usize].refused = Some((pick, reason.clone()));
                }
                return Err(reason);
            }
        };
        if candidate.pick != supposed && self.is_settled(kind, &candidate.pick).await? {
            return Ok(Progress::Compiled);
        }
        let (pick, trust) = (
            candidate.pick.clone(),
            self.trust(kind, wished, &candidate.pick),
        );
        let swapped = self.swap(kind, candidate, trust).await;
        swapped.map(|()| Progress::Compiled).inspect_err(|reason| {
            self.offices[kind as usize].refused = Some((pick, reason.clone()));
        })
    }

    /// True when this one decides already.
    ///
    /// # Errors
    /// When it is barred, or was refused as it is.
    async fn is_settled(&mut self, kind: Kind, pick: &Pick) -> Result<bool, String> {
        let looked_up = pick.clone();
        let (bar, lifted) = self
            .kept(move |kept| {
                let bar = kept.bar_of(kind, &looked_up).map(str::to_owned);
                let lifted = bar.is_none() && kept.lift(kind);
                (bar, lifted)
            })
            .await;
        if lifted {
            self.save_kept().await;
        }
        if let Some(reason) = bar {
            return Err(reason);
        }
        let office = &self.offices[kind as usize];
        match &office.refused {
            Some((refused, reason)) if refused == pick => Err(reason.clone()),
            _ => Ok((office.active.as_ref()).is_some_and(|running| running.pick == *pick)),
        }
    }

    /// Reads the policy that a table wishes, which was compiled before.
    ///
    /// # Errors
    /// Why it can't be had.
    pub(super) async fn fetch(&self, kind: Kind, table: &KindWish) -> Result<Candidate, Missed> {
        let name: PolicyName =
            (table.policy.parse()).map_err(|bad| Missed::unread(format!("{bad}")))?;
        let source = source::find(&self.listing, &self.workshop, kind, &name);
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
                let source = Source::BuiltIn(policy);
                self.fetch_from(source, &name, table).await
            }
            None => {
                let wanted = kind;
                let other = Refusal::OtherKind { found, wanted };
                Err(Missed::refused(candidate.pick, &other))
            }
        }
    }

    async fn fetch_from(
        &self,
        source: Source,
        name: &PolicyName,
        table: &KindWish,
    ) -> Result<Candidate, Missed> {
        let read = source.read(&self.folder, name).await;
        let wasm = read.map_err(|error| {
            let file = name.file();
            Missed::unread(format!("{file} can't be read: {error}"))
        })?;
        let pick = Pick::new(name, source.origin(), Digest::of(&wasm), table);
        match self.workshop.ready(&wasm).await {
            Ok(program) => Ok(Candidate {
                pick,
                program,
                wasm,
            }),
            Err(refusal) => Err(Missed::refused(pick, &refusal)),
        }
    }

    /// Tries a policy as it is to be run.
    pub(super) async fn rehearse(
        &self,
        kind: Kind,
        candidate: &Candidate,
    ) -> Result<About, String> {
        let setup = candidate.pick.setup(self.seed(kind));
        let canary = self.workshop.canary(&candidate.program, &setup).await;
        let canary = canary.map_err(|refusal| format!("{}: {refusal}", candidate.pick.name))?;
        let digest = candidate.pick.digest;
        self.workshop.introduce(digest, kind, canary.about.clone());
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
            pick,
            program,
            wasm,
        } = next;
        let digest = pick.digest;
        if let Err(error) = self.kept(move |kept| kept.put(digest, &wasm)).await {
            tracing::warn!(%error, policy = %pick, "a policy can't be kept to go back to");
        }
        let setup = pick.setup(self.seed(kind));
        let tenure = Arc::new(Tenure::new(
            kind,
            pick.name.as_str(),
            setup.limits.wall_ms,
            trust == Trust::OnProbation,
            self.on_trouble(kind, &pick),
        ));
        let seated = seat(&self.judges, maker(&program, &setup), Arc::clone(&tenure)).await;
        seated.map_err(|fault| format!("{}: {}", pick.name, Refusal::Fault(fault)))?;
        let running = Arc::new(Running::new(pick, about, tenure));
        self.now_decides(kind, Some(running)).await;
        Ok(())
    }

    /// Notes who decides from now on, and parts with who did before.
    pub(super) async fn now_decides(&mut self, kind: Kind, running: Option<Arc<Running>>) {
        let office = &mut self.offices[kind as usize];
        let now_picked = running.as_ref().map(|running| running.pick.clone());
        let goes_back = now_picked.is_some() && office.returning == now_picked;
        let is_first = !office.begun;
        let before = std::mem::replace(&mut office.active, running);
        (office.proved, office.refused, office.returning) = (false, None, None);
        let wished = office.wished.as_ref().map(|wished| wished.table(kind));
        if wished.is_some_and(|table| is_wished(now_picked.as_ref(), &table)) {
            office.forget_refusal();
        }
        if office.active.is_none() {
            office.baseline_since = now();
        }
        let shown = |running: &Option<Arc<Running>>| match running {
            Some(running) => running.pick.to_string(),
            None => "baseline".to_owned(),
        };
        let (from, to) = (shown(&before), shown(&office.active));
        let from = if office.begun {
            from
        } else {
            "nobody".to_owned()
        };
        tracing::info!(decision = kind.as_str(), from, to, "another policy decides");
        if office.begun {
            self.told.count(kind, Swap::Swapped);
        }
        self.offices[kind as usize].begun = true;
        let good = before.clone().filter(|before| before.is_sound());
        let past = good.as_ref().map(|before| before.as_past());
        // Going back changes nothing in the order in which they began to decide, and neither does a restart.
        let stays = goes_back || is_first;
        let noted = move |kept: &mut Kept| match (past, stays) {
            (past, true) => past
                .into_iter()
                .for_each(|past| kept.note_still_good(kind, past)),
            (past, false) => {
                past.into_iter().for_each(|past| kept.note_good(kind, past));
                now_picked.iter().for_each(|now| kept.note_anew(kind, now));
            }
        };
        self.kept(noted).await;
        self.publish_change(kind, before.as_deref());
        if good.is_some() {
            self.save_kept().await;
        }
    }

    /// Remembers this one as one to go back to.
    pub(super) async fn note_good(&self, kind: Kind, running: &Running) {
        let past = running.as_past();
        self.kept(move |kept| kept.note_still_good(kind, past))
            .await;
        self.save_kept().await;
    }

    fn trust(&self, kind: Kind, wished: &Wished, pick: &Pick) -> Trust {
        let office = &self.offices[kind as usize];
        let default = *wished == Wished::Default && pick.origin == Origin::BuiltIn;
        let returns = office.returning.as_ref() == Some(pick);
        // At the start there is nothing to go back to, or it is known to be good, or it has to prove itself.
        let proven_before = !office.begun && {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let good = kept.good(kind);
            let never_was = good.is_empty() && !kept.was_lost();
            never_was || good.iter().any(|past| past.pick.runs_like(pick))
        };
        if default || returns || proven_before {
            Trust::Proven
        } else {
            Trust::OnProbation
        }
    }

    fn on_trouble(&self, kind: Kind, pick: &Pick) -> OnTrouble {
        let (look, policy, decision) = (Arc::clone(&self.look), pick.to_string(), kind.as_str());
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
fn is_wished(pick: Option<&Pick>, table: &KindWish) -> bool {
    match pick {
        Some(pick) => pick.name.as_str() == table.policy && pick.config == table.config,
        None => table.policy == dataverse_builtin::BASELINE,
    }
}

/// What a table wishes, if its policy still is what it was when the folder was last looked at.
pub(super) fn supposed(name: &PolicyName, source: Source, table: &KindWish) -> Pick {
    Pick::new(name, source.origin(), source.digest(), table)
}
