//! Shadows of decisions that the tests invent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataverse_core::cache::CachedCopy;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits::{EVICTION_BATCH_MAX, SUSPENSION_MS_MIN};
use dataverse_core::placement::Candidate;
use dataverse_core::policy::{
    Conduct, FaultKind, FileView, Kind, NodeView, PlacementRequest, RelocationVerdict,
};
use dataverse_core::relocation::PathNode;
use dataverse_core::version::{Stamp, Version};

use super::{Ghost, Observer, Placements, Questioner, Relocations, Shadow, Tally, counts};
use crate::driver::fake_policies::{Act, FakePolicies, Heard, Hold};
use crate::driver::{CacheCase, Health, Maker, PlacementCase, PolicySlots, Priced, RelocationCase};
use crate::limits;
use crate::policies::view::Comparison;

/// Bytes of each file.
const SIZE: u64 = 100;

fn questioner<P: ?Sized + Priced + 'static>(
    make: Maker<P>,
    kind: Kind,
) -> (Questioner<P>, Arc<Health>) {
    let health = Arc::new(Health::of_shadow(kind, "fake", 100));
    (Questioner::new(make, Arc::clone(&health)), health)
}

fn comparison<L: Observer>(observer: &L) -> Comparison {
    counts(&observer.tally()).comparison()
}

fn node(at: u128) -> Candidate {
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
}

fn ids(nodes: &[u128]) -> Vec<NodeId> {
    nodes.iter().map(|&at| node(at).id).collect()
}

fn file() -> FileView {
    FileView {
        id: 42,
        user: "ada".to_owned(),
        name: "x".to_owned(),
        size: SIZE,
    }
}

fn placed(factor: u32, holders_first: &[u128], chosen: &[u128]) -> PlacementCase {
    PlacementCase {
        request: PlacementRequest {
            file: file(),
            factor,
            now: 0,
        },
        candidates: (1..=4).map(node).collect(),
        holders_first: ids(holders_first),
        chosen: ids(chosen),
    }
}

/// Checks how a placement policy with these answers compares.
fn check_placement(
    cases: impl IntoIterator<Item = (Act, PlacementCase)>,
    agreement: Option<f64>,
    balance: Option<f64>,
    active_balance: Option<f64>,
) {
    let (acts, cases): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let times = cases.len();
    let fakes = FakePolicies::deciding(acts);
    let (policy, _) = questioner(fakes.placement(), Kind::Placement);
    let mut observer = Placements::new(policy);
    cases.into_iter().for_each(|case| observer.observe(case));
    assert_eq!(fakes.asked(), times);
    let expected = Comparison::Placement {
        agreement,
        balance,
        active_balance,
    };
    assert_eq!(comparison(&observer), expected);
}

#[test]
fn placements_agree_when_the_same_nodes_are_chosen_in_any_order() {
    let same = (Act::Place(vec![1, 0, 2]), placed(2, &[], &[1, 2, 4]));
    let other = (Act::Place(vec![2, 3]), placed(2, &[], &[1, 2]));
    check_placement([same, other], Some(0.5), Some(1.0), Some(2.0));
}

#[test]
fn what_a_shadow_leaves_out_is_filled_up_as_it_would_be() {
    // The baseline's first node is known, so both name two nodes and agree on one of them.
    let short = (Act::Place(vec![]), placed(4, &[], &[1, 2, 3, 4]));
    check_placement([short], Some(1.0), Some(1.0), Some(1.0));
}

#[test]
fn faults_and_files_whose_place_is_known_are_not_compared() {
    let fault = (Act::Fault(FaultKind::Trap), placed(1, &[], &[1]));
    let invalid = (Act::Place(vec![9]), placed(1, &[], &[1]));
    let known = (Act::Place(vec![0]), placed(1, &[1], &[1]));
    check_placement([fault, invalid, known], None, None, None);
}

#[test]
fn holders_that_are_too_few_leave_the_rest_to_the_policy() {
    let case = placed(2, &[3], &[3, 1]);
    check_placement(
        [(Act::Place(vec![1, 0]), case)],
        Some(0.0),
        Some(2.0),
        Some(2.0),
    );
}

