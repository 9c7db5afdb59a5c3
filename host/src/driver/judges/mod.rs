//! The judges of a node: whoever answers for placement, eviction and relocation at the moment.
//!
//! Each question goes view → ask → check → plan: the view is taken under a short lock, the judge is asked
//! under no lock but its own (`seat`), and the core checks the verdict. A fault is answered by the baseline
//! and noted (`tenure`). What was asked and answered is handed to shadows (`case`).

mod case;
mod seat;
mod tenure;

use std::sync::{Arc, Mutex};

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
use dataverse_core::version::{Millis, Version};

pub use case::{CacheCase, Fed, Feed, PlacementCase, RelocationCase};
pub use seat::{Maker, Occupant, Priced, Seat};
pub use tenure::{Cost, OnTrouble, Tenure};

use super::state::State;
use seat::Answered;

/// An instance of a placement policy.
pub trait PlacementJudge: Placement + Priced {}
impl<P: Placement + Priced> PlacementJudge for P {}

/// An instance of an eviction policy.
pub trait EvictionJudge: Eviction + Priced {}
impl<P: Eviction + Priced> EvictionJudge for P {}

/// An instance of a relocation policy.
pub trait RelocationJudge: Relocation + Priced {}
impl<P: Relocation + Priced> RelocationJudge for P {}

/// Any of them.
pub type AnyPlacement = dyn PlacementJudge;
/// Any of them.
pub type AnyEviction = dyn EvictionJudge;
/// Any of them.
pub type AnyRelocation = dyn RelocationJudge;

/// Who judges: a seat a kind, and the shadows beside it. Empty seats are the native baselines': weighted
/// rendezvous over zones, coldest first, the reader keeps a copy.
#[derive(Default)]
pub struct Judges {
    /// Who says where the copies of a new file go.
    pub placement: Seat<AnyPlacement>,
    /// Who says which cached copies make room.
    pub eviction: Seat<AnyEviction>,
    /// Who says whether data moves towards its readers.
    pub relocation: Seat<AnyRelocation>,
    /// Placements that were decided.
    pub placement_shadow: Fed<PlacementCase>,
    /// What happened to the cache.
    pub eviction_shadow: Fed<CacheCase>,
    /// Relocations that were decided.
    pub relocation_shadow: Fed<RelocationCase>,
    reads: Mutex<Reads>,
    state: std::sync::OnceLock<Arc<State>>,
}

impl Judges {
    /// They judge for this node from now on.
    pub(super) fn judge_for(&self, state: &Arc<State>) {
        // Said once, by the driver that they belong to.
        let _ = self.state.set(Arc::clone(state));
        let cache = Arc::clone(state);
        self.eviction.when_left(move || cache.cache().dismiss());
    }

    /// Lets the eviction policy take over the cache before it is asked anything.
    pub async fn hand_over_cache(&self) {
        let Some(state) = self.state.get().map(Arc::clone) else {
            return;
        };
        let introduction = move |judge: Option<&mut AnyEviction>| Answered {
            value: (),
            fault: judge.and_then(|judge| follow(judge, &state).err()),
        };
        self.eviction.settle_in(introduction).await;
    }

    /// The nodes for a file, best first.
    pub(crate) async fn rank(
        &self,
        request: PlacementRequest,
        candidates: Vec<Candidate>,
        holders_first: Vec<NodeId>,
    ) -> Vec<NodeId> {
        let shadowed = self.placement_shadow.is_fed().then(|| {
            let asked = (request.clone(), candidates.clone());
            (asked, holders_first.clone())
        });
        let ask = move |judge: Option<&mut AnyPlacement>| {
            let ranked = match judge {
                Some(judge) => placement::rank(judge, &request, candidates, &holders_first),
                None => placement::rank(&mut Rendezvous, &request, candidates, &holders_first),
            };
            Answered {
                value: ranked.order,
                fault: ranked.fault,
            }
        };
        let chosen = self.placement.ask(ask).await;
        if let Some(((request, candidates), holders_first)) = shadowed {
            self.placement_shadow.hand(|| PlacementCase {
                request,
                candidates,
                holders_first,
                chosen: chosen.clone(),
            });
        }
        chosen
    }

