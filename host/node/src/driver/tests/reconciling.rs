//! Reconciliation catches up on what was missed: overwrites, deletions, layouts and replicas, and what a node
//! brings back that was away for long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::record::Record;
use dataverse_core::version::{Stamp, Version};
use dataverse_store::Change;

use super::world::Cluster;
use crate::driver::{Consistency, ReadError};
use crate::settings::Settings;

const USUAL: Consistency = Consistency::Usual;
/// Long enough for members to be noticed as gone, or as back.
const NOTICED: Duration = Duration::from_secs(20);

fn key(name: &str) -> Key {
    name.parse().expect("it is a key")
}

fn held(world: &Cluster, at: &str, name: &str) -> Option<Holding> {
    world.node(at).state.node().holding(&key(name)).cloned()
}

fn version_at(world: &Cluster, at: &str, name: &str) -> Option<Version> {
    held(world, at, name).map(|held| held.record.version)
}

async fn is_gone(world: &Cluster, at: &str, name: &str) -> bool {
    let read = world.read(at, name, USUAL).await;
    matches!(read, Err(ReadError::NotFound { .. }))
}

#[tokio::test(start_paused = true)]
async fn an_overwrite_that_a_replica_missed_is_caught_up() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["A", "B"], "first").await;
    world.part(&["B"]);
    tokio::time::sleep(NOTICED).await;
    let written = world.write("A", &name, "second", 2).await;
    let newer = written.expect("A and C take it").record.version;
    assert!(version_at(&world, "B", &name) < Some(newer));
    world.join(&["B"]);
    world
        .eventually("B's old replica is gone", async || {
            version_at(&world, "B", &name).is_none_or(|held| held == newer)
        })
        .await;
    let read = world.read("B", &name, USUAL).await;
    assert_eq!(read.expect("it is found"), ("second".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_a_replica_missed_is_caught_up_and_remembered_there() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["A", "B"], "content").await;
    world.part(&["B"]);
    tokio::time::sleep(NOTICED).await;
    world.node("A").delete(&key(&name)).await.expect("A does");
    world.join(&["B"]);
    world
        .eventually("B holds the deletion", async || {
            held(&world, "B", &name).is_some_and(|held| held.record.deleted)
        })
        .await;
    for at in ["A", "B", "C"] {
        assert!(is_gone(&world, at, &name).await, "{at}");
    }
    assert_eq!(
        world.node("B").store.usage().replicas,
        world.node("B").status().replicas.bytes
    );
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_a_replica_missed_is_caught_up() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_on(&["A", "B"], "content").await;
    world.part(&["B"]);
    let node = world.node("A");
    let record = held(&world, "A", &name).expect("A has it").record;
    let laid = node.laid_anew(&record, record.layout.holders.clone()).await;
    let laid = laid.expect("it has a clock");
    let held_anew = node.hold(&laid, Role::Replica, None, 0).await;
    assert!(held_anew.expect("A holds it").is_here());
    world.join(&["B"]);
    world
        .eventually("B has the newer layout", async || {
            held(&world, "B", &name).is_some_and(|held| held.record == laid)
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_lost_is_made_good_from_the_other() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_on(&["A", "B"], "content").await;
    tokio::time::sleep(NOTICED).await;
    let version = version_at(&world, "B", &name).expect("B has it");
    let lost = Change::Drop {
        key: key(&name),
        version,
        only: None,
    };
    world.node("B").store.apply(lost).await.expect("it is lost");
    world
        .eventually("B holds a replica again", async || {
            let held = held(&world, "B", &name);
            held.is_some_and(|held| held.role == Role::Replica && held.record.version == version)
        })
        .await;
    let read = world.read("B", &name, USUAL).await;
    assert_eq!(read.expect("it is here"), ("content".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn two_halves_of_a_cut_network_that_wrote_the_same_file_agree_after_it_is_healed() {
    let world = Cluster::line(&["A", "B", "C", "D"]).await;
    world.part(&["A", "B"]);
    tokio::time::sleep(NOTICED).await;
    let one = world.write("A", "ada/same", "from A", 2).await;
    let other = world.write("D", "ada/same", "from D", 2).await;
    let (one, other) = (one.expect("A and B"), other.expect("C and D"));
    assert!(
        one.replicas
            .iter()
            .all(|name| !other.replicas.contains(name))
    );
    // Both were stamped in the same millisecond, so either may be greater.
    let (winner, content) = match one.record.version > other.record.version {
        true => (one.record.version, "from A"),
        false => (other.record.version, "from D"),
    };
    tokio::time::sleep(NOTICED).await;
    world.join(&["A", "B"]);
    world
        .eventually("only the greater version is held", async || {
            ["A", "B", "C", "D"].iter().all(|at| {
                version_at(&world, at, "ada/same").is_none_or(|version| version == winner)
            })
        })
        .await;
    for at in ["A", "B", "C", "D"] {
        let read = world.read(at, "ada/same", USUAL).await;
        assert_eq!(
            read.expect("it is found"),
            (content.to_owned(), false),
            "{at}"
        );
    }
}

/// Makes `at` hold a version greater than `name`'s that was never acknowledged and whose layout names `holders`.
async fn half_written(world: &Cluster, at: &str, name: &str, holders: &[&str]) -> Arc<Record> {
    let node = world.node(at);
    let mut spool = node.store.spool(Some(6)).expect("there is room");
    let content = Bytes::from_static(b"second");
    spool.write(content).await.expect("it is written");
    let content = spool.seal().await.expect("it is sealed");
    let before = held(world, at, name).expect("it is held").record;
    let holders = holders.iter().map(|name| world.node(name).id());
    let record = Arc::new(Record {
        version: Version {
            stamp: node.stamp().await.expect("the clock is kept"),
            writer: node.id(),
        },
        layout: node.state.node().first_layout(holders.collect()),
        size: content.size(),
        digest: content.digest(),
        ..Record::clone(&before)
    });
    let now = node.now();
    let held = node.hold(&record, Role::Replica, Some(content), now).await;
    assert!(held.expect("it is kept").is_here());
    record
}

#[tokio::test(start_paused = true)]
async fn a_replica_goes_only_when_every_holder_of_the_newer_version_has_it() {
    let world = Cluster::line_with(&["A", "B", "C"], steady()).await;
    let name = world.write_on(&["A", "B"], "first").await;
    tokio::time::sleep(NOTICED).await;
    // The writer died after committing on B only.
    world.part(&["C"]);
    let newer = half_written(&world, "B", &name, &["B", "C"]).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let old = held(&world, "A", &name).expect("A keeps what it has");
    assert!(old.record.version < newer.version && old.role == Role::Replica);
    let read = world.read("A", &name, USUAL).await;
    assert_eq!(read.expect("B has it"), ("second".to_owned(), false));

    world.join(&["C"]);
    world
        .eventually("C has it and A releases its copy", async || {
            let is_there = held(&world, "C", &name)
                .is_some_and(|held| held.role == Role::Replica && held.record == newer);
            let is_gone = version_at(&world, "A", &name).is_none_or(|at| at == newer.version);
            assert!(is_there || !is_gone, "A released its copy before C had one");
            is_there && is_gone
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn more_replicas_than_fit_into_one_answer_are_made_good() {
    let world = Cluster::line(&["A", "B"]).await;
    let names: Vec<String> = (0..limits::RECONCILE_RECORDS_MAX + 200)
        .map(|at| format!("ada/{at}"))
        .collect();
    for name in &names {
        let written = world.write("A", name, "content", 2).await;
        written.expect("both take it");
    }
    tokio::time::sleep(NOTICED).await;
    for name in &names {
        let version = version_at(&world, "B", name).expect("B has it");
        let lost = Change::Drop {
            key: key(name),
            version,
            only: None,
        };
        world.node("B").store.apply(lost).await.expect("it is lost");
    }
    world
        .eventually_within(Duration::from_secs(600), "all are back", async || {
            world.node("B").status().replicas.files == names.len() as u64
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_cached_copy_that_missed_the_deletion_of_its_file_goes() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "content").await;
    world.read("A", &name, USUAL).await.expect("it is found");
    world
        .eventually("A keeps a copy", async || {
            held(&world, "A", &name).is_some()
        })
        .await;
    world.part(&["A"]);
    tokio::time::sleep(NOTICED).await;
    world.node("B").delete(&key(&name)).await.expect("B does");
    world.join(&["A"]);
    world
        .eventually("A's copy is gone", async || {
            world.node("A").status().cached.files == 0
        })
        .await;
    assert!(is_gone(&world, "A", &name).await);
}

/// Settings under which no file is re-replicated because a node is gone.
fn steady() -> Settings {
    Settings {
        repair_after: Duration::from_secs(24 * 60 * 60),
        ..Settings::default()
    }
}

/// The same, and deletions are remembered for five minutes only.
fn forgetful() -> Settings {
    Settings {
        tombstone_keep: Duration::from_secs(300),
        ..steady()
    }
}

/// Makes this node forget the file: its deletion is older than `tombstone.keep`, and so many other floors were
/// heard since that its own is forgotten.
async fn forgets(world: &Cluster, at: &str, name: &str) {
    world
        .eventually_within(
            Duration::from_secs(700),
            "the deletion is forgotten",
            async || held(world, at, name).is_none(),
        )
        .await;
    let mut node = world.node(at).state.node();
    for other in 0..=limits::HEARD_FLOORS_MAX {
        let heard = Heard::alive(Version {
            stamp: Stamp(1),
            writer: NodeId::from(1),
        });
        node.hear(&key(&format!("other/{other}")), heard);
        node.confirm(&key(&format!("other/{other}")), heard);
    }
    assert_eq!(node.known(&key(name)), None);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_away_for_longer_than_others_remember_brings_no_file_back() {
    let world = Cluster::line_with(&["A", "B", "C"], forgetful()).await;
    let gone = world.write_on(&["A", "B"], "deleted meanwhile").await;
    let kept = world.write_on(&["A", "C"], "kept").await;
    tokio::time::sleep(NOTICED).await;
    world.part(&["A"]);
    tokio::time::sleep(NOTICED).await;
    world.node("B").delete(&key(&gone)).await.expect("B does");
    for at in ["B", "C"] {
        forgets(&world, at, &gone).await;
    }
    assert!(held(&world, "A", &gone).is_some(), "A heard nothing of it");
    world.join(&["A"]);
    world
        .eventually("A has removed its copy", async || {
            for at in ["B", "C"] {
                let read = world.read(at, &gone, USUAL).await;
                assert!(read.is_err(), "{at} has read a deleted file: {read:?}");
            }
            held(&world, "A", &gone).is_none()
        })
        .await;
    world
        .eventually("A has verified all its copies", async || {
            !world.node("A").has_unverified()
        })
        .await;
    for at in ["A", "B", "C"] {
        assert!(is_gone(&world, at, &gone).await, "{at}");
        let read = world.read(at, &kept, USUAL).await;
        assert_eq!(
            read.expect("it is kept"),
            ("kept".to_owned(), false),
            "{at}"
        );
    }
    assert!(held(&world, "A", &kept).is_some_and(|held| held.role == Role::Replica));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_returns_after_long_does_not_bring_back_what_was_written_anew() {
    let world = Cluster::line_with(&["A", "B", "C"], forgetful()).await;
    let name = world.write_on(&["A", "B"], "old").await;
    tokio::time::sleep(NOTICED).await;
    world.part(&["A"]);
    tokio::time::sleep(NOTICED).await;
    let written = world.write("B", &name, "new", 2).await;
    let newer = written.expect("B and C take it").record.version;
    tokio::time::sleep(Duration::from_secs(400)).await;
    world.join(&["A"]);
    world
        .eventually("A's old copy is gone", async || {
            version_at(&world, "A", &name).is_none_or(|version| version == newer)
        })
        .await;
    let read = world.read("A", &name, USUAL).await;
    assert_eq!(read.expect("it is found"), ("new".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_alone_serves_what_it_has_however_long() {
    let world = Cluster::line_with(&["A", "B"], forgetful()).await;
    let name = world.write_on(&["A", "B"], "content").await;
    tokio::time::sleep(NOTICED).await;
    world.part(&["A"]);
    tokio::time::sleep(Duration::from_secs(400)).await;
    let read = world.read("A", &name, USUAL).await;
    assert_eq!(read.expect("it is here"), ("content".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_away_together_trusts_what_it_has_in_common() {
    let world = Cluster::line_with(&["A", "B", "C"], forgetful()).await;
    let name = world.write_on(&["A", "B"], "content").await;
    tokio::time::sleep(NOTICED).await;
    for at in ["A", "B", "C"] {
        world.part(&[at]);
    }
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert!(world.node("A").has_unverified() && world.node("B").has_unverified());
    world.heal("A", "B");
    world
        .eventually("both have verified their copies", async || {
            ["A", "B"].iter().all(|at| !world.node(at).has_unverified())
        })
        .await;
    for at in ["A", "B"] {
        let held = held(&world, at, &name).expect("it is kept");
        assert_eq!(held.role, Role::Replica);
        let read = world.read(at, &name, USUAL).await;
        assert_eq!(read.expect("it is here"), ("content".to_owned(), false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_forgotten_after_its_time_and_not_handed_back() {
    let world = Cluster::line_with(&["A", "B"], forgetful()).await;
    let name = world.write_on(&["A", "B"], "content").await;
    world.node("A").delete(&key(&name)).await.expect("A does");
    let tombstone = held(&world, "A", &name).expect("A remembers");
    assert!(tombstone.record.deleted && tombstone.verified < 300_000);
    tokio::time::sleep(Duration::from_secs(250)).await;
    assert!(held(&world, "A", &name).is_some(), "it is too early");
    tokio::time::sleep(Duration::from_secs(400)).await;
    for at in ["A", "B"] {
        assert_eq!(held(&world, at, &name), None, "{at}");
        // The floor stays as long as few others are heard of.
        assert!(world.node(at).state.node().known(&key(&name)).is_some());
        assert!(is_gone(&world, at, &name).await);
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_agree_say_so_in_a_few_bytes() {
    let world = Cluster::line(&["A", "B"]).await;
    for at in 0..50 {
        let written = world.write("A", &format!("ada/{at}"), "content", 2).await;
        written.expect("both take it");
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let metrics = world.node("A").metrics().render();
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.expect("it is counted")
            .trim()
            .parse()
            .expect("it is a number")
    };
    assert_eq!(
        value(r#"dataverse_reconcile_rounds_total{outcome="failed"}"#),
        0
    );
    assert_eq!(value("dataverse_reconcile_buckets_total"), 0);
    let rounds = value(r#"dataverse_reconcile_rounds_total{outcome="agreed"}"#);
    assert!(rounds >= 5, "{rounds}");
}