fn relocated(copy_to: &[u128], move_to: Option<u128>) -> RelocationCase {
    let on_path = |at| {
        let Candidate { id, view } = node(at);
        PathNode {
            id,
            view,
            has_copy: at == 3,
        }
    };
    RelocationCase {
        file: file(),
        reads: 1,
        path: (1..=3).map(on_path).collect(),
        hit: Role::Replica,
        now: 0,
        copy_to: ids(copy_to),
        move_to: move_to.map(|at| node(at).id),
    }
}

#[test]
fn relocations_agree_when_the_same_is_wanted_and_bytes_are_what_crosses_the_network() {
    let wants = |copy_to: &[u32], move_to| {
        Act::Relocate(RelocationVerdict {
            copy_to: copy_to.to_vec(),
            move_to,
        })
    };
    let cases = [
        (wants(&[1, 0], None), relocated(&[1, 2], None)),
        // The copy becomes the replica, so its bytes are sent once.
        (wants(&[0], Some(0)), relocated(&[1], None)),
        (wants(&[], Some(1)), relocated(&[], None)),
        (wants(&[7], None), relocated(&[1], None)),
        // The last node has a copy already.
        (wants(&[2], None), relocated(&[], None)),
    ];
    let (acts, cases): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let fakes = FakePolicies::deciding(acts);
    let (policy, health) = questioner(fakes.relocation(), Kind::Relocation);
    let mut observer = Relocations::new(policy);
    cases.into_iter().for_each(|case| observer.observe(case));
    let expected = Comparison::Relocation {
        agreement: Some(0.5),
        bytes: 4 * SIZE,
        active_bytes: 3 * SIZE,
    };
    assert_eq!(comparison(&observer), expected);
    assert_eq!(health.faults(), [(FaultKind::Verdict, 1)]);
}

fn key(name: &str) -> Key {
    Key::parse(&format!("ada/{name}")).expect("it is a key")
}

fn version(stamp: u64) -> Version {
    Version {
        stamp: Stamp(stamp),
        writer: NodeId::from(1),
    }
}

fn copy(name: &str) -> CachedCopy {
    CachedCopy::of(key(name), version(1), SIZE, 1)
}

/// A ghost of a cache that has space for `space` copies and holds `cached` at the beginning.
struct Stage {
    space: u64,
    ghost: Ghost,
    fakes: Arc<FakePolicies>,
    health: Arc<Health>,
}

impl Stage {
    fn new(space: u64, cached: &[&str], fakes: Arc<FakePolicies>) -> Self {
        let (policy, health) = questioner(fakes.eviction(), Kind::Eviction);
        let cached = cached.iter().map(|name| (copy(name), 0)).collect();
        Self {
            space,
            ghost: Ghost::new(policy, space * SIZE, cached),
            fakes,
            health,
        }
    }

    fn read(&mut self, name: &str, active_hit: bool) {
        self.read_copy(copy(name), active_hit);
    }

    fn read_all(&mut self, names: &[&str], active_hit: bool) {
        for name in names {
            self.read(name, active_hit);
        }
    }

    fn read_copy(&mut self, copy: CachedCopy, active_hit: bool) {
        let capacity = self.space * SIZE;
        self.ghost.observe(CacheCase::Read {
            copy,
            now: 1,
            hit: active_hit,
            capacity,
        });
    }

    fn offer(&mut self, name: &str) {
        let capacity = self.space * SIZE;
        let copy = copy(name);
        self.ghost.observe(CacheCase::Offered {
            copy,
            now: 1,
            capacity,
        });
    }

    /// Checks the hits of the ghost and of the real cache among `reads` reads.
    fn check(&self, hits: u32, active_hits: u32, reads: u32) {
        let share = |part: u32| (reads > 0).then(|| f64::from(part) / f64::from(reads));
        let expected = Comparison::Eviction {
            hit_ratio: share(hits),
            active_hit_ratio: share(active_hits),
            byte_hit_ratio: share(hits),
            active_byte_hit_ratio: share(active_hits),
        };
        assert_eq!(comparison(&self.ghost), expected);
    }
}

#[test]
fn a_ghost_tells_how_a_policy_would_do_where_the_active_one_fails() {
    let mut stage = Stage::new(3, &[], FakePolicies::deciding([]));
    // A policy that evicts the coldest copy never hits in a loop that is larger than the cache. The fake policy evicts
    // the copy that came last and keeps two of four.
    for _ in 0..3 {
        stage.read_all(&["a", "b", "c", "d"], false);
    }
    stage.check(4, 0, 12);
    assert_eq!(stage.health.behaviour().decisions(), 8);
}

