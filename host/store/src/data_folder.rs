//! Prepares the data folder before a node opens it, and undoes that if the start fails.
//!
//! A folder that can't be used is reported before anything else is tried in it. A failed start removes what it
//! created, and nothing that another node may have put there: it takes the folder's lock first, and stops if the
//! folder belongs to another node. A new data folder is private (mode 700). An existing one is made private, too,
//! unless it contains anything that a node did not put there.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dataverse_core::id::NodeId;
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

/// Mode of a folder that only its owner can use.
const PRIVATE: u32 = 0o700;
/// The bits of a mode that can be set.
const MODE_BITS: u32 = 0o7777;
/// How long to wait for a store that is closing to release the lock.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a node puts into its data folder, in the order in which a failed start removes it; the lock goes last.
const NAMES: [&str; 11] = [
    "node.id.new",
    "index.redb",
    "node.id",
    "content",
    "incoming",
    "orphans",
    "quarantine",
    "policies",
    "policies-compiled",
    "policies-kept",
    "lock",
];
/// Prefixes of what else may be in it: copies of the index, the identity of a node, which stays after a failed start
/// because a ticket was used for it, and the `lost+found` of some file systems.
const MORE_NAMES: [&str; 3] = ["index.redb.", "identity", "lost+found"];

/// Why a folder can't be a data folder. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The path is a file.
    #[error("the data folder {folder} is a file; name a folder with --data")]
    File {
        /// The folder.
        folder: PathBuf,
    },
    /// The path is a link that leads nowhere.
    #[error(
        "the data folder {folder} is a link to {leads_to}, which does not exist; create that folder or name another one with --data"
    )]
    Dangling {
        /// The folder.
        folder: PathBuf,
        /// The target of the link.
        leads_to: PathBuf,
    },
    /// It does not exist and can't be created.
    #[error(
        "the data folder {folder} can't be created: {reason}; create it and give it to this user, or name another one with --data"
    )]
    NotMade {
        /// The folder.
        folder: PathBuf,
        /// The reason that the system gave.
        reason: io::Error,
    },
    /// It exists, but this user may not use it.
    #[error(
        "the data folder {folder} can't be used: {reason}; give this user the right to read and write it, or name another one with --data"
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// The reason that the system gave.
        reason: io::Error,
    },
}

/// The data folder of a node that is being started.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    /// What did not exist before, the innermost first.
    absent: Vec<PathBuf>,
    /// The folder's mode before it was made private.
    mode_before: Option<u32>,
}

impl DataFolder {
    /// Creates the folder, or checks that the existing one can be used.
    ///
    /// # Errors
    /// [`FolderError`]; then nothing was created.
    pub fn claim(root: &Path, policies: Option<&Path>) -> Result<Self, FolderError> {
        let folder = || root.to_owned();
        let mut absent: Vec<PathBuf> = NAMES.iter().map(|name| root.join(name)).collect();
        absent.retain(|path| path.symlink_metadata().is_err());
        absent.extend(policies.into_iter().flat_map(missing));
        let mut mode_before = None;
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => {
                may_use(root).map_err(|reason| FolderError::NotOurs {
                    folder: folder(),
                    reason,
                })?;
                mode_before = keep_private(root, metadata.mode());
            }
            Ok(_) => return Err(FolderError::File { folder: folder() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Ok(leads_to) = fs::read_link(root) {
                    let folder = folder();
                    return Err(FolderError::Dangling { folder, leads_to });
                }
                let made = missing(root);
                if let Err(reason) = make(root) {
                    made.iter().for_each(|path| remove_if_empty(path));
                    let folder = folder();
                    return Err(FolderError::NotMade { folder, reason });
                }
                absent.extend(made);
            }
            Err(reason) => {
                let folder = folder();
                return Err(FolderError::NotOurs { folder, reason });
            }
        }
        Ok(Self {
            root: root.to_owned(),
            absent,
            mode_before,
        })
    }

    /// The node whose folder it is, if that is known yet.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        let owner = fs::read_to_string(self.root.join("node.id")).ok()?;
        owner.trim().parse().ok()
    }

    /// Removes what a failed start created and restores the folder's mode. `node` is the node that was to own the
    /// folder.
    pub fn give_up(self, node: NodeId) {
        let Some(_lock) = self.lock() else {
            return;
        };
        let owner = fs::read_to_string(self.root.join("node.id"));
        if owner.is_ok_and(|owner| owner.trim() != node.to_string()) {
            return;
        }
        for path in &self.absent {
            let is_within = path.parent() == Some(&self.root);
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() && is_within => discard(fs::remove_dir_all(path)),
                Ok(metadata) if metadata.is_dir() => remove_if_empty(path),
                Ok(_) => discard(fs::remove_file(path)),
                Err(_) => {}
            }
        }
        if let Some(mode) = self.mode_before {
            discard(fs::set_permissions(
                &self.root,
                Permissions::from_mode(mode),
            ));
        }
    }

    /// Takes the folder's lock. `Some(None)` when there is no lock file, `None` when another process holds the lock.
    fn lock(&self) -> Option<Option<File>> {
        let path = self.root.join("lock");
        let file = match File::options().write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(None),
            Err(_) => return None,
        };
        let until = Instant::now() + LOCK_WAIT;
        while file.try_lock().is_err() {
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(LOCK_LOOK_EVERY);
        }
        Some(Some(file))
    }
}

/// The folders of this path that do not exist, the innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let ancestors = path.ancestors().filter(|it| !it.as_os_str().is_empty());
    let absent = ancestors.take_while(|it| it.symlink_metadata().is_err());
    absent.map(Path::to_owned).collect()
}

