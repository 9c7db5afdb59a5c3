//! The behaviour that every store must have, tested through the port.
//!
//! A behaviour is a function over a [`Bench`]; `on_every_store!` runs it on a store in memory and on one on the disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::content::{Digest, GroupTree};
use dataverse_core::holdings::{Holding, Holdings, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};
use futures_util::TryStreamExt;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{
    Applied, Change, DiskOptions, DiskStore, MemoryStore, Observer, Opened, Prepared, Store,
    StoreError, Usage,
};
use crate::limits;

/// Enough space for what the behaviours write.
pub(super) const CAPACITY: u64 = 64 << 20;

/// A record of this content.
pub(super) fn record(key: &str, stamp: u64, content: &[u8]) -> Record {
    Record {
        version: Version {
            stamp: Stamp(stamp),
            writer: NodeId::from(7),
        },
        layout: Layout {
            counter: 1,
            author: NodeId::from(7),
            holders: vec![NodeId::from(7)],
        },
        deleted: false,
        size: content.len() as u64,
        digest: Digest::of(content),
        content_type: "text/plain".into(),
        factor: 1,
        key: Key::parse(key).expect("it is a key"),
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub(super) fn content(seed: u8, len: usize) -> Vec<u8> {
    let byte = |at: usize| (at.wrapping_mul(31) % 251) as u8 ^ seed;
    (0..len).map(byte).collect()
}

/// Mirrors the holdings and records every notification.
#[derive(Default)]
pub(super) struct Mirror {
    holdings: Mutex<Holdings>,
    notified: Mutex<Vec<(Key, Option<Version>)>>,
}

impl Mirror {
    pub(super) fn held(&self, key: &Key) -> Option<Holding> {
        self.holdings.lock().find(key).cloned()
    }

    pub(super) fn files(&self) -> u64 {
        self.holdings.lock().replicas().files
    }
}

impl Observer for Mirror {
    fn changed(&self, key: &Key, after: Option<&Holding>) {
        let mut holdings = self.holdings.lock();
        match after {
            Some(after) => drop(holdings.put(after.clone())),
            None => drop(holdings.remove(key)),
        }
        let version = after.map(|after| after.record.version);
        self.notified.lock().push((key.clone(), version));
    }
}

/// A started store and what its observer got.
pub(super) struct Bench {
    pub(super) store: Arc<dyn Store>,
    pub(super) mirror: Arc<Mirror>,
    pub(super) opened: Opened,
    _folder: Option<tempfile::TempDir>,
}

impl Bench {
    pub(super) fn of(store: Arc<dyn Store>, folder: Option<tempfile::TempDir>) -> Self {
        let mirror = Arc::new(Mirror::default());
        let observer: Arc<dyn Observer> = mirror.clone();
        let mut opened = store.start(observer);
        for holding in std::mem::take(&mut opened.holdings) {
            mirror.holdings.lock().put(holding);
        }
        Self {
            store,
            mirror,
            opened,
            _folder: folder,
        }
    }

    fn in_memory(capacity: u64) -> Self {
        Self::of(MemoryStore::new(capacity), None)
    }

    fn on_disk(capacity: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be created");
        let (store, _) = DiskStore::open(&DiskOptions {
            folder: folder.path().to_owned(),
            capacity: Some(capacity),
            network: "test".to_owned(),
            node_if_new: NodeId::from(7),
            now: 0,
        })
        .expect("a new folder opens");
        Self::of(store, Some(folder))
    }

    pub(super) async fn prepare(&self, bytes: &[u8]) -> Prepared {
        let mut spool = self.store.spool(None).expect("there is space");
        for chunk in bytes.chunks(100_000) {
            spool
                .write(Bytes::copy_from_slice(chunk))
                .await
                .expect("there is space");
        }
        spool.seal().await.expect("it is written")
    }

    pub(super) async fn put(&self, record: &Record, role: Role, bytes: &[u8]) -> Applied {
        let content = Some(self.prepare(bytes).await);
        self.apply(put(record, role, content)).await
    }

    pub(super) async fn apply(&self, change: Change) -> Applied {
        self.store.apply(change).await.expect("it is applied")
    }

    pub(super) async fn read(&self, record: &Record) -> Result<Vec<u8>, StoreError> {
        let content = self.store.open(record).await?;
        let parts: Vec<Bytes> = content.stream(0, u64::MAX).try_collect().await?;
        Ok(parts.concat())
    }

    fn held(&self, key: &str) -> Option<Holding> {
        let key = Key::parse(key).expect("it is a key");
        self.mirror.held(&key)
    }

    fn check_used(&self, replicas: u64, cached: u64) {
        let Usage {
            replicas: is_replicas,
            cached: is_cached,
            reserved,
            ..
        } = self.store.usage();
        assert_eq!((is_replicas, is_cached, reserved), (replicas, cached, 0));
    }

    async fn check_absent(&self, record: &Record) {
        let opened = self.store.open(record).await;
        assert!(matches!(opened, Err(StoreError::Absent(_))), "{record:?}");
    }
}

pub(super) fn put(record: &Record, role: Role, content: Option<Prepared>) -> Change {
    Change::Put {
        record: Arc::new(record.clone()),
        role,
        content,
        validated: 5,
        verified: 6,
    }
}

fn drop_of(record: &Record, only: Option<Role>) -> Change {
    Change::Drop {
        key: record.key.clone(),
        version: record.version,
        only,
    }
}

fn is_done(applied: &Applied) -> bool {
    matches!(applied, Applied::Done { .. })
}

macro_rules! on_every_store {
    ($($behaviour:ident $(with $capacity:expr)?;)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $behaviour() {
                let capacities = [super::CAPACITY, $($capacity)?];
                let capacity = capacities[capacities.len() - 1];
                super::$behaviour(super::Bench::in_memory(capacity)).await;
            })*
        }
        mod on_disk {
            $(#[tokio::test]
            async fn $behaviour() {
                let capacities = [super::CAPACITY, $($capacity)?];
                let capacity = capacities[capacities.len() - 1];
                super::$behaviour(super::Bench::on_disk(capacity)).await;
            })*
        }
    };
}

