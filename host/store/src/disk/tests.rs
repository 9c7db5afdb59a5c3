//! What only a store on a disk does: it outlives its process, and checks what it finds in its folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits::NAME_BYTES_MAX;
use dataverse_core::record::Record;
use dataverse_core::version::{Millis, Stamp};
use tokio::task::JoinSet;

use super::super::suite::{Bench, content, eventually, put, record};
use super::super::{Applied, Change, Lifetime, SavedLinks, StoreError};
use super::layout::ContentId;
use super::*;
use crate::limits;

const NOW: Millis = 1_800_000_000_000;
pub(super) const FILE: usize = 50_000;

pub(super) fn options(folder: &Path) -> DiskOptions {
    DiskOptions {
        folder: folder.to_owned(),
        capacity: None,
        network: "test".to_owned(),
        node_if_new: NodeId::from(7),
        now: NOW,
    }
}

pub(super) fn bench(folder: &Path) -> Bench {
    let (store, _) = DiskStore::open(&options(folder)).expect("the folder opens");
    Bench::of(store, None)
}

pub(super) fn refusal(options: &DiskOptions) -> OpenError {
    DiskStore::open(options)
        .err()
        .expect("the folder is refused")
}

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be created")
}

/// The path of the content of a version.
pub(super) fn find(folder: &Path, record: &Record) -> PathBuf {
    let name = ContentId::of(record).to_string();
    let is_it = |path: &PathBuf| path.file_name().is_some_and(|found| *found == *name);
    let found = files(&folder.join("content")).into_iter().find(is_it);
    found.expect("the content is there")
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Copies what a process that dies now would leave behind.
pub(super) fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).expect("it is below"));
        fs::create_dir_all(target.parent().expect("it has one")).expect("it can be created");
        fs::copy(&path, target).expect("it can be copied");
    }
}

/// A closed store with one small file and one that has a file of its own.
async fn two_files(folder: &Path) -> [(Record, Vec<u8>); 2] {
    let bench = bench(folder);
    let both = [("ada/small", 100), ("ada/large", FILE)].map(|(key, len)| {
        let bytes = content(1, len);
        (record(key, 1, &bytes), bytes)
    });
    for (record, bytes) in &both {
        bench.put(record, Role::Replica, bytes).await;
    }
    bench.store.close().await;
    both
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = folder();
    let both = two_files(folder.path()).await;
    let links = SavedLinks {
        links: vec![(NodeId::from(1), "b".into(), "127.0.0.1:7401".into())],
        refused: vec![NodeId::from(2)],
        left: Vec::new(),
    };
    let again = bench(folder.path());
    again
        .store
        .save_links(links.clone())
        .await
        .expect("it is saved");
    again
        .store
        .save_ceiling(Stamp(99))
        .await
        .expect("it is saved");
    let lifetime = Lifetime {
        ran_ms: 5,
        together: 6,
        draining: true,
        scrub_began: 7,
        scrub_ended: 8,
    };
    again
        .store
        .save_lifetime(lifetime)
        .await
        .expect("it is saved");
    again.store.close().await;
    let last = bench(folder.path());
    assert_eq!(
        (
            &last.opened.links,
            last.opened.ceiling,
            last.opened.lifetime
        ),
        (&links, Stamp(99), lifetime)
    );
    assert_eq!(last.opened.secret, again.opened.secret);
    assert!(last.opened.missing.is_empty());
    for (record, bytes) in &both {
        assert!(last.read(record).await.expect("it is held") == *bytes);
        let held = last.mirror.held(&record.key).expect("it is held");
        assert_eq!(
            (&*held.record, held.role, held.verified),
            (record, Role::Replica, 6)
        );
    }
    assert_eq!(last.store.usage().replicas, 100 + FILE as u64);
}

