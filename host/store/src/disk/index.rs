//! The index: one redb file with every holding, the small contents, the links and the clock's ceiling.
//!
//! One thread writes it and many read it. Each commit saves what redb needs to open quickly after a crash. redb
//! refuses to go on after an I/O error, so a failed commit reopens the file; the number of the last commit in it then
//! shows whether the commit became durable after all.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::secret::Secret;
use dataverse_core::version::Stamp;
use parking_lot::RwLock;
use redb::backends::FileBackend;
use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};

use super::super::files::{self, Links};
use super::super::{Lifetime, SavedLinks, StoreError};
use super::codec::{self, Damaged, Decoder, Entry};
use super::layout::{BucketFolder, ContentId};
use crate::limits;

/// `user/name` → row of the holding.
pub(super) const HOLDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("holdings");
/// Content id and number of the piece → piece of a small content.
const CONTENTS: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("contents");
/// `user/name` → row of a replica that was quarantined and must be restored.
pub(super) const MISSING: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("missing");
/// Name → value; single values.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

pub(super) const FORMAT: &str = "format";
const NODE: &str = "node";
const NETWORK: &str = "network";
const CEILING: &str = "ceiling";
const LINKS: &str = "links";
/// Separate from the links, so that an earlier release, which doesn't know this value, can still read those.
const LEFT: &str = "left";
/// Earlier releases don't know this value and leave it alone.
const SECRET: &str = "secret";
pub(super) const LIFETIME: &str = "life";
pub(super) const COMMITS: &str = "commits";

/// Bytes in a piece of small content. redb's pages are powers of two from 4 KiB up: as one value, content of 16 KiB
/// takes a page of 32 KiB; in three pieces it takes three pages of 8 KiB.
const PIECE_BYTES: usize = 5470;

/// One step of a commit.
#[derive(Debug)]
pub(super) enum Write {
    /// Store this entry.
    Hold(Entry),
    /// Remove the entry of this key.
    Forget(Key),
    /// Record that this replica is missing and must be restored.
    Miss(Entry),
    /// Record that the file of this key is no longer missing.
    Found(Key),
    /// Store a small content, in pieces.
    AddContent(ContentId, Bytes),
    /// Remove a small content.
    RemoveContent(ContentId),
    /// Store the links.
    Links(SavedLinks),
    /// Store the ceiling of the clock.
    Ceiling(Stamp),
    /// Store the small facts about the node.
    Lifetime(Lifetime),
}

/// Why a commit did not succeed.
#[derive(Debug)]
pub(super) enum CommitError {
    /// Nothing of it is durable; the index remains usable.
    Refused(StoreError),
    /// Whether it is durable is unknown: the file does not open any more.
    Unknown(StoreError),
}

/// Everything that is read from an index when it is opened.
pub(super) struct Loaded {
    pub(super) owner: Owner,
    /// The folder was new.
    pub(super) is_new: bool,
    pub(super) entries: Vec<Entry>,
    /// Replicas that were quarantined and not restored yet.
    pub(super) missing: Vec<Entry>,
    pub(super) ceiling: Stamp,
    pub(super) links: SavedLinks,
    pub(super) lifetime: Lifetime,
    /// `None` in a new index and in one that an earlier release wrote.
    pub(super) secret: Option<Secret>,
}

/// An index of an older format.
#[derive(Debug)]
pub(super) struct Older {
    pub(super) format: u32,
    pub(super) owner: Owner,
    /// How many commits were made to it.
    pub(super) commits: u64,
}

/// The owner of an index. Every format stores it the same way.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) node: NodeId,
    pub(super) network: String,
}

/// Why an index could not be loaded.
#[derive(Debug)]
pub(super) enum LoadError {
    /// A newer release wrote it.
    Newer(u32),
    /// An earlier release wrote it.
    Older(Older),
    /// Its contents are not what was written.
    Damaged(String),
    /// Another process has it open.
    InUse,
    /// The reason that the system gave.
    Failed(String),
}

impl From<Damaged> for LoadError {
    fn from(_: Damaged) -> Self {
        Self::Damaged("a value in it is not what was written".to_owned())
    }
}

impl<E: Into<redb::Error>> From<E> for LoadError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => {
                Self::Failed(error.to_string())
            }
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// The open index.
pub(super) struct Index {
    path: PathBuf,
    /// Device and inode number of the file: another file may take its name.
    file: (u64, u64),
    /// `None` once it could not be reopened, and after it was closed.
    database: RwLock<Option<Database>>,
    commits: AtomicU64,
    /// Makes the next commit fail as if the disk were full.
    #[cfg(test)]
    fails_next: std::sync::atomic::AtomicBool,
}