on_every_store! {
    contents_of_every_size_read_back;
    any_range_can_be_read;
    a_newer_version_takes_the_place_of_an_older_one;
    an_older_version_is_superseded;
    a_greater_layout_and_a_greater_role_need_no_content;
    a_replica_can_become_a_cached_copy;
    letting_go_minds_version_and_role;
    a_tombstone_hides_the_file_and_frees_its_room;
    bad_content_is_no_longer_held_and_may_come_again;
    nothing_older_takes_the_place_of_a_bad_replica;
    what_was_checked_is_remembered;
    another_content_than_the_record_names_is_refused;
    a_tail_reads_while_the_spool_grows_and_after_it_was_committed;
    a_tail_of_an_abandoned_spool_fails;
    an_abandoned_spool_gives_its_room_back;
    a_write_without_room_succeeds_once_there_is_some with 1_000_000;
    a_content_too_large_is_refused_before_it_comes with 1_000_000;
    an_opened_content_stays_readable;
    concurrent_writers_end_at_the_greatest_version;
    a_closed_store_says_so;
}

async fn contents_of_every_size_read_back(bench: Bench) {
    let group = GROUP_BYTES as usize;
    let inline = limits::INLINE_BYTES_MAX;
    let mut sum = 0;
    for len in [0, 1, inline, inline + 1, group, group + 1, 5 * group + 7] {
        let bytes = content(1, len);
        let record = record(&format!("ada/{len}"), 1, &bytes);
        let prepared = bench.prepare(&bytes).await;
        assert_eq!(
            (prepared.digest(), prepared.size()),
            (record.digest, record.size)
        );
        let tree = prepared.tree();
        assert!(is_done(
            &bench
                .apply(put(&record, Role::Replica, Some(prepared)))
                .await
        ));
        assert!(
            bench.read(&record).await.expect("it is held") == bytes,
            "{len}"
        );
        let content = bench.store.open(&record).await.expect("it is held");
        assert_eq!(content.size(), record.size);
        assert_eq!(content.tree().await.expect("it has a tree"), tree);
        let checked = GroupTree::checked(&tree.to_bytes(), record.digest, record.size);
        assert_eq!(checked.as_ref(), Ok(&*tree));
        sum += record.size;
        bench.check_used(sum, 0);
    }
}