#[tokio::test]
async fn a_process_that_dies_loses_nothing_acknowledged_and_shows_nothing_else() {
    let (folder, copied) = (folder(), folder());
    let lifetime = Arc::new(bench(folder.path()));
    let mut writers = JoinSet::new();
    for number in 0..40u8 {
        let lifetime = Arc::clone(&lifetime);
        writers.spawn(async move {
            let bytes = content(number, if number % 2 == 0 { 300 } else { FILE });
            let record = record(&format!("ada/{number}"), 1, &bytes);
            lifetime.put(&record, Role::Replica, &bytes).await;
            (record, bytes)
        });
    }
    let acknowledged = writers.join_all().await;
    let mut spool = lifetime.store.spool(None).expect("there is space");
    spool
        .write(vec![1; 3 << 20].into())
        .await
        .expect("there is space");
    let pending = lifetime.prepare(&content(1, FILE)).await;
    copy(folder.path(), copied.path());
    drop((spool, pending));
    let again = bench(copied.path());
    assert_eq!(again.mirror.files(), 40);
    for (record, bytes) in &acknowledged {
        assert!(again.read(record).await.expect("it is held") == *bytes);
    }
    assert!(files(&copied.path().join("incoming")).is_empty());
    assert!(files(&copied.path().join("orphans")).is_empty());
}

