//! How the driver behaves when the network, a node or a clock fails.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::key::Key;
use dataverse_core::limits::CLOCK_AHEAD_MS_MAX;
use dataverse_core::record::Record;
use dataverse_overlay::transport::{CommitAnswer, CommitAsk, ServeExt};

use super::world::{Cluster, key};
use crate::driver::{Consistency, LinkError, Query, ReadError, SearchOptions, WriteError};
use crate::limits;

/// Longer than `read.revalidate_after`, for which a cached copy is served without asking.
const LATER: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn a_copy_that_no_replica_can_confirm_is_served_as_stale_or_not_at_all() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "first").await;
    let usual = Consistency::Usual;
    world.read("A", &name, usual).await.expect("it is found");
    world
        .eventually("A keeps a copy", async || {
            world.node("A").status().cached.files > 0
        })
        .await;
    world.cut("A", "B");
    tokio::time::sleep(LATER).await;
    let read = world.read("A", &name, usual).await;
    assert_eq!(read.expect("the copy is there"), ("first".to_owned(), true));
    let newest = world.read("A", &name, Consistency::Newest).await;
    assert!(
        matches!(newest, Err(ReadError::Unconfirmed { .. })),
        "{newest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_asked_of_every_replica_and_it_is_said_when_one_can_not_be_asked() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    world
        .write("A", "ada/x", "content", 3)
        .await
        .expect("it is stored");
    let newest = async || world.read("A", "ada/x", Consistency::Newest).await;
    let read = newest().await.expect("all can be asked");
    assert_eq!(read, ("content".to_owned(), false));
    world.cut("A", "C");
    let read = newest().await.expect("one can be asked");
    assert_eq!(read, ("content".to_owned(), true));
    world.cut("A", "B");
    let refused = newest().await;
    assert!(
        matches!(refused, Err(ReadError::Unconfirmed { .. })),
        "{refused:?}"
    );
    let usual = world.read("A", "ada/x", Consistency::Usual).await;
    assert_eq!(usual.expect("it is here"), ("content".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn an_overwrite_that_a_node_did_not_hear_of_is_found_when_its_copy_is_confirmed() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "first").await;
    let usual = Consistency::Usual;
    world.read("A", &name, usual).await.expect("it is found");
    world.cut("A", "B");
    world
        .write("B", &name, "second", 1)
        .await
        .expect("B keeps it");
    world.heal("A", "B");
    tokio::time::sleep(LATER).await;
    let read = world.read("A", &name, usual).await;
    assert_eq!(read.expect("B is asked"), ("second".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_network_is_refused_with_both_names() {
    let mut world = Cluster::of(&["A"]).await;
    world.start("S", "other").await;
    let refused = world.link("A", "S").await;
    let Err(LinkError::Refused(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.contains("`test`") && reason.contains("`other`"),
        "{reason}"
    );
    assert!(world.node("S").links().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_far_ahead_is_refused_and_one_that_is_back_goes_on() {
    let world = Cluster::of(&["A", "B"]).await;
    world.set_clock("B", CLOCK_AHEAD_MS_MAX as i64 * 2);
    world
        .write("B", "ada/x", "from the future", 1)
        .await
        .expect("B is alone");
    let refused = world.link("A", "B").await;
    let Err(LinkError::Refused(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("clock"), "{reason}");

    let first = world
        .write("A", "ada/y", "one", 1)
        .await
        .expect("it is stored");
    world.set_clock("A", -3_600_000);
    let second = world
        .write("A", "ada/y", "two", 1)
        .await
        .expect("it is stored");
    assert!(second.record.version > first.record.version);
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_costs_a_search_its_probe_deadline_and_is_named() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    world.silence("B");
    let key = "ada/none".parse().expect("it is a key");
    let began = tokio::time::Instant::now();
    let options = SearchOptions::default();
    let report = world.node("A").search(Query::Exact(key), options).await;
    let report = report.expect("nobody else searches");
    assert_eq!((report.outcome, report.exact), ("partial", false));
    assert_eq!(&*report.unanswered[0].name, "B");
    let settings = world.node("A").settings();
    assert!(began.elapsed() <= settings.search_probe_deadline * 2);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_before_the_commit_is_not_named_in_the_answer() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    world.kill("C");
    for at in 0..10 {
        let written = world.write("A", &format!("ada/{at}"), "content", 2).await;
        let written = written.expect("two nodes are left");
        assert!(!written.replicas.contains(&"C".to_owned()), "{written:?}");
        assert_eq!(written.replicas.len(), 2, "{written:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_above_a_version_that_the_node_did_not_know() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "first").await;
    world
        .read("A", &name, Consistency::Usual)
        .await
        .expect("it is found");
    // B writes with a clock that is ahead, and A does not hear of it.
    world.cut("A", "B");
    world.set_clock("B", 60_000);
    world
        .write("B", &name, "second", 1)
        .await
        .expect("B keeps it");
    world.heal("A", "B");
    let key = name.parse().expect("it is a key");
    world.node("A").delete(&key).await.expect("it is deleted");
    for at in ["A", "B"] {
        let read = world.read(at, &name, Consistency::Usual).await;
        assert!(
            matches!(read, Err(ReadError::NotFound { .. })),
            "{at}: {read:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_after_a_newer_version_was_announced_does_not_stay() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "first").await;
    let key = name.parse().expect("it is a key");
    let (a, b) = (world.node("A"), world.node("B"));
    let first = b.state.node().holding(&key).cloned().expect("B holds it");
    tokio::time::sleep(LATER).await;
    world
        .write("B", &name, "second", 1)
        .await
        .expect("it is stored");
    world
        .eventually("A hears of it", async || {
            let known = a.state.node().known(&key);
            known.map(|heard| heard.version) > Some(first.record.version)
        })
        .await;
    // A deletion between the two versions arrives late, or a second time.
    let mut late = Record::clone(&first.record);
    late.version.stamp.0 += 1;
    late.deleted = true;
    late.size = 0;
    late.digest = Digest::of(&[]);
    late.layout.holders = vec![a.id()];
    let ask = CommitAsk::Commit {
        preparation: None,
        record: Arc::new(late),
    };
    let answer = a.answer(b.message(ask)).await.expect("it is believed");
    assert_eq!(answer.body, CommitAnswer::Done);
    world
        .eventually_within(LATER, "A has found the newer version", async || {
            a.state.node().holding(&key).is_none()
        })
        .await;
    let read = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(read.expect("B has it").0, "second");
}

#[tokio::test(start_paused = true)]
async fn content_that_is_there_already_is_not_written_again_though_an_overwrite_was_not_heard_of() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("A", "first").await;
    world.cut("A", "B");
    world
        .write("B", &name, "second", 1)
        .await
        .expect("B keeps it");
    let again = world.write("A", &name, "first", 1).await;
    assert!(again.expect("A has it").unchanged);
    world.heal("A", "B");
    for at in ["A", "B"] {
        world
            .eventually("the overwrite stays", async || {
                let read = world.read(at, &name, Consistency::Usual).await;
                read.is_ok_and(|(content, _)| content == "second")
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_found_where_no_known_layout_has_it() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_only_at("A", "first").await;
    // No other node hears of the second version, which C keeps to itself.
    world.cut("B", "C");
    world.cut("A", "C");
    world
        .write("C", &name, "second", 1)
        .await
        .expect("C keeps it");
    // The searching node asks every node itself, so A reaches C although B can't.
    world.heal("A", "C");
    let known = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(known.expect("A has it").0, "first");
    let newest = world.read("A", &name, Consistency::Newest).await;
    assert_eq!(newest.expect("C is asked").0, "second");
}

/// Lets every node know of a version that a holder had confirmed and that none of them has any more, and returns it.
fn overtake(world: &Cluster, name: &str) -> Heard {
    let key = name.parse().expect("it is a key");
    let known = world.names().filter_map(|at| {
        let heard = world.node(at).state.node().known(&key)?;
        Some(heard.version)
    });
    let mut version = known.max().expect("somebody has heard of it");
    version.stamp.0 += 1;
    for at in world.names() {
        let mut node = world.node(at).state.node();
        node.confirm(&key, Heard::alive(version));
    }
    Heard::alive(version)
}

#[tokio::test(start_paused = true)]
async fn where_nobody_has_the_newest_version_the_one_before_it_is_read_as_stale() {
    let world = Cluster::line(&["A", "B", "C", "D"]).await;
    let name = world.write_on(&["C", "D"], "first").await;
    let newer = overtake(&world, &name);
    let key = name.parse().expect("it is a key");
    for at in ["A", "B", "C", "D"] {
        let read = world.read(at, &name, Consistency::Usual).await;
        let read = read.expect("a replica is left");
        assert_eq!(read, ("first".to_owned(), true), "{at}");
        let newest = world.read(at, &name, Consistency::Newest).await;
        let refused = matches!(newest, Err(ReadError::Unconfirmed { .. }));
        assert!(refused, "{at}: {newest:?}");
        let known = world.node(at).state.node().known(&key);
        assert_eq!(known, Some(newer), "{at} has forgotten");
    }
    // A later write supersedes it.
    world
        .write("A", &name, "third", 2)
        .await
        .expect("it is stored");
    for at in ["A", "B", "C", "D"] {
        let read = world.read(at, &name, Consistency::Usual).await;
        assert_eq!(read.expect("it is there").0, "third", "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_node_that_may_have_the_newest_version_was_there_a_moment_ago_it_is_waited_for() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["A", "B"], "first").await;
    overtake(&world, &name);
    world.kill("C");
    let read = world.read("A", &name, Consistency::Usual).await;
    assert!(matches!(read, Err(ReadError::Unknown { .. })), "{read:?}");
    let repair_after = world.node("A").settings.repair_after;
    tokio::time::sleep(2 * repair_after).await;
    let read = world.read("A", &name, Consistency::Usual).await;
    let read = read.expect("who is gone is not waited for");
    assert_eq!(read, ("first".to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_known_and_nowhere_is_no_miss_and_can_be_deleted() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_only_at("C", "content").await;
    let key: Key = name.parse().expect("it is a key");
    let query = Query::Exact(key.clone());
    let found = world.node("A").search(query, SearchOptions::default());
    assert_eq!(found.await.expect("it is free").outcome, "found");
    world.isolate("C");
    let repair_after = world.node("A").settings.repair_after;
    tokio::time::sleep(2 * repair_after).await;
    let read = world.read("A", &name, Consistency::Usual).await;
    assert!(matches!(read, Err(ReadError::Away { .. })), "{read:?}");
    world.node("A").delete(&key).await.expect("it is deleted");
    world.rejoin("C");
    world
        .eventually("C has heard of the deletion", async || {
            let read = world.read("C", &name, Consistency::Usual).await;
            matches!(read, Err(ReadError::NotFound { .. }))
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_alone_has_heard_of_a_newer_version_reads_the_one_before_it_as_stale() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["A", "B"], "first").await;
    let key: Key = name.parse().expect("it is a key");
    let held = world.node("A").state.node().holding(&key).cloned();
    let mut newer = held.expect("A has it").record.version;
    newer.stamp.0 += 1;
    let heard = Heard::alive(newer);
    world.node("C").state.node().hear(&key, heard);
    let read = world.read("C", &name, Consistency::Usual).await;
    assert_eq!(read.expect("it is left"), ("first".to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_heard_of_the_far_future_is_asked_and_prepared_on_as_before() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["B", "C"], "first").await;
    let key: Key = name.parse().expect("it is a key");
    let held = world.node("B").state.node().holding(&key).cloned();
    let mut future = held.expect("B has it").record.version;
    future.stamp.0 += (CLOCK_AHEAD_MS_MAX * 4) << 16;
    for at in ["B", "C"] {
        world.node(at).state.node().hear(&key, Heard::alive(future));
    }
    let read = world.read("A", &name, Consistency::Newest).await;
    assert_eq!(read.expect("both answer"), ("first".to_owned(), false));
    let written = world.write("A", &name, "second", 2).await;
    let version = written.expect("nothing is in its way").record.version;
    assert!(version < future);
    let read = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(read.expect("it is there").0, "second");
}

#[tokio::test(start_paused = true)]
async fn what_was_overtaken_waits_for_a_node_that_would_keep_it() {
    let mut world = Cluster::line(&["A", "B", "C", "D"]).await;
    let name = world.write_on(&["A", "B"], "first").await;
    overtake(&world, &name);
    world.isolate("B");
    let repair_after = world.node("A").settings.repair_after;
    tokio::time::sleep(4 * repair_after).await;
    let repair = || world.node("A").status().repair;
    assert_eq!((repair().waiting.files, repair().copies), (1, 0));
    let read = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(read.expect("it is left"), ("first".to_owned(), true));
    // A node that knows of no greater version takes it.
    world.start("E", "test").await;
    world.link("A", "E").await.expect("they link");
    for gone in ["C", "D"] {
        world.isolate(gone);
    }
    world
        .eventually_within(Duration::from_secs(3600), "E has a replica", async || {
            let node = world.node("E").state.node();
            let held = node.holding(&name.parse().expect("it is a key"));
            held.is_some_and(|held| held.role == Role::Replica)
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_could_not_be_remembered_if_it_failed_is_refused() {
    let world = Cluster::line(&["A", "B"]).await;
    let a = world.node("A");
    let pending: Vec<_> = (0..limits::PENDING_WRITES_MAX)
        .map(|number| a.begin_write(&key(&format!("ada/{number}"))))
        .collect();
    let refused = world.write("A", "ada/x", "x", 1).await;
    assert!(
        matches!(refused, Err(WriteError::Unavailable(_))),
        "{refused:?}"
    );
    drop(pending);
    let written = world.write("A", "ada/x", "x", 1).await;
    written.expect("the others are settled");
    a.delete(&key("ada/x")).await.expect("it is deleted");
}
