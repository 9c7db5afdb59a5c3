//! Replicas that change nodes: re-replication, degraded writes, moves, draining, and two nodes that act at the
//! same time.

use std::collections::BTreeSet;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::policy::RelocationVerdict;
use dataverse_core::record::Record;

use super::judging::install_relocation;
use super::world::{Cluster, key};
use crate::driver::fake_policies::{Act, FakePolicies};
use crate::driver::{Consistency, DrainError};

const FOUR: [&str; 4] = ["A", "B", "C", "D"];

/// The nodes that hold a replica of a file.
fn holders(world: &Cluster, name: &str) -> BTreeSet<&'static str> {
    let holds = |node: &&str| replica_at(world, node, name).is_some();
    world.names().filter(holds).collect()
}

fn replica_at(world: &Cluster, node: &str, name: &str) -> Option<std::sync::Arc<Record>> {
    let node = world.node(node).state.node();
    let holding = node.holding(&key(name))?;
    (holding.role == Role::Replica).then(|| std::sync::Arc::clone(&holding.record))
}

/// Whether the replicas are exactly where the layout says, and every holder knows the same layout.
fn is_settled(world: &Cluster, name: &str, copies: usize) -> bool {
    let replicas = world
        .names()
        .filter_map(|node| Some((node, replica_at(world, node, name)?)));
    let replicas: Vec<_> = replicas.collect();
    let same = replicas.windows(2).all(|pair| pair[0].1 == pair[1].1);
    let named = |(node, record): &(&str, std::sync::Arc<Record>)| {
        record.layout.names(world.node(node).id())
    };
    replicas.len() == copies
        && same
        && replicas.iter().all(named)
        && replicas[0].1.layout.holders.len() == copies
}

async fn settles(world: &Cluster, name: &str, copies: usize) {
    let what = format!("{name} has {copies} replicas that know of each other");
    world
        .eventually(&what, async || is_settled(world, name, copies))
        .await;
}

