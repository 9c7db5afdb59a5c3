//! Invariants that hold after every request of every run.

use std::collections::BTreeSet;

use dataverse_core::holdings::Role;
use proptest::prelude::*;

use super::*;

/// Checks that everything that the network notes about copies agrees with what the nodes hold.
fn check_world(run: &Run<'_>) {
    let world = &run.world;
    for site in &world.sites {
        assert_eq!(site.contradiction(), None, "{}", site.name);
    }
    for (number, file) in (0..).zip(&world.files) {
        let held = |&node: &u32| {
            let held = world.sites[node as usize].core.holding(&file.key);
            held.is_some_and(|held| !held.record.deleted)
        };
        let holders: Vec<u32> = (0..world.sites.len() as u32).filter(held).collect();
        assert_eq!(file.copies, holders, "file {number}");
        let Some(record) = file.record.as_ref().filter(|record| !record.deleted) else {
            assert!(
                holders.is_empty() || world.was_apart,
                "file {number} is deleted"
            );
            continue;
        };
        // The replicas that a layout names exist; no eviction has dropped them.
        for id in &record.layout.holders {
            let site = &world.sites[world.by_id[id] as usize];
            let held = site.core.holding(&file.key);
            let is_whole = held.is_some_and(|held| {
                held.role == Role::Replica && held.record.version == record.version
            });
            let is_there = world.routes.is_alive(world.by_id[id]);
            assert!(
                is_whole || !is_there || world.was_apart,
                "file {number} at {}",
                site.name
            );
        }
    }
}

fn check_run(text: &str, seed: u64) {
    let scenario = scenario(text);
    let mut run = Run::begin(&scenario, seed, &|_| true).unwrap_or_else(|error| panic!("{error}"));
    check_world(&run);
    for number in 0..scenario.requests {
        assert!(
            run.step().expect("no step fails"),
            "there is a request {number}"
        );
        check_world(&run);
    }
    let was_apart = run.world.was_apart;
    let measures = run.world.finish();
    let number = |name: &str| measures.numbers.get(name).copied();
    if !was_apart {
        assert_eq!(number("unavailable_ratio").unwrap_or(0.0), 0.0);
        assert_eq!(number("outdated_ratio").unwrap_or(0.0), 0.0);
    }
}

const BUSY: &str = "
requests = 400
[topology]
kind = 'watts-strogatz'
nodes = 20
neighbours = 4
rewire = 0.2
[workload]
files = 40
size = 1000
sizes = 'log-normal'
writes = 0.2
deletes = 0.1
";

#[test]
fn accounts_hold_after_every_request() {
    for (seed, nodes) in [
        "[nodes]\ncapacity = 20000",
        "[nodes]\ncapacity = 20000\ncache = 2000\nfactor = 3\nzones = 4",
        "[nodes]\ncache = 5000\nfactor = 1\nrevalidate_after = 0",
        "[nodes]\ncapacity = '40%'\nplacement_radius = 1",
    ]
    .into_iter()
    .enumerate()
    {
        check_run(&format!("{BUSY}{nodes}"), seed as u64);
    }
}

#[test]
fn accounts_hold_while_nodes_come_and_go() {
    let events = "
[nodes]
capacity = 30000
repair_after = 0.5
[[event]]
at = 0.5
kind = 'fail'
node = 'n3'
[[event]]
at = 0.7
kind = 'fail'
node = 'n4'
[[event]]
at = '40%'
kind = 'leave'
node = 'n5'
[[event]]
at = 1.8
kind = 'return'
node = 'n3'
[[event]]
at = 2
kind = 'join'
node = 'new'
links = ['n0', 'n1']
[[event]]
at = 2.5
kind = 'return'
node = 'n4'
";
    for seed in 0..5 {
        check_run(&format!("{BUSY}{events}"), seed);
    }
}

#[test]
fn the_same_scenario_and_seed_yield_the_same_to_the_bit() {
    let text = format!("{BUSY}readers = 'zipf'\n[nodes]\ncapacity = 20000\nfactor = 2");
    let (one, other) = (ran(&text, 5), ran(&text, 5));
    assert_eq!(one, other);
    let written = |measures: &Measures| serde_json::to_string(measures).expect("it can be written");
    assert_eq!(written(&one), written(&other));
    assert_ne!(one, ran(&text, 6));
}

