//! Compares a search plan with the core's own search, driven in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::{Answer, Bounds, Deletion, Hit, Peer, Question, Search};
use dataverse_core::version::{Stamp, Version};
use proptest::prelude::*;

use super::super::search_plans::SearchPlans;
use super::*;
use crate::topology::Link;

fn id(node: u32, ranks: &[u32]) -> NodeId {
    NodeId::from(u128::from(ranks[node as usize]) + 1)
}

fn peer(node: u32, ranks: &[u32]) -> Peer {
    Peer {
        id: id(node, ranks),
        name: node.to_string().into(),
        address: node.to_string().into(),
    }
}

fn link(a: u32, b: u32, latency_us: u64) -> Link {
    Link {
        ends: (a, b),
        latency_us,
        bits_per_second: 1,
    }
}

fn record() -> Arc<Record> {
    Arc::new(Record {
        key: Key::parse("lab/0").expect("it is a key"),
        version: Version {
            stamp: Stamp(1),
            writer: NodeId::from(1),
        },
        layout: Layout {
            counter: 0,
            author: NodeId::from(1),
            holders: Vec::new(),
        },
        deleted: false,
        size: 1,
        digest: Digest::of(b""),
        content_type: "text/plain".into(),
        factor: 1,
    })
}

/// What the core finds, and the path to its first hit: probes are sent as it asks, and each answer arrives after
/// twice the delay of the fastest route. If an answer and the end of a wait fall on the same microsecond, the wait
/// ends first.
fn by_core(
    routes: &Routes,
    from: u32,
    holders: &BTreeSet<u32>,
    hops_max: u32,
) -> (Found, Vec<u32>) {
    let ranks = routes.ranks();
    let delays = delays(routes, from);
    let answer = |node: u32| Answer {
        hits: match holders.contains(&node) && node != from {
            false => Vec::new(),
            true => vec![Hit {
                record: record(),
                role: Role::Replica,
                validated_age_ms: 0,
            }],
        },
        hits_are_all: true,
        known: None,
        overtaken: None,
        pending: false,
        deletion: Deletion::None,
        load: 0,
        neighbours: routes
            .neighbours(node)
            .map(|(it, _)| peer(it, ranks))
            .collect(),
    };
    let bounds = Bounds {
        hops: hops_max,
        fanout: FANOUT as u32,
        probe_deadline_ms: u64::MAX,
        deadline_ms: u64::MAX,
        budget: limits::SEARCH_BUDGET_MAX,
        settle_ms: limits::SEARCH_SETTLE_MS,
    };
    let question = Question::Exact {
        key: record().key.clone(),
        floor: None,
        pending_before: None,
    };
    let mut search = Search::new(question, peer(from, ranks), answer(from), bounds, 0);
    let number: BTreeMap<NodeId, u32> = (0..ranks.len() as u32)
        .map(|it| (id(it, ranks), it))
        .collect();
    let mut under_way = BTreeSet::new();
    let (mut now_us, mut sent) = (0, 0);
    loop {
        for probe in search.poll(now_us / 1_000) {
            let node = number[&probe.peer.id];
            under_way.insert((now_us + 2 * delays[node as usize], sent, node));
            sent += 1;
        }
        let Some(wake_ms) = search.wake_at() else {
            break;
        };
        match under_way.first().copied() {
            Some(next) if next.0 < wake_ms.saturating_mul(1_000) => {
                under_way.remove(&next);
                now_us = next.0;
                search.answered(id(next.2, ranks), answer(next.2), now_us / 1_000);
            }
            _ => now_us = wake_ms * 1_000,
        }
    }
    let report = search.into_report().expect("it wants nothing more");
    let numbers = |peers: Vec<&Peer>| peers.iter().map(|peer| number[&peer.id]).collect();
    let mut hits: Vec<u32> = numbers(report.hits.iter().map(|hit| &hit.peer).collect());
    hits.sort_unstable();
    let found = Found {
        hops: report.hits.first().map_or(0, |hit| hit.hops),
        hits,
        probes: report.probes as usize,
        elapsed_us: now_us,
    };
    (found, numbers(report.path.iter().collect()))
}

