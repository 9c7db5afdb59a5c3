//! `FakePolicies`: a policy for tests. It follows a script, answers unlike every baseline when the script is
//! empty, and records what it was told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use dataverse_core::policy::{
    Admission, CacheEntry, Eviction, Fault, FaultKind, NodeView, Placement, PlacementRequest,
    Relocation, RelocationVerdict, RemoteRead, Rendezvous, Slot,
};
use dataverse_core::version::Millis;
use parking_lot::Mutex;

use super::{AnyEviction, AnyPlacement, AnyRelocation, Cost, Maker, Priced};

/// What happens at a call.
pub(crate) enum Act {
    Fault(FaultKind),
    Panic,
    /// Reports that it is waiting, and does something once it is released.
    Wait(Signal, Box<Act>),
    /// Advances the runtime's clock, which must be paused, and then does something.
    Last(Duration, Box<Act>),
    /// Its own answer.
    Answer,
    Place(Vec<u32>),
    Admit(Admission),
    Relocate(RelocationVerdict),
}

/// Where a fake policy waits: it reports that, and continues when the other side says so or is dropped.
pub(crate) struct Signal {
    there: SyncSender<()>,
    go_on: Receiver<()>,
}

/// The other side of a [`Signal`].
pub(crate) struct Hold {
    there: Receiver<()>,
    go_on: SyncSender<()>,
}

impl Hold {
    pub(crate) fn new() -> (Self, Act) {
        Self::before(Act::Answer)
    }

    pub(crate) fn before(act: Act) -> (Self, Act) {
        let (there, is_there) = sync_channel(1);
        let (go_on, may_go_on) = sync_channel(1);
        let signal = Signal {
            there,
            go_on: may_go_on,
        };
        let hold = Self {
            there: is_there,
            go_on,
        };
        (hold, Act::Wait(signal, Box::new(act)))
    }

    /// Waits until the fake policy waits. Other tasks run meanwhile, and no time passes.
    pub(crate) async fn reached(&self) {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while self.there.try_recv().is_err() {
            assert!(
                std::time::Instant::now() < deadline,
                "the fake policy never got here"
            );
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn release(self) {
        // The waiting side may have been dropped.
        let _ = self.go_on.send(());
    }
}

/// What a fake policy was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Capacity(u64),
    /// The files.
    Restored(Vec<u64>),
    Hit(Vec<Slot>),
    Removed(Vec<Slot>),
    /// The file.
    Admit(u64),
    MakeRoom(u64),
    Place,
    OnRead,
}

/// All instances of one fake policy.
#[derive(Default)]
pub(crate) struct FakePolicies {
    /// What happens when an instance is made; with nothing here, it simply is.
    entrances: Mutex<VecDeque<Act>>,
    /// What happens at each decision.
    pub(crate) decisions: Mutex<VecDeque<Act>>,
    /// What happens at each batch of the handover.
    pub(crate) restores: Mutex<VecDeque<Act>>,
    heard: Mutex<Vec<(usize, Heard)>>,
    made: Mutex<usize>,
}

impl FakePolicies {
    /// One that does this at its decisions, and answers on its own after that.
    pub(crate) fn deciding(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        let fakes = Self::default();
        fakes.decisions.lock().extend(acts);
        Arc::new(fakes)
    }

    /// One that fails every decision this way.
    pub(crate) fn failing(kind: FaultKind) -> Arc<Self> {
        Self::deciding((0..10_000).map(|_| Act::Fault(kind)))
    }

    pub(crate) fn will_enter(&self, act: Act) {
        self.entrances.lock().push_back(act);
    }

    pub(crate) fn will_hear(&self, act: Act) {
        self.restores.lock().push_back(act);
    }

    /// Number of instances made.
    pub(crate) fn made(&self) -> usize {
        *self.made.lock()
    }

    /// What this instance was told; the first one is 1.
    pub(crate) fn heard_by(&self, instance: usize) -> Vec<Heard> {
        let heard = self.heard.lock();
        let by = heard.iter().filter(|(by, _)| *by == instance);
        by.map(|(_, heard)| heard.clone()).collect()
    }

    /// Number of decisions asked of all instances.
    pub(crate) fn asked(&self) -> usize {
        let is_question = |heard: &Heard| {
            matches!(
                heard,
                Heard::Admit(_) | Heard::MakeRoom(_) | Heard::Place | Heard::OnRead
            )
        };
        let heard = self.heard.lock();
        heard.iter().filter(|(_, heard)| is_question(heard)).count()
    }

    pub(crate) fn placement(self: &Arc<Self>) -> Maker<AnyPlacement> {
        let fakes = Arc::clone(self);
        Arc::new(move || Ok(Box::new(fakes.enter()?)))
    }