async fn any_range_can_be_read(bench: Bench) {
    let bytes = content(2, 3 << 20);
    let record = record("ada/x", 1, &bytes);
    bench.put(&record, Role::Replica, &bytes).await;
    let content = bench.store.open(&record).await.expect("it is held");
    for (offset, length) in [
        (0, 0),
        (7, 9),
        (99_999, 2),
        (1 << 20, 1 << 20),
        (3145720, 100),
    ] {
        let expected = &bytes[offset..bytes.len().min(offset + length)];
        let read = content
            .read(offset as u64, length)
            .await
            .expect("it exists");
        assert!(read == expected, "{offset} {length}");
        let stream = content.stream(offset as u64, length as u64);
        let parts: Vec<Bytes> = stream.try_collect().await.expect("it exists");
        assert!(parts.concat() == expected, "{offset} {length}");
    }
    let past = content.read(1 << 40, 5).await.expect("nothing is there");
    assert!(past.is_empty());
}

async fn a_newer_version_takes_the_place_of_an_older_one(bench: Bench) {
    // From the index to a file and back.
    let contents = [
        content(1, 100),
        content(2, 20_000),
        content(3, 30_000),
        content(4, 5),
    ];
    let mut before = None;
    for (stamp, bytes) in (1..).zip(&contents) {
        let record = record("ada/x", stamp, bytes);
        let applied = bench.put(&record, Role::Replica, bytes).await;
        assert_eq!(applied, Applied::Done { before });
        assert!(bench.read(&record).await.expect("it is held") == *bytes);
        bench.check_used(record.size, 0);
        if stamp > 1 {
            let older = super::suite::record("ada/x", stamp - 1, &contents[stamp as usize - 2]);
            bench.check_absent(&older).await;
        }
        // The time of validation is passed on and not kept.
        assert_eq!(bench.held("ada/x").map(|held| held.validated), Some(5));
        before = bench.held("ada/x").map(|held| Holding {
            validated: 0,
            ..held
        });
    }
}

async fn an_older_version_is_superseded(bench: Bench) {
    for len in [10, 20_000] {
        let bytes = content(1, len);
        let newer = record("ada/x", 9 + len as u64, &bytes);
        let older = record("ada/x", 1, &bytes);
        bench.put(&newer, Role::Replica, &bytes).await;
        let applied = bench.put(&older, Role::Replica, &bytes).await;
        assert_eq!(applied, Applied::Superseded(Arc::new(newer.clone())));
        bench.check_absent(&older).await;
        assert!(bench.read(&newer).await.is_ok());
        bench.check_used(newer.size, 0);
    }
}

async fn a_greater_layout_and_a_greater_role_need_no_content(bench: Bench) {
    let bytes = content(1, 50_000);
    let mut record = record("ada/x", 1, &bytes);
    bench.put(&record, Role::Cached, &bytes).await;
    bench.check_used(0, record.size);
    record.layout.counter = 2;
    assert!(is_done(
        &bench.apply(put(&record, Role::Replica, None)).await
    ));
    bench.check_used(record.size, 0);
    // Content that comes with a version already held is dropped, and a role is never lowered.
    assert!(is_done(&bench.put(&record, Role::Cached, &bytes).await));
    bench.check_used(record.size, 0);
    let held = bench.held("ada/x").expect("it is held");
    assert_eq!((held.role, held.record.layout.counter), (Role::Replica, 2));
    assert!(bench.read(&record).await.expect("it is held") == bytes);
    record.layout.counter = 1;
    let applied = bench.apply(put(&record, Role::Replica, None)).await;
    assert!(matches!(applied, Applied::Superseded(held) if held.layout.counter == 2));
}

async fn a_replica_can_become_a_cached_copy(bench: Bench) {
    let bytes = content(1, 50_000);
    let mut record = record("ada/x", 1, &bytes);
    bench.put(&record, Role::Replica, &bytes).await;
    record.layout = Layout {
        counter: 2,
        author: NodeId::from(8),
        holders: vec![NodeId::from(8)],
    };
    let demote = || Change::Demote {
        record: Arc::new(record.clone()),
    };
    assert!(is_done(&bench.apply(demote()).await));
    bench.check_used(0, record.size);
    assert!(bench.read(&record).await.expect("it is held") == bytes);
    assert_eq!(
        bench.held("ada/x").map(|held| held.record.layout.counter),
        Some(2)
    );
    bench.apply(drop_of(&record, None)).await;
    assert_eq!(bench.apply(demote()).await, Applied::Nothing);
}

