//! Adapts compiled policies to the driver's policy slots and to shadows: guests that report what each decision cost.

use std::sync::Arc;

use dataverse_core::policy::{Fault, Kind};
use dataverse_sandbox::{Program, Setup};

use super::compiler::blocking;
use super::measured::{Measured, Meter};
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
            let guest = program.placement(&setup)?;
            Ok(Box::new(Measured::new(guest, Spent::default())))
        })),
        Kind::Eviction => AnyMaker::Eviction(Arc::new(move || {
            let guest = program.eviction(&setup)?;
            Ok(Box::new(Measured::new(guest, Spent::default())))
        })),
        Kind::Relocation => AnyMaker::Relocation(Arc::new(move || {
            let guest = program.relocation(&setup)?;
            Ok(Box::new(Measured::new(guest, Spent::default())))
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

/// The cost of all calls since it was last taken.
#[derive(Default)]
struct Spent(Cost);

impl Meter for Spent {
    fn decided(&mut self, cost: dataverse_sandbox::Cost) {
        self.0.fuel = self.0.fuel.saturating_add(cost.fuel);
        self.0.elapsed = self.0.elapsed.saturating_add(cost.elapsed);
    }

    fn told(&mut self, cost: dataverse_sandbox::Cost) {
        self.decided(cost);
    }
}

impl<G: Send> Priced for Measured<G, Spent> {
    fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.meter.0)
    }
}
