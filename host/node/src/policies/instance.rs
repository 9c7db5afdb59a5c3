//! Adapts compiled policies to the driver's policy slots and to shadows: guests that report what each decision cost.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::policy::Kind;
use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, Fault, NodeView, Placement, PlacementRequest, Relocation,
    RelocationVerdict, RemoteRead, Slot,
};
use dataverse_core::version::Millis;
use dataverse_sandbox::{EvictionGuest, PlacementGuest, Program, Refusal, RelocationGuest, Setup};

use super::compiler::blocking;
use crate::driver::{
    AnyEviction, AnyPlacement, AnyRelocation, Cost, Health, Maker, PolicyInstance, PolicySlots,
    Priced,
};

/// Makes the instances of a policy, whatever its kind.
#[derive(Clone)]
pub(super) enum AnyMaker {
    /// Of a placement policy.
    Placement(Maker<AnyPlacement>),
    /// Of an eviction policy.
    Eviction(Maker<AnyEviction>),
    /// Of a relocation policy.
    Relocation(Maker<AnyRelocation>),
}

/// The maker of this program's instances.
pub(super) fn maker(program: &Program, setup: &Setup) -> AnyMaker {
    let (program, setup) = (program.clone(), setup.clone());
    match program.kind() {
        Kind::Placement => AnyMaker::Placement(Arc::new(move || {
            let guest = program.placement(&setup).map_err(fault)?;
            Ok(Box::new(Measured::new(guest)))
        })),
        Kind::Eviction => AnyMaker::Eviction(Arc::new(move || {
            let guest = program.eviction(&setup).map_err(fault)?;
            Ok(Box::new(Measured::new(guest)))
        })),
        Kind::Relocation => AnyMaker::Relocation(Arc::new(move || {
            let guest = program.relocation(&setup).map_err(fault)?;
            Ok(Box::new(Measured::new(guest)))
        })),
    }
}

/// Puts a policy into the slot of its kind: it takes the next decision. Its first instance is made before the swap.
pub(super) async fn fill_slot(
    policy_slots: &PolicySlots,
    maker: AnyMaker,
    health: Arc<Health>,
) -> Result<(), Fault> {
    match maker {
        AnyMaker::Placement(make) => {
            let instance = instance(make, health).await?;
            policy_slots.placement.take(Some(instance)).await;
        }
        AnyMaker::Eviction(make) => {
            let instance = instance(make, health).await?;
            policy_slots.eviction.take(Some(instance)).await;
            policy_slots.hand_over_cache().await;
        }
        AnyMaker::Relocation(make) => {
            let instance = instance(make, health).await?;
            policy_slots.relocation.take(Some(instance)).await;
        }
    }
    Ok(())
}

/// Empties the slot of this kind: the native baseline takes the next decision.
pub(super) async fn clear_slot(policy_slots: &PolicySlots, kind: Kind) {
    match kind {
        Kind::Placement => policy_slots.placement.take(None).await,
        Kind::Eviction => policy_slots.eviction.take(None).await,
        Kind::Relocation => policy_slots.relocation.take(None).await,
    }
}

async fn instance<P: ?Sized + Priced + 'static>(
    make: Maker<P>,
    health: Arc<Health>,
) -> Result<PolicyInstance<P>, Fault> {
    let first = Arc::clone(&make);
    let first = blocking(move || first()).await?;
    Ok(PolicyInstance::new(make, Some(first), health))
}

fn fault(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Fault(fault) => fault,
        refusal => Fault::trap(refusal.to_string()),
    }
}

/// A guest and its cost since the cost was last taken.
struct Measured<G> {
    guest: G,
    spent: Cost,
}

/// What guests of all kinds have in common.
trait Guest: Send {
    fn last_cost(&self) -> dataverse_sandbox::Cost;
}

impl<G: Guest> Measured<G> {
    fn new(guest: G) -> Self {
        Self {
            guest,
            spent: Cost {
                fuel: 0,
                elapsed: Duration::ZERO,
            },
        }
    }

    fn spend<T>(&mut self, call: impl FnOnce(&mut G) -> Result<T, Fault>) -> Result<T, Fault> {
        let answer = call(&mut self.guest);
        let cost = self.guest.last_cost();
        self.spent.fuel = self.spent.fuel.saturating_add(cost.fuel);
        self.spent.elapsed = self.spent.elapsed.saturating_add(cost.elapsed);
        answer
    }
}

impl<G: Guest> Priced for Measured<G> {
    fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.spent)
    }
}

impl Guest for PlacementGuest {
    fn last_cost(&self) -> dataverse_sandbox::Cost {
        self.last_cost()
    }
}

impl Guest for EvictionGuest {
    fn last_cost(&self) -> dataverse_sandbox::Cost {
        self.last_cost()
    }
}

impl Guest for RelocationGuest {
    fn last_cost(&self) -> dataverse_sandbox::Cost {
        self.last_cost()
    }
}

impl Placement for Measured<PlacementGuest> {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        self.spend(|guest| guest.place(request, candidates))
    }
}

impl Eviction for Measured<EvictionGuest> {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.spend(|guest| guest.set_capacity(bytes))
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        self.spend(|guest| guest.restore(entries))
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.spend(|guest| guest.hit(slots))
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        self.spend(|guest| guest.admit(incoming, needed))
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        self.spend(|guest| guest.make_room(needed, now))
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.spend(|guest| guest.removed(slots))
    }
}

impl Relocation for Measured<RelocationGuest> {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        self.spend(|guest| guest.on_read(read))
    }
}