fn make(root: &Path) -> io::Result<()> {
    if let Some(parent) = root.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(root) {
        // Another node created it first; the lock shows which one owns it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Checks that this user may read the folder and write to it.
fn may_use(root: &Path) -> io::Result<()> {
    let rights = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(CWD, root, rights, AtFlags::EACCESS) {
        // Old kernels, and seccomp filters that don't know the newer call, check only the process's real user.
        Err(Errno::NOSYS | Errno::PERM) => Ok(rustix::fs::access(root, rights)?),
        answer => Ok(answer?),
    }
}

/// Makes the folder private, unless it contains anything that a node did not put there. Returns the previous mode
/// if it was changed.
fn keep_private(root: &Path, mode: u32) -> Option<u32> {
    if mode & 0o077 == 0 {
        return None;
    }
    let folder = root.display();
    let healed = holds_only_ours(root).then(|| {
        let private = Permissions::from_mode(PRIVATE);
        fs::set_permissions(root, private)
    });
    let is_healed = matches!(healed, Some(Ok(())));
    match healed {
        Some(Ok(())) => tracing::info!(
            %folder,
            "other users could read the data folder; it is now private to its owner"
        ),
        Some(Err(error)) => tracing::warn!(
            %folder,
            %error,
            "other users of this machine can read the data folder; its owner can change that with chmod 700"
        ),
        None => tracing::warn!(
            %folder,
            "other users of this machine can read the data folder, and it contains other things; give the node a folder \
             of its own, or change that with chmod 700"
        ),
    }
    is_healed.then_some(mode & MODE_BITS)
}

fn holds_only_ours(root: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(root) else {
        return false;
    };
    entries.all(|entry| {
        let name = entry.map(|entry| entry.file_name());
        name.is_ok_and(|name| {
            let name = name.to_string_lossy();
            NAMES.contains(&&*name) || MORE_NAMES.iter().any(|more| name.starts_with(more))
        })
    })
}

fn remove_if_empty(folder: &Path) {
    discard(fs::remove_dir(folder));
}

/// Ignores a failed removal: the reason that the start failed is what must be reported.
fn discard(removed: io::Result<()>) {
    if let Err(error) = removed {
        tracing::debug!(%error, "could not remove what a failed start created");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").mode() & 0o777
    }

    fn node() -> NodeId {
        NodeId::from(7)
    }

    #[test]
    fn a_new_folder_is_its_owners_alone_and_goes_with_a_start_that_fails() {
        let parent = tempfile::tempdir().expect("a folder");
        let root = parent.path().join("a/b");
        let folder = DataFolder::claim(&root, None).expect("it is created");
        assert_eq!(mode(&root), 0o700);
        for name in ["policies", "content"] {
            fs::create_dir(root.join(name)).expect("it is created");
        }
        fs::write(root.join("policies/policies.toml"), "").expect("it is written");
        fs::write(root.join("lock"), "").expect("it is written");
        fs::write(root.join("node.id"), format!("{}\n", node())).expect("it is written");
        folder.give_up(node());
        assert!(!parent.path().join("a").exists());
    }

    #[test]
    fn what_was_there_before_or_is_another_nodes_stays() {
        let parent = tempfile::tempdir().expect("a folder");
        let root = parent.path().join("data");
        fs::create_dir_all(root.join("policies")).expect("it is created");
        let folder = DataFolder::claim(&root, None).expect("it exists");
        fs::write(root.join("index.redb"), "").expect("it is written");
        folder.give_up(node());
        assert!(root.join("policies").is_dir() && !root.join("index.redb").exists());

        let folder = DataFolder::claim(&root, None).expect("it exists");
        fs::write(root.join("index.redb"), "").expect("it is written");
        fs::write(root.join("node.id"), "another").expect("it is written");
        folder.give_up(node());
        assert!(root.join("index.redb").exists());

        fs::remove_file(root.join("node.id")).expect("it goes");
        fs::remove_file(root.join("index.redb")).expect("it goes");
        let folder = DataFolder::claim(&root, None).expect("it exists");
        let lock = File::create(root.join("lock")).expect("it is created");
        lock.lock().expect("nobody has it");
        fs::write(root.join("index.redb"), "").expect("it is written");
        folder.give_up(node());
        assert!(root.join("index.redb").exists(), "another node uses it");
    }

    #[test]
    fn a_wrong_folder_is_named_with_what_to_do() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = |name: &str| parent.path().join(name);
        fs::write(path("file"), "").expect("it is written");
        symlink("nowhere", path("link")).expect("it is linked");
        let check = |folder: &Path, reason: &str| {
            let error = DataFolder::claim(folder, None).expect_err("it is wrong");
            let error = error.to_string();
            assert!(
                error.contains("--data") && error.contains(reason),
                "{error}"
            );
            assert!(error.contains(&folder.display().to_string()), "{error}");
        };
        check(&path("file"), "is a file");
        check(&path("link"), "a link to nowhere, which does not exist");
        check(&path("file/below"), "can't be");
        check(Path::new("/proc/no/such"), "can't be created");
    }

    #[test]
    fn a_folder_that_others_can_read_is_repaired_unless_it_is_more_than_that() {
        let parent = tempfile::tempdir().expect("a folder");
        let root = parent.path().join("data");
        fs::create_dir_all(root.join("content")).expect("it is created");
        let open = || {
            let open = Permissions::from_mode(0o755);
            fs::set_permissions(&root, open).expect("its mode is set");
        };
        open();
        let folder = DataFolder::claim(&root, None).expect("it exists");
        assert_eq!(mode(&root), 0o700);
        folder.give_up(node());
        assert_eq!(mode(&root), 0o755);
        open();
        fs::write(root.join("letters.txt"), "").expect("it is written");
        DataFolder::claim(&root, None).expect("it exists");
        assert_eq!(mode(&root), 0o755);
    }
}