    /// What a read that another node answers means for where copies are.
    pub(super) async fn on_read(
        &self,
        record: &Record,
        hit: Role,
        path: Vec<PathNode>,
        now: Millis,
    ) -> RelocationPlan {
        let reads = {
            let mut counted = self.reads.lock().expect("no one panics while counting");
            counted.count(record.key.file_id(), now)
        };
        let file = view_of(&record.key, record.size);
        let fed = self.relocation_shadow.is_fed();
        let shadowed = fed.then(|| (file.clone(), path.clone()));
        let ask = move |judge: Option<&mut AnyRelocation>| {
            let plan = match judge {
                Some(judge) => relocation::plan(judge, file, reads, &path, hit, now),
                None => relocation::plan(&mut ReaderKeepsCopy, file, reads, &path, hit, now),
            };
            Answered {
                fault: plan.fault.clone(),
                value: plan,
            }
        };
        let plan = self.relocation.ask(ask).await;
        if let Some((file, path)) = shadowed {
            self.relocation_shadow.hand(|| RelocationCase {
                file,
                reads,
                path,
                hit,
                now,
                copy_to: plan.copy_to.clone(),
                move_to: plan.move_to,
            });
        }
        plan
    }

    /// Whether a copy is cached from now on, and what goes for it.
    pub(super) async fn admit(&self, state: &Arc<State>, copy: CachedCopy, now: Millis) -> Outcome {
        let state = Arc::clone(state);
        let ask = move |judge: Option<&mut AnyEviction>| {
            let begin = |judge: &mut AnyEviction| {
                follow(judge, &state)?;
                let first = state.cache().ask_admit(copy.clone(), now);
                Ok(converse(judge, &state, first))
            };
            answered(judge.map(begin), || {
                state.cache().admit(None, copy.clone(), now)
            })
        };
        self.eviction.ask(ask).await
    }

    /// What goes to free so many bytes for something that is not cached.
    pub(super) async fn make_room(&self, state: &Arc<State>, bytes: u64, now: Millis) -> Outcome {
        let state = Arc::clone(state);
        let ask = move |judge: Option<&mut AnyEviction>| {
            let begin = |judge: &mut AnyEviction| {
                follow(judge, &state)?;
                let first = state.cache().ask_room(bytes, now);
                Ok(converse(judge, &state, first))
            };
            answered(judge.map(begin), || {
                state.cache().make_room(None, bytes, now)
            })
        };
        self.eviction.ask(ask).await
    }

    /// Notes for the shadow that a file was read that is no replica here.
    pub(super) fn cache_was_read(
        &self,
        state: &State,
        copy: impl FnOnce() -> CachedCopy,
        now: Millis,
        hit: bool,
    ) {
        self.eviction_shadow.hand(|| CacheCase::Read {
            copy: copy(),
            now,
            hit,
            capacity: state.cache().capacity(),
        });
    }

    /// Notes for the shadow that a version of a file is not to be cached any more.
    pub(super) fn file_is_gone(&self, key: &Key, version: Version) {
        self.eviction_shadow.hand(|| CacheCase::Gone {
            key: key.clone(),
            version,
        });
    }
}

/// Sees to it that this policy follows the cache.
fn follow(judge: &mut AnyEviction, state: &State) -> Result<(), Fault> {
    let handover = {
        let mut cache = state.cache();
        if cache.is_followed() {
            return Ok(());
        }
        cache.hand_over()
    };
    handover
        .put_to(judge)
        .inspect_err(|_| state.cache().dismiss())
}

fn answered(
    asked: Option<Result<Outcome, Fault>>,
    baseline: impl FnOnce() -> Outcome,
) -> Answered<Outcome> {
    match asked {
        Some(Ok(value)) => Answered {
            fault: value.fault.clone(),
            value,
        },
        Some(Err(fault)) => Answered {
            fault: Some(fault),
            value: baseline(),
        },
        None => Answered {
            fault: None,
            value: baseline(),
        },
    }
}

/// Puts questions to the judge, the cache's lock free meanwhile, until there is nothing left to ask.
fn converse(judge: &mut AnyEviction, state: &State, first: Step) -> Outcome {
    let (mut outcome, mut next) = Outcome::default().after(first);
    while let Some(question) = next {
        let verdict = question.put_to(judge);
        let step = state.cache().settle(question, verdict);
        (outcome, next) = outcome.after(step);
    }
    outcome
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
