//! The judges of a node: whoever answers for placement, eviction and relocation at the moment.
//!
//! Each question goes view → ask → check → plan: the view is taken under a short lock, the judge is asked
//! under no lock but its own, and the core checks the verdict. A fault is answered by the baseline and noted.
//! What was asked and answered is handed to shadows.
//!
//! `slot` is where questions come in and whoever answers is replaced; `instance` is who answers, `place` what
//! surrounds it, `asked` what is called of it; `health` is what is noted of it; `following` is how an
//! eviction policy keeps up with the cache; `case` is what shadows are given.
//!
//! The order of locks: a seat's occupant, then the cache's, which is only ever held for a moment; the
//! feeds' and the tenures' are taken with no other.

mod asked;
mod case;
#[cfg(test)]
pub(crate) mod fake_policies;
mod following;
mod gate;
mod health;
mod instance;
pub(crate) mod question;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use dataverse_core::cache::{Cache, CacheOutcome, CachedCopy};
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::placement::{self, Candidate};
use dataverse_core::policy::{
    Eviction, FileView, Placement, PlacementRequest, ReaderKeepsCopy, Relocation, Rendezvous,
};
use dataverse_core::record::Record;
use dataverse_core::relocation::{self, PathNode, Reads, RelocationPlan};
use dataverse_core::version::{Millis, Version};
use parking_lot::{Mutex, MutexGuard};

pub use case::{CacheCase, Fed, Feed, PlacementCase, RelocationCase};
pub use health::{Cost, Health, OnTrouble};
pub use instance::{Maker, PolicyInstance, Priced};
pub use slot::PolicySlot;

pub(crate) use asked::{Asked, panic_text};
pub(crate) use following::{Caches, Following, ask_admission, ask_room};
pub(crate) use gate::Gate;
pub(crate) use instance::{Answered, Readiness};

use super::state::State;

/// An instance of a placement policy.
pub trait PricedPlacement: Placement + Priced {}
impl<P: Placement + Priced> PricedPlacement for P {}

/// An instance of an eviction policy.
pub trait PricedEviction: Eviction + Priced {}
impl<P: Eviction + Priced> PricedEviction for P {}

/// An instance of a relocation policy.
pub trait PricedRelocation: Relocation + Priced {}
impl<P: Relocation + Priced> PricedRelocation for P {}

/// Any of them.
pub type AnyPlacement = dyn PricedPlacement;
/// Any of them.
pub type AnyEviction = dyn PricedEviction;
/// Any of them.
pub type AnyRelocation = dyn PricedRelocation;

/// Who judges: a seat a kind, and the shadows beside it. Empty seats are the native baselines': weighted
/// rendezvous over zones, coldest first, the reader keeps a copy.
#[derive(Default)]
pub struct PolicySlots {
    /// Who says where the copies of a new file go.
    pub placement: PolicySlot<AnyPlacement>,
    /// Who says which cached copies make room.
    pub eviction: PolicySlot<AnyEviction>,
    /// Who says whether data moves towards its readers.
    pub relocation: PolicySlot<AnyRelocation>,
    /// Placements that were decided.
    pub placement_shadow: Fed<PlacementCase>,
    /// What happened to the cache.
    pub eviction_shadow: Fed<CacheCase>,
    /// Relocations that were decided.
    pub relocation_shadow: Fed<RelocationCase>,
    reads: Mutex<Reads>,
    state: OnceLock<Arc<State>>,
}

impl PolicySlots {
    /// They judge for this node from now on.
    pub(super) fn attach(&self, state: &Arc<State>) {
        // Said once, by the driver that they belong to.
        let _ = self.state.set(Arc::clone(state));
        let following = Following(Arc::clone(state));
        self.eviction.hand_over_with(Box::new(following));
    }

    /// The baselines judge from now on. Whoever is asked just now is cut off after the call under way.
    pub(super) fn close(&self) {
        self.placement.close();
        self.eviction.close();
        self.relocation.close();
    }

    /// Lets the eviction policy take over the cache before it is asked anything. Without this it happens
    /// with the first question.
    pub async fn hand_over_cache(&self) {
        self.eviction.settle_in().await;
    }