fn check(routes: &Routes, from: u32, holders: &BTreeSet<u32>, hops_max: u32) {
    let search_plan = SearchPlan::new(routes, from);
    let found = search_plan.search(holders.iter().copied(), hops_max);
    let (expected, path) = by_core(routes, from, holders, hops_max);
    assert_eq!(found, expected);
    // Among equals the core prefers the least id.
    let best = found
        .hits
        .iter()
        .min_by_key(|&&hit| routes.ranks()[hit as usize]);
    assert_eq!(
        best.map_or(Vec::new(), |&best| search_plan.path(best)),
        path
    );
}

fn line(nodes: u32, latency_us: u64) -> Routes {
    let links = (1..nodes).map(|at| link(at - 1, at, latency_us)).collect();
    Routes::new(links, (0..nodes).collect(), nodes as usize)
}

#[test]
fn a_line_is_walked_node_by_node() {
    let routes = line(4, 5_000);
    let search_plan = SearchPlan::new(&routes, 0);
    let found = search_plan.search([3].into_iter(), 16);
    let expected = Found {
        hits: vec![3],
        hops: 3,
        probes: 3,
        // There and back over one, two and three links.
        elapsed_us: 2 * 5_000 * (1 + 2 + 3),
    };
    assert_eq!(found, expected);
    assert_eq!(search_plan.path(3), [0, 1, 2, 3]);
    assert_eq!(search_plan.search([3].into_iter(), 2).probes, 2);
    assert_eq!(search_plan.search([0].into_iter(), 16).probes, 3);
    check(&routes, 0, &BTreeSet::from([3]), 16);
}

#[test]
fn a_level_is_not_waited_for_long_after_its_first_hit() {
    let links = vec![link(0, 1, 1_000), link(0, 2, 50_000), link(0, 3, 5_000)];
    let routes = Routes::new(links, (0..4).collect(), 4);
    let found = SearchPlan::new(&routes, 0).search([1, 2, 3].into_iter(), 16);
    assert_eq!((found.hits, found.elapsed_us), (vec![1, 3], 22_000));
    check(&routes, 0, &BTreeSet::from([1, 2, 3]), 16);
}

#[test]
fn no_more_than_so_many_are_asked_at_once() {
    let links = (1..=100).map(|node| link(0, node, 10_000)).collect();
    let routes = Routes::new(links, (0..101).collect(), 101);
    let found = SearchPlan::new(&routes, 0).search([1].into_iter(), 16);
    assert_eq!((found.probes, found.elapsed_us), (64, 40_000));
    check(&routes, 0, &BTreeSet::from([1]), 16);
}

#[test]
fn what_is_down_is_not_asked() {
    let mut routes = line(5, 1_000);
    let mut search_plans = SearchPlans::new(5);
    assert_eq!(search_plans.of(&routes, 0).hops(4), Some(4));
    assert!(routes.cut(3, 2));
    assert!(!routes.cut(2, 3));
    assert_eq!(search_plans.of(&routes, 0).hops(4), None);
    check(&routes, 0, &BTreeSet::from([4]), 16);
    routes.add(link(2, 3, 1));
    routes.set_alive(1, false);
    assert_eq!(search_plans.of(&routes, 0).hops(2), None);
    assert_eq!(search_plans.of(&routes, 2).hops(4), Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_tour_finds_what_the_core_finds(
        nodes in 2u32..90,
        edges in prop::collection::vec((any::<u32>(), any::<u32>(), 0u64..4), 1..250),
        unit_us in prop::sample::select(vec![0u64, 700, 3_000, 10_000, 12_345]),
        holders in prop::collection::btree_set(0u32..90, 0..6),
        seed in any::<u64>(),
        hops_max in 0u32..8,
    ) {
        let links: BTreeMap<(u32, u32), u64> = edges
            .iter()
            .map(|&(a, b, times)| ((a % nodes, b % nodes), times * unit_us))
            .filter(|((a, b), _)| a != b)
            .map(|((a, b), us)| ((a.min(b), a.max(b)), us))
            .collect();
        let links = links.into_iter().map(|((a, b), us)| link(a, b, us)).collect();
        let mut ranks: Vec<u32> = (0..nodes).collect();
        crate::sample::Draw::new(seed).shuffle(&mut ranks);
        let routes = Routes::new(links, ranks, nodes as usize);
        let holders = holders.into_iter().filter(|&node| node < nodes).collect();
        for from in 0..nodes.min(5) {
            check(&routes, from, &holders, hops_max);
        }
    }
}
