//! Policy slots under policies that are slow, wrong or gone. Time stands still unless a test advances it, and does
//! not advance on its own while a policy decides.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::cache::{CacheOutcome, CachedCopy};
use dataverse_core::content::Digest;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::node::Node;
use dataverse_core::placement::Candidate;
use dataverse_core::policy::{
    Admission, Conduct, FaultKind, FileView, Kind, NodeView, PlacementRequest, Rendezvous, Trouble,
};
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};
use futures_util::poll;
use parking_lot::Mutex;
use tokio::time::advance;

use super::{
    Answered, AnyPlacement, Asked, Caches, Feed, Health, Maker, PolicyInstance, PolicySlots,
};
use crate::driver::replication::upkeep::Backlog;
use crate::driver::slots::fake_policies::{Act, FakePolicies, Heard, Hold};
use crate::driver::state::State;

const WALL: Duration = Duration::from_millis(100);
/// Bytes of every copy.
const SIZE: u64 = 10;

#[derive(Debug, PartialEq, Eq)]
enum By {
    Policy,
    Baseline,
}

/// Policy slots, the state they decide for, and the trouble reported.
struct Fixture {
    policy_slots: Arc<PolicySlots>,
    state: Arc<State>,
    troubles: Arc<Mutex<Vec<Trouble>>>,
}

impl Fixture {
    /// With space for `space` copies, of which `cached` are cached: `a0` is the coldest.
    fn caching(space: u64, cached: usize) -> Self {
        let id = NodeId::from(1);
        let empty = Node::new(id, Stamp::default(), Vec::new());
        let state = Arc::new(State::new(empty, Backlog::new(id, 4)));
        {
            let mut cache = state.cache();
            cache.set_capacity(space * SIZE);
            for at in 0..cached {
                assert!(cache.adopt(copy(&format!("a{at}")), 0));
            }
        }
        let policy_slots = Arc::new(PolicySlots::default());
        policy_slots.attach(Arc::clone(&state) as Arc<dyn Caches>);
        Self {
            policy_slots,
            state,
            troubles: Arc::default(),
        }
    }

    fn new() -> Self {
        Self::caching(3, 0)
    }

    fn health(&self, kind: Kind, on_probation: bool) -> Arc<Health> {
        let troubles = Arc::clone(&self.troubles);
        let on_trouble = move |trouble| troubles.lock().push(trouble);
        let wall_ms = WALL.as_millis() as u64;
        let health = Health::new(kind, "fake", wall_ms, on_probation, Box::new(on_trouble));
        Arc::new(health)
    }

    async fn install_placement(
        &self,
        fakes: &Arc<FakePolicies>,
        on_probation: bool,
    ) -> Arc<Health> {
        let health = self.health(Kind::Placement, on_probation);
        let make = fakes.placement();
        let first = make().expect("it is made");
        let instance = PolicyInstance::new(make, Some(first), Arc::clone(&health));
        self.policy_slots.placement.take(Some(instance)).await;
        health
    }

    async fn install_eviction(&self, fakes: &Arc<FakePolicies>) -> Arc<Health> {
        let health = self.health(Kind::Eviction, false);
        let make = fakes.eviction();
        let first = make().expect("it is made");
        let instance = PolicyInstance::new(make, Some(first), Arc::clone(&health));
        self.policy_slots.eviction.take(Some(instance)).await;
        health
    }

    /// Which of the two decides where a file goes.
    fn place(&self) -> impl Future<Output = By> + Send + use<> {
        let policy_slots = Arc::clone(&self.policy_slots);
        async move {
            let nodes = candidates();
            let chosen = policy_slots
                .rank(request(), nodes.clone(), Vec::new())
                .await;
            let views: Vec<NodeView> = nodes.iter().map(|node| node.view.clone()).collect();
            let order = Rendezvous::rank(request().file.id, &views);
            match chosen[0] == nodes[order[0] as usize].id {
                true => By::Baseline,
                false => By::Policy,
            }
        }
    }

    async fn place_times(&self, times: usize, by: By) {
        for _ in 0..times {
            assert_eq!(self.place().await, by);
            self.rest().await;
        }
    }

