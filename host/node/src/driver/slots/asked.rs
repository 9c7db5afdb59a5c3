//! `Asked`: a policy during one question. Every call into it goes through here.
//!
//! Before each call the time left is checked, so that a decision of many calls ends soon after its time is over,
//! and at most one call after the node stops. A panic during the call becomes a trap: guests can't panic, but the
//! code that runs them might, and the caller still gets the baseline's answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, Fault, NodeView, Placement, PlacementRequest, Relocation,
    RelocationVerdict, RemoteRead, Slot,
};
use dataverse_core::version::Millis;

/// Checks whether another call may be made.
pub(super) type MayGoOn<'a> = &'a (dyn Fn() -> Result<(), Fault> + Sync);

/// A policy for the duration of one question.
pub(crate) struct Asked<'a, J: ?Sized> {
    policy: &'a mut J,
    may_go_on: MayGoOn<'a>,
}

impl<'a, J: ?Sized> Asked<'a, J> {
    pub(super) fn new(policy: &'a mut J, may_go_on: MayGoOn<'a>) -> Self {
        Self { policy, may_go_on }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut J) -> Result<T, Fault>) -> Result<T, Fault> {
        (self.may_go_on)()?;
        caught(|| call(self.policy))
    }
}

/// Runs the call; a panic becomes a trap. Discard whatever the call worked on in that case.
pub(super) fn caught<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let reason = panic_text(&*panic);
        Err(Fault::trap(format!("running it panicked: {reason}")))
    })
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    let fixed = || panic.downcast_ref::<&str>().copied();
    owned.or_else(fixed).unwrap_or("no reason given")
}

impl<J: ?Sized + Placement> Placement for Asked<'_, J> {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        self.call(|policy| policy.place(request, candidates))
    }
}

impl<J: ?Sized + Relocation> Relocation for Asked<'_, J> {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        self.call(|policy| policy.on_read(read))
    }
}

impl<J: ?Sized + Eviction> Eviction for Asked<'_, J> {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.call(|policy| policy.set_capacity(bytes))
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        self.call(|policy| policy.restore(entries))
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.call(|policy| policy.hit(slots))
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        self.call(|policy| policy.admit(incoming, needed))
    }

    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault> {
        self.call(|policy| policy.make_room(needed, now))
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.call(|policy| policy.removed(slots))
    }
}
