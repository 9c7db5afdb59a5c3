//! Compares the index with the files on the disk, once, at start.
//!
//! Content that was not committed is removed. Content without an index entry moves to `orphans/`, which keeps it for
//! seven days; `quarantine/` keeps bad content for thirty. Nothing there is ever overwritten. Entries whose content is
//! missing are returned separately, so that the node does not claim to hold them. Only names are read, so a million
//! files take a second.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dataverse_core::version::Millis;
use parking_lot::Mutex;

use super::codec::Entry;
use super::layout::{BucketFolder, ContentId, Layout};
use crate::limits;

/// Cleans up the folder and returns the entries whose content is missing, removing them from `entries`.
pub(super) fn reconcile(
    layout: &Layout,
    entries: &mut Vec<Entry>,
    now: Millis,
) -> io::Result<Vec<Entry>> {
    for entry in fs::read_dir(layout.incoming())? {
        remove(&entry?.path())?;
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now);
    expire(&layout.orphans(), limits::ORPHAN_KEPT_MS, now)?;
    expire(&layout.quarantine(), limits::QUARANTINE_KEPT_MS, now)?;
    let expected: HashMap<ContentId, BucketFolder> = entries
        .iter()
        .filter(|entry| entry.is_in_a_file())
        .map(|entry| (entry.place().id, entry.bucket))
        .collect();
    let walk = walk(layout, &expected)?;
    for stray in &walk.strays {
        set_aside(stray, &layout.orphans(), now)?;
    }
    if !walk.strays.is_empty() {
        tracing::warn!(
            files = walk.strays.len(),
            "moved content without an index entry to orphans/"
        );
    }
    // Usually every expected content was found, and no second lookup is needed.
    if walk.found.len() == expected.len() {
        return Ok(Vec::new());
    }
    let found: HashSet<ContentId> = walk.found.into_iter().collect();
    let is_missing = |entry: &mut Entry| entry.is_in_a_file() && !found.contains(&entry.place().id);
    Ok(entries.extract_if(.., is_missing).collect())
}

#[derive(Default)]
struct Walk {
    found: Vec<ContentId>,
    strays: Vec<PathBuf>,
}

/// Lists every content folder, from several threads: most of the time goes into system calls.
fn walk(layout: &Layout, expected: &HashMap<ContentId, BucketFolder>) -> io::Result<Walk> {
    let mut whole = Walk::default();
    let mut outer = Vec::new();
    for entry in fs::read_dir(layout.contents())? {
        sort_in(&entry?, &mut outer, &mut whole.strays)?;
    }
    let queue = Mutex::new(outer);
    let threads = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(8);
    let walks = std::thread::scope(|scope| {
        let walk_some = || {
            let mut walk = Walk::default();
            while let Some(folder) = { queue.lock().pop() } {
                walk_outer(&folder, expected, &mut walk)?;
            }
            io::Result::Ok(walk)
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(walk_some)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| {
                    Err(io::Error::other("a thread that lists content panicked"))
                })
            })
            .collect::<Vec<_>>()
    });
    for walk in walks {
        let walk = walk?;
        whole.found.extend(walk.found);
        whole.strays.extend(walk.strays);
    }
    Ok(whole)
}

fn walk_outer(
    folder: &Path,
    expected: &HashMap<ContentId, BucketFolder>,
    walk: &mut Walk,
) -> io::Result<()> {
    let mut inner = Vec::new();
    for entry in fs::read_dir(folder)? {
        sort_in(&entry?, &mut inner, &mut walk.strays)?;
    }
    for folder in inner {
        let bucket = bucket_of(&folder);
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let stem = name.strip_suffix(".tree");
            let id = stem.unwrap_or(name).parse().ok();
            match id.filter(|id| bucket.is_some() && expected.get(id) == bucket.as_ref()) {
                Some(id) if stem.is_none() => walk.found.push(id),
                Some(_) => {}
                None => walk.strays.push(entry.path()),
            }
        }
    }
    Ok(())
}

/// The bucket folder at this path, if it is one.
fn bucket_of(folder: &Path) -> Option<BucketFolder> {
    let digits = |path: &Path| {
        let name = path.file_name()?.to_str().filter(|name| name.len() == 2)?;
        u8::from_str_radix(name, 16).ok()
    };
    let outer = digits(folder.parent()?)?;
    Some(BucketFolder(u16::from_be_bytes([outer, digits(folder)?])))
}

fn sort_in(
    entry: &fs::DirEntry,
    folders: &mut Vec<PathBuf>,
    strays: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let list = if entry.file_type()?.is_dir() {
        folders
    } else {
        strays
    };
    list.push(entry.path());
    Ok(())
}

/// Removes files that have been in this folder for `kept_ms` or longer.
pub(super) fn expire(folder: &Path, kept_ms: u64, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let age = now
            .duration_since(entry.metadata()?.modified()?)
            .unwrap_or_default();
        if age >= Duration::from_millis(kept_ms) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// A path in the folder that is not taken: the name, or the name and a number.
pub(super) fn free_name(folder: &Path, name: &OsStr) -> PathBuf {
    let mut target = folder.join(name);
    let mut number = 0u32;
    while target.symlink_metadata().is_ok() {
        number += 1;
        let mut name = name.to_owned();
        name.push(format!(".{number}"));
        target = folder.join(name);
    }
    target
}

/// Moves a file into `folder` under a free name and sets its time to `now`.
pub(super) fn set_aside(path: &Path, folder: &Path, now: SystemTime) -> io::Result<()> {
    let target = free_name(folder, path.file_name().unwrap_or_default());
    fs::rename(path, &target)?;
    // Its age counts from now, not from when it was written. A folder or a link keeps its own time.
    if target.symlink_metadata()?.is_file() {
        File::options()
            .append(true)
            .open(&target)?
            .set_modified(now)?;
    }
    Ok(())
}
