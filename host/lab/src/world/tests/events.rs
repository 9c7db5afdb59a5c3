//! Nodes and links that come and go, and the effect on the files.

use super::*;

/// Two replicas per file on eight nodes that are all linked; a node fails half-way.
fn eight(repair_after: &str, more: &str) -> String {
    format!(
        "
requests = 4000
[topology]
kind = 'complete'
nodes = 8
[workload]
files = 100
size = 1000
[nodes]
cache = 0
repair_after = {repair_after}
[[event]]
at = '50%'
kind = 'fail'
node = 'n2'
{more}"
    )
}

fn fail(at: &str, node: &str) -> String {
    format!("[[event]]\nat = {at}\nkind = 'fail'\nnode = '{node}'\n")
}

#[test]
fn what_has_failed_is_repaired_after_a_while() {
    let repaired = ran(&eight("1", ""), 1).numbers;
    assert_eq!(
        (repaired["files_lost"], repaired["files_degraded"]),
        (0.0, 0.0)
    );
    assert!(repaired["repaired_bytes"] > 0.0);
    assert_eq!(repaired["unavailable_ratio"], 0.0);
    let left = ran(&eight("999", ""), 1).numbers;
    assert_eq!((left["files_lost"], left["repaired_bytes"]), (0.0, 0.0));
    // Each of the files that the node held has one replica less: about 2 in 8.
    assert!(
        (10.0..45.0).contains(&left["files_degraded"]),
        "{}",
        left["files_degraded"]
    );
    let share = repaired["repaired_bytes"] / 1000.0;
    assert_eq!(share, left["files_degraded"]);
}

#[test]
fn two_failures_at_once_lose_files_and_repair_between_them_does_not() {
    let at_once = ran(&eight("1", &fail("'50%'", "n5")), 1).numbers;
    assert!(at_once["files_lost"] > 0.0);
    assert!(at_once["unavailable_ratio"] > 0.0);
    let later = ran(&eight("1", &fail("'90%'", "n5")), 1).numbers;
    assert_eq!(
        (later["files_lost"], later["unavailable_ratio"]),
        (0.0, 0.0)
    );
}

/// A few files at a time, each as long as its transfer lasts: over slow links, the next failure comes too early.
#[test]
fn repair_takes_as_long_as_what_it_sends() {
    let over = |bandwidth_mbit: u32| {
        let text = eight("1", &fail("'90%'", "n5"))
            .replace(
                "nodes = 8",
                &format!("nodes = 8\nbandwidth_mbit = {bandwidth_mbit}"),
            )
            .replace("files = 100\nsize = 1000", "files = 1000\nsize = 1000000");
        ran(&text, 1).numbers
    };
    let (slow, fast) = (over(1), over(1000));
    assert_eq!(fast["files_lost"], 0.0);
    assert!(slow["files_lost"] > 0.0);
    assert!(slow["repaired_bytes"] < fast["repaired_bytes"]);
}

/// The writes of a network with too few nodes get their missing copies when one joins.
#[test]
fn a_newcomer_completes_what_was_degraded() {
    let text = "
requests = 1000
[topology]
kind = 'complete'
nodes = 1
[workload]
files = 50
size = 1000
[nodes]
cache = 0
[[event]]
at = '50%'
kind = 'join'
node = 'new'
links = ['n0']
";
    let completed = ran(text, 1).numbers;
    assert_eq!(completed["replicas_per_file"], 2.0, "{completed:?}");
}

#[test]
fn who_returns_brings_back_what_it_held() {
    let back = |node: &str| format!("[[event]]\nat = '75%'\nkind = 'return'\nnode = '{node}'\n");
    let text = eight(
        "999",
        &format!("{}{}{}", fail("'50%'", "n5"), back("n2"), back("n5")),
    );
    let measures = ran(&text, 1);
    assert!(measures.numbers["unavailable_ratio"] > 0.0);
    assert_eq!(measures.numbers["files_lost"], 0.0);
    assert_eq!(measures.numbers["files_degraded"], 0.0);
    let missed = &measures.series["unavailable_over_time"].points;
    let between = |from: usize, to: usize| missed[from..to].iter().map(|it| it.1).sum::<f64>();
    assert_eq!((between(0, 24), between(39, 50)), (0.0, 0.0));
    assert!(between(26, 36) > 0.0);
}

#[test]
fn who_leaves_hands_over_what_it_holds() {
    let text = eight("999", "").replace("'fail'", "'leave'");
    let measures = ran(&text, 1).numbers;
    assert_eq!(
        (measures["files_lost"], measures["files_degraded"]),
        (0.0, 0.0)
    );
    assert!(measures["repaired_bytes"] > 0.0);
    assert_eq!(measures["unavailable_ratio"], 0.0);
}

