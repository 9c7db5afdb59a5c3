//! Small graphs whose answers can be worked out by hand.

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role::{Cached, Replica};
use dataverse_core::limits::{SEARCH_FAILED_NEIGHBOURS_MAX, SEARCH_PROBES_PER_ADDRESS_MAX};
use dataverse_core::pattern::Pattern;
use dataverse_core::search::{Answer, Bounds, Peer, Question, Search, SearchOutcome};

use crate::world::{
    BOUNDS, Lie, START, SearchGraph, Temper, Trace, exact, hit, id, key, number, peer, version,
};

/// How a search should end: outcome, exact, hits as (node, hops), probes, levels.
type Expected<'a> = (&'a str, bool, &'a [(usize, u32)], u32, u32);

fn check_with(
    world: &SearchGraph,
    question: Question,
    bounds: Bounds,
    expected: Expected<'_>,
) -> Trace {
    let trace = world.run(question, bounds, false);
    let report = &trace.report;
    let nodes = world.nodes.len();
    let hits: Vec<_> = report
        .hits
        .iter()
        .map(|found| {
            (
                number(found.peer.id, nodes).expect("it is in the graph"),
                found.hops,
            )
        })
        .collect();
    let outcome = report.outcome.as_str();
    let seen = (
        outcome,
        report.exact,
        &hits[..],
        report.probes,
        report.levels,
    );
    assert_eq!(seen, expected, "{report:?}");
    trace
}

fn check(world: &SearchGraph, expected: Expected<'_>) -> Trace {
    check_with(world, exact(None), BOUNDS, expected)
}

fn path(trace: &Trace) -> Vec<&str> {
    trace.report.path.iter().map(|peer| &*peer.name).collect()
}

fn unanswered(trace: &Trace) -> Vec<&str> {
    trace
        .report
        .unanswered
        .iter()
        .map(|peer| &*peer.name)
        .collect()
}

#[test]
fn a_local_copy_is_found_without_a_probe() {
    let trace = check(
        &SearchGraph::line(3).file(0, 1, Replica),
        ("found", true, &[(0, 0)], 0, 0),
    );
    assert_eq!(path(&trace), ["n0"]);
    assert_eq!(trace.report.floor, Some(Heard::alive(version(1))));
}

#[test]
fn a_line_is_walked_to_the_hit_and_no_further() {
    let trace = check(
        &SearchGraph::line(6).file(3, 1, Replica),
        ("found", true, &[(3, 3)], 3, 3),
    );
    assert_eq!(path(&trace), ["n0", "n1", "n2", "n3"]);
}

#[test]
fn a_line_without_the_file_is_asked_whole() {
    let trace = check(&SearchGraph::line(6), ("not_found", true, &[], 5, 5));
    assert_eq!(path(&trace), [""; 0]);
}

#[test]
fn a_node_alone_knows_at_once() {
    let trace = check(&SearchGraph::of(1), ("not_found", true, &[], 0, 0));
    assert_eq!(trace.ended, START);
}

#[test]
fn a_ring_is_walked_both_ways_and_each_node_asked_once() {
    let mut world = SearchGraph::line(6);
    world.link(5, 0);
    check(&world, ("not_found", true, &[], 5, 3));
    check(&world.file(4, 1, Replica), ("found", true, &[(4, 2)], 4, 2));
}

#[test]
fn parallel_links_and_links_to_oneself_are_walked_once() {
    let mut world = SearchGraph::line(3);
    world.link(0, 1);
    world.link(1, 1);
    world.link(0, 0);
    check(&world, ("not_found", true, &[], 2, 2));
}

#[test]
fn a_dead_node_in_the_middle_hides_what_lies_behind_it() {
    for temper in [Temper::Dead(1), Temper::Silent, Temper::Honest(5_000)] {
        let world = SearchGraph::line(4).temper(2, temper).file(3, 1, Replica);
        let trace = check(&world, ("partial", false, &[], 2, 2));
        assert_eq!(unanswered(&trace), ["n2"]);
    }
}

#[test]
fn a_hit_beyond_a_dead_node_is_not_called_exact() {
    let mut world = SearchGraph::line(4)
        .temper(1, Temper::Dead(1))
        .file(3, 1, Replica);
    world.link(0, 2);
    let trace = check(&world, ("found", false, &[(3, 2)], 3, 2));
    assert_eq!(unanswered(&trace), ["n1"]);
}

