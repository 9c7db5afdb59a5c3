//! `Spots`: the paths whose change may change what the policies folder is or contains.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::super::name::PolicyName;
use crate::limits;
use crate::policies::spec_file;

/// Links followed in a row, as in the kernel.
const LINKS_MAX: usize = 40;

/// Folders to watch, each with the names in it that matter. No part of their paths is a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spots {
    /// The policies folder, with links resolved, if there is one.
    folder: Option<PathBuf>,
    names: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// Device and inode of each folder, to recognize a replaced one.
    places: BTreeMap<PathBuf, (u64, u64)>,
}

impl Spots {
    /// The paths that matter to this folder now.
    pub(super) fn of(folder: &Path) -> Self {
        let mut spots = Self::default();
        let real = spots.follow(folder).filter(|real| real.is_dir());
        if let Some(real) = real {
            spots.follow_files(&real);
            spots.folder = Some(real);
        } else if let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) {
            // There is a file in its place, or nothing: watch for a change of that.
            if let Some(parent) = Self::default().follow(parent).filter(|it| it.is_dir()) {
                spots.add(parent, name);
            }
        }
        let folders = spots.folders().map(Path::to_owned);
        let placed = folders.filter_map(|folder| {
            let metadata = fs::metadata(&folder).ok()?;
            Some((folder, (metadata.dev(), metadata.ino())))
        });
        spots.places = placed.collect();
        spots
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        let others = self
            .names
            .keys()
            .filter(|it| Some(*it) != self.folder.as_ref());
        let folders = self.folder.iter().chain(others);
        folders
            .map(PathBuf::as_path)
            .take(limits::POLICY_WATCHES_MAX)
    }

    /// The policies folder, with links resolved, if there is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether this is the policies folder itself.
    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.folder.as_deref() == Some(path)
    }

    /// Whether a change of this path matters.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        let within = path.parent();
        let is_named =
            |names: &BTreeSet<OsString>| path.file_name().is_some_and(|name| names.contains(name));
        self.is_folder(path)
            || self.folder.is_some() && self.folder.as_deref() == within
            || within
                .and_then(|within| self.names.get(within))
                .is_some_and(is_named)
    }

    fn add(&mut self, folder: PathBuf, name: &OsStr) {
        self.names
            .entry(folder)
            .or_default()
            .insert(name.to_owned());
    }

    /// Adds the targets of files in the folder that are links, since those may change elsewhere.
    fn follow_files(&mut self, folder: &Path) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries.take(limits::POLICY_FOLDER_ENTRIES_MAX) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let matters = name == spec_file::FILE || PolicyName::of_file(&name).is_some();
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !matters || !is_link || self.names.len() >= limits::POLICY_WATCHES_MAX {
                continue;
            }
            if let Some(real) = self.follow(&entry.path())
                && let (Some(within), Some(name)) = (real.parent(), real.file_name())
            {
                self.add(within.to_owned(), name);
            }
        }
    }

    /// Resolves the links of a path. Adds every link on the way, and the first part that is missing.
    fn follow(&mut self, path: &Path) -> Option<PathBuf> {
        let mut parts: VecDeque<OsString> = parts_of(path);
        let mut real = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = parts.pop_front() {
            if part == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&part);
            match fs::symlink_metadata(&next) {
                Ok(metadata) if metadata.is_symlink() => {
                    links += 1;
                    let target = fs::read_link(&next).ok().filter(|_| links <= LINKS_MAX)?;
                    self.add(real.clone(), &part);
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    let mut of_target = parts_of(&target);
                    of_target.append(&mut parts);
                    parts = of_target;
                }
                Ok(_) => real = next,
                Err(_) => {
                    self.add(real, &part);
                    return None;
                }
            }
        }
        Some(real)
    }
}

fn parts_of(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_matters_and_what_links_in_the_folder_lead_to() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("it exists");
        for folder in ["data-1/policies", "elsewhere"] {
            fs::create_dir_all(root.join(folder)).expect("it is made");
        }
        let link = |to: &str, from: &str| symlink(to, root.join(from)).expect("it is made");
        link("data-1", "data");
        link("data/policies", "policies");
        fs::write(root.join("elsewhere/mine.toml"), "").expect("it is written");
        link("../../elsewhere/mine.toml", "data-1/policies/policies.toml");
        link("../../elsewhere/x", "data-1/policies/notes.txt");
        let spots = Spots::of(&root.join("policies"));
        let concerns = |path: &str| spots.concerns(&root.join(path));
        assert_eq!(spots.folder(), Some(root.join("data-1/policies").as_path()));
        for path in [
            "policies",
            "data",
            "data-1/policies/a.wasm",
            "elsewhere/mine.toml",
        ] {
            assert!(concerns(path), "{path}: {spots:?}");
        }
        for path in ["elsewhere/x", "data-1/index", "data-2", "elsewhere"] {
            assert!(!concerns(path), "{path}: {spots:?}");
        }
    }

    #[test]
    fn while_the_folder_is_missing_its_coming_matters() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("it exists");
        let spots = Spots::of(&root.join("a/policies"));
        assert_eq!(spots.folder(), None);
        assert!(spots.concerns(&root.join("a")) && !spots.concerns(&root.join("b")));
        fs::create_dir(root.join("a")).expect("it is made");
        assert_ne!(Spots::of(&root.join("a/policies")), spots);
        fs::write(root.join("a/policies"), "").expect("it is written");
        let spots = Spots::of(&root.join("a/policies"));
        assert!(spots.folder().is_none() && spots.concerns(&root.join("a/policies")));
    }

    #[test]
    fn links_that_lead_round_in_circles_end() {
        let root = tempfile::tempdir().expect("a folder");
        symlink("b", root.path().join("a")).expect("it is made");
        symlink("a", root.path().join("b")).expect("it is made");
        assert_eq!(Spots::of(&root.path().join("a")).folder(), None);
    }
}