#[tokio::test]
async fn a_new_folder_gets_an_identity_once() {
    let folder = folder();
    let (store, identity) = DiskStore::open(&options(folder.path())).expect("it opens");
    assert_eq!((identity.node, identity.is_new), (NodeId::from(7), true));
    store.close().await;
    let other = DiskOptions {
        node_if_new: NodeId::from(8),
        ..options(folder.path())
    };
    let (_store, identity) = DiskStore::open(&other).expect("it opens");
    assert_eq!((identity.node, identity.is_new), (NodeId::from(7), false));
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_free_once_closed() {
    let folder = folder();
    let (store, _) = DiskStore::open(&options(folder.path())).expect("it opens");
    assert!(matches!(
        refusal(&options(folder.path())),
        OpenError::InUse { .. }
    ));
    store.close().await;
    assert!(DiskStore::open(&options(folder.path())).is_ok());
}

#[tokio::test]
async fn a_folder_of_another_network_or_node_is_refused() {
    let folder = folder();
    two_files(folder.path()).await;
    let other = DiskOptions {
        network: "other".to_owned(),
        ..options(folder.path())
    };
    let refused = refusal(&other);
    assert!(matches!(refused, OpenError::OtherNetwork { .. }));
    assert!(refused.to_string().contains("--network test"));
    let id = folder.path().join("node.id");
    fs::write(&id, NodeId::from(8).to_string()).expect("it can be written");
    assert!(matches!(
        refusal(&options(folder.path())),
        OpenError::OtherNode { .. }
    ));
    // The index knows the owner, so the file can be written again.
    fs::remove_file(&id).expect("it can be removed");
    bench(folder.path()).store.close().await;
    let text = fs::read_to_string(&id).expect("it exists");
    assert_eq!(text.trim(), NodeId::from(7).to_string());
}

#[tokio::test]
async fn content_without_an_index_is_refused_and_left_alone() {
    let folder = folder();
    two_files(folder.path()).await;
    fs::remove_file(folder.path().join("index.redb")).expect("it can be removed");
    let before = files(folder.path());
    assert!(matches!(
        refusal(&options(folder.path())),
        OpenError::NoIndex { .. }
    ));
    fs::remove_file(folder.path().join("node.id")).expect("it can be removed");
    assert!(matches!(
        refusal(&options(folder.path())),
        OpenError::NoIndex { .. }
    ));
    assert_eq!(files(&folder.path().join("content")).len(), 1);
    assert_eq!(files(folder.path()).len(), before.len() - 1);
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let folder = folder();
    two_files(folder.path()).await;
    let path = folder.path().join("index.redb");
    index::claim_format(&path, codec::FORMAT + 1);
    let refused = refusal(&options(folder.path()));
    assert!(matches!(
        refused,
        OpenError::NewerFormat {
            found: 3,
            known: 2,
            ..
        }
    ));
}

#[tokio::test]
async fn a_damaged_index_is_refused_or_harmless_never_believed() {
    let (folder, whole) = (folder(), folder());
    let both = two_files(whole.path()).await;
    copy(whole.path(), folder.path());
    let path = folder.path().join("index.redb");
    let good = fs::read(&path).expect("it can be read");
    let mut refused = 0;
    // The header, then one place in each page.
    let places = (0..64).chain((512..good.len()).step_by(4096)).take(400);
    for at in places {
        let mut bad = good.clone();
        bad[at..(at + 16).min(good.len())]
            .iter_mut()
            .for_each(|byte| *byte ^= 0x55);
        fs::write(&path, bad).expect("it can be written");
        match DiskStore::open(&options(folder.path())) {
            Err(OpenError::Damaged { .. } | OpenError::NewerFormat { .. }) => refused += 1,
            Err(other) => panic!("{at}: {other}"),
            Ok((store, _)) => {
                for holding in &store.start(Arc::new(Silent)).holdings {
                    assert!(both.iter().any(|(record, _)| *record == *holding.record));
                }
                store.close().await;
            }
        }
    }
    assert!(refused > 0);
    fs::write(&path, b"").expect("it can be written");
    assert!(matches!(
        refusal(&options(folder.path())),
        OpenError::Damaged { .. }
    ));
}

struct Silent;

impl Observer for Silent {
    fn changed(&self, _key: &Key, _after: Option<&Holding>) {}
}

#[tokio::test]
async fn content_without_an_entry_is_kept_as_an_orphan_for_seven_days() {
    let folder = folder();
    let [_, (large, _)] = two_files(folder.path()).await;
    let held = find(folder.path(), &large);
    let other = ContentId::of(&record("ada/other", 1, b"x")).to_string();
    let bucket = held.parent().expect("it has one").to_owned();
    let strays = [bucket.join(&other), folder.path().join("content/stray")];
    for round in 1..=2 {
        for stray in &strays {
            fs::write(stray, b"whose?").expect("it can be written");
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            let file = fs::File::options()
                .append(true)
                .open(stray)
                .expect("it opens");
            file.set_modified(old).expect("it can be set");
        }
        let again = bench(folder.path());
        assert!(again.opened.missing.is_empty());
        again.store.close().await;
        assert!(held.exists() && strays.iter().all(|stray| !stray.exists()));
        // A second file of the same name overwrites nothing.
        assert_eq!(files(&folder.path().join("orphans")).len(), 2 * round);
    }
    for (later, left) in [(limits::ORPHAN_KEPT_MS - 1, 4), (limits::ORPHAN_KEPT_MS, 0)] {
        let later = DiskOptions {
            now: NOW + later,
            ..options(folder.path())
        };
        DiskStore::open(&later).expect("it opens").0.close().await;
        assert_eq!(files(&folder.path().join("orphans")).len(), left);
    }
}

#[tokio::test]
async fn what_is_in_quarantine_is_kept_for_thirty_days() {
    let folder = folder();
    bench(folder.path()).store.close().await;
    let kept = folder.path().join("quarantine/bad");
    fs::write(&kept, b"rotten").expect("it can be written");
    let file = fs::File::options().append(true).open(&kept);
    let since = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW);
    let set = file.expect("it opens").set_modified(since);
    set.expect("it can be set");
    for (later, is_left) in [
        (limits::QUARANTINE_KEPT_MS - 1, true),
        (limits::QUARANTINE_KEPT_MS, false),
    ] {
        let later = DiskOptions {
            now: NOW + later,
            ..options(folder.path())
        };
        DiskStore::open(&later).expect("it opens").0.close().await;
        assert_eq!(kept.exists(), is_left);
    }
}