/// A node that is drained over slow links holds replicas for longer.
#[test]
fn draining_takes_as_long_as_what_it_sends() {
    let left = |bandwidth_mbit: u32| {
        let text = eight("999", "")
            .replace("'fail'", "'leave'")
            .replace(
                "nodes = 8",
                &format!("nodes = 8\nbandwidth_mbit = {bandwidth_mbit}"),
            )
            .replace("files = 100\nsize = 1000", "files = 100\nsize = 1000000");
        let nodes = ran(&text, 1).network.nodes;
        nodes[2].replica_bytes
    };
    assert_eq!(left(1000), 0);
    assert!(left(1) > 0);
}

#[test]
fn a_newcomer_takes_its_share_of_new_files() {
    let text = eight("999", "")
        .replace(
            "kind = 'fail'\nnode = 'n2'",
            "kind = 'join'\nnode = 'new'\nlinks = ['n0', 'n4']",
        )
        .replace("size = 1000", "size = 1000\nwrites = 0.5");
    let measures = ran(&text, 1);
    let newcomer = measures.network.nodes.last().expect("there are nodes");
    assert_eq!(newcomer.name, "new");
    assert!(newcomer.replica_bytes > 5_000, "{newcomer:?}");
    assert!(newcomer.served > 0);
}

#[test]
fn a_cut_network_serves_what_each_part_has() {
    let cut = |at: &str, kind: &str| {
        format!("[[event]]\nat = {at}\nkind = '{kind}'\nlink = ['n1', 'n2']\n")
    };
    let text = |more: &str| {
        "requests = 6000
[topology]
kind = 'line'
nodes = 4
[workload]
files = 50
size = 1000
writes = 0.1
[nodes]
cache = '100%'
factor = 1
revalidate_after = 0
"
        .to_owned()
            + more
    };
    let torn = ran(&text(&cut("'50%'", "cut")), 2).numbers;
    assert!(torn["unavailable_ratio"] > 0.0);
    // Copies whose replica is beyond the cut are still served, and some are outdated.
    assert!(torn["outdated_ratio"] > 0.0);
    let text = text(&format!("{}{}", cut("'50%'", "cut"), cut("'51%'", "link")));
    let mended = ran(&text, 2);
    assert!(mended.numbers["outdated_ratio"] < torn["outdated_ratio"]);
    let missed = &mended.series["unavailable_over_time"].points;
    assert!(missed[27..].iter().all(|it| it.1 == 0.0), "{missed:?}");
}

#[test]
fn no_link_can_be_cut_that_there_is_not() {
    let cut = "[[event]]\nat = 1\nkind = 'cut'\nlink = ['n0', 'n4']\n";
    let text = eight("1", cut).replace("complete", "ring");
    let Err(RunError::Wrong(wrong)) = run(&scenario(&text), 1, &|_| true) else {
        panic!("a ring has no such link");
    };
    assert_eq!(wrong.key, "event.1.link");
}

#[test]
fn events_say_what_they_need() {
    let resolve = |text: &str| {
        let spec: EventSpec = toml::from_str(text).expect("it can be read");
        Event::resolve(7, &spec, &mut |kind, policy, _| match policy {
            BASELINE => Ok(baseline(kind)),
            _ => Err(format!("there is no {policy}")),
        })
    };
    for (text, key, reason) in [
        ("at = 1\nkind = 'fail'", "event.7.kind", "needs `node`"),
        (
            "at = 1\nkind = 'fail'\nnode = 'a'\nlinks = []",
            "event.7.links",
            "has no `links`",
        ),
        (
            "at = 1\nkind = 'cut'\nnode = 'a'",
            "event.7.node",
            "has no `node`",
        ),
        ("at = 1\nkind = 'swap'", "event.7.kind", "needs `placement`"),
        (
            "at = 1\nkind = 'swap'\neviction = 'x'",
            "event.7.eviction",
            "there is no x",
        ),
        (
            "at = 1\nkind = 'fail'\nnode = 'a'\neviction = 'x'",
            "event.7.eviction",
            "has no `eviction`",
        ),
    ] {
        let wrong = resolve(text).expect_err(text);
        assert_eq!(wrong.key, key, "{text}");
        assert!(wrong.reason.contains(reason), "{wrong}");
    }
    let swap = resolve("at = 1\nkind = 'swap'\nrelocation = { policy = 'baseline' }");
    assert!(matches!(swap.expect("it is complete").what, What::Swap(chosen) if chosen.len() == 1));
}

#[test]
fn what_is_due_after_the_end_is_told_as_missed() {
    let missed = |more: &str| ran(&eight("1", more), 1).numbers["events_missed"];
    assert_eq!(missed(""), 0.0);
    let late = format!("{}{}", fail("99999", "n5"), fail("'100%'", "n6"));
    assert_eq!(missed(&late), 2.0);
}
