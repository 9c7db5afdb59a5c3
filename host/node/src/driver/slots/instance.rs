//! `PolicyInstance`: whoever answers. Its instances come and go: one that failed is thrown away, and a new one is made
//! when nobody waits for it.
//!
//! It is asked on threads that may block, by one at a time, and none of the node's locks is held meanwhile.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::policy::Fault;
use tokio::time::Instant;

use super::asked::{Asked, caught};
use crate::driver::slots::gate::Gate;
use crate::driver::slots::health::{Cost, Health};
use crate::limits;

/// What an instance of a policy tells of its last answers.
pub trait Priced: Send {
    /// What it has used up since this was last asked.
    fn take_cost(&mut self) -> Cost;
}

/// Makes a fresh instance of a policy, configured and knowing nothing.
pub type Maker<J> = Arc<dyn Fn() -> Result<Box<J>, Fault> + Send + Sync>;

/// Whoever answers, and what is noted of it.
pub struct PolicyInstance<J: ?Sized> {
    make: Maker<J>,
    guest: Option<Box<J>>,
    /// What making instances took since it was last noted.
    making: Duration,
    health: Arc<Health>,
}

/// An answer and what was wrong with the policy, if the baseline gave it in its stead.
pub(crate) struct Answered<T> {
    pub(crate) value: T,
    pub(crate) fault: Option<Fault>,
}

/// Whether there is an instance that can be asked at once.
#[derive(PartialEq, Eq)]
pub(crate) enum Readiness {
    /// There is.
    Ready,
    /// There is none, since the one that there was failed at listening.
    Unfit,
    /// There is none, or one that has much to be told first: [`PolicyInstance::settle`].
    Unfamiliar,
}

impl<J: ?Sized + Priced> PolicyInstance<J> {
    /// A policy whose first instance is there already, if it is given. It may have been asked nothing but a
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

    /// Whether a new instance is to be made.
    pub(super) fn wants_guest(&self) -> bool {
        self.guest.is_none() && self.may_decide()
    }

    /// Sees to it that there is an instance that can be asked, as far as that goes quickly.
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

    /// Makes an instance. That may take many times as long as a decision, so nobody shall wait for it; it adds
    /// to what the next decision costs.
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

    /// Makes an instance if there is none, and tells it what it has to know before it can be asked. False when
    /// that could not be done. It is no decision, so only a fault is noted.
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
        // Whoever was cut off did nothing wrong.
        if gate.may_settle().is_ok() {
            self.health.note(Some(&fault), cost);
        }
        false
    }

    /// Puts a question to the instance, or to the baseline when there is none.
    pub(crate) fn answer<T>(
        &mut self,
        question: impl FnOnce(Option<Asked<'_, J>>) -> Answered<T>,
        gate: &Gate<J>,
    ) -> T {
        // It is put back when all went well, so that no instance outlives a panic.
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