#[test]
fn a_dead_node_beside_the_hit_does_no_harm() {
    let mut world = SearchGraph::of(3)
        .temper(1, Temper::Dead(1))
        .file(2, 1, Replica);
    world.link(0, 1);
    world.link(0, 2);
    check(&world, ("found", true, &[(2, 1)], 2, 1));
}

#[test]
fn a_tombstone_heard_of_nearer_voids_a_stale_copy() {
    let world = SearchGraph::line(4).knows(1, 2).file(2, 1, Cached);
    let trace = check(&world, ("not_found", true, &[], 3, 3));
    assert_eq!(trace.report.floor, Some(Heard::alive(version(2))));
}

#[test]
fn a_tombstone_heard_of_at_the_same_level_voids_a_stale_copy() {
    let mut world = SearchGraph::of(4).file(1, 1, Cached).knows(2, 2);
    world.link(0, 1);
    world.link(0, 2);
    world.link(2, 3);
    // The tombstone comes after the stale hit, within its settle window.
    let world = world.temper(2, Temper::Honest(10));
    check(&world, ("not_found", true, &[], 3, 2));
    check(&world.file(3, 2, Replica), ("found", true, &[(3, 2)], 3, 2));
}

#[test]
fn the_newer_of_two_versions_at_a_level_is_the_only_hit() {
    let mut world = SearchGraph::of(3).file(1, 1, Replica).file(2, 2, Cached);
    world.link(0, 1);
    world.link(0, 2);
    for (one, two) in [(1, 5), (5, 1)] {
        let world = world.clone();
        let world = world
            .temper(1, Temper::Honest(one))
            .temper(2, Temper::Honest(two));
        check(&world, ("found", true, &[(2, 1)], 2, 1));
    }
}

#[test]
fn hits_of_a_level_come_replica_first_then_least_load_then_id() {
    let mut world = SearchGraph::of(5);
    for node in 1..5 {
        world.link(0, node);
        let role = if node == 1 { Cached } else { Replica };
        world.nodes[node].files.insert(0, (1, role));
    }
    world.nodes[2].load = 9;
    assert!(id(3) < id(4));
    check(
        &world,
        ("found", true, &[(3, 1), (4, 1), (2, 1), (1, 1)], 4, 1),
    );
}

#[test]
fn the_own_floor_voids_older_copies() {
    let world = SearchGraph::line(3).file(1, 1, Replica).file(2, 2, Replica);
    check_with(
        &world,
        exact(Some(2)),
        BOUNDS,
        ("found", true, &[(2, 2)], 2, 2),
    );
}

#[test]
fn a_level_is_committed_a_short_while_after_its_first_hit() {
    // At the very end of the window, an answer that has already arrived still counts.
    let both = &[(2, 1), (1, 1)][..];
    let first = &[(1, 1)][..];
    for (slow_ms, hits, ended) in [
        (24, both, START + 24),
        (25, both, START + 25),
        (26, first, START + 25),
    ] {
        let mut world = SearchGraph::of(3).file(1, 1, Cached).file(2, 1, Replica);
        world.link(0, 1);
        world.link(0, 2);
        let world = world
            .temper(1, Temper::Honest(5))
            .temper(2, Temper::Honest(slow_ms));
        let trace = check(&world, ("found", true, hits, 2, 1));
        assert_eq!(trace.ended, ended);
        assert_eq!(unanswered(&trace), [""; 0], "the level did not wait for it");
    }
}

#[test]
fn a_nearer_level_is_waited_for_however_near_the_hit_is() {
    let mut world = SearchGraph::line(3).file(2, 1, Replica);
    world.nodes.push(world.nodes[0].clone());
    world.nodes[3].links.clear();
    world.link(0, 3);
    let world = world.temper(3, Temper::Honest(900));
    let trace = check(&world, ("found", true, &[(2, 2)], 3, 2));
    assert_eq!(trace.ended, START + 901);
}

#[test]
fn a_probe_is_given_up_at_its_deadline() {
    let world = SearchGraph::line(2).temper(1, Temper::Silent);
    let trace = check(&world, ("partial", false, &[], 1, 1));
    assert_eq!(trace.ended, START + BOUNDS.probe_deadline_ms);
}