fn lowest_of(holders: &BTreeSet<&'static str>, but: &str) -> &'static str {
    let other = holders.iter().find(|node| **node != but);
    other.expect("there is another holder")
}

#[tokio::test(start_paused = true)]
async fn the_replica_of_a_node_that_is_gone_is_made_anew_elsewhere() {
    let world = Cluster::line(&FOUR).await;
    // A ring, so that the others reach each other without it.
    world.link("D", "A").await.expect("they link");
    world
        .write("A", "ada/x", "content", 2)
        .await
        .expect("it is stored");
    let before = holders(&world, "ada/x");
    let gone = lowest_of(&before, "A");
    world.isolate(gone);
    world
        .eventually("another node holds it", async || {
            let now = holders(&world, "ada/x");
            now.iter().filter(|node| **node != gone).count() == 2
        })
        .await;
    // When it is back, it learns of the greater layout and releases its copy.
    world.rejoin(gone);
    settles(&world, "ada/x", 2).await;
    assert!(
        !holders(&world, "ada/x").contains(gone),
        "it gave up its copy"
    );
    for at in FOUR {
        let read = world.read(at, "ada/x", Consistency::Usual).await;
        assert_eq!(read.expect("it is found").0, "content");
    }
}

#[tokio::test(start_paused = true)]
async fn a_brief_outage_moves_nothing() {
    let world = Cluster::line(&FOUR).await;
    world
        .write("A", "ada/x", "content", 2)
        .await
        .expect("it is stored");
    let before = holders(&world, "ada/x");
    let away = lowest_of(&before, "A");
    world.isolate(away);
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.rejoin(away);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(holders(&world, "ada/x"), before);
    let record = replica_at(&world, away, "ada/x").expect("it is held");
    assert_eq!(record.layout.counter, 0);
}

#[tokio::test(start_paused = true)]
async fn a_degraded_write_is_completed_when_a_node_appears() {
    let world = Cluster::of(&["A", "B"]).await;
    let written = world.write("A", "ada/x", "content", 2).await;
    assert_eq!(written.expect("it is stored").replicas, ["A"]);
    world.link("A", "B").await.expect("they link");
    settles(&world, "ada/x", 2).await;
}

#[tokio::test(start_paused = true)]
async fn two_halves_that_repair_the_same_file_end_with_one_layout() {
    let world = Cluster::line(&FOUR).await;
    // On B and C, so that either half has a holder and a node to spare.
    let mut name = String::new();
    for tried in 0..200 {
        name = format!("ada/{tried}");
        world
            .write("B", &name, "content", 2)
            .await
            .expect("it is stored");
        if holders(&world, &name) == BTreeSet::from(["B", "C"]) {
            break;
        }
    }
    assert_eq!(holders(&world, &name), BTreeSet::from(["B", "C"]));
    let halves = [("A", "C"), ("A", "D"), ("B", "C"), ("B", "D")];
    for (a, b) in halves {
        world.cut(a, b);
    }
    world
        .eventually("both halves have re-replicated it", async || {
            holders(&world, &name).len() == 4
        })
        .await;
    for (a, b) in halves {
        world.heal(a, b);
    }
    settles(&world, &name, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_kept_while_a_holder_of_the_greater_layout_can_not_be_asked() {
    let world = Cluster::line(&FOUR).await;
    world
        .write("A", "ada/x", "content", 2)
        .await
        .expect("it is stored");
    let before = holders(&world, "ada/x");
    let first = before.first().copied().expect("it is held");
    let record = replica_at(&world, first, "ada/x").expect("it is held");
    let others: Vec<_> = FOUR
        .into_iter()
        .filter(|node| !before.contains(node))
        .collect();
    // An unconfirmed layout names two nodes that have no copy; neither can be asked.
    let node = world.node(first);
    let ids = others.iter().map(|other| world.node(other).id()).collect();
    let unconfirmed = node.laid_anew(&record, ids).await.expect("it has a clock");
    for other in &others {
        world.silence(other);
    }
    node.learn(&unconfirmed, 0, None).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(holders(&world, "ada/x").contains(first), "it was released");
    // Once they answer they are offered the content, and only then is the replica released.
    for other in &others {
        world.wake(other);
    }
    world
        .eventually("the new holders have it", async || {
            others
                .iter()
                .all(|other| holders(&world, "ada/x").contains(other))
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn relocation_moves_the_replica_to_the_reader() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "content").await;
    let to_the_reader = Act::Relocate(RelocationVerdict {
        copy_to: Vec::new(),
        move_to: Some(0),
    });
    install_relocation(&world, "A", &FakePolicies::deciding([to_the_reader])).await;
    world
        .read("A", &name, Consistency::Usual)
        .await
        .expect("it is found");
    world
        .eventually("the replica is at A and only there", async || {
            holders(&world, &name) == BTreeSet::from(["A"])
        })
        .await;
    assert!(is_settled(&world, &name, 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_drained_hands_everything_on_and_gets_nothing_new() {
    let world = Cluster::line(&FOUR).await;
    let names: Vec<String> = (0..20).map(|number| format!("ada/{number}")).collect();
    for name in &names {
        world.write("A", name, name, 2).await.expect("it is stored");
    }
    assert!(names.iter().any(|name| holders(&world, name).contains("C")));
    let begun = world
        .node("C")
        .drain()
        .await
        .expect("the others have space");
    assert!(begun.draining);
    world
        .eventually("C is empty", async || {
            world.node("C").drain_status().drained
        })
        .await;
    for name in &names {
        settles(&world, name, 2).await;
        assert!(!holders(&world, name).contains("C"));
    }
    for number in 0..20 {
        let written = world.write("C", &format!("bea/{number}"), "later", 2).await;
        let replicas = written.expect("it is stored").replicas;
        assert!(!replicas.contains(&"C".to_owned()), "{replicas:?}");
    }
    let ended = world.node("C").undrain().await.expect("it is saved");
    assert!(!ended.draining);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_not_drained_when_a_file_would_lose_a_copy() {
    let world = Cluster::line(&["A", "B"]).await;
    world
        .write("A", "ada/x", "content", 2)
        .await
        .expect("it is stored");
    let refused = world.node("A").drain().await;
    let Err(DrainError::Refused(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.contains("ada/x") && reason.contains("fewer copies"),
        "{reason}"
    );
    assert!(!world.node("A").drain_status().draining);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_not_drained_when_the_others_have_no_room_and_it_says_how_much_is_missing() {
    let mut world = Cluster::of(&["A"]).await;
    world.start_with_room("S", 1 << 20).await;
    world.link("A", "S").await.expect("they link");
    world
        .eventually("A knows the capacity of S", async || {
            world
                .node("A")
                .nodes()
                .iter()
                .any(|node| node.capacity == 1 << 20)
        })
        .await;
    let large = "x".repeat(2 << 20);
    let written = world.write("A", "ada/large", &large, 1).await;
    assert_eq!(written.expect("it is stored").replicas, ["A"]);
    let refused = world.node("A").drain().await;
    let Err(DrainError::Refused(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("are missing"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_node_with_nothing_but_a_deletion_is_drained_though_no_third_node_is_there() {
    let world = Cluster::line(&["A", "B"]).await;
    world
        .write("A", "ada/x", "content", 2)
        .await
        .expect("it is stored");
    world
        .node("A")
        .delete(&key("ada/x"))
        .await
        .expect("it is deleted");
    world.node("B").drain().await.expect("nothing has to move");
    world
        .eventually("B is empty", async || {
            world.node("B").drain_status().drained
        })
        .await;
    let read = world.read("B", "ada/x", Consistency::Usual).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_takes_nothing_from_one_that_has_not_heard_of_it() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("A", "content").await;
    let drained = world.node("B").drain().await.expect("it is empty");
    assert!(!drained.drained, "others may not have heard of it");
    // Immediately, before gossip has told A.
    for number in 0..20 {
        let written = world.write("A", &format!("bea/{number}"), "x", 2).await;
        assert_eq!(written.expect("it is stored").replicas, ["A"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_finds_no_room_again_is_moved_by_another_holder() {
    const SIZE: usize = 64 << 10;
    let mut world = Cluster::of(&["A", "C"]).await;
    world.start_with_room("B", 4 << 20).await;
    world.link("A", "B").await.expect("they link");
    world.link("A", "C").await.expect("they link");
    let name = world.write_on(&["A", "B"], &"x".repeat(SIZE)).await;
    // B loses its copy while it can't reach A, and its space is used up.
    world.isolate("B");
    world.rot("B", &name);
    let begun = world.node("B").begin_scrub().await;
    assert!(begun.expect("memory does not fail"), "none is under way");
    world
        .eventually("B misses it", async || {
            world.node("B").state.backlog.missing_counts().waiting == 1
        })
        .await;
    for other in 0.. {
        if world.node("B").store.usage().free_for_replicas() < SIZE as u64 {
            break;
        }
        let (name, content) = (format!("eva/{other}"), "y".repeat(SIZE / 2));
        let written = world.write("B", &name, &content, 1).await;
        assert_eq!(written.expect("it is stored").replicas, ["B"]);
    }
    world.rejoin("B");
    world
        .eventually("A and C have it", async || {
            let on = |at: &str| {
                let node = world.node(at).state.node();
                let held = node.holding(&key(&name))?;
                let mut holders: Vec<_> = held.record.layout.holders.clone();
                holders.sort_unstable();
                (held.role == Role::Replica).then_some(holders)
            };
            let mut named = [world.node("A").id(), world.node("C").id()];
            named.sort_unstable();
            on("A") == Some(named.to_vec()) && on("C") == Some(named.to_vec())
        })
        .await;
    world
        .eventually("B no longer misses it", async || {
            let missing = world.node("B").state.backlog.missing_counts();
            missing.healing + missing.waiting + missing.lost == 0
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_can_not_send_a_replica_itself_is_drained_by_the_other_holder() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["A", "B"], "content").await;
    // A node that B can't reach is as good as a copy that B can't read.
    world.cut("B", "C");
    world.link("A", "C").await.expect("they link");
    world.node("B").drain().await.expect("C has space");
    world
        .eventually("C has it, from A", async || {
            replica_at(&world, "C", &name).is_some()
        })
        .await;
    // B releases its copy when C itself has confirmed.
    assert!(replica_at(&world, "B", &name).is_some());
    world.heal("B", "C");
    world
        .eventually("B is empty", async || {
            world.node("B").drain_status().drained
        })
        .await;
}
