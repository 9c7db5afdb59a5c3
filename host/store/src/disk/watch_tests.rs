//! The data folder is changed while the node runs, or something other than a regular file is in place of a file.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use dataverse_core::holdings::Role;
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;

use super::super::files::make_fifo;
use super::super::suite::{Bench, content, put, record};
use super::super::{Applied, Change, StoreError};
use super::tests::{FILE, bench, find, folder, options, refusal};
use super::*;

/// A store in a new folder below this one, with a small and a large file.
async fn two_files(above: &Path) -> (PathBuf, Bench, [(Record, Vec<u8>); 2]) {
    let folder = above.join("data");
    let bench = bench(&folder);
    let both = [("ada/small", 100), ("ada/large", FILE)].map(|(key, len)| {
        let bytes = content(1, len);
        (record(key, 1, &bytes), bytes)
    });
    for (record, bytes) in &both {
        bench.put(record, Role::Replica, bytes).await;
    }
    (folder, bench, both)
}

/// Writes are refused, and the reason contains these words.
async fn is_unfit(bench: &Bench, words: &[&str]) {
    let content = super::super::suite::content(3, 200);
    let late = record("ada/late", 9, &content);
    let change = match bench.store.spool(Some(200)) {
        Ok(mut spool) => {
            spool.write(content.into()).await.expect("there is space");
            let content = spool.seal().await.expect("it is small");
            bench
                .store
                .apply(put(&late, Role::Replica, Some(content)))
                .await
        }
        Err(error) => Err(error),
    };
    let saved = bench
        .store
        .save_ceiling(Stamp(5))
        .await
        .map(|()| Applied::Nothing);
    let looked = bench.store.check().await.map(|()| Applied::Nothing);
    let spooled = bench.store.spool(Some(1)).map(|_| Applied::Nothing);
    for refused in [change, saved, looked, spooled] {
        let Err(StoreError::Unfit(why)) = refused else {
            panic!("it was accepted: {refused:?}");
        };
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
    }
    assert!(bench.mirror.held(&late.key).is_none());
}

/// Writes are accepted.
async fn is_fit(bench: &Bench, stamp: u64) {
    bench
        .store
        .check()
        .await
        .expect("the folder is as it was opened");
    assert_eq!(bench.store.unfit(), None);
    let bytes = content(4, FILE);
    let applied = bench
        .put(&record("ada/new", stamp, &bytes), Role::Replica, &bytes)
        .await;
    assert!(matches!(applied, Applied::Done { .. }), "{applied:?}");
}

#[tokio::test]
async fn an_index_that_is_removed_is_noticed_and_can_be_put_back() {
    let above = folder();
    let (folder, bench, both) = two_files(above.path()).await;
    fs::remove_file(folder.join("index.redb")).expect("it exists");
    is_unfit(&bench, &["removed", "index.redb.rescued", "Stop the node"]).await;
    for (record, bytes) in &both {
        assert!(bench.read(record).await.expect("it can be read") == *bytes);
    }
    bench.store.close().await;
    drop(bench);
    let refused = refusal(&options(&folder));
    let OpenError::NoIndex { way_back, .. } = &refused else {
        panic!("{refused}");
    };
    assert!(way_back.contains("rename that to index.redb"), "{refused}");
    fs::rename(folder.join("index.redb.rescued"), folder.join("index.redb")).expect("it exists");
    let again = super::tests::bench(&folder);
    assert!(again.opened.missing.is_empty());
    for (record, bytes) in &both {
        assert!(again.read(record).await.expect("it is held") == *bytes);
    }
}

#[tokio::test]
async fn an_index_that_is_replaced_is_noticed_and_the_other_is_left_alone() {
    let above = folder();
    let (folder, bench, _) = two_files(above.path()).await;
    let (index, other) = (folder.join("index.redb"), above.path().join("other"));
    fs::copy(&index, &other).expect("it can be copied");
    fs::rename(&other, &index).expect("it can be moved");
    let before = fs::read(&index).expect("it can be read");
    is_unfit(&bench, &["replaced by another file", "index.redb.rescued"]).await;
    bench.store.close().await;
    assert!(fs::read(&index).expect("it can be read") == before);
}

