//! The judges of a node: whoever answers for placement, eviction and relocation at the moment.
//!
//! Each question goes view → ask → check → plan: the view is taken under a short lock, the judge is asked
//! under no lock but its own, and the core checks the verdict. A fault is answered by the baseline.

use std::sync::{Mutex, MutexGuard};

use dataverse_core::cache::{CachedCopy, Outcome, Step};
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::placement::{self, Candidate};
use dataverse_core::policy::{
    Eviction, Fault, FileView, Placement, PlacementRequest, ReaderKeepsCopy, Relocation, Rendezvous,
};
use dataverse_core::record::Record;
use dataverse_core::relocation::{self, PathNode, Reads, RelocationPlan};
use dataverse_core::version::Millis;

use super::state::State;

/// Who judges.
pub struct Judges {
    placement: Mutex<Box<dyn Placement>>,
    relocation: Mutex<Box<dyn Relocation>>,
    /// `None`: the cache answers by itself, coldest first in its own order of last use.
    eviction: tokio::sync::Mutex<Option<Box<dyn Eviction>>>,
    reads: Mutex<Reads>,
}

impl Judges {
    /// The native baselines: weighted rendezvous over zones, coldest first, the reader keeps a copy.
    #[must_use]
    pub fn baselines() -> Self {
        Self {
            placement: Mutex::new(Box::new(Rendezvous)),
            relocation: Mutex::new(Box::new(ReaderKeepsCopy)),
            eviction: tokio::sync::Mutex::new(None),
            reads: Mutex::default(),
        }
    }

    /// The nodes for a file, best first.
    pub(super) fn rank(
        &self,
        request: &PlacementRequest,
        candidates: Vec<Candidate>,
        holders_first: &[NodeId],
    ) -> Vec<NodeId> {
        let mut judge = locked(&self.placement);
        let ranked = placement::rank(&mut **judge, request, candidates, holders_first);
        noted(ranked.fault.as_ref(), "placement");
        ranked.order
    }

    /// What a read that another node answers means for where copies are.
    pub(super) fn on_read(
        &self,
        record: &Record,
        hit: Role,
        path: &[PathNode],
        now: Millis,
    ) -> RelocationPlan {
        let reads = locked(&self.reads).count(record.key.file_id(), now);
        let mut judge = locked(&self.relocation);
        let file = view_of(&record.key, record.size);
        let plan = relocation::plan(&mut **judge, file, reads, path, hit, now);
        noted(plan.fault.as_ref(), "relocation");
        plan
    }

    /// Whether a copy is cached from now on, and what goes for it.
    pub(super) async fn admit(&self, state: &State, copy: CachedCopy, now: Millis) -> Outcome {
        let mut judge = self.eviction.lock().await;
        let first = state.cache().ask_admit(copy, now);
        converse(judge.as_deref_mut(), state, first)
    }

    /// What goes to free so many bytes for something that is not cached.
    pub(super) async fn make_room(&self, state: &State, bytes: u64, now: Millis) -> Outcome {
        let mut judge = self.eviction.lock().await;
        let first = state.cache().ask_room(bytes, now);
        converse(judge.as_deref_mut(), state, first)
    }
}

/// Puts questions to the judge, the cache's lock free meanwhile, until there is nothing left to ask.
fn converse(
    mut judge: Option<&mut (dyn Eviction + 'static)>,
    state: &State,
    first: Step,
) -> Outcome {
    let (mut outcome, mut step) = (Outcome::default(), first);
    loop {
        noted(step.fault.as_ref(), "eviction");
        let (so_far, next) = outcome.after(step);
        let Some(question) = next else {
            return so_far;
        };
        let verdict = match judge.as_deref_mut() {
            Some(judge) => question.put_to(judge),
            None => Err(Fault::trap("no policy is loaded")),
        };
        outcome = so_far;
        step = state.cache().settle(question, verdict);
    }
}

/// A file, as policies see it.
pub(super) fn view_of(key: &Key, size: u64) -> FileView {
    FileView {
        id: key.file_id().0,
        user: key.user().to_owned(),
        name: key.name().to_owned(),
        size,
    }
}

fn locked<T>(judge: &Mutex<T>) -> MutexGuard<'_, T> {
    judge.lock().expect("no one panics while judging")
}

fn noted(fault: Option<&Fault>, decision: &'static str) {
    if let Some(fault) = fault {
        tracing::warn!(decision, %fault, "a policy gave no usable verdict; the baseline answered");
    }
}
