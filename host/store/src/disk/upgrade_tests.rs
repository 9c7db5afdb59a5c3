//! An index that an earlier release wrote is upgraded, whatever goes wrong on the way.
//!
//! The earlier release is imitated here in a few lines that write what it wrote; they share no code with the present
//! formats.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::version::{Millis, Stamp};
use redb::{Database, ReadableDatabase, TableDefinition};
use serde::Serialize;

use super::super::suite::{Bench, content, record};
use super::super::{Lifetime, SavedLinks};
use super::layout::{BucketFolder, ContentId, ContentPlace, Layout};
use super::{DiskOptions, DiskStore, Identity, OpenError, index, upgrade};

const BYTES_TABLE: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("contents");
const HOLDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("holdings");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

#[derive(Serialize)]
struct HoldingRow<'a> {
    stamp: u64,
    writer: [u8; 16],
    layout_counter: u64,
    layout_author: [u8; 16],
    holders: Vec<[u8; 16]>,
    is_deleted: bool,
    size: u64,
    digest: [u8; 32],
    content_type: &'a str,
    factor: u32,
    is_replica: bool,
    verified: u64,
    bucket: u16,
}

#[derive(Serialize)]
struct LinksRow {
    links: Vec<([u8; 16], String, String)>,
    refused: Vec<[u8; 16]>,
}

#[derive(Serialize)]
struct LifetimeRow {
    ran_ms: u64,
    together: u64,
    is_draining: bool,
    scrub_began: u64,
}

fn seal(key: &str, row: &impl Serialize) -> Vec<u8> {
    let row = postcard::to_stdvec(row).expect("it is plain");
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes()).update(&[0]).update(&row);
    let mut sealed = hasher.finalize().as_bytes()[..8].to_vec();
    sealed.extend_from_slice(&row);
    sealed
}

fn holding_row(record: &Record, is_replica: bool, bucket: u16) -> Vec<u8> {
    let holders = record.layout.holders.iter();
    let row = HoldingRow {
        stamp: record.version.stamp.0,
        writer: *record.version.writer.as_bytes(),
        layout_counter: record.layout.counter,
        layout_author: *record.layout.author.as_bytes(),
        holders: holders.map(|id| *id.as_bytes()).collect(),
        is_deleted: record.deleted,
        size: record.size,
        digest: record.digest.0,
        content_type: &record.content_type,
        factor: record.factor,
        is_replica,
        verified: 1_700_000_000_000,
        bucket,
    };
    seal(record.key.as_str(), &row)
}

/// What is in the folder that format 1 wrote.
struct Old {
    small: (Record, Vec<u8>),
    large: (Record, Vec<u8>),
    deleted: Record,
}

/// Writes a folder as the release of format 1 did, with or without a row of the node's facts.
fn write_format_1(folder: &Path, lifetime: Option<&LifetimeRow>) -> Old {
    let file = |key: &str, len| {
        let bytes = content(3, len);
        (record(key, 5, &bytes), bytes)
    };
    let old = Old {
        small: file("ada/small", 100),
        large: file("ada/large", 50_000),
        deleted: Record {
            deleted: true,
            size: 0,
            digest: Digest::of(b""),
            ..record("ada/gone", 6, b"")
        },
    };
    let place = ContentPlace {
        id: ContentId::of(&old.large.0),
        bucket: BucketFolder(3),
    };
    let layout = Layout::new(folder);
    fs::create_dir_all(layout.bucket(place.bucket)).expect("it can be created");
    fs::write(layout.content(place), &old.large.1).expect("it can be written");
    fs::write(folder.join("node.id"), format!("{}\n", NodeId::from(7))).expect("it can be written");

    let database = Database::create(folder.join("index.redb")).expect("it is created");
    let transaction = database.begin_write().expect("it begins");
    {
        let mut holdings = transaction.open_table(HOLDINGS).expect("it is created");
        let rows = [
            (&old.small.0, true, 0),
            (&old.large.0, false, 3),
            (&old.deleted, true, 0),
        ];
        for (record, is_replica, bucket) in rows {
            let row = holding_row(record, is_replica, bucket);
            let inserted = holdings.insert(record.key.as_str(), row.as_slice());
            inserted.expect("it is written");
        }
        let mut contents = transaction.open_table(BYTES_TABLE).expect("it is created");
        let mut piece = [0; 33];
        piece[..32].copy_from_slice(&ContentId::of(&old.small.0).to_bytes());
        let inserted = contents.insert(&piece, old.small.1.as_slice());
        inserted.expect("it is written");
        let mut meta = transaction.open_table(META).expect("it is created");
        let links = LinksRow {
            links: vec![(*NodeId::from(1).as_bytes(), "b".into(), "b:1".into())],
            refused: vec![*NodeId::from(2).as_bytes()],
        };
        let node = NodeId::from(7);
        let mut rows: Vec<(&str, Vec<u8>)> = vec![
            ("format", 1u32.to_le_bytes().to_vec()),
            ("node", node.as_bytes().to_vec()),
            ("network", b"test".to_vec()),
            ("ceiling", 77u64.to_le_bytes().to_vec()),
            ("commits", 200u64.to_le_bytes().to_vec()),
            ("links", seal("links", &links)),
        ];
        rows.extend(lifetime.map(|lifetime| ("life", seal("life", lifetime))));
        for (name, row) in rows {
            meta.insert(name, row.as_slice()).expect("it is written");
        }
    }
    transaction.commit().expect("it is durable");
    old
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be created")
}