#[test]
fn a_search_ends_at_its_deadline() {
    let bounds = Bounds {
        deadline_ms: 25,
        ..BOUNDS
    };
    let mut world = SearchGraph::line(9);
    world
        .nodes
        .iter_mut()
        .for_each(|node| node.temper = Temper::Honest(10));
    let trace = check_with(&world, exact(None), bounds, ("deadline", false, &[], 3, 3));
    assert_eq!(trace.ended, START + 25);
    assert_eq!(unanswered(&trace), ["n3"]);
}

#[test]
fn a_hit_in_hand_at_the_deadline_is_told() {
    let bounds = Bounds {
        deadline_ms: 15,
        ..BOUNDS
    };
    let mut world = SearchGraph::of(3)
        .file(1, 1, Replica)
        .temper(2, Temper::Silent);
    world.link(0, 1);
    world.link(0, 2);
    let trace = check_with(
        &world,
        exact(None),
        bounds,
        ("found", true, &[(1, 1)], 2, 1),
    );
    assert_eq!(trace.ended, START + 15);
}

#[test]
fn the_horizon_is_told_only_where_there_is_more_behind_it() {
    let world = SearchGraph::line(4).file(3, 1, Replica);
    let at = |hops| Bounds { hops, ..BOUNDS };
    check_with(&world, exact(None), at(0), ("horizon", false, &[], 0, 0));
    check_with(&world, exact(None), at(2), ("horizon", false, &[], 2, 2));
    check_with(&world, exact(None), at(3), ("found", true, &[(3, 3)], 3, 3));
    check_with(
        &SearchGraph::line(4),
        exact(None),
        at(3),
        ("not_found", true, &[], 3, 3),
    );
}

#[test]
fn the_budget_bounds_the_nodes_asked() {
    let mut world = SearchGraph::of(6);
    (1..6).for_each(|node| world.link(0, node));
    let with = |budget| Bounds { budget, ..BOUNDS };
    check_with(&world, exact(None), with(0), ("budget", false, &[], 0, 0));
    check_with(&world, exact(None), with(3), ("budget", false, &[], 3, 1));
    check_with(&world, exact(None), with(5), ("not_found", true, &[], 5, 1));
}

#[test]
fn a_hit_among_those_the_budget_let_ask_is_exact_all_the_same() {
    let mut world = SearchGraph::of(6).file(1, 1, Replica);
    (1..6).for_each(|node| world.link(0, node));
    let bounds = Bounds {
        budget: 2,
        ..BOUNDS
    };
    check_with(
        &world,
        exact(None),
        bounds,
        ("found", true, &[(1, 1)], 2, 1),
    );
}

/// Node 1 names 500 neighbours that never answer; behind node 2, node 3 has the file or not.
fn with_made_up_neighbours() -> SearchGraph {
    let mut world = SearchGraph::of(504);
    world.link(0, 1);
    world.link(0, 2);
    world.link(2, 3);
    for made_up in 4..504 {
        world.link(1, made_up);
        world.nodes[made_up].temper = Temper::Silent;
    }
    world
}

#[test]
fn made_up_neighbours_of_one_node_neither_hide_a_file_nor_make_a_miss_long() {
    let world = with_made_up_neighbours().file(3, 1, Replica);
    let trace = world.run(exact(None), BOUNDS, false);
    let hits: Vec<_> = trace.report.hits.iter().map(|hit| hit.peer.id).collect();
    assert_eq!(hits, [id(3)]);
    // The first that it names fail together; then come those that others name, and the rest of the level has its time.
    let longest = BOUNDS.probe_deadline_ms + BOUNDS.settle_ms + 10;
    assert!(trace.ended - START <= longest, "{}", trace.ended - START);

    let missed = with_made_up_neighbours().run(exact(None), BOUNDS, false);
    assert_eq!(missed.report.outcome, SearchOutcome::Partial);
    assert_eq!(missed.report.unanswered.len(), 500);
    assert!(missed.report.probes <= 3 + SEARCH_FAILED_NEIGHBOURS_MAX + BOUNDS.fanout);
    assert!(missed.ended - START <= 4 * BOUNDS.probe_deadline_ms);
}