    /// Waits until everything that follows an answer is done.
    async fn rest(&self) {
        self.policy_slots.placement.rest().await;
        self.policy_slots.eviction.rest().await;
        self.policy_slots.relocation.rest().await;
    }

    fn admit(&self, name: &str) -> impl Future<Output = CacheOutcome> + Send + use<> {
        let (policy_slots, state) = (Arc::clone(&self.policy_slots), Arc::clone(&self.state));
        let copy = copy(name);
        async move { policy_slots.admit(&state, copy, 1).await }
    }

    fn make_room(&self, copies: u64) -> impl Future<Output = CacheOutcome> + Send + use<> {
        let (policy_slots, state) = (Arc::clone(&self.policy_slots), Arc::clone(&self.state));
        async move { policy_slots.make_room(&state, copies * SIZE, 1).await }
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.troubles.lock().clone()
    }
}

fn candidates() -> Vec<Candidate> {
    let node = |at: u128| {
        let id = NodeId::from(at << 64);
        let view = NodeView {
            id: id.short(),
            zone: String::new(),
            hops: 1,
            capacity: 1 << 30,
            free: 1 << 30,
            load: 0,
        };
        Candidate { id, view }
    };
    (1..=5).map(node).collect()
}

fn request() -> PlacementRequest {
    PlacementRequest {
        file: FileView {
            id: 42,
            user: "ada".to_owned(),
            name: "x".to_owned(),
            size: 1,
        },
        factor: 1,
        now: 0,
    }
}

fn key(name: &str) -> Key {
    Key::parse(&format!("ada/{name}")).expect("it is a key")
}

fn copy(name: &str) -> CachedCopy {
    let version = Version {
        stamp: Stamp(1),
        writer: NodeId::from(1),
    };
    CachedCopy::of(key(name), version, SIZE, 1)
}

fn record(name: &str) -> Record {
    Record {
        key: key(name),
        version: copy(name).version,
        layout: Layout {
            counter: 0,
            author: NodeId::from(1),
            holders: vec![NodeId::from(2)],
        },
        deleted: false,
        size: SIZE,
        digest: Digest::of(&[]),
        content_type: "text/plain".into(),
        factor: 1,
    }
}

fn files(names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| key(name).file_id().0).collect()
}

fn victims(outcome: &CacheOutcome) -> Vec<String> {
    let names = outcome.victims.iter().map(|victim| victim.key.name());
    names.map(str::to_owned).collect()
}