#[test]
fn every_number_is_a_measure() {
    let text =
        format!("{BUSY}[nodes]\ncapacity = 20000\n[[event]]\nat = 1\nkind = 'fail'\nnode = 'n1'\n");
    let found: BTreeSet<String> = ran(&text, 1).numbers.into_keys().collect();
    let known = crate::measures::ALL
        .iter()
        .map(|measure| measure.name.to_owned());
    assert_eq!(found, known.collect());
}

#[test]
fn what_comes_before_the_warm_up_is_over_is_not_counted() {
    let text = |warm_up: &str| {
        let busy = BUSY.replace("deletes = 0.1", "");
        format!("warm_up = {warm_up}\n{busy}[nodes]\ncache = 9000")
    };
    let cold = ran(&text("0"), 1).numbers;
    let warm = ran(&text("'50%'"), 1).numbers;
    assert!((cold["reads"] / warm["reads"] - 2.0).abs() < 0.3);
    assert!(warm["compulsory_ratio"] < cold["compulsory_ratio"]);
    assert_eq!(warm["placement_decisions"], cold["placement_decisions"]);
}

#[test]
fn who_watches_can_stop_a_run() {
    let text = BUSY.replace("requests = 400", "requests = 5000");
    let stopped = run(&scenario(&text), 1, &|done| done < 2_000);
    assert_eq!(stopped, Err(RunError::Stopped));
}

#[test]
fn what_can_not_be_is_refused_by_key() {
    for (text, key) in [
        (
            BUSY.replace("requests = 400", "requests = 0"),
            "run.requests",
        ),
        (format!("warm_up = 400\n{BUSY}"), "run.warm_up"),
        (format!("{BUSY}[nodes]\nfactor = 0"), "nodes.factor"),
        (format!("{BUSY}[nodes]\ncapacity = 0"), "nodes.capacity"),
        (format!("{BUSY}[nodes]\nzones = 'country'"), "nodes.zones"),
        (format!("{BUSY}readers = ['n1', 'x']"), "workload.readers"),
        (
            format!("{BUSY}[[event]]\nat = 1\nkind = 'fail'\nnode = 'x'"),
            "event.0.node",
        ),
        (
            format!("{BUSY}[[event]]\nat = 1\nkind = 'join'\nnode = 'n1'\nlinks = []"),
            "event.0.node",
        ),
        (
            format!("{BUSY}[[event]]\nat = 1\nkind = 'join'\nnode = 'x'\nlinks = ['y']"),
            "event.0.links",
        ),
        (
            format!("{BUSY}[[event]]\nat = 1\nkind = 'cut'\nlink = ['n1', 'n1']"),
            "event.0.link",
        ),
    ] {
        let wrong = scenario(&text).check().expect_err(&text);
        assert_eq!(wrong.key, key, "{text}");
    }
    let text = format!("{BUSY}[nodes]\ncapacity = 1000");
    let error = run(&scenario(&text), 1, &|_| true).expect_err("forty files don't fit");
    assert!(
        matches!(&error, RunError::Wrong(wrong) if wrong.key == "nodes.capacity"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn accounts_hold_in_any_small_world(
        seed in any::<u64>(),
        nodes in 2u32..12,
        capacity in 15_000u64..60_000,
        factor in 1u32..4,
        fails in 0u32..2,
        at in 0.0f64..3.0,
    ) {
        let text = format!(
            "requests = 150\n[topology]\nkind = 'ring'\nnodes = {nodes}\n[workload]\nfiles = 10\nsize = 500\n\
             writes = 0.3\ndeletes = 0.1\n[nodes]\ncapacity = {capacity}\nfactor = {factor}\nrepair_after = 0.2\n\
             [[event]]\nat = {at}\nkind = 'fail'\nnode = 'n{fails}'\n"
        );
        check_run(&text, seed);
    }
}
