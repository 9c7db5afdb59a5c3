//! `Shadow`: a policy that is asked but not obeyed, so that an operator sees what it would do before it decides.
//!
//! A shadow gets each question together with the decision that was made, through a bounded queue that no request
//! waits for, and answers on its own thread. Faults suspend it and it is tried again later, as with an active
//! policy.
//! `placement`, `eviction` and `relocation` compare its answers with the decisions.
//!
//! The thread ends when the shadow is dropped, after the call in progress. A shadow never changes anything on the
//! node.

mod eviction;
mod placement;
mod relocation;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};

use dataverse_core::policy::{Conduct, FaultKind, Kind};
use parking_lot::{Mutex, MutexGuard};

use super::view::Comparison;
use crate::driver::{
    Answered, AnyEviction, AnyPlacement, AnyRelocation, Asked, Fed, Feed, Gate, Health, Maker,
    PolicyInstance, PolicySlots, Priced, Readiness,
};
use crate::limits;
use eviction::Ghost;
use placement::Placements;
use relocation::Relocations;

/// A policy that is asked but not obeyed.
///
/// Dropping it waits for the call in progress, so drop it where blocking is fine.
pub(crate) struct Shadow {
    health: Arc<Health>,
    dropped: Arc<AtomicU64>,
    comparison: Box<dyn Fn() -> Comparison + Send + Sync>,
    end: Box<dyn Fn() + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

/// The figures of a shadow.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShadowReport {
    /// Questions that it was asked.
    pub decisions: u64,
    /// Its faults, by kind; only kinds that occurred.
    pub faults: Vec<(FaultKind, u64)>,
    /// The last fault, with its question.
    pub last_fault: Option<String>,
    /// [`Conduct::Active`] or [`Conduct::Suspended`]. While it is suspended it is asked nothing, and neither
    /// questions nor the comparison are counted.
    pub state: Conduct,
    /// Cases dropped because its queue was full.
    pub dropped: u64,
    /// How its answers compare with those of the active policy.
    pub comparison: Comparison,
}

/// Puts cases of one kind to the shadow and keeps count.
trait Observer: Send + 'static {
    type Case: Send + 'static;
    type Tally: Tally;
    /// A function that keeps the policy from being asked again.
    fn close(&self) -> Box<dyn Fn() + Send + Sync>;
    /// The counts.
    fn tally(&self) -> Arc<Mutex<Self::Tally>>;
    fn observe(&mut self, case: Self::Case);
}

/// The counts of a shadow.
trait Tally: Send + 'static {
    fn comparison(&self) -> Comparison;
}

