//! `Following`: how an eviction policy follows a cache, and how it is asked. The cache's lock is free while the
//! policy decides.

use std::sync::{Arc, MutexGuard};

use dataverse_core::cache::{Cache, CacheOutcome, CachedCopy, Step};
use dataverse_core::limits;
use dataverse_core::policy::Fault;
use dataverse_core::version::Millis;

use super::AnyEviction;
use super::asked::Asked;
use crate::driver::slots::gate::Handover;
use crate::driver::slots::instance::Answered;

/// An owner of a cache behind a short lock.
pub(crate) trait Caches: Send + Sync {
    /// The cache. Its lock is never held while a policy decides.
    fn cache(&self) -> MutexGuard<'_, Cache>;
}

/// Hands a cache over to each instance that comes to follow it.
pub(crate) struct Following<C: ?Sized>(pub(crate) Arc<C>);

impl<C: Caches + ?Sized> Handover<AnyEviction> for Following<C> {
    fn is_current(&self) -> bool {
        self.0.cache().is_followed()
    }

    fn is_long(&self) -> bool {
        self.0.cache().len() > limits::EVICTION_BATCH_MAX
    }

    fn give(&self, policy: &mut Asked<'_, AnyEviction>) -> Result<(), Fault> {
        let handover = self.0.cache().hand_over();
        handover.put_to(policy)
    }

    fn void(&self) {
        self.0.cache().dismiss();
    }
}

/// Asks whether to cache a copy, and which copies to evict for it. The policy must follow the cache.
pub(crate) fn ask_admission(
    caches: &(impl Caches + ?Sized),
    policy: Option<Asked<'_, AnyEviction>>,
    copy: CachedCopy,
    now: Millis,
) -> Answered<CacheOutcome> {
    match policy {
        None => by_baseline(caches.cache().admit(None, copy, now)),
        Some(policy) => {
            let first = caches.cache().ask_admit(copy, now);
            converse(policy, caches, first)
        }
    }
}

/// Asks which copies to evict to free this many bytes. The policy must follow the cache.
pub(crate) fn ask_room(
    caches: &(impl Caches + ?Sized),
    policy: Option<Asked<'_, AnyEviction>>,
    bytes: u64,
    now: Millis,
) -> Answered<CacheOutcome> {
    match policy {
        None => by_baseline(caches.cache().make_room(None, bytes, now)),
        Some(policy) => {
            let first = caches.cache().ask_room(bytes, now);
            converse(policy, caches, first)
        }
    }
}

fn by_baseline(value: CacheOutcome) -> Answered<CacheOutcome> {
    Answered { value, fault: None }
}

/// Puts questions to the policy until none is left.
fn converse(
    mut policy: Asked<'_, AnyEviction>,
    caches: &(impl Caches + ?Sized),
    first: Step,
) -> Answered<CacheOutcome> {
    let (mut outcome, mut next) = CacheOutcome::default().after(first);
    while let Some(question) = next {
        let gist = question.gist();
        let verdict = question.put_to(&mut policy);
        let mut step = caches.cache().settle(question, verdict);
        step.fault = step.fault.map(|fault| fault.at(gist));
        (outcome, next) = outcome.after(step);
    }
    Answered {
        fault: outcome.fault.clone(),
        value: outcome,
    }
}