impl Index {
    /// Creates an index for this node, complete or not at all.
    pub(super) fn create(path: &Path, node: NodeId, network: &str) -> Result<(), LoadError> {
        let unfinished = path.with_extension("new");
        let failed = |error: std::io::Error| LoadError::Failed(error.to_string());
        files::create_anew(&unfinished).map_err(failed)?;
        let options = &mut OpenOptions::new();
        let file = files::open(&unfinished, options.read(true).write(true), Links::Refused);
        let file = file.map_err(|error| failed(error.into()))?;
        let database = Database::builder().create_with_backend(FileBackend::new(file)?)?;
        let transaction = database.begin_write()?;
        transaction.open_table(HOLDINGS)?;
        transaction.open_table(CONTENTS)?;
        transaction.open_table(MISSING)?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert(FORMAT, codec::FORMAT.to_le_bytes().as_slice())?;
            meta.insert(NODE, node.as_bytes().as_slice())?;
            meta.insert(NETWORK, network.as_bytes())?;
            meta.insert(LIFETIME, codec::encode_life(Lifetime::default()).as_slice())?;
        }
        transaction.commit()?;
        drop(database);
        std::fs::rename(&unfinished, path).map_err(failed)
    }

    /// Opens the index and reads everything except the contents.
    pub(super) fn open(path: &Path) -> Result<(Self, Loaded), LoadError> {
        without_panic(|| {
            let (database, file) = open_file(path)?;
            let (loaded, commits) = load(&database)?;
            let index = Self {
                path: path.to_owned(),
                file,
                database: RwLock::new(Some(database)),
                commits: AtomicU64::new(commits),
                #[cfg(test)]
                fails_next: false.into(),
            };
            Ok((index, loaded))
        })
    }

    /// A snapshot of the holdings.
    pub(super) fn holdings(&self) -> Result<Snapshot, StoreError> {
        self.read(|database| Ok(database.begin_read()?.open_table(HOLDINGS)?))
            .map(Snapshot)
    }

    /// Stores the secret of a folder that had none. Must be called before anything else is written.
    pub(super) fn keep_secret(&self, secret: &Secret) -> Result<(), StoreError> {
        self.read(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_quick_repair(true);
            {
                let mut meta = transaction.open_table(META)?;
                meta.insert(SECRET, secret.as_bytes().as_slice())?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// The small content with this id.
    pub(super) fn content(&self, id: ContentId) -> Result<Option<Bytes>, StoreError> {
        self.read(|database| {
            let contents = database.begin_read()?.open_table(CONTENTS)?;
            let mut whole = None;
            for piece in contents.range::<&[u8; 33]>(&piece_key(id, 0)..=&piece_key(id, u8::MAX))? {
                let whole: &mut Vec<u8> = whole.get_or_insert_default();
                whole.extend_from_slice(piece?.1.value());
            }
            Ok(whole.map(Bytes::from))
        })
    }

    /// The bucket folder for the contents of the next commit.
    pub(super) fn next_bucket(&self) -> BucketFolder {
        BucketFolder::of_commit(self.commits.load(Ordering::Relaxed) + 1)
    }

    /// Makes these writes durable, all of them or none.
    pub(super) fn commit(&self, writes: &[Write]) -> Result<(), CommitError> {
        let number = self.commits.load(Ordering::Relaxed) + 1;
        #[cfg(test)]
        if self.fails_next.swap(false, Ordering::Relaxed) {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return self.after_failure(number, self.failed(redb::Error::Io(full)));
        }
        let result = self.read(|database| write(database, writes, number));
        let Err(error) = result else {
            self.commits.store(number, Ordering::Relaxed);
            return Ok(());
        };
        self.after_failure(number, error)
    }

    /// redb does not go on after an I/O error and can't say whether the commit is durable. Reopening the file shows it.
    fn after_failure(&self, number: u64, error: StoreError) -> Result<(), CommitError> {
        match self.reopen() {
            Ok(durable) if durable == number => {
                self.commits.store(number, Ordering::Relaxed);
                Ok(())
            }
            Ok(_) => Err(CommitError::Refused(error)),
            Err(reason) => {
                tracing::error!(path = %self.path.display(), ?reason, "the index could not be reopened after a failed commit");
                Err(CommitError::Unknown(StoreError::Failed {
                    doing: "reopening the index after a failed commit".to_owned(),
                    reason: "restart the node once the disk works again; its log says more"
                        .to_owned(),
                }))
            }
        }
    }

    /// Reopens the file and returns the number of the last commit in it.
    fn reopen(&self) -> Result<u64, LoadError> {
        let mut database = self.database.write();
        // The file can't be opened twice.
        *database = None;
        let (again, file) = open_file(&self.path)?;
        if file != self.file {
            return Err(LoadError::Failed("another file is in its place".to_owned()));
        }
        let commits = number_in(&again.begin_read()?.open_table(META)?, COMMITS)?;
        *database = Some(again);
        Ok(commits)
    }

    #[cfg(test)]
    pub(super) fn fail_next_commit(&self) {
        self.fails_next.store(true, Ordering::Relaxed);
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let database = self.database.read();
        let database = database.as_ref().ok_or(StoreError::Closed)?;
        work(database).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: redb::Error) -> StoreError {
        let doing = "using the index";
        match error {
            redb::Error::Io(error) => StoreError::of_file(doing, &self.path, &error),
            other => {
                tracing::error!(path = %self.path.display(), error = %other, "the index failed");
                StoreError::Failed {
                    doing: doing.to_owned(),
                    reason: other.to_string(),
                }
            }
        }
    }

    /// Closes the file. Later reads fail with [`StoreError::Closed`].
    pub(super) fn close(&self) {
        *self.database.write() = None;
    }
}

/// The holdings as they were at one moment.
pub(super) struct Snapshot(ReadOnlyTable<&'static str, &'static [u8]>);

impl Snapshot {
    /// The entry of this file.
    pub(super) fn find(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let failed = |reason: String| StoreError::Failed {
            doing: format!("reading the index entry of {key}"),
            reason,
        };
        let row = self
            .0
            .get(key.as_str())
            .map_err(|error| failed(error.to_string()))?;
        row.map(|row| Decoder::default().entry(key.as_str(), row.value()))
            .transpose()
            .map_err(|Damaged| failed("it is not what was written".to_owned()))
    }
}

/// Runs work on an index that may be damaged: redb may panic on damage, which becomes an error here.
pub(super) fn without_panic<T>(
    work: impl FnOnce() -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(LoadError::Damaged("its pages are inconsistent".to_owned())))
}

pub(super) fn open_database(path: &Path) -> Result<Database, LoadError> {
    open_file(path).map(|(database, _)| database)
}

/// The database in this file, and the device and inode number of the file. The file may be a link: an operator may
/// keep it elsewhere.
fn open_file(path: &Path) -> Result<(Database, (u64, u64)), LoadError> {
    let failed = |error: std::io::Error| LoadError::Failed(format!("index.redb: {error}"));
    let options = &mut OpenOptions::new();
    let file = files::open(path, options.read(true).write(true), Links::Followed);
    let file: File = file.map_err(|error| failed(error.into()))?;
    let metadata = file.metadata().map_err(failed)?;
    // redb would turn an empty file into a new database.
    if metadata.len() == 0 {
        return Err(LoadError::Damaged("the file is empty".to_owned()));
    }
    let database = Database::builder()
        .set_cache_size(limits::INDEX_CACHE_BYTES)
        .create_with_backend(FileBackend::new(file)?)?;
    Ok((database, (metadata.dev(), metadata.ino())))
}

fn load(database: &Database) -> Result<(Loaded, u64), LoadError> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let format = format_in(&meta)?;
    if format > codec::FORMAT {
        return Err(LoadError::Newer(format));
    }
    let owner = owner_in(&meta)?;
    if format < codec::FORMAT {
        return Err(LoadError::Older(Older {
            format,
            owner,
            commits: number_in(&meta, COMMITS)?,
        }));
    }
    let (links, left) = (meta.get(LINKS)?, meta.get(LEFT)?);
    let lifetime = meta.get(LIFETIME)?.ok_or(Damaged)?;
    let mut decoder = Decoder::default();
    let loaded = Loaded {
        is_new: false,
        owner,
        entries: entries_in(&transaction.open_table(HOLDINGS)?, &mut decoder)?,
        missing: entries_in(&transaction.open_table(MISSING)?, &mut decoder)?,
        ceiling: Stamp(number_in(&meta, CEILING)?),
        links: SavedLinks {
            left: left
                .map(|left| codec::decode_left(left.value()))
                .transpose()?
                .unwrap_or_default(),
            ..links
                .map(|links| codec::decode_links(links.value()))
                .transpose()?
                .unwrap_or_default()
        },
        lifetime: codec::decode_life(lifetime.value())?,
        secret: secret_in(&meta)?,
    };
    Ok((loaded, number_in(&meta, COMMITS)?))
}