async fn letting_go_minds_version_and_role(bench: Bench) {
    for (stamp, len) in [(5, 100), (6, 50_000)] {
        let bytes = content(1, len);
        let record = record("ada/x", stamp, &bytes);
        bench.put(&record, Role::Replica, &bytes).await;
        let older = super::suite::record("ada/x", stamp - 1, &bytes);
        assert_eq!(bench.apply(drop_of(&older, None)).await, Applied::Nothing);
        let only_cached = drop_of(&record, Some(Role::Cached));
        assert_eq!(bench.apply(only_cached).await, Applied::Nothing);
        bench.check_used(record.size, 0);
        assert!(is_done(
            &bench.apply(drop_of(&record, Some(Role::Replica))).await
        ));
        bench.check_used(0, 0);
        bench.check_absent(&record).await;
        assert_eq!(bench.held("ada/x"), None);
        assert_eq!(bench.apply(drop_of(&record, None)).await, Applied::Nothing);
    }
}

async fn a_tombstone_hides_the_file_and_frees_its_room(bench: Bench) {
    let bytes = content(1, 50_000);
    let older = record("ada/x", 1, &bytes);
    bench.put(&older, Role::Replica, &bytes).await;
    let mut tombstone = record("ada/x", 2, b"");
    tombstone.deleted = true;
    assert!(is_done(
        &bench.apply(put(&tombstone, Role::Replica, None)).await
    ));
    bench.check_used(0, 0);
    bench.check_absent(&older).await;
    bench.check_absent(&tombstone).await;
    assert!(bench.held("ada/x").is_some_and(|held| held.record.deleted));
    let again = bench.put(&older, Role::Replica, &bytes).await;
    assert_eq!(again, Applied::Superseded(Arc::new(tombstone)));
}

async fn bad_content_is_no_longer_held_and_may_come_again(bench: Bench) {
    for len in [10, 50_000, 2 << 20] {
        let bytes = content(1, len);
        let record = record("ada/x", len as u64, &bytes);
        bench.put(&record, Role::Replica, &bytes).await;
        let quarantine = Change::Quarantine {
            key: record.key.clone(),
            version: record.version,
        };
        // Both at once: the good content must not be removed along with the bad one.
        let content = Some(bench.prepare(&bytes).await);
        let (gone, back) = tokio::join!(
            bench.store.apply(quarantine),
            bench.store.apply(put(&record, Role::Replica, content))
        );
        assert!(is_done(&gone.expect("it is applied")));
        assert_eq!(back.expect("it is applied"), Applied::Done { before: None });
        assert!(bench.read(&record).await.expect("it is held") == bytes);
        bench.check_used(record.size, 0);
    }
}

async fn nothing_older_takes_the_place_of_a_bad_replica(bench: Bench) {
    for len in [10, 50_000] {
        let bytes = content(1, len);
        let bad = record("ada/x", len as u64, &bytes);
        bench.put(&bad, Role::Replica, &bytes).await;
        let quarantine = Change::Quarantine {
            key: bad.key.clone(),
            version: bad.version,
        };
        let older = record("ada/x", len as u64 - 1, &bytes);
        let content = Some(bench.prepare(&bytes).await);
        let (gone, back) = tokio::join!(
            bench.store.apply(quarantine),
            bench.store.apply(put(&older, Role::Replica, content))
        );
        assert!(is_done(&gone.expect("it is applied")));
        let superseded = Applied::Superseded(Arc::new(bad.clone()));
        assert_eq!(back.expect("it is applied"), superseded);
        let applied = bench.put(&older, Role::Cached, &bytes).await;
        assert_eq!(applied, superseded);
        bench.check_used(0, 0);
        // Once removed, it is no longer missing.
        bench.apply(drop_of(&bad, None)).await;
        assert!(is_done(&bench.put(&older, Role::Replica, &bytes).await));
    }
}