#[test]
fn the_neighbours_of_a_node_are_all_asked_if_more_answer_than_fail() {
    let mut world = with_made_up_neighbours().file(503, 1, Replica);
    for node in (4..504).filter(|node| node % 2 == 0 || *node == 503) {
        world.nodes[node].temper = Temper::Honest(1);
    }
    let trace = world.run(exact(None), BOUNDS, false);
    assert_eq!(trace.report.hits.len(), 1, "{:?}", trace.report.outcome);
    world.nodes[503].files.clear();
    let missed = world.run(exact(None), BOUNDS, false);
    assert_eq!(missed.report.probes, 503);
}

#[test]
fn one_address_is_not_asked_for_every_node_that_is_said_to_be_there() {
    let question = exact(None);
    let mut search = Search::new(question.clone(), peer(0), Answer::default(), BOUNDS, 0);
    assert!(search.poll(0).is_empty() && search.report().is_some());
    let at_one_address = (1..100).map(|node| Peer {
        address: peer(1).address,
        ..peer(node)
    });
    let local = Answer {
        neighbours: at_one_address.collect(),
        ..Answer::default()
    };
    let mut search = Search::new(question, peer(0), local, BOUNDS, 0);
    let probes = search.poll(0);
    assert_eq!(probes.len(), SEARCH_PROBES_PER_ADDRESS_MAX as usize);
    for probe in probes {
        search.failed(probe.peer.id, 1);
    }
    let report = search.into_report().expect("nobody else is asked");
    assert_eq!(report.outcome, SearchOutcome::Partial);
    assert_eq!(report.unanswered.len(), 99);
}

/// The first node names the third with an address where nobody answers, the second with the right one.
#[test]
fn a_wrong_address_does_not_hide_a_node_that_another_one_names() {
    let names = |nodes: Vec<Peer>| Answer {
        neighbours: nodes,
        ..Answer::default()
    };
    let wrong = Peer {
        address: "nobody:1".into(),
        ..peer(3)
    };
    for knows_later in [false, true] {
        let local = names(vec![peer(1), peer(2)]);
        let mut search = Search::new(exact(None), peer(0), local, BOUNDS, 0);
        assert_eq!(search.poll(0).len(), 2);
        search.answered(id(1), names(vec![wrong.clone()]), 1);
        // Node 2 may be linked with it, or with a node that is.
        let second = if knows_later { peer(4) } else { peer(3) };
        search.answered(id(2), names(vec![second]), 2);
        let mut asked_at = Vec::new();
        while search.report().is_none() {
            let probes = search.poll(3);
            assert!(!probes.is_empty(), "{asked_at:?}");
            for probe in probes {
                let (id, address) = (probe.peer.id, &*probe.peer.address);
                asked_at.push(address.to_owned());
                match address {
                    "nobody:1" => search.failed(id, 4),
                    "host4:7400" => search.answered(id, names(vec![peer(3)]), 5),
                    _ => {
                        let hits = vec![hit(0, 1, Replica)];
                        let answer = Answer {
                            hits,
                            ..Answer::default()
                        };
                        search.answered(id, answer, 6);
                    }
                }
            }
        }
        let report = search.into_report().expect("it has ended");
        assert_eq!(report.outcome, SearchOutcome::Found, "{asked_at:?}");
        assert_eq!(report.hits[0].peer, peer(3));
        assert_eq!(report.path.last(), Some(&peer(3)));
        assert!(report.unanswered.is_empty());
        assert_eq!(asked_at.len(), 2 + usize::from(knows_later));
    }
}

#[test]
fn what_one_node_says_of_a_node_keeps_nobody_from_asking_it_as_another_one_says() {
    let mut world = with_made_up_neighbours().file(3, 1, Replica);
    // Named first among those that do not exist, and given up with them.
    world.nodes[1].links.push(3);
    world.nodes[2].temper = Temper::Honest(5);
    let trace = world.run(exact(None), BOUNDS, false);
    assert_eq!(trace.report.hits.len(), 1, "{:?}", trace.report.outcome);

    // Its address is said to be that of others.
    let others = (4..20).map(|node| Peer {
        address: peer(3).address,
        ..peer(node)
    });
    let names = |nodes: Vec<Peer>| Answer {
        neighbours: nodes,
        ..Answer::default()
    };
    let local = names(vec![peer(1), peer(2)]);
    let mut search = Search::new(exact(None), peer(0), local, BOUNDS, 0);
    assert_eq!(search.poll(0).len(), 2);
    search.answered(id(1), names(others.collect()), 1);
    search.answered(id(2), names(vec![peer(3)]), 1);
    let probes = search.poll(1);
    assert_eq!(probes.len(), 1 + SEARCH_PROBES_PER_ADDRESS_MAX as usize);
    assert!(probes.iter().any(|probe| probe.peer == peer(3)));
}