fn options(folder: &Path) -> DiskOptions {
    DiskOptions {
        folder: folder.to_owned(),
        capacity: None,
        network: "test".to_owned(),
        node_if_new: NodeId::from(9),
        now: 1_800_000_000_000,
    }
}

fn open(folder: &Path) -> Result<(Arc<DiskStore>, Identity), OpenError> {
    DiskStore::open(&options(folder))
}

fn refusal(options: &DiskOptions) -> OpenError {
    DiskStore::open(options).err().expect("it is refused")
}

/// The format number in an index.
fn format_of(index: &Path) -> u32 {
    let database = Database::open(index).expect("it opens");
    let transaction = database.begin_read().expect("it begins");
    let meta = transaction.open_table(META).expect("it exists");
    let format = meta.get("format").expect("it can be read");
    let format = format.expect("it exists");
    u32::from_le_bytes(format.value().try_into().expect("four bytes"))
}

/// Checks that the folder opens with everything that format 1 had, and closes it.
async fn check_upgraded(folder: &Path, old: &Old, lifetime: Lifetime) {
    let (store, identity) = open(folder).expect("it opens");
    assert_eq!((identity.node, identity.is_new), (NodeId::from(7), false));
    let bench = Bench::of(store, None);
    let links = SavedLinks {
        links: vec![(NodeId::from(1), "b".into(), "b:1".into())],
        refused: vec![NodeId::from(2)],
        left: Vec::new(),
    };
    let opened = &bench.opened;
    assert_eq!(
        (&opened.links, opened.ceiling, opened.lifetime),
        (&links, Stamp(77), lifetime)
    );
    assert!(opened.missing.is_empty());
    let held = |record: &Record| {
        let held = bench.mirror.held(&record.key).expect("it is held");
        assert_eq!(*held.record, *record);
        (held.role, held.verified)
    };
    let checked: Millis = 1_700_000_000_000;
    assert_eq!(held(&old.small.0), (Role::Replica, checked));
    assert_eq!(held(&old.large.0), (Role::Cached, checked));
    // When the tombstone was stored is not known: it counts from when the node began to count.
    assert_eq!(held(&old.deleted), (Role::Replica, 0));
    for (record, bytes) in [&old.small, &old.large] {
        assert!(bench.read(record).await.expect("it is held") == *bytes);
    }
    bench.store.close().await;
    assert_eq!(format_of(&folder.join("index.redb")), 2);
}

fn backup(folder: &Path) -> PathBuf {
    folder.join("index.redb.format-1")
}

#[tokio::test]
async fn an_older_index_is_upgraded_with_a_backup_that_the_earlier_release_can_open() {
    let folder = folder();
    let old = write_format_1(folder.path(), None);
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
    assert_eq!(format_of(&backup(folder.path())), 1);
    // The next start has nothing to upgrade and does not need the backup.
    let before = fs::metadata(backup(folder.path())).expect("it exists");
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
    let after = fs::metadata(backup(folder.path())).expect("it exists");
    assert_eq!(before.modified().ok(), after.modified().ok());
    fs::remove_file(backup(folder.path())).expect("it can be removed");
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
}

#[tokio::test]
async fn what_an_older_index_keeps_of_the_nodes_life_is_kept() {
    let folder = folder();
    let row = LifetimeRow {
        ran_ms: 11,
        together: 12,
        is_draining: true,
        scrub_began: 13,
    };
    let old = write_format_1(folder.path(), Some(&row));
    let lifetime = Lifetime {
        ran_ms: 11,
        together: 12,
        draining: true,
        scrub_began: 13,
        scrub_ended: 0,
    };
    assert!(lifetime.is_scrubbing());
    check_upgraded(folder.path(), &old, lifetime).await;
}

