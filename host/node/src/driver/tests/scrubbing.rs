//! Copies that go bad on a disk are found and healed, or the file is reported.

use std::time::Duration;

use dataverse_core::key::Key;

use super::world::Cluster;
use crate::driver::{Consistency, ReadError, ScrubStatus};
use crate::settings::Settings;

fn scrubbed(world: &Cluster, at: &str) -> ScrubStatus {
    world.node(at).scrub_status()
}

/// Starts a scrub and waits until it has ended and nothing is being healed.
async fn scrub(world: &Cluster, at: &str) -> ScrubStatus {
    let begun = world.node(at).begin_scrub().await;
    assert!(begun.expect("memory does not fail"), "none is under way");
    world
        .eventually("the scrub ends", async || {
            let status = scrubbed(world, at);
            !status.running && status.healing == 0
        })
        .await;
    scrubbed(world, at)
}

async fn check_read(world: &Cluster, at: &str, name: &str, content: &str) {
    let read = world.read(at, name, Consistency::Usual).await;
    assert_eq!(read.expect("it is there"), (content.to_owned(), false));
}

/// Whether this node holds a replica of the file.
fn is_replica(world: &Cluster, at: &str, name: &str) -> bool {
    let key: Key = name.parse().expect("it is a key");
    let node = world.node(at).state.node();
    let holding = node.holding(&key);
    holding.is_some_and(|holding| holding.role == dataverse_core::holdings::Role::Replica)
}