#[test]
fn whoever_names_most_nodes_has_the_fewest_of_them_asked_within_the_budget() {
    let mut world = with_made_up_neighbours().file(3, 1, Replica);
    world.nodes[3].temper = Temper::Honest(20);
    let bounds = Bounds {
        budget: 10,
        ..BOUNDS
    };
    let trace = world.run(exact(None), bounds, false);
    assert_eq!(trace.report.hits.len(), 1, "{:?}", trace.report.outcome);
    assert!(trace.report.probes <= 10);
}

#[test]
fn a_lie_that_shows_counts_as_no_answer_but_its_neighbours_are_asked() {
    for lie in [
        Lie::WrongKey,
        Lie::Deleted,
        Lie::BelowFloor,
        Lie::Twice,
        Lie::TooManyLinks,
        Lie::LongAddress,
    ] {
        let world = SearchGraph::line(3).temper(1, Temper::Lying(lie));
        let trace = check(&world, ("partial", false, &[], 2, 2));
        assert_eq!(unanswered(&trace), ["n1"], "{lie:?}");
        let world = world.file(2, 9, Replica);
        check(&world, ("found", false, &[(2, 2)], 2, 2));
    }
}

#[test]
fn probes_carry_the_floor_as_it_is_when_they_are_sent() {
    let world = SearchGraph::line(4).knows(0, 1).knows(2, 3);
    let mut search = Search::new(
        exact(None),
        peer(0),
        world.truth(0, &exact(None)),
        BOUNDS,
        START,
    );
    for (node, floor) in [(1, 1), (2, 1), (3, 3)] {
        let probes = search.poll(START);
        assert_eq!(probes.len(), 1);
        assert_eq!(probes[0].peer, peer(node));
        assert_eq!(probes[0].question, exact(Some(floor)));
        let answer = world.truth(node, &probes[0].question);
        search.answered(probes[0].peer.id, answer, START);
    }
    let report = search.into_report().expect("it has ended");
    assert_eq!(report.outcome, SearchOutcome::NotFound);
}

#[test]
fn an_answer_below_a_floor_it_was_not_told_is_void_but_no_lie() {
    // Both are asked concurrently; the one with the old copy answers after the other raised the floor.
    let mut world = SearchGraph::of(3)
        .file(1, 1, Cached)
        .temper(1, Temper::Honest(5))
        .knows(2, 2);
    world.link(0, 1);
    world.link(0, 2);
    check(&world, ("not_found", true, &[], 2, 1));
}

fn pattern(text: &str, limit: u32) -> Question {
    Question::Pattern {
        pattern: Pattern::parse(text).expect("it is a pattern"),
        limit,
    }
}

/// Files 1 and 2 at node 1, files 2 (newer) and 3 at node 2, file 1 (the same) at node 3.
fn library() -> SearchGraph {
    let mut world = SearchGraph::line(4);
    for (node, file, version) in [(1, 1, 1), (1, 2, 1), (2, 2, 2), (2, 3, 1), (3, 1, 1)] {
        world.nodes[node].files.insert(file, (version, Replica));
    }
    world
}

#[test]
fn a_pattern_gathers_the_newest_and_nearest_of_each_key() {
    let expected = ("found", true, &[(1, 1), (2, 2), (2, 2)][..], 3, 3);
    let trace = check_with(&library(), pattern("ada/*", 10), BOUNDS, expected);
    let keys: Vec<_> = trace
        .report
        .hits
        .iter()
        .map(|found| &found.hit.record.key)
        .collect();
    assert_eq!(keys, [&key(1), &key(2), &key(3)]);
    assert_eq!(path(&trace), [""; 0]);
}

#[test]
fn a_pattern_stops_at_its_limit_and_is_then_not_exact() {
    check_with(
        &library(),
        pattern("ada/*", 1),
        BOUNDS,
        ("found", false, &[(1, 1)], 1, 1),
    );
    // The first node has two and no more; only the others can say whether there is a third.
    let expected = ("found", false, &[(1, 1), (2, 2)][..], 2, 2);
    let trace = check_with(&library(), pattern("ada/*", 2), BOUNDS, expected);
    assert!(trace.report.truncated);
}