async fn what_was_checked_is_remembered(bench: Bench) {
    let record = record("ada/x", 1, b"x");
    bench.put(&record, Role::Replica, b"x").await;
    let verified = |at| Change::Verified {
        key: record.key.clone(),
        version: record.version,
        at,
    };
    assert!(is_done(&bench.apply(verified(70)).await));
    assert!(is_done(&bench.apply(verified(60)).await));
    assert_eq!(bench.held("ada/x").map(|held| held.verified), Some(70));
    let mut tombstone = super::suite::record("ada/x", 2, b"");
    tombstone.deleted = true;
    bench.apply(put(&tombstone, Role::Replica, None)).await;
    let put_at = bench.held("ada/x").map(|held| held.verified);
    let checked = Change::Verified {
        key: tombstone.key.clone(),
        version: tombstone.version,
        at: 99,
    };
    assert_eq!(bench.apply(checked).await, Applied::Nothing);
    assert_eq!(bench.held("ada/x").map(|held| held.verified), put_at);
}

async fn another_content_than_the_record_names_is_refused(bench: Bench) {
    let record = record("ada/x", 1, b"right");
    let wrong = Some(bench.prepare(b"wrong").await);
    let applied = bench.store.apply(put(&record, Role::Replica, wrong)).await;
    assert!(matches!(applied, Err(StoreError::Corrupt(_))));
    let applied = bench.store.apply(put(&record, Role::Replica, None)).await;
    assert!(matches!(applied, Err(StoreError::Absent(_))));
    assert_eq!(bench.held("ada/x"), None);
    bench.check_used(0, 0);
}

async fn a_tail_reads_while_the_spool_grows_and_after_it_was_committed(bench: Bench) {
    let bytes = content(1, (4 << 20) + 9);
    let record = record("ada/x", 1, &bytes);
    let mut spool = bench
        .store
        .spool(Some(record.size))
        .expect("there is space");
    let mut readers = JoinSet::new();
    for step in [1_000_000, 77_777] {
        let tail = spool.tail();
        readers.spawn(async move {
            let mut read = Vec::new();
            while let Some(part) = tail
                .read(read.len() as u64, step)
                .await
                .expect("it continues")
            {
                assert!(!part.is_empty() && part.len() <= step);
                read.extend_from_slice(&part);
            }
            read
        });
    }
    let tail = spool.tail();
    for chunk in bytes.chunks(64 << 10) {
        let at = spool.size();
        spool
            .write(Bytes::copy_from_slice(chunk))
            .await
            .expect("there is space");
        // What was just written can be read immediately.
        let part = tail
            .read(at, 10)
            .await
            .expect("it exists")
            .expect("it is not the end");
        assert!(chunk.starts_with(&part));
    }
    let prepared = spool.seal().await.expect("it is written");
    let late = prepared.tail();
    bench
        .apply(put(&record, Role::Replica, Some(prepared)))
        .await;
    bench.apply(drop_of(&record, None)).await;
    while let Some(read) = readers.join_next().await {
        assert!(read.expect("the reader ends") == bytes);
    }
    let parts: Vec<Bytes> = late.stream(1 << 20).try_collect().await.expect("it exists");
    assert!(parts.concat() == bytes[1 << 20..]);
}

async fn a_tail_of_an_abandoned_spool_fails(bench: Bench) {
    let mut spool = bench.store.spool(None).expect("there is space");
    spool
        .write(Bytes::from_static(b"abc"))
        .await
        .expect("there is space");
    let tail = spool.tail();
    let waiting = tokio::spawn(async move { tail.read(3, 10).await });
    tokio::task::yield_now().await;
    drop(spool);
    assert!(waiting.await.expect("it ends").is_err());
}

async fn an_abandoned_spool_gives_its_room_back(bench: Bench) {
    let mut spool = bench.store.spool(Some(3 << 20)).expect("there is space");
    assert_eq!(bench.store.usage().reserved, 3 << 20);
    for _ in 0..3 {
        spool
            .write(vec![1; 1 << 20].into())
            .await
            .expect("there is space");
    }
    drop(spool);
    bench.check_used(0, 0);
    drop(bench.prepare(&content(1, 3 << 20)).await);
    bench.check_used(0, 0);
}