#[test]
fn a_ghost_begins_with_what_is_cached() {
    let mut stage = Stage::new(3, &["a", "b"], FakePolicies::deciding([]));
    stage.read_all(&["a", "b"], true);
    stage.check(2, 2, 2);
    stage.read("c", false);
    let status = Heard::Restored(vec![key("a").file_id().0, key("b").file_id().0]);
    assert_eq!(stage.fakes.heard_by(1)[1], status);
}

#[test]
fn ratios_of_bytes_weigh_reads_by_size() {
    let mut stage = Stage::new(10, &["a"], FakePolicies::deciding([]));
    stage.read("a", true);
    let large = CachedCopy {
        size: 3 * SIZE,
        ..copy("b")
    };
    stage.read_copy(large.clone(), false);
    stage.read_copy(large, false);
    let expected = Comparison::Eviction {
        hit_ratio: Some(2.0 / 3.0),
        active_hit_ratio: Some(1.0 / 3.0),
        byte_hit_ratio: Some(4.0 / 7.0),
        active_byte_hit_ratio: Some(1.0 / 7.0),
    };
    assert_eq!(comparison(&stage.ghost), expected);
}

#[test]
fn what_is_no_read_changes_the_ghost_and_counts_nothing() {
    let mut stage = Stage::new(5, &["a", "b"], FakePolicies::deciding([]));
    stage.offer("c");
    stage.ghost.observe(CacheCase::Sent {
        key: key("a"),
        now: 1,
    });
    stage.offer("d");
    assert!(stage.fakes.heard_by(1).contains(&Heard::Hit(vec![0])));
    for (name, by) in [("a", 2), ("d", 1)] {
        stage.ghost.observe(CacheCase::Superseded {
            key: key(name),
            by: version(by),
        });
    }
    stage.ghost.observe(CacheCase::Replica {
        key: key("b"),
        version: version(1),
    });
    stage.check(0, 0, 0);
    stage.read_all(&["a", "b", "c", "d"], true);
    stage.check(2, 4, 4);
}

#[test]
fn another_version_is_a_miss() {
    let mut stage = Stage::new(3, &["a"], FakePolicies::deciding([]));
    let newer = CachedCopy {
        version: version(2),
        ..copy("a")
    };
    stage.read_copy(newer.clone(), false);
    stage.read_copy(newer, true);
    stage.check(1, 1, 2);
}

#[test]
fn a_ghost_shrinks_with_the_cache() {
    let mut stage = Stage::new(3, &["a", "b", "c"], FakePolicies::deciding([]));
    stage.space = 1;
    stage.read_all(&["a", "c"], false);
    stage.check(1, 0, 2);
    let heard = stage.fakes.heard_by(1);
    assert!(heard.contains(&Heard::MakeRoom(2 * SIZE)), "{heard:?}");
}

#[test]
fn a_ghost_of_many_copies_is_taken_over_before_the_first_answer() {
    let names: Vec<String> = (0..=EVICTION_BATCH_MAX).map(|at| format!("{at}")).collect();
    let cached: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stage = Stage::new(cached.len() as u64, &cached, FakePolicies::deciding([]));
    stage.read("a", false);
    // The fake policy evicts the copy that came last, the baseline would evict the first.
    stage.read("0", true);
    stage.check(1, 1, 2);
    assert_eq!(stage.health.behaviour().decisions(), 1);
}

#[test]
fn a_fault_is_the_baselines_and_counts_as_it_would() {
    let fakes = FakePolicies::deciding([Act::Fault(FaultKind::Fuel)]);
    let mut stage = Stage::new(1, &["a"], fakes);
    stage.read("b", false);
    stage.read("b", true);
    stage.check(1, 1, 2);
    assert_eq!(stage.health.faults(), [(FaultKind::Fuel, 1)]);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_suspended_a_shadow_is_not_asked_and_nothing_is_counted() {
    let mut stage = Stage::new(3, &[], FakePolicies::failing(FaultKind::Trap));
    for at in 0..10 {
        stage.read(&format!("{at}"), true);
    }
    // The fifth fault suspends it, after the fifth read.
    stage.check(0, 5, 5);
    assert_eq!(stage.fakes.asked(), 5);
    assert_eq!(stage.health.conduct(), Conduct::Suspended);
    stage.fakes.decisions.lock().clear();
    tokio::time::advance(Duration::from_millis(SUSPENSION_MS_MIN)).await;
    // The baseline has kept the ghost warm with 7, 8 and 9, and the policy takes over.
    stage.read("a", false);
    stage.read_all(&["7", "8", "9"], true);
    stage.check(2, 8, 9);
    assert_eq!(stage.health.conduct(), Conduct::Active);
}

/// Waits until this holds, which another thread brings about.
async fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "it never held");
        tokio::task::yield_now().await;
    }
}