/// Waits until the condition holds. No time passes.
async fn until(holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(
            std::time::Instant::now() < deadline,
            "the condition never held"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_finds_the_policy_busy_is_answered_by_the_baseline_within_its_wall_limit() {
    let fixture = Fixture::new();
    let (hold, wait) = Hold::new();
    let health = fixture
        .install_placement(&FakePolicies::deciding([wait]), false)
        .await;
    let first = tokio::spawn(fixture.place());
    hold.reached().await;
    let mut second = pin!(fixture.place());
    assert!(poll!(&mut second).is_pending());
    advance(WALL - Duration::from_millis(1)).await;
    assert!(poll!(&mut second).is_pending());
    advance(Duration::from_millis(2)).await;
    assert_eq!(second.await, By::Baseline);
    hold.release();
    assert_eq!(first.await.expect("it ends"), By::Policy);
    assert_eq!(health.behaviour().decisions(), 1);
    assert_eq!(health.faults(), []);
}

#[tokio::test(start_paused = true)]
async fn after_a_fault_that_ends_it_an_instance_is_replaced() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::deciding([Act::Fault(FaultKind::Trap)]);
    let health = fixture.install_placement(&fakes, false).await;
    fixture.place_times(1, By::Baseline).await;
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!(fakes.made(), 2);
    assert_eq!(health.faults(), [(FaultKind::Trap, 1)]);
    let fuel = health.costs().into_iter().map(|cost| cost.fuel);
    assert_eq!(fuel.collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_instance_to_be_made() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::deciding([Act::Fault(FaultKind::Trap)]);
    let health = fixture.install_placement(&fakes, false).await;
    let (hold, wait) = Hold::before(Act::Last(WALL * 2, Box::new(Act::Answer)));
    fakes.will_enter(wait);
    // The answer comes before the new instance is made, and so do answers to others meanwhile.
    assert_eq!(fixture.place().await, By::Baseline);
    hold.reached().await;
    assert_eq!(fixture.place().await, By::Baseline);
    assert_eq!((fakes.made(), fakes.asked()), (1, 1));
    hold.release();
    fixture.rest().await;
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!(health.faults(), [(FaultKind::Trap, 1)]);
    // Making the instance is part of the policy's cost.
    assert_eq!(health.costs()[1].elapsed, WALL * 2);
}

#[tokio::test(start_paused = true)]
async fn after_an_invalid_verdict_the_same_instance_goes_on() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::deciding([Act::Place(vec![7])]);
    let health = fixture.install_placement(&fakes, false).await;
    assert_eq!(fixture.place().await, By::Baseline);
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!(fakes.made(), 1);
    assert_eq!(health.faults(), [(FaultKind::Verdict, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_can_not_be_made_is_a_fault_and_is_tried_again() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::deciding([]);
    fakes.will_enter(Act::Fault(FaultKind::Memory));
    fakes.will_enter(Act::Panic);
    let health = fixture.health(Kind::Placement, false);
    let instance = PolicyInstance::new(fakes.placement(), None, Arc::clone(&health));
    fixture.policy_slots.placement.take(Some(instance)).await;
    fixture.place_times(3, By::Baseline).await;
    assert_eq!(fixture.place().await, By::Policy);
    let faults = [(FaultKind::Trap, 1), (FaultKind::Memory, 1)];
    assert_eq!(health.faults(), faults);
}

#[tokio::test(start_paused = true)]
async fn the_next_instance_of_an_eviction_policy_is_told_what_is_cached_coldest_first() {
    let fixture = Fixture::caching(4, 3);
    let fakes = FakePolicies::deciding([Act::Fault(FaultKind::Fuel)]);
    let health = fixture.install_eviction(&fakes).await;
    fixture.state.cache().hit(&key("a0"), 1);
    // The baseline admits b, and then an instance is made that knows of it.
    assert!(fixture.admit("b").await.admitted);
    fixture.rest().await;
    let told = Heard::Restored(files(&["a1", "a2", "a0"]));
    assert_eq!(fakes.heard_by(1)[1], told);
    // The fake policy evicts the latest, b, not a1 as the baseline would.
    assert_eq!(victims(&fixture.admit("c").await), ["b"]);
    let told = Heard::Restored(files(&["a1", "a2", "a0", "b"]));
    let capacity = Heard::Capacity(4 * SIZE);
    let asked = Heard::Admit(files(&["c"])[0]);
    assert_eq!(fakes.heard_by(2), [capacity, told, asked]);
    assert_eq!(health.faults(), [(FaultKind::Fuel, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_eviction_policy_with_an_invalid_verdict_goes_on_and_keeps_up() {
    let fixture = Fixture::caching(3, 3);
    let nobody = Act::Admit(Admission::Admit(vec![99]));
    let fakes = FakePolicies::deciding([nobody]);
    fixture.install_eviction(&fakes).await;
    assert_eq!(victims(&fixture.admit("b").await), ["a0"]);
    assert_eq!(victims(&fixture.admit("c").await), ["a2"]);
    assert_eq!(fakes.made(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_eviction_policy_that_is_out_of_step_is_replaced_whatever_its_fault_is_called() {
    let fixture = Fixture::caching(4, 2);
    // A guest that fails like this has not said what the cache should do.
    let fakes = FakePolicies::deciding([Act::Fault(FaultKind::Verdict)]);
    fakes.will_hear(Act::Fault(FaultKind::Verdict));
    fixture.install_eviction(&fakes).await;
    for name in ["b", "c", "d"] {
        assert!(fixture.admit(name).await.admitted);
        fixture.rest().await;
    }
    assert_eq!(fakes.made(), 3);
    let told = Heard::Restored(files(&["a1", "b", "c", "d"]));
    assert_eq!(fakes.heard_by(3)[1], told);
}

#[tokio::test(start_paused = true)]
async fn five_faults_suspend_a_policy_and_it_is_tried_again_later() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::failing(FaultKind::Trap);
    let health = fixture.install_placement(&fakes, false).await;
    fixture.place_times(10, By::Baseline).await;
    let delay_ms = limits::SUSPENSION_MS_MIN;
    assert_eq!(fixture.troubles(), [Trouble::Suspended { delay_ms }]);
    assert_eq!(health.conduct(), Conduct::Suspended);
    assert_eq!(fakes.asked(), 5);

    fakes.decisions.lock().clear();
    advance(Duration::from_millis(delay_ms)).await;
    // The first question afterwards has an instance made for the ones that follow.
    fixture.place_times(1, By::Baseline).await;
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!((fakes.asked(), fakes.made()), (6, 6));
    assert_eq!(health.conduct(), Conduct::Active);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_fails_in_its_probation_is_reported_once_and_never_asked_again() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::failing(FaultKind::Deadline);
    let health = fixture.install_placement(&fakes, true).await;
    fixture.place_times(10, By::Baseline).await;
    advance(Duration::from_secs(24 * 60 * 60)).await;
    fixture.place_times(10, By::Baseline).await;
    assert_eq!(fixture.troubles(), [Trouble::RolledBack]);
    assert_eq!((fakes.asked(), fakes.made()), (5, 5));
    assert!(health.behaviour().has_failed_probation());
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_replaced_between_two_decisions() {
    let fixture = Fixture::new();
    let (hold, wait) = Hold::new();
    let before = FakePolicies::deciding([wait]);
    fixture.install_placement(&before, false).await;
    let thinking = tokio::spawn(fixture.place());
    hold.reached().await;
    // A caller that gives up on replacing it has changed nothing.
    assert!(poll!(pin!(fixture.policy_slots.placement.take(None))).is_pending());
    let after = FakePolicies::deciding([]);
    let mut swap = pin!(fixture.install_placement(&after, false));
    assert!(poll!(&mut swap).is_pending());
    hold.release();
    swap.await;
    assert_eq!(thinking.await.expect("it ends"), By::Policy);
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!((before.asked(), after.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn without_an_instance_the_baseline_answers() {
    let fixture = Fixture::caching(3, 3);
    let fakes = FakePolicies::deciding([]);
    fixture.install_eviction(&fakes).await;
    assert_eq!(victims(&fixture.admit("b").await), ["a2"]);
    fixture.policy_slots.eviction.take(None).await;
    assert!(!fixture.state.cache().is_followed());
    assert_eq!(victims(&fixture.admit("c").await), ["a0"]);
    assert_eq!(fakes.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_relocation_policy_decides_and_fails_as_the_others_do() {
    let fixture = Fixture::new();
    let health = fixture.health(Kind::Relocation, false);
    let fakes = FakePolicies::deciding([Act::Fault(FaultKind::Trap)]);
    let make = fakes.relocation();
    let first = make().expect("it is made");
    let instance = PolicyInstance::new(make, Some(first), Arc::clone(&health));
    fixture.policy_slots.relocation.take(Some(instance)).await;
    let path = || -> Vec<_> {
        let nodes = candidates().into_iter();
        let on_path = |node: Candidate| dataverse_core::relocation::PathNode {
            id: node.id,
            view: node.view,
            has_copy: false,
        };
        nodes.map(on_path).collect()
    };
    let record = record("x");
    let plan = async || {
        let on_read = fixture
            .policy_slots
            .on_read(&record, Role::Replica, path(), 0);
        let copies = on_read.await.copy_to.len();
        fixture.rest().await;
        copies
    };
    assert_eq!((plan().await, plan().await), (1, 5));
    assert_eq!(health.faults(), [(FaultKind::Trap, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_whose_host_panics_has_trapped() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::deciding([Act::Panic]);
    let health = fixture.install_placement(&fakes, false).await;
    fixture.place_times(1, By::Baseline).await;
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!(fakes.made(), 2);
    assert_eq!(health.faults(), [(FaultKind::Trap, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_midst_of_an_admission_is_answered_by_the_baseline() {
    let fixture = Fixture::caching(3, 3);
    let fakes = FakePolicies::deciding([Act::Panic]);
    fixture.install_eviction(&fakes).await;
    let outcome = fixture.admit("b").await;
    assert!(outcome.admitted);
    assert_eq!(victims(&outcome), ["a0"]);
    fixture.rest().await;
    assert_eq!(victims(&fixture.admit("c").await), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_is_not_the_policys_goes_to_who_asked_and_the_seat_goes_on() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::deciding([]);
    fixture.install_placement(&fakes, false).await;
    assert_eq!(fixture.place().await, By::Policy);
    let policy_slots = Arc::clone(&fixture.policy_slots);
    let asked = tokio::spawn(async move {
        let broken =
            |_: Option<Asked<'_, AnyPlacement>>| -> Answered<()> { panic!("the core is broken") };
        policy_slots.placement.ask(broken).await;
    });
    assert!(asked.await.expect_err("it panicked").is_panic());
    fixture.place_times(1, By::Baseline).await;
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!(fakes.made(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_is_carried_through() {
    let fixture = Fixture::caching(3, 3);
    let (hold, wait) = Hold::new();
    let health = fixture
        .install_eviction(&FakePolicies::deciding([wait]))
        .await;
    let asking = tokio::spawn(fixture.admit("b"));
    hold.reached().await;
    asking.abort();
    assert!(asking.await.expect_err("it was aborted").is_cancelled());
    hold.release();
    until(|| health.behaviour().decisions() == 1).await;
    let cached = fixture.state.cache().version_of(&key("b"));
    assert_eq!(cached, Some(copy("b").version));
    assert_eq!(victims(&fixture.admit("c").await), ["b"]);
}

/// More copies than fit into one batch.
const MANY: usize = limits::EVICTION_BATCH_MAX + 1;

#[tokio::test(start_paused = true)]
async fn while_a_policy_takes_over_a_large_cache_the_baseline_answers_at_once() {
    let fixture = Fixture::caching(MANY as u64, MANY);
    let fakes = FakePolicies::deciding([]);
    let (hold, wait) = Hold::new();
    fakes.will_hear(wait);
    let health = fixture.install_eviction(&fakes).await;
    let policy_slots = Arc::clone(&fixture.policy_slots);
    let taking_over = tokio::spawn(async move { policy_slots.hand_over_cache().await });
    hold.reached().await;
    assert_eq!(victims(&fixture.admit("b").await), ["a0"]);
    hold.release();
    taking_over.await.expect("it ends");
    assert_eq!(victims(&fixture.admit("c").await), ["b"]);
    let heard = fakes.heard_by(1);
    assert_eq!(heard.len(), 6, "{heard:?}");
    assert_eq!(heard[3], Heard::Removed(vec![0]));
    assert_eq!(heard[4], Heard::Restored(files(&["b"])));
    assert_eq!(health.behaviour().decisions(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_large_cache_to_be_taken_over_after_a_fault() {
    let fixture = Fixture::caching(MANY as u64, MANY);
    let fakes = FakePolicies::deciding([Act::Fault(FaultKind::Trap)]);
    let health = fixture.install_eviction(&fakes).await;
    fixture.policy_slots.hand_over_cache().await;
    let (hold, wait) = Hold::new();
    fakes.will_hear(wait);
    // This question causes the handover and does not wait for it, nor do later ones.
    assert_eq!(victims(&fixture.admit("b").await), ["a0"]);
    assert_eq!(health.faults(), [(FaultKind::Trap, 1)]);
    assert_eq!(victims(&fixture.admit("c").await), ["a1"]);
    hold.reached().await;
    assert_eq!(victims(&fixture.admit("d").await), ["a2"]);
    hold.release();
    until(|| !fixture.policy_slots.eviction.gate.is_settling()).await;
    assert_eq!(victims(&fixture.admit("e").await), ["d"]);
    assert_eq!((fakes.made(), fakes.asked()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_can_not_take_over_is_suspended_as_any_that_fails() {
    let fixture = Fixture::caching(MANY as u64, MANY);
    let fakes = FakePolicies::deciding([]);
    for _ in 0..10 {
        fakes.will_hear(Act::Fault(FaultKind::Memory));
    }
    let health = fixture.install_eviction(&fakes).await;
    for _ in 0..10 {
        fixture.policy_slots.hand_over_cache().await;
        assert!(!fixture.state.cache().is_followed());
    }
    assert_eq!(fixture.troubles().len(), 1);
    assert_eq!(health.faults(), [(FaultKind::Memory, 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_take_over_is_broken_off_when_someone_else_is_to_answer() {
    let fixture = Fixture::caching(MANY as u64, MANY);
    let fakes = FakePolicies::deciding([]);
    let (hold, wait) = Hold::new();
    fakes.will_hear(wait);
    let health = fixture.install_eviction(&fakes).await;
    let policy_slots = Arc::clone(&fixture.policy_slots);
    let taking_over = tokio::spawn(async move { policy_slots.hand_over_cache().await });
    hold.reached().await;
    let mut leaving = pin!(fixture.policy_slots.eviction.take(None));
    assert!(poll!(&mut leaving).is_pending());
    hold.release();
    leaving.await;
    taking_over.await.expect("it ends");
    // Its capacity and the first of two batches.
    assert_eq!(fakes.heard_by(1).len(), 2);
    assert_eq!(health.faults(), []);
    assert!(!fixture.state.cache().is_followed());
}

#[tokio::test(start_paused = true)]
async fn a_decision_of_many_calls_ends_soon_after_its_time() {
    let fixture = Fixture::caching(10, 10);
    // One copy at a time, which is too little; no call takes longer than it may.
    let slowly = |slot| {
        let one = Act::Admit(Admission::Admit(vec![slot]));
        Act::Last(WALL - Duration::from_millis(1), Box::new(one))
    };
    let fakes = FakePolicies::deciding((0..10).map(slowly));
    let health = fixture.install_eviction(&fakes).await;
    let outcome = fixture.make_room(10).await;
    assert_eq!(outcome.victims.len(), 10);
    // The last call began before four times the limit had passed.
    assert_eq!(fakes.asked(), 5);
    assert_eq!(health.faults(), [(FaultKind::Deadline, 1)]);
}

#[tokio::test(start_paused = true)]
async fn after_the_end_nobody_is_asked_and_who_was_being_asked_has_done_no_wrong() {
    let fixture = Fixture::caching(3, 3);
    // It frees one copy of two needed, so it would be asked again.
    let one = Act::Admit(Admission::Admit(vec![1]));
    let (hold, wait) = Hold::before(one);
    let fakes = FakePolicies::deciding([wait]);
    let health = fixture.install_eviction(&fakes).await;
    let asking = tokio::spawn(fixture.make_room(2));
    hold.reached().await;
    fixture.policy_slots.close();
    assert!(fixture.admit("b").await.admitted);
    hold.release();
    assert_eq!(asking.await.expect("it ends").victims.len(), 2);
    assert_eq!(fakes.asked(), 1);
    assert_eq!(health.behaviour().decisions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_is_replaced_does_not_take_its_successors_feed_with_it() {
    let fixture = Fixture::new();
    let fed = &fixture.policy_slots.placement_shadow;
    let (first, first_queue, first_dropped) = Feed::new(1);
    fed.feed(first);
    fixture.place().await;
    fixture.place().await;
    let dropped = first_dropped.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((first_queue.try_iter().count(), dropped), (1, 1));
    let (second, second_queue, second_dropped) = Feed::new(1);
    fed.feed(second);
    fed.end(&first_dropped);
    fixture.place().await;
    assert!(first_queue.recv().is_err());
    assert_eq!(second_queue.try_iter().count(), 1);
    fed.end(&second_dropped);
    assert!(second_queue.recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn the_first_instance_is_used_if_it_is_given() {
    let fixture = Fixture::new();
    let fakes = FakePolicies::deciding([]);
    let make: Maker<AnyPlacement> = fakes.placement();
    let first = make().expect("it is made");
    let instance = PolicyInstance::new(make, Some(first), fixture.health(Kind::Placement, false));
    fixture.policy_slots.placement.take(Some(instance)).await;
    assert_eq!(fixture.place().await, By::Policy);
    assert_eq!(fakes.made(), 1);
}