async fn a_write_without_room_succeeds_once_there_is_some(bench: Bench) {
    let cached = content(1, 600_000);
    let evictable = record("ada/cached", 1, &cached);
    bench.put(&evictable, Role::Cached, &cached).await;
    let bytes = content(2, 500_000);
    let record = record("ada/x", 1, &bytes);
    let mut spool = bench.store.spool(None).expect("nothing is needed yet");
    let mut refusals = 0;
    for chunk in bytes.chunks(100_000) {
        let chunk = Bytes::copy_from_slice(chunk);
        if let Err(error) = spool.write(chunk.clone()).await {
            // 600 kB are cached and 10 kB are reserved: the fourth 100 kB do not fit.
            assert!(
                matches!(error, StoreError::NoSpace { short: 10_000 }),
                "{error}"
            );
            bench.apply(drop_of(&evictable, Some(Role::Cached))).await;
            spool.write(chunk).await.expect("there is space now");
            refusals += 1;
        }
    }
    assert_eq!(refusals, 1);
    let prepared = spool.seal().await.expect("it is written");
    bench
        .apply(put(&record, Role::Replica, Some(prepared)))
        .await;
    assert!(bench.read(&record).await.expect("it is held") == bytes);
    bench.check_used(500_000, 0);
}

async fn a_content_too_large_is_refused_before_it_comes(bench: Bench) {
    let refused = bench.store.spool(Some(1_000_000));
    assert!(matches!(
        refused,
        Err(StoreError::NoSpace { short: 10_000 })
    ));
    let kept = bench
        .store
        .spool(Some(990_000))
        .expect("it fits but for the reserve");
    assert!(bench.store.spool(Some(1)).is_err());
    drop(kept);
    assert!(bench.store.spool(Some(1)).is_ok());
}

async fn an_opened_content_stays_readable(bench: Bench) {
    let bytes = content(1, 3 << 20);
    let record = record("ada/x", 1, &bytes);
    bench.put(&record, Role::Replica, &bytes).await;
    let opened = bench.store.open(&record).await.expect("it is held");
    bench.apply(drop_of(&record, None)).await;
    let parts: Vec<Bytes> = opened
        .stream(5, u64::MAX)
        .try_collect()
        .await
        .expect("it is open");
    assert!(parts.concat() == bytes[5..]);
    let tree = opened.tree().await.expect("it can be rebuilt");
    assert!(tree.verifies(record.digest, 2, &bytes[2 << 20..]));
}

async fn concurrent_writers_end_at_the_greatest_version(bench: Bench) {
    let bench = Arc::new(bench);
    let mut writers = JoinSet::new();
    for stamp in 1..=64u64 {
        let bench = Arc::clone(&bench);
        writers.spawn(async move {
            let bytes = content(stamp as u8, if stamp % 2 == 0 { 100 } else { 20_000 });
            let record = record("ada/x", stamp, &bytes);
            bench.put(&record, Role::Replica, &bytes).await
        });
    }
    while let Some(applied) = writers.join_next().await {
        assert_ne!(applied.expect("the writer ends"), Applied::Nothing);
    }
    let bytes = content(64, 100);
    assert!(
        bench
            .read(&record("ada/x", 64, &bytes))
            .await
            .expect("it is held")
            == bytes
    );
    bench.check_used(100, 0);
    let notified = bench.mirror.notified.lock();
    let versions: Vec<_> = notified.iter().map(|(_, version)| *version).collect();
    assert!(
        versions.is_sorted(),
        "the observer gets the changes in order"
    );
    assert_eq!(
        versions
            .last()
            .copied()
            .flatten()
            .map(|version| version.stamp),
        Some(Stamp(64))
    );
}

async fn a_closed_store_says_so(bench: Bench) {
    let record = record("ada/x", 1, b"x");
    let content = Some(bench.prepare(b"x").await);
    bench.store.close().await;
    let applied = bench
        .store
        .apply(put(&record, Role::Replica, content))
        .await;
    assert!(matches!(applied, Err(StoreError::Closed)));
    assert!(matches!(bench.store.spool(None), Err(StoreError::Closed)));
    assert!(bench.store.open(&record).await.is_err());
    assert!(bench.store.save_ceiling(Stamp(1)).await.is_err());
}

/// Waits until `condition` holds.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}
