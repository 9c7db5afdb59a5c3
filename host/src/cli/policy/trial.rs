//! A trial of a policy: the questions of its kind, and what its decisions take.

use std::sync::{Arc, Mutex, PoisonError};

use dataverse_core::limits::CHECK_COSTS_MAX;
use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, Fault, Kind, NodeView, Placement, PlacementRequest,
    Relocation, RelocationVerdict, RemoteRead, Slot,
};
use dataverse_core::version::Millis;
use dataverse_sandbox::conformance::{self, Report};
use dataverse_sandbox::{
    Cost, EvictionGuest, PlacementGuest, Program, Refusal, RelocationGuest, Setup,
};

use crate::policies::view::Spread;

/// What decisions took; the first ones, if there were very many.
#[derive(Clone, Default)]
pub(super) struct Costs(Arc<Mutex<Vec<Cost>>>);

/// A guest whose decisions are measured. Being told of something is no decision.
struct Measured<G> {
    guest: G,
    costs: Costs,
}

/// Puts the questions of its kind to a policy.
pub(super) fn examine(program: &Program, setup: &Setup) -> (Report, Costs) {
    let costs = Costs::default();
    let report = match program.kind() {
        Kind::Placement => conformance::placement(&mut || {
            let guest = program.placement(setup).map_err(as_fault)?;
            Ok(Box::new(costs.measured(guest)))
        }),
        Kind::Eviction => conformance::eviction(&mut || {
            let guest = program.eviction(setup).map_err(as_fault)?;
            Ok(Box::new(costs.measured(guest)))
        }),
        Kind::Relocation => conformance::relocation(&mut || {
            let guest = program.relocation(setup).map_err(as_fault)?;
            Ok(Box::new(costs.measured(guest)))
        }),
    };
    (report, costs)
}

fn as_fault(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Fault(fault) => fault,
        refusal => Fault::trap(refusal.to_string()),
    }
}

impl Costs {
    fn measured<G>(&self, guest: G) -> Measured<G> {
        Measured {
            guest,
            costs: self.clone(),
        }
    }

    fn note(&self, cost: Cost) {
        let mut costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if costs.len() < CHECK_COSTS_MAX {
            costs.push(cost);
        }
    }

    /// Fuel of a decision.
    pub(super) fn fuel(&self) -> Spread {
        self.spread(|cost| cost.fuel as f64)
    }

    /// Microseconds of a decision.
    pub(super) fn elapsed_us(&self) -> Spread {
        self.spread(|cost| cost.elapsed.as_secs_f64() * 1e6)
    }

    fn spread(&self, of: impl Fn(&Cost) -> f64) -> Spread {
        let costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let at = |hundredths: usize| {
            let place = (values.len() * hundredths).div_ceil(100).saturating_sub(1);
            values.get(place).copied().unwrap_or_default()
        };
        Spread {
            p50: at(50),
            p99: at(99),
        }
    }
}

impl Placement for Measured<PlacementGuest> {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        let answer = self.guest.place(request, candidates);
        self.costs.note(self.guest.last_cost());
        answer
    }
}

impl Eviction for Measured<EvictionGuest> {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.guest.set_capacity(bytes)
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        self.guest.restore(entries)
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.guest.hit(slots)
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        let answer = self.guest.admit(incoming, needed);
        self.costs.note(self.guest.last_cost());
        answer
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        let answer = self.guest.make_room(needed, now);
        self.costs.note(self.guest.last_cost());
        answer
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.guest.removed(slots)
    }
}

impl Relocation for Measured<RelocationGuest> {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        let answer = self.guest.on_read(read);
        self.costs.note(self.guest.last_cost());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_told_from_what_is_not() {
        let check = |fuels: &mut dyn Iterator<Item = u64>, p50: f64, p99: f64| {
            let costs = Costs::default();
            fuels.for_each(|fuel| {
                costs.note(Cost {
                    fuel,
                    ..Cost::default()
                });
            });
            assert_eq!(costs.fuel(), Spread { p50, p99 });
        };
        check(&mut std::iter::empty(), 0.0, 0.0);
        check(&mut [7].into_iter(), 7.0, 7.0);
        check(&mut (1..=200).rev(), 100.0, 198.0);
    }
}