impl Shadow {
    /// Starts a shadow of the placement policy. `wall_ms` is how long one of its calls may take, `make` makes its
    /// instances.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn placement(
        policy_slots: &Arc<PolicySlots>,
        name: &str,
        wall_ms: u64,
        make: Maker<AnyPlacement>,
    ) -> io::Result<Self> {
        let health = Arc::new(Health::of_shadow(Kind::Placement, name, wall_ms));
        let observer = Placements::new(Questioner::new(make, Arc::clone(&health)));
        let queue_max = limits::SHADOW_PLACEMENTS_MAX;
        Self::start(policy_slots, health, observer, queue_max, |policy_slots| {
            &policy_slots.placement_shadow
        })
    }

    /// Starts a shadow of the eviction policy, as [`Shadow::placement`]. Its ghost cache begins with what is cached
    /// now.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn eviction(
        policy_slots: &Arc<PolicySlots>,
        name: &str,
        wall_ms: u64,
        make: Maker<AnyEviction>,
    ) -> io::Result<Self> {
        let health = Arc::new(Health::of_shadow(Kind::Eviction, name, wall_ms));
        let (capacity, copies) = policy_slots.cached();
        let observer = Ghost::new(Questioner::new(make, Arc::clone(&health)), capacity, copies);
        let queue_max = limits::SHADOW_QUEUE_MAX;
        Self::start(policy_slots, health, observer, queue_max, |policy_slots| {
            &policy_slots.eviction_shadow
        })
    }

    /// Starts a shadow of the relocation policy, as [`Shadow::placement`].
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn relocation(
        policy_slots: &Arc<PolicySlots>,
        name: &str,
        wall_ms: u64,
        make: Maker<AnyRelocation>,
    ) -> io::Result<Self> {
        let health = Arc::new(Health::of_shadow(Kind::Relocation, name, wall_ms));
        let observer = Relocations::new(Questioner::new(make, Arc::clone(&health)));
        let queue_max = limits::SHADOW_QUEUE_MAX;
        Self::start(policy_slots, health, observer, queue_max, |policy_slots| {
            &policy_slots.relocation_shadow
        })
    }

    /// Its current figures.
    #[must_use]
    pub(crate) fn report(&self) -> ShadowReport {
        ShadowReport {
            decisions: self.health.behaviour().decisions(),
            faults: self.health.faults(),
            last_fault: self.health.last_fault(),
            state: self.health.conduct(),
            dropped: self.dropped.load(Ordering::Relaxed),
            comparison: (self.comparison)(),
        }
    }

    fn start<L: Observer>(
        policy_slots: &Arc<PolicySlots>,
        health: Arc<Health>,
        observer: L,
        queue_max: usize,
        fed: fn(&PolicySlots) -> &Fed<L::Case>,
    ) -> io::Result<Self> {
        let (feed, queue, dropped) = Feed::new(queue_max);
        let (tally, close) = (observer.tally(), observer.close());
        let thread = thread::Builder::new()
            .name(format!("shadow-{}", health.kind()))
            .spawn(move || observe_all(observer, queue))?;
        fed(policy_slots).feed(feed);
        let (policy_slots, fed_to) = (Arc::clone(policy_slots), Arc::clone(&dropped));
        Ok(Self {
            health,
            dropped,
            comparison: Box::new(move || counts(&tally).comparison()),
            end: Box::new(move || {
                close();
                fed(&policy_slots).end(&fed_to);
            }),
            thread: Some(thread),
        })
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        (self.end)();
        let ended = self.thread.take().map(JoinHandle::join);
        if ended.is_some_and(|ended| ended.is_err()) {
            tracing::error!(
                "the thread of a shadow policy panicked; nothing has been compared since then"
            );
        }
    }
}

/// Processes cases until the queue is closed.
fn observe_all<L: Observer>(mut observer: L, queue: Receiver<L::Case>) {
    for case in queue {
        observer.observe(case);
    }
}

fn counts<T>(tally: &Mutex<T>) -> MutexGuard<'_, T> {
    tally.lock()
}

/// Puts questions to a shadow policy.
struct Questioner<P: ?Sized> {
    instance: PolicyInstance<P>,
    gate: Arc<Gate<P>>,
}

impl<P: ?Sized + Priced + 'static> Questioner<P> {
    fn new(make: Maker<P>, health: Arc<Health>) -> Self {
        Self {
            instance: PolicyInstance::new(make, None, health),
            gate: Arc::default(),
        }
    }

    /// Whether it is neither suspended nor about to end.
    fn may_ask(&self) -> bool {
        self.instance.may_decide() && !self.gate.is_closed()
    }

    /// Puts a question to the policy; `question` is called with `None` if it can't be asked.
    fn ask<T>(&mut self, question: impl FnOnce(Option<Asked<'_, P>>) -> Answered<T>) -> T {
        if !self.may_ask() {
            return question(None).value;
        }
        // No request waits here, so a handover may take its time.
        let is_ready = match self.instance.ready(&self.gate) {
            Readiness::Ready => true,
            Readiness::Unfit => false,
            Readiness::Unfamiliar => self.instance.settle(&self.gate),
        };
        match is_ready {
            true => self.instance.answer(question, &self.gate),
            false => question(None).value,
        }
    }

    fn close(&self) -> Box<dyn Fn() + Send + Sync> {
        let gate = Arc::clone(&self.gate);
        Box::new(move || gate.close())
    }
}

/// A share, or `None` of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
