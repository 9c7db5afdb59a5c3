//! Random graphs with every kind of node behaviour, against a straightforward analysis of the graph.

use std::collections::BTreeMap;

use dataverse_core::holdings::Role;
use dataverse_core::limits;
use dataverse_core::pattern::Pattern;
use dataverse_core::search::{Bounds, Question, SearchOutcome};
use proptest::prelude::*;

use crate::world::{
    BOUNDS, Lie, START, SearchGraph, SimNode, Temper, Trace, distances, exact, key, number, version,
};

fn temper() -> impl Strategy<Value = Temper> {
    let lie = prop::sample::select(vec![
        Lie::WrongKey,
        Lie::Deleted,
        Lie::BelowFloor,
        Lie::Twice,
        Lie::TooManyLinks,
        Lie::LongAddress,
    ]);
    prop_oneof![
        12 => (0u64..60).prop_map(Temper::Honest),
        1 => (60u64..200).prop_map(Temper::Honest),
        1 => lie.prop_map(Temper::Lying),
        1 => (0u64..60).prop_map(Temper::Dead),
        1 => Just(Temper::Silent),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Cached, Role::Replica])
}

/// Sparse holdings: most nodes have nothing, so that searches go far.
fn node(temper: impl Strategy<Value = Temper>) -> impl Strategy<Value = SimNode> {
    let file = prop::option::weighted(0.12, (1u64..4, role()));
    let known = prop::option::weighted(0.08, 1u64..5);
    let others = prop::collection::btree_map(1u64..8, (1u64..4, role()), 0..3);
    (temper, file, known, others, 0u32..3).prop_map(|(temper, file, known, others, load)| {
        let mut node = SimNode::new(temper);
        node.files = others;
        node.files.extend(file.map(|file| (0, file)));
        node.known = known;
        node.load = load;
        node
    })
}

/// Any graph: connected or not, with cycles, parallel links and links to itself.
fn world(temper: impl Strategy<Value = Temper>) -> impl Strategy<Value = SearchGraph> {
    prop::collection::vec(node(temper), 1..40).prop_flat_map(|nodes| {
        let count = nodes.len();
        let links = prop::collection::vec((0..count, 0..count), 0..2 * count);
        (Just(nodes), links).prop_map(|(nodes, links)| {
            let mut world = SearchGraph { nodes };
            links.into_iter().for_each(|(a, b)| world.link(a, b));
            world
        })
    })
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let deadline = prop_oneof![3 => Just(10_000u64), 1 => 0u64..400];
    let budget = prop_oneof![3 => Just(4_096u32), 1 => 0u32..30];
    let hops = prop_oneof![3 => Just(64u32), 1 => 0u32..5];
    (hops, 0u32..8, deadline, budget, 0u64..40).prop_map(
        |(hops, fanout, deadline_ms, budget, settle_ms)| Bounds {
            hops,
            fanout,
            probe_deadline_ms: 100,
            deadline_ms,
            budget,
            settle_ms,
        },
    )
}

fn pattern(limit: u32) -> Question {
    Question::Pattern {
        pattern: Pattern::parse("ada/[1-9]").expect("it is a pattern"),
        limit,
    }
}

/// The checker of one run: compares the report with the graph itself.
struct Checker<'a> {
    world: &'a SearchGraph,
    bounds: Bounds,
    trace: &'a Trace,
    /// Distances from node 0 over all links.
    distances: BTreeMap<usize, u32>,
}

impl<'a> Checker<'a> {
    fn new(world: &'a SearchGraph, bounds: Bounds, trace: &'a Trace) -> Self {
        let distances = distances(world, |_| true);
        Self {
            world,
            bounds,
            trace,
            distances,
        }
    }

    fn was_asked(&self, node: usize) -> bool {
        node == 0 || self.trace.asked.iter().any(|(asked, _, _)| *asked == node)
    }

    fn is_unanswered(&self, node: usize) -> bool {
        let mut unanswered = self.trace.report.unanswered.iter();
        unanswered.any(|peer| number(peer.id, self.world.nodes.len()) == Some(node))
    }

    /// Nodes that can be relied on, whatever the search concluded.
    fn is_reliable(&self, node: usize) -> bool {
        node == 0 || self.world.nodes[node].answers(self.bounds)
    }

    /// Nodes whose neighbours the search was told, lying nodes included.
    fn names_neighbours(&self, node: usize) -> bool {
        self.is_reliable(node) || matches!(self.world.nodes[node].temper, Temper::Lying(_))
    }

    /// The nodes that the search discovered and did not ask.
    fn left_out(&self) -> Vec<usize> {
        let named = self.trace.asked.iter().map(|(node, _, _)| *node).chain([0]);
        let named = named.filter(|node| self.names_neighbours(*node));
        named
            .flat_map(|node| self.world.nodes[node].links.iter().copied())
            .filter(|node| !self.was_asked(*node))
            .collect()
    }

