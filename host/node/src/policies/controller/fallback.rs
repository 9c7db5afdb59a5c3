//! Who decides when the policy that is wished can't: the last good one, else the built-in default, else the
//! native baseline. At a start, the good one that the table means is tried first, since its file is kept.

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;

use super::super::compiler::Lane;
use super::super::instance::vacate;
use super::super::running::Running;
use super::Controller;
use super::source::PolicySource;
use super::swap::{Candidate, Trust, supposed};
use crate::metrics::Swap;
use crate::policies::history::Barred;
use crate::policies::reference::{PolicyRef, short};
use crate::policies::spec::KindSpec;

impl Controller {
    /// Lets someone else decide in place of one that failed in its probation.
    pub(super) async fn roll_back(&mut self, kind: Kind, failed: &Running) {
        let reason = format!(
            "{} ({}) failed in its probation and was rolled back: {}; it is not run again until its file or its table changes",
            failed.reference.name,
            short(failed.reference.digest),
            failed.faults_in_words()
        );
        tracing::error!(decision = kind.as_str(), policy = %failed.reference, reason, "a policy is rolled back");
        self.status.count(kind, Swap::RolledBack);
        let barred = Barred {
            reference: failed.reference.clone(),
            reason: reason.clone(),
        };
        self.history(move |history| history.bar(kind, barred)).await;
        self.save_history().await;
        self.fall_back(kind).await;
        self.kinds[kind as usize].note_swap(kind, Err(reason));
    }

    /// Lets the last good one decide, else the built-in default, else the baseline.
    pub(super) async fn fall_back(&mut self, kind: Kind) {
        let kind_state = &self.kinds[kind as usize];
        let failed = kind_state
            .active
            .as_ref()
            .map(|running| running.reference.clone());
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
                let files =
                    before.map(|past| (past.reference.clone(), history.get(past.reference.digest)));
                files.collect::<Vec<_>>()
            })
            .await;
        for (reference, wasm) in before {
            let went_back = match wasm {
                Ok(wasm) => self.go_back(kind, reference.clone(), wasm).await,
                Err(error) => Err(error.to_string()),
            };
            match went_back {
                Ok(()) => return,
                Err(reason) => {
                    tracing::warn!(policy = %reference, reason, "a good policy can't be gone back to")
                }
            }
        }
        if let Some(policy) = dataverse_builtin::find(kind, dataverse_builtin::default_name(kind)) {
            let spec = KindSpec::plain(policy.name);
            let name = policy
                .name
                .parse()
                .expect("built-in policies are named well");
            let reference = supposed(&name, PolicySource::BuiltIn(policy), &spec);
            let barred = reference.clone();
            let is_barred = self
                .history(move |history| history.bar_of(kind, &barred).is_some())
                .await;
            let wasm = Bytes::from_static(policy.wasm);
            if !is_barred && self.go_back(kind, reference, wasm).await.is_ok() {
                return;
            }
        }
        self.leave_to_baseline(kind).await;
    }

    /// The file in the folder that this table means.
    fn file_of(&self, table: &KindSpec) -> Option<Digest> {
        let found = self.listing.files.get(&table.policy.parse().ok()?)?;
        Some(found.as_ref().ok()?.digest)
    }

    /// Lets this one decide, which did well before. Its code is in the compile cache as a rule, and it waits for no
    /// file that takes long.
    async fn go_back(
        &mut self,
        kind: Kind,
        reference: PolicyRef,
        wasm: Bytes,
    ) -> Result<(), String> {
        let compiled = self.compiler.compile(&wasm, Lane::Back).await;
        let program = compiled.map_err(|refusal| refusal.to_string())?;
        let candidate = Candidate {
            reference,
            program,
            wasm,
        };
        self.swap(kind, candidate, Trust::Proven).await
    }

    /// Lets the native baseline decide, unless it does.
    pub(super) async fn leave_to_baseline(&mut self, kind: Kind) {
        let kind_state = &self.kinds[kind as usize];
        if kind_state.begun && kind_state.active.is_none() {
            return;
        }
        vacate(&self.policy_slots, kind).await;
        self.now_decides(kind, None).await;
    }
}
