//! Chooses the policy that decides when the desired one can't: the last good one, else the built-in default, else the
//! native baseline. At the start of a node the good one that the table names is tried first, since the history has a
//! copy of its file.

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;

use super::super::compiler::Lane;
use super::super::instance::clear_slot;
use super::super::running::Running;
use super::Controller;
use super::source::PolicySource;
use super::swap::{Candidate, Trust, expected};
use crate::metrics::Swap;
use crate::policies::history::Barred;
use crate::policies::reference::{PolicyRef, short};
use crate::policies::spec::KindSpec;

impl Controller {
    /// Replaces a policy that failed its probation, and bars it.
    pub(super) async fn roll_back(&mut self, kind: Kind, failed: &Running) {
        let reason = format!(
            "{} ({}) failed its probation and was rolled back: {}; it is not run again until its file or its table changes",
            failed.policy_ref.name,
            short(failed.policy_ref.digest),
            failed.faults_in_words()
        );
        tracing::error!(decision = kind.as_str(), policy = %failed.policy_ref, reason, "policy rolled back");
        self.status.count(kind, Swap::RolledBack);
        let barred = Barred {
            policy_ref: failed.policy_ref.clone(),
            reason: reason.clone(),
        };
        self.history(move |history| history.bar(kind, barred)).await;
        self.save_history().await;
        self.fall_back(kind).await;
        self.kinds[kind as usize].note_swap(kind, Err(reason));
    }

    /// Falls back to the last good policy, else to the built-in default, else to the baseline.
    pub(super) async fn fall_back(&mut self, kind: Kind) {
        let kind_state = &self.kinds[kind as usize];
        let failed = kind_state
            .active
            .as_ref()
            .map(|running| running.policy_ref.clone());
        let table = kind_state
            .desired
            .as_ref()
            .map(|desired| desired.table(kind));
        let file = table.as_ref().and_then(|table| self.file_of(table));
        let before = self
            .history(move |history| {
                let before: Vec<_> = match &failed {
                    Some(failed) => history.before(kind, Some(failed)).collect(),
                    None => history.at_start(kind, table.as_ref(), file),
                };
                let before = before.into_iter();
                let files = before
                    .map(|past| (past.policy_ref.clone(), history.get(past.policy_ref.digest)));
                files.collect::<Vec<_>>()
            })
            .await;
        for (policy_ref, wasm) in before {
            let fell_back = match wasm {
                Ok(wasm) => self.fall_back_to(kind, policy_ref.clone(), wasm).await,
                Err(error) => Err(error.to_string()),
            };
            match fell_back {
                Ok(()) => return,
                Err(reason) => {
                    tracing::warn!(policy = %policy_ref, reason, "can't fall back to an earlier policy; trying the next")
                }
            }
        }
        if let Some(policy) = dataverse_builtin::find(kind, dataverse_builtin::default_name(kind)) {
            let spec = KindSpec::plain(policy.name);
            let name = policy
                .name
                .parse()
                .expect("built-in policies have valid names");
            let policy_ref = expected(&name, PolicySource::BuiltIn(policy), &spec);
            let barred = policy_ref.clone();
            let is_barred = self
                .history(move |history| history.bar_of(kind, &barred).is_some())
                .await;
            let wasm = Bytes::from_static(policy.wasm);
            if !is_barred && self.fall_back_to(kind, policy_ref, wasm).await.is_ok() {
                return;
            }
        }
        self.use_baseline(kind).await;
    }

    /// The digest of the file in the folder that this table names.
    fn file_of(&self, table: &KindSpec) -> Option<Digest> {
        let found = self.listing.files.get(&table.policy.parse().ok()?)?;
        Some(found.as_ref().ok()?.digest)
    }

    /// Makes a policy active that was good before. Its code is usually in the compile cache, and it does not wait for
    /// compilations in other lanes.
    async fn fall_back_to(
        &mut self,
        kind: Kind,
        policy_ref: PolicyRef,
        wasm: Bytes,
    ) -> Result<(), String> {
        let compiled = self.compiler.compile(&wasm, Lane::Fallback).await;
        let program = compiled.map_err(|refusal| refusal.to_string())?;
        let candidate = Candidate {
            policy_ref,
            program,
            wasm,
        };
        self.swap(kind, candidate, Trust::Proven).await
    }

    /// Lets the native baseline decide, unless it does already.
    pub(super) async fn use_baseline(&mut self, kind: Kind) {
        let kind_state = &self.kinds[kind as usize];
        if kind_state.is_filled && kind_state.active.is_none() {
            return;
        }
        clear_slot(&self.policy_slots, kind).await;
        self.record_active(kind, None).await;
    }
}