    /// What holds for every search.
    fn check_counts(&self) {
        let report = &self.trace.report;
        assert_eq!(report.probes as usize, self.trace.asked.len());
        let levels = self.trace.asked.iter().map(|(_, level, _)| *level).max();
        assert_eq!(report.levels, levels.unwrap_or(0));
        assert!(self.trace.ended <= START + self.bounds.deadline_ms);
        for peer in &report.unanswered {
            let node = number(peer.id, self.world.nodes.len()).expect("it is in the graph");
            assert!(self.was_asked(node));
        }
        for (node, level, _) in &self.trace.asked {
            assert!(
                *level >= self.distances[node],
                "a node is reported nearer than it is"
            );
        }
    }

    /// What the outcome claims.
    fn check_outcome(&self) {
        let report = &self.trace.report;
        let left_out = self.left_out();
        let time_is_up = self.trace.ended >= START + self.bounds.deadline_ms;
        match report.outcome {
            SearchOutcome::Found => assert!(!report.hits.is_empty()),
            SearchOutcome::NotFound => {
                assert!(report.hits.is_empty() && report.unanswered.is_empty());
                self.check_everyone_answered();
            }
            SearchOutcome::Horizon => {
                assert!(
                    !left_out.is_empty(),
                    "there is nothing beyond the hop limit"
                );
                assert_eq!(report.levels, self.bounds.hops);
            }
            SearchOutcome::Partial => {
                assert!(!report.unanswered.is_empty());
                assert_eq!(left_out, [0; 0], "a node that could be asked was not");
            }
            SearchOutcome::Deadline => assert!(time_is_up),
            SearchOutcome::Budget => {
                assert!(
                    !left_out.is_empty(),
                    "there is nothing that the budget left out"
                );
                assert_eq!(report.probes, self.bounds.budget);
            }
        }
        if report.exact && report.outcome != SearchOutcome::Found {
            assert_eq!(report.outcome, SearchOutcome::NotFound);
        }
    }

    /// The whole component of node 0 was asked and can be relied on.
    fn check_everyone_answered(&self) {
        for node in self.distances.keys() {
            assert!(self.was_asked(*node), "n{node} was not asked");
            assert!(self.is_reliable(*node), "n{node} can't have answered");
        }
    }

    /// What an exact search's hits claim.
    fn check_hits(&self) {
        let report = &self.trace.report;
        let floor = report.floor.map(|heard| heard.version);
        let standing = |node: usize| {
            let (held, _) = self.world.nodes[node].serves()?;
            (Some(version(held)) >= floor).then_some(held)
        };
        for found in &report.hits {
            let node = number(found.peer.id, self.world.nodes.len()).expect("it is in the graph");
            assert!(standing(node).is_some(), "n{node} has no copy that counts");
            assert!(self.is_reliable(node) && !self.is_unanswered(node));
            assert_eq!(Some(found.hit.record.version), floor);
            assert_eq!(found.hops, report.hits[0].hops);
        }
        let lifetime = self
            .distances
            .keys()
            .copied()
            .filter(|node| self.is_reliable(*node));
        let nearest = lifetime
            .filter(|node| standing(*node).is_some())
            .map(|node| self.distances[&node])
            .min();
        if report.exact {
            assert_eq!(report.hits.first().map(|found| found.hops), nearest);
        }
        self.check_path();
    }

    fn check_path(&self) {
        let report = &self.trace.report;
        let nodes = self.world.nodes.len();
        let numbers: Vec<_> = report
            .path
            .iter()
            .filter_map(|peer| number(peer.id, nodes))
            .collect();
        let Some(best) = report.hits.first() else {
            assert!(numbers.is_empty());
            return;
        };
        assert_eq!(numbers.first(), Some(&0));
        assert_eq!(report.path.last(), Some(&best.peer));
        assert_eq!(numbers.len() as u32, best.hops + 1);
        for step in numbers.windows(2) {
            assert!(
                self.world.nodes[step[0]].links.contains(&step[1]),
                "no such link"
            );
        }
    }
}