async fn place(policy_slots: &PolicySlots) {
    let case = placed(1, &[], &[]);
    let chosen = policy_slots
        .rank(case.request, case.candidates, Vec::new())
        .await;
    assert_eq!(chosen.len(), 4);
}

#[tokio::test]
async fn a_shadow_sees_what_is_decided_until_it_is_dropped() {
    let policy_slots = Arc::new(PolicySlots::default());
    let fakes = FakePolicies::deciding([]);
    let shadow =
        Shadow::placement(&policy_slots, "fake", 100, fakes.placement()).expect("a thread starts");
    assert_eq!(shadow.report().decisions, 0);
    place(&policy_slots).await;
    let agreed = |agreement| move |comparison: &Comparison| matches!(comparison, Comparison::Placement { agreement: it, .. } if *it == agreement);
    until(|| agreed(Some(0.0))(&shadow.report().comparison)).await;
    let report = shadow.report();
    assert_eq!((report.decisions, report.dropped), (1, 0));
    assert_eq!((report.faults, report.state), (vec![], Conduct::Active));

    drop(shadow);
    place(&policy_slots).await;
    assert_eq!(fakes.asked(), 1);
}

#[tokio::test]
async fn the_next_shadow_is_fed_when_the_one_before_is_dropped() {
    let policy_slots = Arc::new(PolicySlots::default());
    let (before, after) = (FakePolicies::deciding([]), FakePolicies::deciding([]));
    let first = Shadow::placement(&policy_slots, "before", 100, before.placement())
        .expect("a thread starts");
    let second =
        Shadow::placement(&policy_slots, "after", 100, after.placement()).expect("a thread starts");
    drop(first);
    place(&policy_slots).await;
    until(|| second.report().decisions == 1).await;
    assert_eq!((before.asked(), after.asked()), (0, 1));
}

#[tokio::test]
async fn a_shadow_that_is_behind_misses_cases_and_holds_nobody_up() {
    let policy_slots = Arc::new(PolicySlots::default());
    let (hold, wait) = Hold::new();
    let fakes = FakePolicies::deciding([wait]);
    let shadow =
        Shadow::placement(&policy_slots, "fake", 100, fakes.placement()).expect("a thread starts");
    place(&policy_slots).await;
    hold.reached().await;
    for _ in 0..limits::SHADOW_PLACEMENTS_MAX + 7 {
        place(&policy_slots).await;
    }
    assert_eq!(shadow.report().dropped, 7);
    // It ends after the call in progress, however many cases wait.
    let ending = tokio::task::spawn_blocking(move || drop(shadow));
    until(|| !policy_slots.placement_shadow.is_fed()).await;
    hold.release();
    ending.await.expect("it ends");
    assert_eq!(fakes.asked(), 1);
}

#[tokio::test]
async fn shadows_of_the_other_kinds_are_fed_by_the_judges() {
    let policy_slots = Arc::new(PolicySlots::default());
    let fakes = FakePolicies::deciding([]);
    let relocation = Shadow::relocation(&policy_slots, "fake", 100, fakes.relocation())
        .expect("a thread starts");
    let eviction =
        Shadow::eviction(&policy_slots, "fake", 100, fakes.eviction()).expect("a thread starts");
    policy_slots
        .relocation_shadow
        .hand(|| relocated(&[1], None));
    policy_slots.eviction_shadow.hand(|| CacheCase::Offered {
        copy: copy("a"),
        now: 1,
        capacity: SIZE,
    });
    until(|| relocation.report().decisions == 1 && eviction.report().decisions == 1).await;
    assert!(fakes.heard_by(1) != fakes.heard_by(2));
}
