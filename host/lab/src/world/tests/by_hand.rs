//! Networks that are small enough to be computed on paper.

use super::*;

/// Four nodes A, B, C, D in a line, with 5 ms and 8 Mbit/s (1 byte per microsecond) between neighbours; files of
/// 1000 bytes with a single replica each, placed at the node that writes them, which is D.
const LINE: &str = "
requests = 1
[topology]
kind = 'demo'
latency_ms = 5
bandwidth_mbit = 8
[workload]
files = 1
size = 1000
[nodes]
factor = 1
placement_radius = 0
cache = 10000
";

fn request(node: u32, file: u32, op: Op, at_ms: u64) -> Request {
    Request {
        at_us: at_ms * 1_000,
        node,
        file,
        size: 1_000,
        op,
    }
}

/// Carries out these requests (time in ms, node, operation) on a line without files, after `setup` wrote file 0 at
/// D.
fn line(nodes: &str, requests: &[(u64, u32, Op)]) -> Measures {
    let scenario = scenario(&LINE.replace("cache = 10000", nodes));
    let mut run = Run::begin(&scenario, 1, &|_| true).expect("it can begin");
    // A separate file, whose writer is known.
    run.carry_out(request(3, 1, Op::Write, 0))
        .expect("D has room");
    run.world.tally.begin();
    for &(at_ms, node, op) in requests {
        run.carry_out(request(node, 1, op, at_ms))
            .expect("no step fails");
    }
    run.world.finish()
}

fn check(measures: &Measures, expected: &[(&str, f64)]) {
    for (name, number) in expected {
        let found = measures.numbers.get(*name);
        let is_right = found.is_some_and(|found| (found - number).abs() < 1e-9);
        assert!(
            is_right,
            "{name} is {found:?} and not {number}: {:#?}",
            measures.numbers
        );
    }
}

#[test]
fn a_read_over_three_links() {
    let measures = line("cache = 10000", &[(10, 0, Op::Read)]);
    check(
        &measures,
        &[
            ("reads", 1.0),
            ("hit_ratio", 0.0),
            ("compulsory_ratio", 1.0),
            ("hops_mean", 3.0),
            ("probes_per_search", 3.0),
            // B, C and D in turn: 10 + 20 + 30 ms.
            ("search_ms_mean", 60.0),
            // 15 ms for the question to D, 15 ms for the way back, 1000 bytes at one per microsecond.
            ("latency_ms_mean", 60.0 + 15.0 + 15.0 + 1.0),
            ("stretch", 1.0),
            ("link_bytes", 3_000.0),
            ("relocated_bytes", 0.0),
            ("copies_made", 1.0),
        ],
    );
    let carried: Vec<u64> = measures
        .network
        .links
        .iter()
        .map(|link| link.bytes)
        .collect();
    assert_eq!(carried, [1_000, 1_000, 1_000]);
    let served: Vec<u64> = measures
        .network
        .nodes
        .iter()
        .map(|node| node.served)
        .collect();
    assert_eq!(served, [0, 0, 0, 1]);
}

#[test]
fn the_reader_keeps_a_copy_and_the_next_finds_it() {
    let reads = [(10, 1, Op::Read), (20, 1, Op::Read), (30, 0, Op::Read)];
    let measures = line("cache = 10000", &reads);
    check(
        &measures,
        &[
            ("reads", 3.0),
            // B reads its own copy the second time; A finds it at B.
            ("hit_ratio", 1.0 / 3.0),
            ("compulsory_ratio", 2.0 / 3.0),
            ("hit_ratio_without_compulsory", 1.0),
            ("cached_ratio", 2.0 / 3.0),
            ("hops_mean", (2.0 + 0.0 + 1.0) / 3.0),
            ("hops_p50", 1.0),
            ("stretch", (2.0 + 0.0 + 1.0) / (2.0 + 2.0 + 3.0)),
            // B asks A and C, which are equally near, then D; A asks B.
            ("probes_per_search", (3.0 + 1.0) / 2.0),
            ("link_bytes", 2_000.0 + 1_000.0),
        ],
    );
}

#[test]
fn a_cached_copy_is_confirmed_when_it_is_old() {
    let reads = [
        (10, 2, Op::Read),
        (2_000, 2, Op::Read),
        (9_000, 2, Op::Read),
    ];
    let measures = line("cache = 10000", &reads);
    check(&measures, &[("hit_ratio", 2.0 / 3.0)]);
    // The first took a search of 10 ms, there and back, and 1 ms for the content; the second none; the third one
    // question to the replica at D.
    check(
        &measures,
        &[("latency_ms_mean", ((10.0 + 10.0 + 1.0) + 0.0 + 10.0) / 3.0)],
    );
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let measures = line("cache = 0", &[(10, 0, Op::Read), (20, 0, Op::Read)]);
    check(
        &measures,
        &[
            ("hit_ratio", 0.0),
            ("stretch", 1.0),
            ("copies_made", 0.0),
            ("compulsory_ratio", 0.5),
        ],
    );
}

#[test]
fn a_new_version_voids_the_copies_of_the_old() {
    let requests = [
        (10, 0, Op::Read),
        (20, 3, Op::Write),
        (30, 0, Op::Read),
        (40, 0, Op::Delete),
        (50, 0, Op::Read),
    ];
    let measures = line("cache = 10000", &requests);
    check(
        &measures,
        &[
            ("reads", 2.0),
            ("hit_ratio", 0.0),
            ("hops_mean", 3.0),
            ("outdated_ratio", 0.0),
            ("passed_over", 1.0),
            ("writes_refused_ratio", 0.0),
        ],
    );
}

#[test]
fn the_writer_keeps_a_copy_of_what_others_hold() {
    // The factor is 4: every node holds a replica, and none keeps a cached copy.
    let text = LINE
        .replace("factor = 1", "factor = 4")
        .replace("placement_radius = 0", "");
    let measures = ran(&text, 3);
    check(
        &measures,
        &[
            ("replicas_per_file", 4.0),
            ("hit_ratio", 1.0),
            ("stored_cv", 0.0),
        ],
    );
    assert!(!measures.numbers.contains_key("stretch"));
    assert!(!measures.numbers.contains_key("probes_per_search"));
}

#[test]
fn what_was_there_before_a_trace_began_crosses_no_link() {
    let folder = tempfile::tempdir().expect("the disk has space");
    std::fs::write(
        folder.path().join("it.csv"),
        "id,size\n1,500\n2,500\n3,500\n",
    )
    .expect("it can be written");
    // Every node holds a replica of all files, so no read crosses a link.
    let everywhere = LINE
        .replace(
            "files = 1\nsize = 1000",
            "trace = 'it.csv'\ncolumns = 'time='",
        )
        .replace("factor = 1\nplacement_radius = 0", "factor = 4")
        .replace("requests = 1", "requests = 3");
    let measures = ran_in(folder.path(), &everywhere, 1);
    check(
        &measures,
        &[("reads", 3.0), ("hit_ratio", 1.0), ("link_bytes", 0.0)],
    );
}

#[test]
fn capacities_are_dealt_to_the_nodes_in_turn() {
    // A and C have space for two files each but not for a third, B and D for none.
    let text = LINE
        .replace("files = 1", "files = 4")
        .replace("cache = 10000", "capacity = [2900, 900]");
    let measures = ran(&text, 1);
    let stored = measures.network.nodes.iter();
    let stored: Vec<u64> = stored.map(|node| node.replica_bytes).collect();
    assert_eq!(stored, [2_000, 0, 2_000, 0]);
}