/// The first level with a copy that is not below the floor, by a plain walk level by level over nodes that all
/// answer.
fn nearest_standing(world: &SearchGraph) -> Option<(u32, Vec<usize>)> {
    let distances = distances(world, |_| true);
    let deepest = distances.values().max().copied().unwrap_or(0);
    let mut floor = None;
    for level in 0..=deepest {
        let of_level = || {
            distances
                .iter()
                .filter(|(_, at)| **at == level)
                .map(|(node, _)| *node)
        };
        floor = of_level()
            .map(|node| world.nodes[node].heard())
            .max()
            .max(Some(floor))
            .flatten();
        let holders: Vec<_> = of_level()
            .filter(|node| {
                world.nodes[*node]
                    .serves()
                    .is_some_and(|(held, _)| Some(held) >= floor)
            })
            .collect();
        if !holders.is_empty() {
            return Some((level, holders));
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn every_exact_search_tells_the_truth(
        world in world(temper()), bounds in bounds(), meddle in any::<bool>()
    ) {
        let trace = world.run(exact(None), bounds, meddle);
        let checker = Checker::new(&world, bounds, &trace);
        checker.check_counts();
        checker.check_outcome();
        checker.check_hits();
    }

    #[test]
    fn every_pattern_search_tells_the_truth(
        world in world(temper()), bounds in bounds(), limit in 1u32..9, meddle in any::<bool>()
    ) {
        let trace = world.run(pattern(limit), bounds, meddle);
        let checker = Checker::new(&world, bounds, &trace);
        checker.check_counts();
        checker.check_outcome();
        let report = &trace.report;
        prop_assert!(report.hits.len() <= limit as usize);
        if report.outcome == SearchOutcome::Found && !report.truncated {
            prop_assert!(report.exact);
        }
        if report.truncated {
            prop_assert_eq!((report.outcome, report.exact), (SearchOutcome::Found, false));
            prop_assert_eq!(report.hits.len(), limit as usize);
        }
        if report.exact {
            checker.check_everyone_answered();
        }
        prop_assert!(report.hits.is_sorted_by_key(|found| (found.hops, &found.hit.record.key)));
    }

    #[test]
    fn a_pattern_search_is_truncated_when_there_are_more_files_and_only_then(
        world in world((0u64..60).prop_map(Temper::Honest)), limit in 1u32..6
    ) {
        let bounds = Bounds { hops: 64, ..BOUNDS };
        let all = world.run(pattern(limits::SEARCH_HITS_MAX), bounds, false).report;
        let some = world.run(pattern(limit), bounds, false).report;
        let is_more = all.hits.len() > limit as usize;
        prop_assert_eq!((all.truncated, some.truncated, some.exact), (false, is_more, !is_more));
        prop_assert_eq!(some.hits.len(), all.hits.len().min(limit as usize));
    }

    #[test]
    fn the_same_run_twice_is_the_same(
        world in world(temper()), bounds in bounds(), meddle in any::<bool>()
    ) {
        for question in [exact(None), pattern(3)] {
            let once = world.run(question.clone(), bounds, meddle);
            prop_assert_eq!(once, world.run(question, bounds, meddle));
        }
    }

    #[test]
    fn meddling_changes_nothing(world in world(temper()), bounds in bounds()) {
        prop_assert_eq!(world.run(exact(None), bounds, true), world.run(exact(None), bounds, false));
    }

    #[test]
    fn where_all_answer_the_nearest_level_is_found_whole(
        world in world((0u64..15).prop_map(Temper::Honest))
    ) {
        let bounds = Bounds { hops: 64, fanout: 64, ..BOUNDS };
        let trace = world.run(exact(None), bounds, false);
        let report = &trace.report;
        prop_assert!(report.exact);
        let mut found: Vec<_> = report
            .hits
            .iter()
            .filter_map(|found| number(found.peer.id, world.nodes.len()))
            .collect();
        found.sort_unstable();
        let level = report.hits.first().map(|found| found.hops);
        prop_assert_eq!(level.map(|level| (level, found)), nearest_standing(&world));
        // One probe for each node up to the level of the hit, no more.
        let deepest = level.unwrap_or(u32::MAX);
        let nearer = distances(&world, |_| true).into_values().filter(|at| *at <= deepest);
        prop_assert_eq!(report.probes as usize + 1, if deepest == 0 { 1 } else { nearer.count() });
    }

    #[test]
    fn where_all_answer_a_pattern_gathers_the_best_of_every_key(
        world in world((0u64..60).prop_map(Temper::Honest))
    ) {
        let bounds = Bounds { hops: 64, ..BOUNDS };
        let report = world.run(pattern(limits::SEARCH_HITS_MAX), bounds, false).report;
        let distances = distances(&world, |_| true);
        let mut expected = BTreeMap::new();
        for (node, hops) in &distances {
            for (file, (held, role)) in world.nodes[*node].files.range(1..) {
                let load = world.nodes[*node].load;
                let rank = (u64::MAX - held, *hops, *role == Role::Cached, load, crate::world::id(*node));
                let best = expected.entry(key(*file)).or_insert(rank);
                *best = rank.min(*best);
            }
        }
        let found: BTreeMap<_, _> = report
            .hits
            .iter()
            .map(|found| (found.hit.record.key.clone(), found.peer.id))
            .collect();
        let expected: BTreeMap<_, _> = expected.into_iter().map(|(key, rank)| (key, rank.4)).collect();
        let outcome = if expected.is_empty() { SearchOutcome::NotFound } else { SearchOutcome::Found };
        prop_assert_eq!((report.outcome, report.exact), (outcome, true));
        prop_assert_eq!(found, expected);
    }
}
