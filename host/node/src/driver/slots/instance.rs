//! `PolicyInstance`: the policy in a slot. The sandboxed instances behind it come and go: one that failed is
//! thrown away, and a new one is made while nobody waits for it.
//!
//! It is asked on threads that may block, one question at a time, and none of the node's locks is held meanwhile.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::policy::Fault;
use tokio::time::Instant;

use super::asked::{Asked, caught};
use crate::driver::slots::gate::Gate;
use crate::driver::slots::health::{Cost, Health};
use crate::limits;

/// An instance that reports what its answers cost.
pub trait Priced: Send {
    /// The cost since this was last called.
    fn take_cost(&mut self) -> Cost;
}

/// Makes a fresh, configured instance of a policy.
pub type Maker<J> = Arc<dyn Fn() -> Result<Box<J>, Fault> + Send + Sync>;

/// The policy that answers, and its health.
pub struct PolicyInstance<J: ?Sized> {
    make: Maker<J>,
    guest: Option<Box<J>>,
    /// Time spent making instances since it was last recorded.
    making: Duration,
    health: Arc<Health>,
}

/// An answer, and the policy's fault if the baseline gave the answer instead.
pub(crate) struct Answered<T> {
    pub(crate) value: T,
    pub(crate) fault: Option<Fault>,
}

/// Whether there is an instance that can be asked immediately.
#[derive(PartialEq, Eq)]
pub(crate) enum Readiness {
    /// There is one.
    Ready,
    /// There is none: the last one failed during its handover.
    Unfit,
    /// There is none, or one with a long handover ahead: call [`PolicyInstance::settle`].
    Unfamiliar,
}

impl<J: ?Sized + Priced> PolicyInstance<J> {
    /// A policy, with its first instance if it exists already. That instance may have been asked nothing but a
    /// trial question.
    pub fn new(make: Maker<J>, guest: Option<Box<J>>, health: Arc<Health>) -> Self {
        Self {
            make,
            guest,
            making: Duration::ZERO,
            health,
        }
    }

    pub(super) fn wall_ms(&self) -> u64 {
        self.health.wall_ms()
    }

    /// Whether it is not suspended.
    pub(crate) fn may_decide(&self) -> bool {
        self.health.may_decide()
    }

    /// Whether a new instance must be made.
    pub(super) fn wants_guest(&self) -> bool {
        self.guest.is_none() && self.may_decide()
    }

    /// Makes the instance ready to be asked, if that is quick.
    pub(crate) fn ready(&mut self, gate: &Gate<J>) -> Readiness {
        if self.guest.is_none() {
            return Readiness::Unfamiliar;
        }
        if gate.is_current() {
            return Readiness::Ready;
        }
        let is_long = gate.handover().is_some_and(|handover| handover.is_long());
        match is_long {
            true => Readiness::Unfamiliar,
            false if self.settle(gate) => Readiness::Ready,
            false => Readiness::Unfit,
        }
    }

    /// Makes an instance. That can take many times as long as a decision, so nobody should wait for it; the time
    /// is added to the cost of the next decision.
    fn make(&mut self, gate: &Gate<J>) -> Option<Box<J>> {
        gate.void();
        gate.may_settle().ok()?;
        let began = Instant::now();
        let made = caught(|| (self.make)());
        self.making += began.elapsed();
        if let Err(fault) = &made {
            let cost = self.with_making(Cost::default());
            self.health.note(Some(fault), cost);
        }
        made.ok()
    }

    fn with_making(&mut self, cost: Cost) -> Cost {
        Cost {
            elapsed: cost.elapsed + std::mem::take(&mut self.making),
            ..cost
        }
    }

    /// Makes an instance if there is none, and performs the handover. False if that failed. It is not a decision,
    /// so only a fault is recorded.
    pub(crate) fn settle(&mut self, gate: &Gate<J>) -> bool {
        let Some(mut guest) = self.guest.take().or_else(|| self.make(gate)) else {
            return false;
        };
        let may_go_on = || gate.may_settle();
        let mut asked = Asked::new(&mut *guest, &may_go_on);
        let told = match gate.handover() {
            Some(handover) => handover.give(&mut asked),
            None => Ok(()),
        };
        let cost = guest.take_cost();
        let Err(fault) = told else {
            self.guest = Some(guest);
            return true;
        };
        drop(guest);
        gate.void();
        // An instance that was cut off did nothing wrong.
        if gate.may_settle().is_ok() {
            self.health.note(Some(&fault), cost);
        }
        false
    }

    /// Puts a question to the instance, or to the baseline if there is none.
    pub(crate) fn answer<T>(
        &mut self,
        question: impl FnOnce(Option<Asked<'_, J>>) -> Answered<T>,
        gate: &Gate<J>,
    ) -> T {
        // It is put back only if all went well, so that no instance outlives a panic.
        let Some(mut guest) = self.guest.take() else {
            return question(None).value;
        };
        let wall = Duration::from_millis(self.wall_ms());
        let until = Instant::now() + wall * limits::POLICY_WALLS_A_DECISION;
        let may_go_on = || gate.may_answer(until);
        let asked = Asked::new(&mut *guest, &may_go_on);
        let Answered { value, fault } = question(Some(asked));
        let cost = self.with_making(guest.take_cost());
        let is_cut_off = gate.is_closed();
        let trouble = !is_cut_off && self.health.note(fault.as_ref(), cost);
        let has_ended = fault.is_some_and(|fault| fault.kind.ends_instance());
        if is_cut_off || trouble || has_ended || !gate.is_current() {
            drop(guest);
            gate.void();
        } else {
            self.guest = Some(guest);
        }
        value
    }
}
