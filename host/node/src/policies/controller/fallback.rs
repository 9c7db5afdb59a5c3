//! Who decides when the policy that is wished can't: the last good one, else the built-in default, else the
//! native baseline. At a start, the good one that the table means is tried first, since its file is kept.

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;

use super::super::instance::vacate;
use super::super::running::Running;
use super::super::workshop::Lane;
use super::Steward;
use super::source::Source;
use super::swap::{Candidate, Trust, supposed};
use crate::metrics::Swap;
use crate::policies::history::Barred;
use crate::policies::reference::{Pick, short};
use crate::policies::spec::KindWish;

impl Steward {
    /// Lets someone else decide in place of one that failed in its probation.
    pub(super) async fn roll_back(&mut self, kind: Kind, failed: &Running) {
        let reason = format!(
            "{} ({}) failed in its probation and was rolled back: {}; it is not run again until its file or its table changes",
            failed.pick.name,
            short(failed.pick.digest),
            failed.faults_in_words()
        );
        tracing::error!(decision = kind.as_str(), policy = %failed.pick, reason, "a policy is rolled back");
        self.told.count(kind, Swap::RolledBack);
        let barred = Barred {
            pick: failed.pick.clone(),
            reason: reason.clone(),
        };
        self.kept(move |kept| kept.bar(kind, barred)).await;
        self.save_kept().await;
        self.fall_back(kind).await;
        self.offices[kind as usize].note_swap(kind, Err(reason));
    }

    /// Lets the last good one decide, else the built-in default, else the baseline.
    pub(super) async fn fall_back(&mut self, kind: Kind) {
        let office = &self.offices[kind as usize];
        let failed = office.active.as_ref().map(|running| running.pick.clone());
        let table = office.wished.as_ref().map(|wished| wished.table(kind));
        let file = table.as_ref().and_then(|table| self.file_of(table));
        let before = self
            .kept(move |kept| {
                let before: Vec<_> = match &failed {
                    Some(failed) => kept.before(kind, Some(failed)).collect(),
                    None => kept.at_start(kind, table.as_ref(), file),
                };
                let before = before.into_iter();
                let files = before.map(|past| (past.pick.clone(), kept.get(past.pick.digest)));
                files.collect::<Vec<_>>()
            })
            .await;
        for (pick, wasm) in before {
            let went_back = match wasm {
                Ok(wasm) => self.go_back(kind, pick.clone(), wasm).await,
                Err(error) => Err(error.to_string()),
            };
            match went_back {
                Ok(()) => return,
                Err(reason) => {
                    tracing::warn!(policy = %pick, reason, "a good policy can't be gone back to")
                }
            }
        }
        if let Some(policy) = dataverse_builtin::find(kind, dataverse_builtin::default_name(kind)) {
            let wish = KindWish::plain(policy.name);
            let name = policy
                .name
                .parse()
                .expect("built-in policies are named well");
            let pick = supposed(&name, Source::BuiltIn(policy), &wish);
            let barred = pick.clone();
            let is_barred = self
                .kept(move |kept| kept.bar_of(kind, &barred).is_some())
                .await;
            let wasm = Bytes::from_static(policy.wasm);
            if !is_barred && self.go_back(kind, pick, wasm).await.is_ok() {
                return;
            }
        }
        self.leave_to_baseline(kind).await;
    }

    /// The file in the folder that this table means.
    fn file_of(&self, table: &KindWish) -> Option<Digest> {
        let found = self.listing.files.get(&table.policy.parse().ok()?)?;
        Some(found.as_ref().ok()?.digest)
    }

    /// Lets this one decide, which did well before. Its code is in the compile cache as a rule, and it waits for no
    /// file that takes long.
    async fn go_back(&mut self, kind: Kind, pick: Pick, wasm: Bytes) -> Result<(), String> {
        let compiled = self.workshop.compile(&wasm, Lane::Back).await;
        let program = compiled.map_err(|refusal| refusal.to_string())?;
        let candidate = Candidate {
            pick,
            program,
            wasm,
        };
        self.swap(kind, candidate, Trust::Proven).await
    }

    /// Lets the native baseline decide, unless it does.
    pub(super) async fn leave_to_baseline(&mut self, kind: Kind) {
        let office = &self.offices[kind as usize];
        if office.begun && office.active.is_none() {
            return;
        }
        vacate(&self.judges, kind).await;
        self.now_decides(kind, None).await;
    }
}