    /// The budget of the cache and what is in it, coldest first, with the time of its last use.
    pub(crate) fn cached(&self) -> (u64, Vec<(CachedCopy, Millis)>) {
        let Some(state) = self.state.get() else {
            return (u64::MAX, Vec::new());
        };
        let cache = state.cache();
        let copies = cache
            .copies()
            .map(|(copy, used_at)| (copy.clone(), used_at));
        (cache.capacity(), copies.collect())
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
        let among = candidates.len();
        let ask = move |policy: Option<Asked<'_, AnyPlacement>>| {
            let ranked = match policy {
                Some(mut policy) => {
                    placement::rank(&mut policy, &request, candidates, &holders_first)
                }
                None => placement::rank(&mut Rendezvous, &request, candidates, &holders_first),
            };
            Answered {
                value: ranked.order,
                fault: ranked
                    .fault
                    .map(|it| it.at(question::of_placement(&request, among))),
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
            let mut counted = self.reads.lock();
            counted.count(record.key.file_id(), now)
        };
        let file = view_of(&record.key, record.size);
        let fed = self.relocation_shadow.is_fed();
        let shadowed = fed.then(|| (file.clone(), path.clone()));
        let ask = move |policy: Option<Asked<'_, AnyRelocation>>| {
            let asked = file.clone();
            let mut plan = match policy {
                Some(mut policy) => relocation::plan(&mut policy, asked, reads, &path, hit, now),
                None => relocation::plan(&mut ReaderKeepsCopy, asked, reads, &path, hit, now),
            };
            let fault = plan.fault.take();
            plan.fault = fault.map(|it| it.at(question::of_read(&file, reads, path.len())));
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
    pub(super) async fn admit(
        &self,
        state: &Arc<State>,
        copy: CachedCopy,
        now: Millis,
    ) -> CacheOutcome {
        let state = Arc::clone(state);
        let ask =
            move |policy: Option<Asked<'_, AnyEviction>>| ask_admission(&*state, policy, copy, now);
        self.eviction.ask(ask).await
    }

    /// What goes to free so many bytes for something that is not cached.
    pub(super) async fn make_room(
        &self,
        state: &Arc<State>,
        bytes: u64,
        now: Millis,
    ) -> CacheOutcome {
        let state = Arc::clone(state);
        let ask =
            move |policy: Option<Asked<'_, AnyEviction>>| ask_room(&*state, policy, bytes, now);
        self.eviction.ask(ask).await
    }

    /// Notes for the shadow that a file was read that is no replica here and that the cache had or was
    /// offered.
    pub(super) fn cache_was_read(
        &self,
        state: &State,
        copy: impl FnOnce(&Cache) -> CachedCopy,
        now: Millis,
        hit: bool,
    ) {
        self.eviction_shadow.hand(|| {
            let cache = state.cache();
            CacheCase::Read {
                copy: copy(&cache),
                now,
                hit,
                capacity: cache.capacity(),
            }
        });
    }

    /// Notes for the shadow that the cache was offered a copy without its being read.
    pub(super) fn cache_was_offered(&self, state: &State, copy: &CachedCopy, now: Millis) {
        self.eviction_shadow.hand(|| CacheCase::Offered {
            copy: copy.clone(),
            now,
            capacity: state.cache().capacity(),
        });
    }

    /// Notes for the shadow that a cached copy was sent to another node.
    pub(super) fn cached_was_sent(&self, key: &Key, now: Millis) {
        let key = || key.clone();
        self.eviction_shadow
            .hand(|| CacheCase::Sent { key: key(), now });
    }

    /// Notes for the shadow that there is a newer version of a file, or that it is gone.
    pub(super) fn file_was_superseded(&self, key: &Key, by: Version) {
        let key = || key.clone();
        self.eviction_shadow
            .hand(|| CacheCase::Superseded { key: key(), by });
    }

    /// Notes for the shadow that a file is a replica here.
    pub(super) fn file_is_replica(&self, key: &Key, version: Version) {
        self.eviction_shadow.hand(|| CacheCase::Replica {
            key: key.clone(),
            version,
        });
    }
}

impl Caches for State {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        Self::cache(self)
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