#[tokio::test]
async fn a_crash_while_the_backup_is_made_leaves_an_index_that_upgrades() {
    let folder = folder();
    let old = write_format_1(folder.path(), None);
    let unfinished = folder.path().join("index.redb.format-1.new");
    fs::write(&unfinished, b"the beginning of").expect("it can be written");
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
    assert_eq!(format_of(&backup(folder.path())), 1);
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_crash_after_the_backup_or_in_mid_upgrade_leaves_an_index_that_upgrades() {
    let (folder, crashed) = (folder(), folder());
    let old = write_format_1(folder.path(), None);
    let index = folder.path().join("index.redb");
    fs::copy(&index, backup(folder.path())).expect("it can be copied");
    let good = fs::read(backup(folder.path())).expect("it exists");
    {
        // The process dies after all steps and before the commit.
        let database = index::open_database(&index).expect("it opens");
        let transaction = database.begin_write().expect("it begins");
        upgrade::take_steps(&transaction, 1).expect("they are taken");
        super::tests::copy(folder.path(), crashed.path());
        transaction.abort().expect("it ends");
    }
    check_upgraded(crashed.path(), &old, Lifetime::default()).await;
    // The good backup is still the same, and the only one.
    let kept = fs::read(backup(crashed.path())).expect("it exists");
    assert!(kept == good);
    assert!(!crashed.path().join("index.redb.format-1.2").exists());
}

#[tokio::test]
async fn a_backup_of_another_time_is_not_overwritten() {
    let folder = folder();
    let old = write_format_1(folder.path(), None);
    fs::write(backup(folder.path()), b"somebody's").expect("it can be written");
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
    let kept = fs::read(backup(folder.path())).expect("it exists");
    assert_eq!(kept, b"somebody's");
    let second = folder.path().join("index.redb.format-1.2");
    assert_eq!(format_of(&second), 1);
}

#[tokio::test]
async fn where_no_backup_can_be_made_nothing_is_changed_and_the_reason_is_told() {
    let folder = folder();
    let old = write_format_1(folder.path(), None);
    // A folder where the copy is to be written.
    let unfinished = folder.path().join("index.redb.format-1.new");
    fs::create_dir(&unfinished).expect("it can be created");
    let refused = refusal(&options(folder.path()));
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::Backup { .. }), "{text}");
    assert!(text.contains("index.redb.format-1") && text.contains("nothing was changed"));
    assert_eq!(format_of(&folder.path().join("index.redb")), 1);
    assert!(!backup(folder.path()).exists());
    fs::remove_dir(&unfinished).expect("it can be removed");
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
}

/// Runs only where a small file system can be mounted, which takes privileges.
#[tokio::test]
async fn a_disk_too_full_for_the_backup_is_a_clear_refusal() {
    let folder = folder();
    let Some(_mounted) = super::tests::mount(folder.path(), "8m") else {
        eprintln!("skipped: a file system can't be mounted here");
        return;
    };
    let old = write_format_1(folder.path(), None);
    let ballast = folder.path().join("ballast");
    assert!(fs::write(&ballast, vec![1; 8 << 20]).is_err(), "it is full");
    let refused = refusal(&options(folder.path()));
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::Backup { .. }), "{text}");
    assert!(text.contains("free space on that disk"), "{text}");
    assert!(!folder.path().join("index.redb.format-1.new").exists());
    fs::remove_file(&ballast).expect("it can be removed");
    assert_eq!(format_of(&folder.path().join("index.redb")), 1);
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
}

#[tokio::test]
async fn a_folder_that_is_refused_is_not_upgraded_first() {
    let folder = folder();
    let old = write_format_1(folder.path(), None);
    let other = DiskOptions {
        network: "other".to_owned(),
        ..options(folder.path())
    };
    assert!(matches!(refusal(&other), OpenError::OtherNetwork { .. }));
    fs::write(folder.path().join("node.id"), NodeId::from(8).to_string())
        .expect("it can be written");
    let refused = refusal(&options(folder.path()));
    assert!(matches!(refused, OpenError::OtherNode { .. }));
    assert_eq!(format_of(&folder.path().join("index.redb")), 1);
    assert!(!backup(folder.path()).exists());
    fs::remove_file(folder.path().join("node.id")).expect("it can be removed");
    check_upgraded(folder.path(), &old, Lifetime::default()).await;
}

#[tokio::test]
async fn an_older_index_with_a_damaged_entry_is_refused_and_left_alone() {
    let folder = folder();
    write_format_1(folder.path(), None);
    let index = folder.path().join("index.redb");
    {
        let database = Database::open(&index).expect("it opens");
        let transaction = database.begin_write().expect("it begins");
        let mut holdings = transaction.open_table(HOLDINGS).expect("it exists");
        let key = Key::parse("ada/gone").expect("it is a key");
        let inserted = holdings.insert(key.as_str(), [1u8; 40].as_slice());
        drop(inserted.expect("it is written"));
        drop(holdings);
        transaction.commit().expect("it is durable");
    }
    let refused = refusal(&options(folder.path()));
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    assert_eq!(format_of(&index), 1);
}
