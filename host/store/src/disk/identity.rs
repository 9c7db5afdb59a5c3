//! Checks whose folder it is, and refuses to start where starting would do harm.
//!
//! The node's id is in the index and in `node.id` next to it. So an index that is lost, or was copied from elsewhere,
//! is noticed before anything is served or written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dataverse_core::id::NodeId;
use dataverse_core::secret::Secret;

use super::super::files::{self, Links};
use super::index::{Index, LoadError, Loaded, Owner};
use super::layout::{Layout, sync_folder};
use super::upgrade::{UpgradeError, upgrade};

/// How long to wait for the lock of a folder.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// Largest size of the file with the node's id; 33 bytes are written.
const NODE_ID_BYTES_MAX: u64 = 1024;
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Why a data folder was not opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another node runs in it.
    #[error(
        "the folder {folder} is in use by a running node; stop that node or choose another folder with --data"
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// It contains files of two nodes.
    #[error(
        "the folder {folder} belongs to node {folder_of} but its index belongs to node {index_of}: it contains files of two nodes; put back the index.redb and node.id that belong together, or choose another folder with --data"
    )]
    OtherNode {
        /// The data folder.
        folder: PathBuf,
        /// The node in `node.id`.
        folder_of: String,
        /// The node in the index.
        index_of: NodeId,
    },
    /// It belongs to a node of another network.
    #[error(
        "the folder {folder} belongs to a node of the network {found:?}, not {asked:?}; start with --network {found} or choose another folder with --data"
    )]
    OtherNetwork {
        /// The data folder.
        folder: PathBuf,
        /// The network that it belongs to.
        found: String,
        /// The network that was asked for.
        asked: String,
    },
    /// A newer release wrote it.
    #[error(
        "the folder {folder} was written by a newer release (format {found}; this one knows formats up to {known}); start that release, or choose another folder with --data"
    )]
    NewerFormat {
        /// The data folder.
        folder: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// An earlier release wrote it, and its index could not be copied before the upgrade.
    #[error(
        "the index in {folder} was written by an earlier release and must be copied to {backup} before it is upgraded, but copying failed: {reason}; nothing was changed; free space on that disk and start again, or start the earlier release"
    )]
    Backup {
        /// The data folder.
        folder: PathBuf,
        /// The path of the copy.
        backup: PathBuf,
        /// The reason that the system gave.
        reason: String,
    },
    /// It contains a node's files, but no index.
    #[error(
        "the folder {folder} contains a node's files but no index.redb, without which they cannot be used; {way_back}, or move the folder aside and let the node start as a new one, with a new id: files that other nodes also hold stay available"
    )]
    NoIndex {
        /// The data folder.
        folder: PathBuf,
        /// How to restore the index.
        way_back: String,
    },
    /// The index can't be read.
    #[error(
        "the index {path} is damaged ({reason}); put back a good copy, or move the folder aside and let the node start as a new one, with a new id: files that other nodes also hold stay available"
    )]
    Damaged {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused access.
    #[error(
        "the folder {folder} cannot be used: {reason}; check that it exists, is writable and has free space"
    )]
    Failed {
        /// The data folder.
        folder: PathBuf,
        /// The reason that the system gave.
        reason: String,
    },
}

impl OpenError {
    /// An operation on the folder failed.
    pub(super) fn failed(layout: &Layout, error: impl ToString) -> Self {
        Self::Failed {
            folder: layout.root().to_owned(),
            reason: error.to_string(),
        }
    }

    /// An operation on this file failed.
    fn failed_at(layout: &Layout, file: &str, error: io::Error) -> Self {
        Self::failed(layout, format_args!("{file}: {error}"))
    }

    fn loading(layout: &Layout, error: LoadError) -> Self {
        let folder = layout.root().to_owned();
        match error {
            LoadError::Newer(found) => Self::NewerFormat {
                folder,
                found,
                known: super::codec::FORMAT,
            },
            LoadError::Damaged(reason) => Self::Damaged {
                path: layout.index(),
                reason,
            },
            LoadError::InUse => Self::InUse { folder },
            LoadError::Failed(reason) => Self::Failed { folder, reason },
            // An older index is upgraded before it is opened.
            LoadError::Older(older) => Self::Failed {
                folder,
                reason: format!(
                    "its index still has format {} after the upgrade",
                    older.format
                ),
            },
        }
    }

    fn upgrading(layout: &Layout, error: UpgradeError) -> Self {
        match error {
            UpgradeError::Backup(backup, error) => Self::Backup {
                folder: layout.root().to_owned(),
                backup,
                reason: error.to_string(),
            },
            UpgradeError::Index(error) => Self::loading(layout, error),
        }
    }
}