    pub(crate) fn eviction(self: &Arc<Self>) -> Maker<AnyEviction> {
        let fakes = Arc::clone(self);
        Arc::new(move || Ok(Box::new(fakes.enter()?)))
    }

    pub(crate) fn relocation(self: &Arc<Self>) -> Maker<AnyRelocation> {
        let fakes = Arc::clone(self);
        Arc::new(move || Ok(Box::new(fakes.enter()?)))
    }

    fn enter(self: &Arc<Self>) -> Result<FakePolicy, Fault> {
        perform(&self.entrances)?;
        let mut made = self.made.lock();
        *made += 1;
        Ok(FakePolicy {
            fakes: Arc::clone(self),
            number: *made,
            residents: Vec::new(),
            fuel: 0,
        })
    }
}

/// One instance.
struct FakePolicy {
    fakes: Arc<FakePolicies>,
    number: usize,
    residents: Vec<(Slot, u64)>,
    fuel: u64,
}

impl FakePolicy {
    fn hears(&self, what: Heard) {
        self.fakes.heard.lock().push((self.number, what));
    }

    fn decides(&mut self, what: Heard) -> Result<Act, Fault> {
        self.hears(what);
        self.fuel += 1;
        perform(&self.fakes.decisions)
    }

    /// Evicts the latest copies first.
    fn give_way(&mut self, needed: u64) -> Vec<Slot> {
        let (mut freed, mut victims) = (0, Vec::new());
        while freed < needed {
            let Some((slot, size)) = self.residents.pop() else {
                break;
            };
            freed += size;
            victims.push(slot);
        }
        victims
    }
}

impl Priced for FakePolicy {
    fn take_cost(&mut self) -> Cost {
        Cost {
            fuel: std::mem::take(&mut self.fuel),
            elapsed: Duration::ZERO,
        }
    }
}

impl Placement for FakePolicy {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        if let Act::Place(indices) = self.decides(Heard::Place)? {
            return Ok(indices);
        }
        let mut order = Rendezvous::rank(request.file.id, candidates);
        order.reverse();
        Ok(order)
    }
}

impl Relocation for FakePolicy {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        if let Act::Relocate(verdict) = self.decides(Heard::OnRead)? {
            return Ok(verdict);
        }
        Ok(RelocationVerdict {
            copy_to: (0..read.path.len() as u32).collect(),
            move_to: None,
        })
    }
}

impl Eviction for FakePolicy {
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault> {
        self.hears(Heard::Capacity(bytes));
        Ok(())
    }

    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault> {
        self.hears(Heard::Restored(
            entries.iter().map(|entry| entry.file).collect(),
        ));
        perform(&self.fakes.restores)?;
        let residents = entries.iter().map(|entry| (entry.slot, entry.size));
        self.residents.extend(residents);
        Ok(())
    }

    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.hears(Heard::Hit(slots.to_vec()));
        Ok(())
    }

    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault> {
        if let Act::Admit(said) = self.decides(Heard::Admit(incoming.file))? {
            return Ok(said);
        }
        let victims = self.give_way(needed);
        self.residents.push((incoming.slot, incoming.size));
        Ok(Admission::Admit(victims))
    }

    fn make_room(&mut self, needed: u64, _: Millis) -> Result<Vec<Slot>, Fault> {
        match self.decides(Heard::MakeRoom(needed))? {
            Act::Admit(Admission::Admit(victims)) => Ok(victims),
            _ => Ok(self.give_way(needed)),
        }
    }

    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault> {
        self.hears(Heard::Removed(slots.to_vec()));
        self.residents.retain(|(slot, _)| !slots.contains(slot));
        Ok(())
    }
}

/// Performs the next act as far as it is the same for every question, and returns what is left to do.
fn perform(acts: &Mutex<VecDeque<Act>>) -> Result<Act, Fault> {
    let act = acts.lock().pop_front();
    act.map_or(Ok(Act::Answer), perform_one)
}

fn perform_one(act: Act) -> Result<Act, Fault> {
    match act {
        Act::Fault(kind) => Err(Fault::new(kind, "it was told to")),
        Act::Panic => panic!("it was told to"),
        Act::Wait(signal, then) => {
            // The test may have stopped waiting for it, or holding it.
            let _ = signal.there.send(());
            let _ = signal.go_on.recv();
            perform_one(*then)
        }
        Act::Last(time, then) => {
            tokio::runtime::Handle::current().block_on(tokio::time::advance(time));
            perform_one(*then)
        }
        act => Ok(act),
    }
}