#[tokio::test]
async fn an_entry_without_content_is_missing_until_the_content_comes_again() {
    let folder = folder();
    let [(small, _), (large, bytes)] = two_files(folder.path()).await;
    let path = find(folder.path(), &large);
    fs::remove_file(path).expect("it can be removed");
    let again = bench(folder.path());
    assert_eq!(again.opened.missing, [Arc::new(large.clone())]);
    assert!(again.mirror.held(&large.key).is_none());
    assert!(again.mirror.held(&small.key).is_some());
    assert_eq!(again.store.usage().replicas, 100);
    assert!(matches!(
        again.store.open(&large).await,
        Err(StoreError::Absent(_))
    ));
    // A new layout alone does not restore it, and nothing older takes its place.
    let applied = again.store.apply(put(&large, Role::Replica, None)).await;
    assert!(matches!(applied, Err(StoreError::Absent(_))));
    let older = record("ada/large", 0, b"older");
    let applied = again.put(&older, Role::Replica, b"older").await;
    assert_eq!(applied, Applied::Superseded(Arc::new(large.clone())));
    again.put(&large, Role::Replica, &bytes).await;
    assert!(again.read(&large).await.expect("it is held") == bytes);
    again.store.close().await;
    assert!(bench(folder.path()).opened.missing.is_empty());
}

#[tokio::test]
async fn a_missing_file_can_be_dropped() {
    let folder = folder();
    let [_, (large, _)] = two_files(folder.path()).await;
    let path = find(folder.path(), &large);
    fs::remove_file(path).expect("it can be removed");
    let again = bench(folder.path());
    let applied = again
        .apply(Change::Drop {
            key: large.key.clone(),
            version: large.version,
            only: None,
        })
        .await;
    assert_eq!(applied, Applied::Nothing);
    again.store.close().await;
    assert!(bench(folder.path()).opened.missing.is_empty());
}

#[tokio::test]
async fn bad_content_is_kept_in_quarantine() {
    let folder = folder();
    let both = two_files(folder.path()).await;
    let again = bench(folder.path());
    for (record, _) in &both {
        again
            .apply(Change::Quarantine {
                key: record.key.clone(),
                version: record.version,
            })
            .await;
        assert!(matches!(
            again.store.open(record).await,
            Err(StoreError::Absent(_))
        ));
    }
    again.store.close().await;
    assert_eq!(files(&folder.path().join("quarantine")).len(), 2);
    assert!(files(&folder.path().join("content")).is_empty());
}

#[tokio::test]
async fn a_small_content_that_can_not_be_quarantined_stays_in_the_index() {
    let folder = folder();
    let [(small, bytes), _] = two_files(folder.path()).await;
    let again = bench(folder.path());
    let place = folder.path().join("quarantine");
    std::fs::remove_dir_all(&place).expect("it can be removed");
    std::fs::write(&place, b"in the way").expect("it can be written");
    let refused = again.store.apply(quarantine(&small)).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(again.read(&small).await.expect("it is held"), bytes);
    // Once the folder can be made, its bytes are in it before the index forgets them.
    std::fs::remove_file(&place).expect("it can be removed");
    again.apply(quarantine(&small)).await;
    let kept = files(&place);
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).expect("it is a file"), bytes);
}

#[tokio::test]
async fn a_replica_in_quarantine_is_missing_until_it_comes_again_also_after_a_restart() {
    let folder = folder();
    let both = two_files(folder.path()).await;
    let first = bench(folder.path());
    for (record, _) in &both {
        first.apply(quarantine(record)).await;
    }
    first.store.close().await;
    let again = bench(folder.path());
    let [(small, bytes), (large, _)] = &both;
    let missing: Vec<_> = again
        .opened
        .missing
        .iter()
        .map(|record| &**record)
        .collect();
    assert_eq!(missing, [large, small]);
    let older = record("ada/small", 0, b"older");
    let applied = again.put(&older, Role::Replica, b"older").await;
    assert_eq!(applied, Applied::Superseded(Arc::new(small.clone())));
    again.put(small, Role::Replica, bytes).await;
    // A newer version from elsewhere also ends its being missing.
    again
        .apply(Change::Drop {
            key: large.key.clone(),
            version: large.version,
            only: None,
        })
        .await;
    again.store.close().await;
    let last = bench(folder.path());
    assert!(last.opened.missing.is_empty());
    assert_eq!(last.read(small).await.expect("it is held"), *bytes);
}

#[tokio::test]
async fn a_bad_cached_copy_is_not_missed() {
    let folder = folder();
    let first = bench(folder.path());
    let cached = record("ada/cached", 1, b"cached");
    first.put(&cached, Role::Cached, b"cached").await;
    first.apply(quarantine(&cached)).await;
    first.store.close().await;
    assert!(bench(folder.path()).opened.missing.is_empty());
}