fn entries_in(
    table: &ReadOnlyTable<&str, &[u8]>,
    decoder: &mut Decoder,
) -> Result<Vec<Entry>, LoadError> {
    let mut entries = Vec::new();
    for row in table.iter()? {
        let (key, row) = row?;
        let entry = decoder.entry(key.value(), row.value()).map_err(|Damaged| {
            LoadError::Damaged(format!(
                "the entry of {:?} is not what was written",
                key.value()
            ))
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

pub(super) fn format_in(meta: &ReadOnlyTable<&str, &[u8]>) -> Result<u32, LoadError> {
    let format = meta.get(FORMAT)?.ok_or(Damaged)?;
    Ok(u32::from_le_bytes(
        format.value().try_into().map_err(|_| Damaged)?,
    ))
}

fn owner_in(meta: &ReadOnlyTable<&str, &[u8]>) -> Result<Owner, LoadError> {
    let node = meta.get(NODE)?.ok_or(Damaged)?;
    let network = meta.get(NETWORK)?.ok_or(Damaged)?;
    Ok(Owner {
        node: NodeId::from_bytes(node.value().try_into().map_err(|_| Damaged)?),
        network: String::from_utf8(network.value().to_vec()).map_err(|_| Damaged)?,
    })
}

fn secret_in(meta: &ReadOnlyTable<&str, &[u8]>) -> Result<Option<Secret>, LoadError> {
    let Some(secret) = meta.get(SECRET)? else {
        return Ok(None);
    };
    Ok(Some(Secret::from_bytes(
        secret.value().try_into().map_err(|_| Damaged)?,
    )))
}

pub(super) fn number_in(meta: &ReadOnlyTable<&str, &[u8]>, name: &str) -> Result<u64, LoadError> {
    let Some(number) = meta.get(name)? else {
        return Ok(0);
    };
    Ok(u64::from_le_bytes(
        number.value().try_into().map_err(|_| Damaged)?,
    ))
}

fn write(database: &Database, writes: &[Write], number: u64) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    {
        let mut holdings = transaction.open_table(HOLDINGS)?;
        let mut contents = transaction.open_table(CONTENTS)?;
        let mut missing = transaction.open_table(MISSING)?;
        let mut meta = transaction.open_table(META)?;
        for write in writes {
            match write {
                Write::Hold(entry) => {
                    let row = codec::encode_entry(entry);
                    holdings.insert(entry.holding.record.key.as_str(), row.as_slice())?;
                }
                Write::Forget(key) => drop(holdings.remove(key.as_str())?),
                Write::Miss(entry) => {
                    let row = codec::encode_entry(entry);
                    missing.insert(entry.holding.record.key.as_str(), row.as_slice())?;
                }
                Write::Found(key) => drop(missing.remove(key.as_str())?),
                Write::AddContent(id, bytes) => add_content(&mut contents, *id, bytes)?,
                Write::RemoveContent(id) => {
                    let pieces = piece_key(*id, 0);
                    contents
                        .retain_in::<&[u8; 33], _>(&pieces..=&piece_key(*id, u8::MAX), |_, _| {
                            false
                        })?;
                }
                Write::Links(links) => {
                    drop(meta.insert(LINKS, codec::encode_links(links).as_slice())?);
                    drop(meta.insert(LEFT, codec::encode_left(&links.left).as_slice())?);
                }
                Write::Ceiling(stamp) => {
                    drop(meta.insert(CEILING, stamp.0.to_le_bytes().as_slice())?);
                }
                Write::Lifetime(lifetime) => {
                    drop(meta.insert(LIFETIME, codec::encode_life(*lifetime).as_slice())?);
                }
            }
        }
        meta.insert(COMMITS, number.to_le_bytes().as_slice())?;
    }
    transaction.commit()?;
    Ok(())
}

fn add_content(
    contents: &mut redb::Table<'_, &'static [u8; 33], &'static [u8]>,
    id: ContentId,
    bytes: &[u8],
) -> Result<(), StorageError> {
    if bytes.is_empty() {
        contents.insert(&piece_key(id, 0), bytes)?;
    }
    for (number, piece) in (0u8..).zip(bytes.chunks(PIECE_BYTES)) {
        contents.insert(&piece_key(id, number), piece)?;
    }
    Ok(())
}

fn piece_key(id: ContentId, number: u8) -> [u8; 33] {
    let mut key = [number; 33];
    key[..32].copy_from_slice(&id.to_bytes());
    key
}

/// Writes another format number into an index.
#[cfg(test)]
pub(super) fn claim_format(path: &Path, format: u32) {
    let database = Database::open(path).expect("it opens");
    let transaction = database.begin_write().expect("it begins");
    let mut meta = transaction.open_table(META).expect("it exists");
    meta.insert(FORMAT, format.to_le_bytes().as_slice())
        .expect("it is written");
    drop(meta);
    transaction.commit().expect("it is durable");
}