#[test]
fn a_pattern_whose_limit_is_just_reached_is_not_truncated() {
    let expected = ("found", true, &[(1, 1), (2, 2), (2, 2)][..], 3, 3);
    let trace = check_with(&library(), pattern("ada/*", 3), BOUNDS, expected);
    assert!(!trace.report.truncated);
}

#[test]
fn a_node_that_does_not_say_that_its_hits_are_all_may_have_more() {
    let question = pattern("ada/*", 2);
    let answer = |hits_are_all| {
        let hits = library().truth(1, &question).hits;
        let local = Answer {
            hits,
            hits_are_all,
            ..Answer::default()
        };
        let search = Search::new(question.clone(), peer(0), local, BOUNDS, 0);
        search.into_report().map(|report| report.truncated)
    };
    assert_eq!(answer(true), Some(false));
    assert_eq!(answer(false), Some(true));
}

#[test]
fn a_pattern_tells_what_kept_it_from_knowing_beside_its_hits() {
    let world = library().temper(2, Temper::Dead(1));
    let hits = &[(1, 1), (1, 1)][..];
    check_with(
        &world,
        pattern("ada/*", 10),
        BOUNDS,
        ("partial", false, hits, 2, 2),
    );
    let bounds = Bounds { hops: 1, ..BOUNDS };
    check_with(
        &library(),
        pattern("ada/*", 10),
        bounds,
        ("horizon", false, hits, 1, 1),
    );
    let bounds = Bounds {
        budget: 1,
        ..BOUNDS
    };
    check_with(
        &library(),
        pattern("ada/*", 10),
        bounds,
        ("budget", false, hits, 1, 1),
    );
}

#[test]
fn a_pattern_that_nothing_matches_is_not_found() {
    check_with(
        &library(),
        pattern("bob/*", 10),
        BOUNDS,
        ("not_found", true, &[], 3, 3),
    );
}

#[test]
fn of_replicas_that_were_overtaken_the_highest_are_told_of_nearest_first() {
    let world = SearchGraph::line(5)
        .file(1, 1, Replica)
        .knows(1, 4)
        .file(2, 2, Replica)
        .knows(2, 3)
        .file(3, 2, Replica)
        .knows(3, 4)
        .file(4, 2, Cached)
        .knows(4, 4);
    let trace = check(&world, ("not_found", true, &[], 4, 4));
    let report = &trace.report;
    assert_eq!(report.floor, Some(Heard::alive(version(4))));
    let overtaken: Vec<_> = report
        .overtaken
        .iter()
        .map(|found| (&*found.peer.name, found.hit.record.version, found.hops))
        .collect();
    assert_eq!(overtaken, [("n2", version(2), 2), ("n3", version(2), 3)]);
}

#[test]
fn a_replica_that_was_overtaken_ends_no_search() {
    let world = SearchGraph::line(3)
        .file(1, 1, Replica)
        .knows(1, 2)
        .file(2, 2, Cached);
    check(&world, ("found", true, &[(2, 2)], 2, 2));
}

#[test]
fn a_replica_below_what_only_the_asker_has_heard_of_is_told_of() {
    let world = SearchGraph::line(3).file(2, 1, Replica);
    let trace = world.run(exact(Some(2)), BOUNDS, false);
    let report = &trace.report;
    assert_eq!(
        (report.outcome, report.hits.len()),
        (SearchOutcome::NotFound, 0)
    );
    // Its node serves it, unlike one that knows of a greater version itself.
    assert_eq!((report.below.len(), report.overtaken.len()), (1, 0));
}

#[test]
fn a_hit_below_what_another_node_has_heard_of_is_told_of_and_a_deletion_counts_only_where_it_is_held()
 {
    let world = SearchGraph::line(4).file(1, 1, Replica).knows(2, 2);
    let report = world.run(exact(Some(2)), BOUNDS, false).report;
    assert_eq!((report.hits.len(), report.below.len()), (0, 1));
    assert_eq!(report.held, None);
    assert_eq!(report.floor, Some(Heard::alive(version(2))));
}