#[tokio::test(start_paused = true)]
async fn a_bad_replica_is_found_and_made_good_from_the_other_holder() {
    let world = Cluster::line(&["A", "B"]).await;
    for number in 0..5 {
        let name = format!("ada/{number}");
        let written = world.write("A", &name, &name, 2).await;
        assert_eq!(written.expect("it is stored").replicas.len(), 2);
    }
    world.rot("A", "ada/3");
    let status = scrub(&world, "A").await;
    assert_eq!((status.done.files, status.total.files), (5, 5));
    assert_eq!((status.bad, status.healed, status.lost), (1, 1, 0));
    assert!(is_replica(&world, "A", "ada/3"));
    // The new copy is good.
    let status = scrub(&world, "A").await;
    assert_eq!((status.done.files, status.bad), (5, 0));
    world.cut("A", "B");
    check_read(&world, "A", "ada/3", "ada/3").await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_bad_everywhere_is_reported_and_never_served() {
    let world = Cluster::line(&["A", "B"]).await;
    world
        .write("A", "ada/x", "content", 2)
        .await
        .expect("it is stored");
    world.rot("A", "ada/x");
    world.rot("B", "ada/x");
    scrub(&world, "A").await;
    world
        .eventually("both know that it is lost", async || {
            ["A", "B"].iter().all(|at| scrubbed(&world, at).lost == 1)
        })
        .await;
    for at in ["A", "B"] {
        assert_eq!(scrubbed(&world, at).lost_keys[0].as_str(), "ada/x");
        let read = world.read(at, "ada/x", Consistency::Usual).await;
        assert!(matches!(read, Err(ReadError::Lost { .. })), "{read:?}");
    }
    // Written again, it is a file like any other.
    world
        .write("B", "ada/x", "again", 2)
        .await
        .expect("it is stored");
    check_read(&world, "A", "ada/x", "again").await;
    for at in ["A", "B"] {
        assert_eq!(
            (scrubbed(&world, at).lost, scrubbed(&world, at).healed),
            (0, 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_file_can_be_deleted() {
    let world = Cluster::of(&["A"]).await;
    world
        .write("A", "ada/x", "content", 1)
        .await
        .expect("it is stored");
    world.rot("A", "ada/x");
    assert_eq!(scrub(&world, "A").await.lost, 1);
    let key: Key = "ada/x".parse().expect("it is a key");
    world.node("A").delete(&key).await.expect("it is deleted");
    assert_eq!(scrubbed(&world, "A").lost, 0);
    let read = world.read("A", "ada/x", Consistency::Usual).await;
    assert!(matches!(read, Err(ReadError::NotFound { .. })), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bad_replica_waits_for_the_holder_that_is_away() {
    let world = Cluster::line(&["A", "B"]).await;
    world
        .write("A", "ada/x", "content", 2)
        .await
        .expect("it is stored");
    world.cut("A", "B");
    world.rot("A", "ada/x");
    let status = scrub(&world, "A").await;
    assert_eq!((status.waiting, status.lost), (1, 0));
    let read = world.read("A", "ada/x", Consistency::Usual).await;
    assert!(matches!(read, Err(ReadError::Unknown { .. })), "{read:?}");
    world.heal("A", "B");
    world
        .eventually("it is healed", async || {
            is_replica(&world, "A", "ada/x") && scrubbed(&world, "A").waiting == 0
        })
        .await;
    assert_eq!(scrubbed(&world, "A").healed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_settles_what_was_missing() {
    let world = Cluster::line(&["A", "B"]).await;
    world
        .write("A", "ada/x", "first", 2)
        .await
        .expect("it is stored");
    world.cut("A", "B");
    world.rot("A", "ada/x");
    assert_eq!(scrub(&world, "A").await.waiting, 1);
    world
        .write("B", "ada/x", "second", 1)
        .await
        .expect("B keeps it");
    world.heal("A", "B");
    world
        .eventually("A hears of it", async || scrubbed(&world, "A").waiting == 0)
        .await;
    assert!(!is_replica(&world, "A", "ada/x"));
    check_read(&world, "A", "ada/x", "second").await;
}

#[tokio::test(start_paused = true)]
async fn what_another_node_finds_bad_is_made_good_where_it_is() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    // A file whose replicas are on A and B.
    let mut names = (0..200).map(|tried| format!("ada/{tried}"));
    let name = loop {
        let name = names
            .next()
            .expect("placement chooses these two sooner or later");
        let written = world
            .write("A", &name, "content", 2)
            .await
            .expect("it is stored");
        let mut replicas = written.replicas;
        replicas.sort();
        if replicas == ["A", "B"] {
            break name;
        }
    };
    world.rot("B", &name);
    check_read(&world, "C", &name, "content").await;
    world
        .eventually("B heals it", async || scrubbed(&world, "B").healed == 1)
        .await;
    assert!(is_replica(&world, "B", &name));
}

#[tokio::test(start_paused = true)]
async fn a_bad_cached_copy_is_only_dropped() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "content").await;
    check_read(&world, "A", &name, "content").await;
    world
        .eventually("A keeps a copy", async || {
            world.node("A").status().cached.files == 1
        })
        .await;
    world.rot("A", &name);
    let status = scrub(&world, "A").await;
    assert_eq!((status.bad, status.healed), (1, 0));
    assert_eq!((status.healing, status.waiting, status.lost), (0, 0, 0));
    assert_eq!(world.node("A").status().cached.files, 0);
    check_read(&world, "A", &name, "content").await;
}

#[tokio::test(start_paused = true)]
async fn a_pass_keeps_its_pace_and_is_begun_once() {
    let world = Cluster::of(&["A"]).await;
    let content = "x".repeat(1 << 20);
    for number in 0..16 {
        let name = format!("ada/{number}");
        world
            .write("A", &name, &content, 1)
            .await
            .expect("it is stored");
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let node = world.node("A");
    let began = tokio::time::Instant::now();
    assert!(node.begin_scrub().await.expect("memory does not fail"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let half = scrubbed(&world, "A");
    assert!(half.running && half.done.bytes > 0 && half.done.bytes < half.total.bytes);
    assert!(!node.begin_scrub().await.expect("memory does not fail"));
    world
        .eventually("it ends", async || !scrubbed(&world, "A").running)
        .await;
    // 16 MiB at 8 MiB a second, the first of which does not wait.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_800), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    let status = scrubbed(&world, "A");
    assert_eq!(status.done, status.total);
    assert!(status.ended >= status.began);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_pass_while_one_begins_joins_it() {
    let settings = Settings {
        scrub_bytes_per_second: Some(1),
        ..Settings::default()
    };
    let mut world = Cluster::of_with(&["A"], settings).await;
    world
        .write("A", "ada/x", "content", 1)
        .await
        .expect("it is stored");
    let node = world.node("A");
    let (one, other) = tokio::join!(node.begin_scrub(), node.begin_scrub());
    let begun = [one, other].map(|begun| begun.expect("memory does not fail"));
    assert_eq!(begun, [true, false]);
    let began = scrubbed(&world, "A").began;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let again = world.node("A").begin_scrub().await;
    assert!(!again.expect("memory does not fail"));
    assert_eq!(scrubbed(&world, "A").began, began);
    // The pass continues after a restart, and can be joined there too.
    world.stop("A").await;
    world.restart("A").await;
    let again = world.node("A").begin_scrub().await;
    assert!(!again.expect("memory does not fail"));
    let status = scrubbed(&world, "A");
    assert!(status.running && status.began == began, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_begins_by_itself_when_the_last_one_began_long_ago() {
    let mut world = Cluster::of(&[]).await;
    world.settings.scrub_every = Duration::from_secs(200);
    world.start("A", "test").await;
    world
        .write("A", "ada/x", "content", 1)
        .await
        .expect("it is stored");
    let first = scrubbed(&world, "A");
    assert!(!first.running && first.began > 0, "as if one had ended");
    tokio::time::sleep(Duration::from_secs(190)).await;
    assert_eq!(scrubbed(&world, "A").began, first.began);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let second = scrubbed(&world, "A");
    assert!(second.began > first.began && !second.running);
    assert_eq!(second.checked_since_start.files, 1);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_says_for_how_long_the_node_had_run() {
    let world = Cluster::of(&["A"]).await;
    world
        .write("A", "ada/x", "content", 1)
        .await
        .expect("it is stored");
    tokio::time::sleep(Duration::from_secs(100)).await;
    let key: Key = "ada/x".parse().expect("it is a key");
    world.node("A").delete(&key).await.expect("it is deleted");
    let node = world.node("A").state.node();
    let tombstone = node.holding(&key).expect("it is held");
    assert!(tombstone.record.deleted);
    assert!((100_000..200_000).contains(&tombstone.verified));
}