#[tokio::test]
async fn what_is_moved_away_can_be_moved_back() {
    let above = folder();
    let (folder, bench, _) = two_files(above.path()).await;
    let aside = above.path().join("aside");
    for (stamp, (what, words)) in [
        (folder.join("index.redb"), "no longer in the data folder"),
        (folder.clone(), "no longer in the data folder"),
        (folder.join("content"), "the folder content"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::rename(&what, &aside).expect("it can be moved");
        is_unfit(&bench, &[words, "ove it back"]).await;
        fs::rename(&aside, &what).expect("it can be moved back");
        is_fit(&bench, 10 + stamp as u64).await;
    }
    assert!(!folder.join("index.redb.rescued").exists());
}

#[tokio::test]
async fn an_index_that_another_program_writes_to_is_noticed_and_one_whose_time_is_set_is_not() {
    for change in [
        |index: &Path| drop(File::create(index).expect("it can be cut")),
        |index: &Path| {
            let half = fs::read(index).expect("it can be read").len() as u64 / 2;
            let file = File::options().write(true).open(index).expect("it opens");
            file.set_len(half).expect("it can be cut");
        },
        |index: &Path| {
            let mut older = fs::read(index).expect("it can be read");
            older[70] ^= 1;
            fs::write(index, older).expect("it can be written");
        },
    ] {
        let above = folder();
        let (folder, bench, _) = two_files(above.path()).await;
        let index = folder.join("index.redb");
        let file = File::options().append(true).open(&index).expect("it opens");
        let earlier = SystemTime::now() - Duration::from_secs(60);
        file.set_modified(earlier).expect("its time can be set");
        is_fit(&bench, 2).await;
        change(&index);
        is_unfit(&bench, &["changed by another program"]).await;
    }
}

#[tokio::test]
async fn what_is_no_regular_file_in_the_place_of_a_content_is_a_bad_copy() {
    let above = folder();
    let (folder, bench, both) = two_files(above.path()).await;
    let (large, bytes) = &both[1];
    let elsewhere = above.path().join("elsewhere");
    fs::write(&elsewhere, bytes).expect("it can be written");
    let fifo: fn(&Path, &Path) = |path, _| make_fifo(path);
    let link: fn(&Path, &Path) = |path, to| symlink(to, path).expect("it can be created");
    let device: fn(&Path, &Path) = |path, _| symlink("/dev/zero", path).expect("it can be created");
    let made: fn(&Path, &Path) = |path, _| fs::create_dir(path).expect("it can be created");
    for put_there in [fifo, link, device, made] {
        let path = find(&folder, large);
        fs::remove_file(&path).expect("it exists");
        put_there(&path, &elsewhere);
        let began = Instant::now();
        let read = bench.read(large).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "reading blocked");
        let bad = Change::Quarantine {
            key: large.key.clone(),
            version: large.version,
        };
        bench.store.apply(bad).await.expect("it is quarantined");
        let applied = bench.put(large, Role::Replica, bytes).await;
        assert!(matches!(applied, Applied::Done { .. }), "{applied:?}");
        assert!(bench.read(large).await.expect("it is good again") == *bytes);
    }
    assert!(fs::read(&elsewhere).expect("it is untouched") == *bytes);
}

#[tokio::test]
async fn a_group_tree_that_is_no_regular_file_is_made_anew() {
    let above = folder();
    let folder = above.path().join("data");
    let bench = bench(&folder);
    let bytes = content(1, 3 << 20);
    let large = record("ada/large", 1, &bytes);
    bench.put(&large, Role::Replica, &bytes).await;
    let tree = find(&folder, &large).with_extension("tree");
    fs::remove_file(&tree).expect("it exists");
    make_fifo(&tree);
    let opened = bench.store.open(&large).await.expect("it is held");
    let tree = opened.tree().await.expect("it is rebuilt from the content");
    assert_eq!(tree.to_bytes().len(), 3 * 32);
}

#[tokio::test]
async fn folders_of_contents_that_are_removed_are_made_again() {
    let above = folder();
    let (folder, bench, _) = two_files(above.path()).await;
    fs::remove_dir_all(folder.join("content/00")).expect("it exists");
    fs::remove_dir_all(folder.join("quarantine")).expect("it exists");
    is_fit(&bench, 2).await;
    assert!(folder.join("quarantine").is_dir());
    // Something else in its place is set aside.
    fs::remove_dir_all(folder.join("content/00")).expect("it exists");
    fs::write(folder.join("content/00"), "a file").expect("it can be written");
    is_fit(&bench, 3).await;
    assert!(folder.join("orphans/00").is_file());
}

#[tokio::test]
async fn nothing_is_written_through_what_stands_in_the_way_at_start() {
    let above = folder();
    let folder = above.path().join("data");
    let outside = above.path().join("outside");
    fs::write(&outside, "untouched").expect("it can be written");
    fs::create_dir_all(folder.join("incoming/0")).expect("it can be created");
    for name in ["node.id.new", "index.new"] {
        symlink(&outside, folder.join(name)).expect("it can be created");
    }
    let bench = bench(&folder);
    is_fit(&bench, 1).await;
    bench.store.close().await;
    assert_eq!(fs::read(&outside).expect("it exists"), b"untouched");
    assert!(!folder.join("incoming/0").exists());
}

#[tokio::test]
async fn a_start_does_not_wait_for_what_is_no_regular_file() {
    let above = folder();
    let (folder, bench, _) = two_files(above.path()).await;
    bench.store.close().await;
    drop(bench);
    for name in ["lock", "node.id", "index.redb"] {
        let (path, aside) = (folder.join(name), above.path().join("aside"));
        fs::rename(&path, &aside).expect("it exists");
        make_fifo(&path);
        let refused = refusal(&options(&folder)).to_string();
        assert!(
            refused.contains(name) && refused.contains("FIFO"),
            "{refused}"
        );
        fs::remove_file(&path).expect("it exists");
        fs::rename(&aside, &path).expect("it exists");
    }
    assert!(DiskStore::open(&options(&folder)).is_ok());
}

#[tokio::test]
async fn a_folder_whose_lock_was_removed_is_still_in_use() {
    let above = folder();
    let (folder, bench, _) = two_files(above.path()).await;
    fs::remove_file(folder.join("lock")).expect("it exists");
    let refused = refusal(&options(&folder));
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    is_fit(&bench, 2).await;
}