/// Locks the folder until the returned file is dropped.
///
/// It waits up to [`LOCK_WAIT`]: a node that is just ending holds the lock a moment longer, and so does a program
/// that it was starting when it ended.
pub(super) fn lock(layout: &Layout) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true);
    let file = files::open(&layout.lock(), options, Links::Refused)
        .map_err(|error| OpenError::failed_at(layout, "lock", error.into()))?;
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(LOCK_LOOK_EVERY);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    folder: layout.root().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::failed(layout, error)),
        }
    }
}

/// Opens the index of the node that owns the folder; a new folder becomes the folder of `node_if_new`.
pub(super) fn open_index(
    layout: &Layout,
    node_if_new: NodeId,
    network: &str,
) -> Result<(Index, Loaded), OpenError> {
    let folder_of = read_node_id(&layout.node_id())
        .map_err(|error| OpenError::failed_at(layout, "node.id", error))?;
    let is_new = !files::is_there(&layout.index());
    if is_new {
        if folder_of.is_some() || holds_content(layout) {
            return Err(OpenError::NoIndex {
                folder: layout.root().to_owned(),
                way_back: way_back(layout),
            });
        }
        Index::create(&layout.index(), node_if_new, network)
            .map_err(|error| OpenError::loading(layout, error))?;
    }
    let opened = match Index::open(&layout.index()) {
        Err(LoadError::Older(older)) => {
            check_owner(layout, folder_of.as_deref(), &older.owner, network)?;
            upgrade(layout, &older).map_err(|error| OpenError::upgrading(layout, error))?;
            Index::open(&layout.index())
        }
        opened => opened,
    };
    let (index, mut loaded) = opened.map_err(|error| OpenError::loading(layout, error))?;
    check_owner(layout, folder_of.as_deref(), &loaded.owner, network)?;
    if folder_of.is_none() {
        write_node_id(layout, loaded.owner.node)
            .map_err(|error| OpenError::failed(layout, error))?;
    }
    loaded.is_new = is_new;
    Ok((index, loaded))
}

/// The secret of the folder; a folder without one gets it now.
pub(super) fn secret_of(
    layout: &Layout,
    index: &Index,
    found: Option<Secret>,
) -> Result<Secret, OpenError> {
    if let Some(secret) = found {
        return Ok(secret);
    }
    let secret = crate::secret::draw();
    index
        .keep_secret(&secret)
        .map_err(|error| OpenError::failed(layout, error))?;
    Ok(secret)
}

/// Refuses an index of another node than the folder's, or of another network.
fn check_owner(
    layout: &Layout,
    folder_of: Option<&str>,
    owner: &Owner,
    network: &str,
) -> Result<(), OpenError> {
    let folder = || layout.root().to_owned();
    if let Some(text) = folder_of.filter(|text| *text != owner.node.to_string()) {
        return Err(OpenError::OtherNode {
            folder: folder(),
            folder_of: text.to_owned(),
            index_of: owner.node,
        });
    }
    if owner.network != network {
        return Err(OpenError::OtherNetwork {
            folder: folder(),
            found: owner.network.clone(),
            asked: network.to_owned(),
        });
    }
    Ok(())
}

fn holds_content(layout: &Layout) -> bool {
    std::fs::read_dir(layout.contents()).is_ok_and(|mut folders| folders.next().is_some())
}

/// Says how a missing index can be restored.
fn way_back(layout: &Layout) -> String {
    let entries = std::fs::read_dir(layout.root()).into_iter().flatten();
    let copies = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_copy = name.starts_with("index.redb.rescued") && !name.ends_with(".new");
        let modified = entry.metadata().and_then(|it| it.modified()).ok();
        is_copy.then_some((modified, name))
    });
    match copies.max() {
        Some((_, name)) => format!(
            "the index was removed while the node ran, and {name} is a copy made at that time: rename that to index.redb"
        ),
        None => "restore the index, for example from a backup".to_owned(),
    }
}

fn read_node_id(path: &Path) -> io::Result<Option<String>> {
    match files::read_whole(path, NODE_ID_BYTES_MAX) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Call it after the index is durable, so that a folder never has an id but no index.
fn write_node_id(layout: &Layout, node: NodeId) -> io::Result<()> {
    let unfinished = layout.root().join("node.id.new");
    let mut file = files::create_anew(&unfinished)?;
    writeln!(file, "{node}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, layout.node_id())?;
    sync_folder(layout.root())
}
