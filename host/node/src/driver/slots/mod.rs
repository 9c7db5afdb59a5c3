//! Policy slots: the policies that decide placement, eviction and relocation now, and the native baselines that
//! answer in their place.
//!
//! - `slot`: where questions of one kind come in, and where the policy that answers is replaced.
//! - `instance`: the policy in a slot and the sandboxed instance that is asked; a failed instance is thrown away
//!   and a new one made.
//! - `gate`: what surrounds an instance: its handover (what it must be told before it can be asked), and whether
//!   it may go on.
//! - `asked`: guards each single call into a policy: deadline first, panics caught.
//! - `health`: what is recorded about a policy while it decides (faults, costs, probation, suspension).
//! - `following`: how an eviction policy follows the cache. `question`: questions as text, for fault messages.
//! - `case`: copies of questions and answers for shadow policies.
//!
//! A question goes view → ask → check → plan. The view is taken under a short lock; the policy is asked on a
//! blocking thread, under no lock but its slot's; the core checks the verdict. A fault, a busy or a suspended
//! policy is answered by the baseline, so a question always gets an answer. Shadows get the question and the
//! answer through a bounded queue.
//!
//! [`PolicySlots`] owns the three slots and the feeds of the shadows; [`PolicySlot`] owns its [`PolicyInstance`],
//! which shares its [`Health`] with the policy controller. Which policy belongs in a slot is not decided here but
//! in `policies`.
//!
//! Order of locks: a slot's instance, then the cache, which is only ever held for a moment. The locks of feeds and
//! of `Health` are taken with no other.

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
use parking_lot::Mutex;

pub use case::{CacheCase, Fed, Feed, PlacementCase, RelocationCase};
pub use health::{Cost, Health, OnTrouble};
pub use instance::{Maker, PolicyInstance, Priced};
pub use slot::PolicySlot;

pub(crate) use asked::{Asked, panic_text};
pub(crate) use following::{Caches, Following, ask_admission, ask_room};
pub(crate) use gate::Gate;
pub(crate) use instance::{Answered, Readiness};

/// An instance of a placement policy.
pub trait PricedPlacement: Placement + Priced {}
impl<P: Placement + Priced> PricedPlacement for P {}

/// An instance of an eviction policy.
pub trait PricedEviction: Eviction + Priced {}
impl<P: Eviction + Priced> PricedEviction for P {}

/// An instance of a relocation policy.
pub trait PricedRelocation: Relocation + Priced {}
impl<P: Relocation + Priced> PricedRelocation for P {}

/// Any placement policy.
pub type AnyPlacement = dyn PricedPlacement;
/// Any eviction policy.
pub type AnyEviction = dyn PricedEviction;
/// Any relocation policy.
pub type AnyRelocation = dyn PricedRelocation;

/// One policy slot for each kind of decision, and the feeds of the shadows. An empty slot is answered by the
/// native baseline: weighted rendezvous over zones, coldest first, the reader keeps a copy.
#[derive(Default)]
pub struct PolicySlots {
    /// Decides where the copies of a new file go.
    pub placement: PolicySlot<AnyPlacement>,
    /// Decides which cached copies are evicted.
    pub eviction: PolicySlot<AnyEviction>,
    /// Decides whether data moves towards its readers.
    pub relocation: PolicySlot<AnyRelocation>,
    /// Feed of placements for the shadow.
    pub placement_shadow: Fed<PlacementCase>,
    /// Feed of cache events for the shadow.
    pub eviction_shadow: Fed<CacheCase>,
    /// Feed of relocations for the shadow.
    pub relocation_shadow: Fed<RelocationCase>,
    reads: Mutex<Reads>,
    cache: OnceLock<Arc<dyn Caches>>,
}

impl PolicySlots {
    /// Attaches the slots to this node's cache.
    pub(super) fn attach(&self, cache: Arc<dyn Caches>) {
        let following = Following(Arc::clone(&cache));
        // Set once, by the driver that owns the slots.
        let _ = self.cache.set(cache);
        self.eviction.hand_over_with(Box::new(following));
    }

    /// From now on only the baselines answer. A policy being asked is cut off after the call under way.
    pub(super) fn close(&self) {
        self.placement.close();
        self.eviction.close();
        self.relocation.close();
    }

    /// Hands the cache over to the eviction policy before it is asked anything. Otherwise that happens with the
    /// first question.
    pub async fn hand_over_cache(&self) {
        self.eviction.settle_in().await;
    }

    /// The cache's budget and its copies, coldest first, with the time of their last use.
    pub(crate) fn cached(&self) -> (u64, Vec<(CachedCopy, Millis)>) {
        let Some(owner) = self.cache.get() else {
            return (u64::MAX, Vec::new());
        };
        let cache = owner.cache();
        let copies = cache
            .copies()
            .map(|(copy, used_at)| (copy.clone(), used_at));
        (cache.capacity(), copies.collect())
    }

    /// Ranks the candidates for a file, best first.
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

    /// Decides what a remote read means for where copies are.
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
        let file = FileView::of(&record.key, record.size);
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

    /// Decides whether to cache a copy, and which copies to evict for it.
    pub(super) async fn admit(
        &self,
        owner: &Arc<impl Caches + 'static>,
        copy: CachedCopy,
        now: Millis,
    ) -> CacheOutcome {
        let owner = Arc::clone(owner);
        let ask =
            move |policy: Option<Asked<'_, AnyEviction>>| ask_admission(&*owner, policy, copy, now);
        self.eviction.ask(ask).await
    }

    /// Decides which copies to evict to free this many bytes for something that is not cached.
    pub(super) async fn make_room(
        &self,
        owner: &Arc<impl Caches + 'static>,
        bytes: u64,
        now: Millis,
    ) -> CacheOutcome {
        let owner = Arc::clone(owner);
        let ask =
            move |policy: Option<Asked<'_, AnyEviction>>| ask_room(&*owner, policy, bytes, now);
        self.eviction.ask(ask).await
    }

    /// Tells the shadow that a file was read which is no replica here and which the cache had or was offered.
    pub(super) fn cache_was_read(
        &self,
        owner: &impl Caches,
        copy: impl FnOnce(&Cache) -> CachedCopy,
        now: Millis,
        hit: bool,
    ) {
        self.eviction_shadow.hand(|| {
            let cache = owner.cache();
            CacheCase::Read {
                copy: copy(&cache),
                now,
                hit,
                capacity: cache.capacity(),
            }
        });
    }

    /// Tells the shadow that the cache was offered a copy that nobody read.
    pub(super) fn cache_was_offered(&self, owner: &impl Caches, copy: &CachedCopy, now: Millis) {
        self.eviction_shadow.hand(|| CacheCase::Offered {
            copy: copy.clone(),
            now,
            capacity: owner.cache().capacity(),
        });
    }

    /// Tells the shadow that a cached copy was sent to another node.
    pub(super) fn cached_was_sent(&self, key: &Key, now: Millis) {
        let key = || key.clone();
        self.eviction_shadow
            .hand(|| CacheCase::Sent { key: key(), now });
    }

    /// Tells the shadow that a file has a newer version or was deleted.
    pub(super) fn file_was_superseded(&self, key: &Key, by: Version) {
        let key = || key.clone();
        self.eviction_shadow
            .hand(|| CacheCase::Superseded { key: key(), by });
    }

    /// Tells the shadow that a file is now a replica here.
    pub(super) fn file_is_replica(&self, key: &Key, version: Version) {
        self.eviction_shadow.hand(|| CacheCase::Replica {
            key: key.clone(),
            version,
        });
    }
}