#[tokio::test]
async fn what_is_set_aside_is_kept_in_quarantine_and_is_not_missing() {
    let folder = folder();
    let both = two_files(folder.path()).await;
    let first = bench(folder.path());
    for (record, _) in &both {
        let aside = Change::SetAside {
            key: record.key.clone(),
            version: record.version,
        };
        let applied = first.apply(aside).await;
        assert!(matches!(applied, Applied::Done { .. }), "{applied:?}");
    }
    first.store.close().await;
    assert_eq!(files(&folder.path().join("quarantine")).len(), both.len());
    let again = bench(folder.path());
    assert!(again.opened.missing.is_empty() && again.opened.holdings.is_empty());
}

fn quarantine(record: &Record) -> Change {
    Change::Quarantine {
        key: record.key.clone(),
        version: record.version,
    }
}

#[tokio::test]
async fn a_spool_given_up_leaves_no_file_behind() {
    let folder = folder();
    let bench = bench(folder.path());
    let incoming = folder.path().join("incoming");
    let mut spool = bench.store.spool(None).expect("there is space");
    for _ in 0..4 {
        spool
            .write(vec![1; 1 << 20].into())
            .await
            .expect("there is space");
    }
    eventually("the file is created", || !files(&incoming).is_empty()).await;
    drop(spool);
    drop(bench.prepare(&content(1, 3 << 20)).await);
    eventually("the files are removed", || files(&incoming).is_empty()).await;
}

