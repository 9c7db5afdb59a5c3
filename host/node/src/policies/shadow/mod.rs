//! Shadows: policies that are asked and not obeyed, so that an operator sees what one would do before it
//! decides.
//!
//! A shadow gets the questions that were decided, with what was decided, through a bounded queue that nobody
//! waits for, and answers them on a thread of its own. Its faults are its own: five in a row suspend it and
//! it is tried again later, as for a policy that decides. What is compared is in `placement`, `relocation`
//! and `eviction`.
//!
//! The thread ends when the shadow is dropped, after the call under way. Nothing that it does reaches the
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

/// A policy that is asked and not obeyed.
///
/// Dropping it waits for the call under way, so drop it where blocking is fine.
pub(crate) struct Shadow {
    health: Arc<Health>,
    dropped: Arc<AtomicU64>,
    comparison: Box<dyn Fn() -> Comparison + Send + Sync>,
    end: Box<dyn Fn() + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

/// How a shadow does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShadowReport {
    /// Questions that it was asked.
    pub decisions: u64,
    /// Its faults, those kinds that happened.
    pub faults: Vec<(FaultKind, u64)>,
    /// What was wrong the last time, with the question.
    pub last_fault: Option<String>,
    /// [`Conduct::Active`] or [`Conduct::Suspended`]. While it is suspended it gets no questions, which
    /// are not counted anywhere, and the comparison stands still.
    pub state: Conduct,
    /// Cases that did not fit into its queue because it was behind.
    pub dropped: u64,
    /// How its answers compare with those that were obeyed.
    pub comparison: Comparison,
}

/// Looks at cases of one kind and keeps count.
trait Looks: Send + 'static {
    type Case: Send + 'static;
    type Tally: Tally;
    /// What keeps its policy from being asked again, when it is called.
    fn close(&self) -> Box<dyn Fn() + Send + Sync>;
    /// Where it keeps count.
    fn tally(&self) -> Arc<Mutex<Self::Tally>>;
    fn look(&mut self, case: Self::Case);
}

/// What was counted.
trait Tally: Send + 'static {
    fn comparison(&self) -> Comparison;
}

impl Shadow {
    /// Beside the placement policy. What this one is called and how many milliseconds one of its calls may
    /// take; `make` makes its instances.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn placement(
        policy_slots: &Arc<PolicySlots>,
        name: &str,
        wall_ms: u64,
        make: Maker<AnyPlacement>,
    ) -> io::Result<Self> {
        let health = Arc::new(Health::of_shadow(Kind::Placement, name, wall_ms));
        let looks = Placements::new(Questioner::new(make, Arc::clone(&health)));
        let room = limits::SHADOW_PLACEMENTS_MAX;
        Self::start(policy_slots, health, looks, room, |policy_slots| {
            &policy_slots.placement_shadow
        })
    }

    /// Beside the eviction policy; as [`Shadow::placement`]. Its ghost cache begins with what is cached now.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn eviction(
        policy_slots: &Arc<PolicySlots>,
        name: &str,
        wall_ms: u64,
        make: Maker<AnyEviction>,
    ) -> io::Result<Self> {
        let health = Arc::new(Health::of_shadow(Kind::Eviction, name, wall_ms));
        let (capacity, copies) = policy_slots.cached();
        let looks = Ghost::new(Questioner::new(make, Arc::clone(&health)), capacity, copies);
        let room = limits::SHADOW_QUEUE_MAX;
        Self::start(policy_slots, health, looks, room, |policy_slots| {
            &policy_slots.eviction_shadow
        })
    }

    /// Beside the relocation policy; as [`Shadow::placement`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn relocation(
        policy_slots: &Arc<PolicySlots>,
        name: &str,
        wall_ms: u64,
        make: Maker<AnyRelocation>,
    ) -> io::Result<Self> {
        let health = Arc::new(Health::of_shadow(Kind::Relocation, name, wall_ms));
        let looks = Relocations::new(Questioner::new(make, Arc::clone(&health)));
        let room = limits::SHADOW_QUEUE_MAX;
        Self::start(policy_slots, health, looks, room, |policy_slots| {
            &policy_slots.relocation_shadow
        })
    }

    /// How it does.
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

    fn start<L: Looks>(
        policy_slots: &Arc<PolicySlots>,
        health: Arc<Health>,
        looks: L,
        room: usize,
        fed: fn(&PolicySlots) -> &Fed<L::Case>,
    ) -> io::Result<Self> {
        let (feed, queue, dropped) = Feed::new(room);
        let (tally, close) = (looks.tally(), looks.close());
        let thread = thread::Builder::new()
            .name(format!("shadow-{}", health.kind()))
            .spawn(move || look_on(looks, queue))?;
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
            tracing::error!("a shadow's thread had panicked; nothing was compared since then");
        }
    }
}

/// Looks at what comes until nothing can come any more.
fn look_on<L: Looks>(mut looks: L, queue: Receiver<L::Case>) {
    for case in queue {
        looks.look(case);
    }
}

fn counts<T>(tally: &Mutex<T>) -> MutexGuard<'_, T> {
    tally.lock()
}

/// Asks a shadow policy.
struct Questioner<J: ?Sized> {
    instance: PolicyInstance<J>,
    gate: Arc<Gate<J>>,
}

impl<J: ?Sized + Priced + 'static> Questioner<J> {
    fn new(make: Maker<J>, health: Arc<Health>) -> Self {
        Self {
            instance: PolicyInstance::new(make, None, health),
            gate: Arc::default(),
        }
    }

    /// Whether it is neither suspended nor about to end.
    fn may_ask(&self) -> bool {
        self.instance.may_decide() && !self.gate.is_closed()
    }

    /// Puts a question, which is called with `None` when the policy can't be asked.
    fn ask<T>(&mut self, question: impl FnOnce(Option<Asked<'_, J>>) -> Answered<T>) -> T {
        if !self.may_ask() {
            return question(None).value;
        }
        // Here nobody waits, so it may be told however much there is.
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
        let place = Arc::clone(&self.gate);
        Box::new(move || place.close())
    }
}

/// The share, if there is anything to share.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
