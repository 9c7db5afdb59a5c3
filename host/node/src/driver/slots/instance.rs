//! `Occupant`: whoever answers. Its instances come and go: one that failed is thrown away, and a new one is made
//! when nobody waits for it.
//!
//! It is asked on threads that may block, by one at a time, and none of the node's locks is held meanwhile.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::policy::Fault;
use tokio::time::Instant;

use super::asked::{Asked, caught};
use crate::driver::slots::gate::Place;
use crate::driver::slots::health::{Cost, Tenure};
use crate::limits;

/// What an instance of a policy tells of its last answers.
pub trait Priced: Send {
    /// What it has used up since this was last asked.
    fn take_cost(&mut self) -> Cost;
}

/// Makes a fresh instance of a policy, configured and knowing nothing.
pub type Maker<J> = Arc<dyn Fn() -> Result<Box<J>, Fault> + Send + Sync>;

/// Whoever answers, and what is noted of it.
pub struct Occupant<J: ?Sized> {
    make: Maker<J>,
    instance: Option<Box<J>>,
    /// What making instances took since it was last noted.
    making: Duration,
    tenure: Arc<Tenure>,
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
    /// There is none, or one that has much to be told first: [`Occupant::settle`].
    Unfamiliar,
}

impl<J: ?Sized + Priced> Occupant<J> {
    /// A policy whose first instance is there already, if it is given. It may have been asked nothing but a
    /// trial question.
    pub fn new(make: Maker<J>, instance: Option<Box<J>>, tenure: Arc<Tenure>) -> Self {
        Self {
            make,
            instance,
            making: Duration::ZERO,
            tenure,
        }
    }

    pub(super) fn wall_ms(&self) -> u64 {
        self.tenure.wall_ms()
    }

    /// Whether it is not suspended.
    pub(crate) fn may_decide(&self) -> bool {
        self.tenure.may_decide()
    }

    /// Whether a new instance is to be made.
    pub(super) fn wants_instance(&self) -> bool {
        self.instance.is_none() && self.may_decide()
    }

    /// Sees to it that there is an instance that can be asked, as far as that goes quickly.
    pub(crate) fn ready(&mut self, place: &Place<J>) -> Readiness {
        if self.instance.is_none() {
            return Readiness::Unfamiliar;
        }
        if place.is_current() {
            return Readiness::Ready;
        }
        let is_long = place.briefing().is_some_and(|briefing| briefing.is_long());
        match is_long {
            true => Readiness::Unfamiliar,
            false if self.settle(place) => Readiness::Ready,
            false => Readiness::Unfit,
        }
    }

    /// Makes an instance. That may take many times as long as a decision, so nobody shall wait for it; it adds
    /// to what the next decision costs.
    fn make(&mut self, place: &Place<J>) -> Option<Box<J>> {
        place.void();
        place.may_settle().ok()?;
        let began = Instant::now();
        let made = caught(|| (self.make)());
        self.making += began.elapsed();
        if let Err(fault) = &made {
            let cost = self.with_making(Cost::default());
            self.tenure.note(Some(fault), cost);
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
    pub(crate) fn settle(&mut self, place: &Place<J>) -> bool {
        let Some(mut instance) = self.instance.take().or_else(|| self.make(place)) else {
            return false;
        };
        let may_go_on = || place.may_settle();
        let mut asked = Asked::new(&mut *instance, &may_go_on);
        let told = match place.briefing() {
            Some(briefing) => briefing.give(&mut asked),
            None => Ok(()),
        };
        let cost = instance.take_cost();
        let Err(fault) = told else {
            self.instance = Some(instance);
            return true;
        };
        drop(instance);
        place.void();
        // Whoever was cut off did nothing wrong.
        if place.may_settle().is_ok() {
            self.tenure.note(Some(&fault), cost);
        }
        false
    }

    /// Puts a question to the instance, or to the baseline when there is none.
    pub(crate) fn answer<T>(
        &mut self,
        question: impl FnOnce(Option<Asked<'_, J>>) -> Answered<T>,
        place: &Place<J>,
    ) -> T {
        // It is put back when all went well, so that no instance outlives a panic.
        let Some(mut instance) = self.instance.take() else {
            return question(None).value;
        };
        let wall = Duration::from_millis(self.wall_ms());
        let until = Instant::now() + wall * limits::POLICY_WALLS_A_DECISION;
        let may_go_on = || place.may_answer(until);
        let asked = Asked::new(&mut *instance, &may_go_on);
        let Answered { value, fault } = question(Some(asked));
        let cost = self.with_making(instance.take_cost());
        let is_cut_off = place.is_closed();
        let trouble = !is_cut_off && self.tenure.note(fault.as_ref(), cost);
        let has_ended = fault.is_some_and(|fault| fault.kind.ends_instance());
        if is_cut_off || trouble || has_ended || !place.is_current() {
            drop(instance);
            place.void();
        } else {
            self.instance = Some(instance);
        }
        value
    }
}