#[tokio::test]
async fn content_that_was_cut_short_is_corrupt_and_a_lost_tree_is_made_anew() {
    let folder = folder();
    let bench = bench(folder.path());
    let bytes = content(1, 3 << 20);
    let record = record("ada/x", 1, &bytes);
    bench.put(&record, Role::Replica, &bytes).await;
    let path = find(folder.path(), &record);
    fs::write(path.with_extension("tree"), b"nonsense").expect("it can be written");
    let opened = bench.store.open(&record).await.expect("it is held");
    let tree = opened.tree().await.expect("it is rebuilt");
    assert!(tree.verifies(record.digest, 1, &bytes[1 << 20..2 << 20]));
    let file = fs::File::options().write(true).open(&path);
    file.expect("it opens").set_len(5).expect("it can be cut");
    let opened = bench.store.open(&record).await.expect("it is held");
    assert!(matches!(
        opened.read(0, 100).await,
        Err(StoreError::Corrupt(_))
    ));
    assert!(matches!(opened.tree().await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn content_that_can_not_be_moved_into_place_harms_nothing_else() {
    let folder = folder();
    let bench = bench(folder.path());
    let bytes = content(1, FILE);
    let (bad, good) = (
        record("ada/bad", 1, &bytes),
        record("ada/good", 1, b"small"),
    );
    let contents = (bench.prepare(&bytes).await, bench.prepare(b"small").await);
    // Somebody removes the content on its way in.
    for path in files(&folder.path().join("incoming")) {
        fs::remove_file(path).expect("it exists");
    }
    let (first, second) = tokio::join!(
        bench
            .store
            .apply(put(&bad, Role::Replica, Some(contents.0))),
        bench
            .store
            .apply(put(&good, Role::Replica, Some(contents.1))),
    );
    assert!(matches!(first, Err(StoreError::Failed { .. })));
    assert_eq!(
        second.expect("it is applied"),
        Applied::Done { before: None }
    );
    bench.put(&bad, Role::Replica, &bytes).await;
    assert!(bench.read(&bad).await.expect("it is held") == bytes);
    assert_eq!(bench.store.usage().replicas, FILE as u64 + 5);
    assert_eq!(bench.store.usage().reserved, 0);
}

#[tokio::test]
async fn a_commit_that_fails_leaves_everything_as_it_was_and_the_next_one_works() {
    let folder = folder();
    let (store, _) = DiskStore::open(&options(folder.path())).expect("it opens");
    let index = Arc::clone(&store.index);
    let bench = Bench::of(store, None);
    let first = content(1, FILE);
    let older = record("ada/x", 1, &first);
    bench.put(&older, Role::Replica, &first).await;
    for len in [FILE, 100] {
        let bytes = content(2, len);
        let newer = record("ada/x", 2, &bytes);
        let prepared = bench.prepare(&bytes).await;
        index.fail_next_commit();
        let applied = bench
            .store
            .apply(put(&newer, Role::Replica, Some(prepared)))
            .await;
        assert!(
            matches!(applied, Err(StoreError::DiskFull(_))),
            "{applied:?}"
        );
        assert!(bench.read(&older).await.expect("it is held") == first);
        assert!(matches!(
            bench.store.open(&newer).await,
            Err(StoreError::Absent(_))
        ));
        assert_eq!(
            bench
                .mirror
                .held(&older.key)
                .map(|held| held.record.version),
            Some(older.version)
        );
        assert_eq!(files(&folder.path().join("content")).len(), 1);
        let usage = bench.store.usage();
        assert_eq!((usage.replicas, usage.reserved), (older.size, 0));
    }
    let newer = record("ada/x", 3, b"newer");
    bench.put(&newer, Role::Replica, b"newer").await;
    assert_eq!(bench.read(&newer).await.expect("it is held"), b"newer");
}

/// Runs only where a small file system can be mounted, which takes privileges.
#[tokio::test]
async fn a_full_disk_is_a_clean_error() {
    let folder = folder();
    let Some(_mounted) = mount(folder.path(), "24m") else {
        eprintln!("skipped: a file system can't be mounted here");
        return;
    };
    let larger = DiskOptions {
        capacity: Some(1 << 30),
        ..options(folder.path())
    };
    let (store, _) = DiskStore::open(&larger).expect("it opens");
    let bench = Bench::of(store, None);
    let kept = content(1, FILE);
    let held = record("ada/kept", 1, &kept);
    bench.put(&held, Role::Replica, &kept).await;
    assert!(matches!(
        bench.store.spool(Some(30 << 20)),
        Err(StoreError::DiskFull(_))
    ));
    // Somebody else uses up the space that was reserved.
    let mut spool = bench.store.spool(Some(12 << 20)).expect("there is space");
    let ballast = folder.path().join("ballast");
    let taken = fs::write(&ballast, vec![1; 24 << 20]);
    assert!(taken.is_err(), "the disk is full now");
    let mut result = Ok(());
    for _ in 0..12 {
        result = spool.write(Bytes::from(vec![1; 1 << 20])).await;
        if result.is_err() {
            break;
        }
    }
    assert!(matches!(result, Err(StoreError::DiskFull(_))), "{result:?}");
    // The index can't grow either.
    let name = "x".repeat(NAME_BYTES_MAX);
    let link = |id| (NodeId::from(id), name.repeat(100), name.clone());
    let many = SavedLinks {
        links: (0..1024).map(link).collect(),
        refused: Vec::new(),
        left: Vec::new(),
    };
    let saved = bench.store.save_links(many).await;
    assert!(matches!(saved, Err(StoreError::DiskFull(_))), "{saved:?}");
    drop(spool);
    assert!(bench.read(&held).await.expect("it is held") == kept);
    fs::remove_file(&ballast).expect("it can be removed");
    let bytes = content(2, 4 << 20);
    let later = record("ada/later", 1, &bytes);
    bench.put(&later, Role::Replica, &bytes).await;
    assert!(bench.read(&later).await.expect("it is held") == bytes);
    bench.store.close().await;
}

/// Mounts a file system of this size in the folder until it is dropped; `None` where that is not permitted.
pub(super) fn mount<'a>(folder: &'a Path, size: &str) -> Option<Unmount<'a>> {
    let done = std::process::Command::new("mount")
        .args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size}"),
            "dataverse-test",
        ])
        .arg(folder)
        .output();
    done.is_ok_and(|done| done.status.success())
        .then_some(Unmount(folder))
}

pub(super) struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let done = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0)
            .status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "the file system stays mounted"
        );
    }
}
