//! `History`: the policies remembered in the data folder. The last good ones of each kind, with their files, so that
//! the node can roll back to them; and the one that was rolled back automatically, so that it is not run again.
//!
//! A *good* policy has passed its probation, or was replaced while it was not suspended. The folder is accessible to
//! its owner only, since the files in it are run. A list that can't be read is renamed and a new one begun; the files
//! that it may have named are kept, and its loss makes no policy trusted.
//!
//! Every function blocks.

mod list;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, DirEntry, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;

use super::folder::{Access, sweep, write};
use crate::limits;
use crate::policies::reference::PolicyRef;
use crate::policies::spec::KindSpec;
use list::List;

const LIST: &str = "kept.json";

/// A list that could not be read is renamed to this.
const SET_ASIDE: &str = "kept.json.bad";

/// A policy that has been active.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    /// The policy.
    pub(super) policy_ref: PolicyRef,
    /// When it became active, RFC 3339.
    pub(super) loaded_at: String,
}

/// A policy that must not run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Barred {
    /// The policy.
    pub(super) policy_ref: PolicyRef,
    /// Why it must not run.
    pub(super) reason: String,
}

/// Good and barred policies, in memory and on disk.
#[derive(Debug)]
pub(super) struct History {
    folder: PathBuf,
    kinds: [OfKind; Kind::ALL.len()],
    /// When an unreadable list was renamed; it may have named the files from before then.
    lost_at: Option<SystemTime>,
}

#[derive(Clone, Debug, Default)]
struct OfKind {
    /// In the order in which they became active, the last first; includes the active one. A rollback does not change
    /// the order, so that the next rollback goes one step further.
    good: Vec<Past>,
    barred: Option<Barred>,
}

impl History {
    /// Opens the history in this folder, which is created if needed.
    ///
    /// # Errors
    /// If the folder doesn't exist and can't be created.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        sweep(&folder);
        let mut history = Self {
            folder,
            kinds: Default::default(),
            lost_at: None,
        };
        match history.read() {
            Ok(kinds) => history.kinds = kinds,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => history.set_aside(&error),
        }
        let set_aside = fs::metadata(history.folder.join(SET_ASIDE)).ok();
        // Renaming a file changes only this one of its times.
        let set_aside_s = set_aside.and_then(|it| u64::try_from(it.ctime()).ok());
        let end_of = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second + 1);
        history.lost_at = set_aside_s.map(end_of);
        Ok(history)
    }

    fn set_aside(&self, error: &io::Error) {
        let (list, aside) = (self.folder.join(LIST), self.folder.join(SET_ASIDE));
        let renamed = fs::rename(&list, &aside);
        tracing::error!(
            file = %list.display(),
            %error,
            is_set_aside = renamed.is_ok(),
            "the history of policies can't be read and a new one is begun; the old one is in kept.json.bad, remove that when nothing in it is needed"
        );
    }

    /// Whether a list was lost, so that an empty history does not mean that no policy was good.
    pub(super) fn was_lost(&self) -> bool {
        self.lost_at.is_some()
    }

    /// The good policies, the last first.
    pub(super) fn good(&self, kind: Kind) -> &[Past] {
        &self.kinds[kind as usize].good
    }

    /// The policies that can be rolled back to from `now`: earlier ones, the last first, and then later ones, if
    /// `now` was itself rolled back to.
    pub(super) fn before(
        &self,
        kind: Kind,
        now: Option<&PolicyRef>,
    ) -> impl Iterator<Item = &Past> {
        let good = self.good(kind);
        let later = self.later_than(kind, now);
        let may_run = move |past: &&Past| self.bar_of(kind, &past.policy_ref).is_none();
        let all = good[later..].iter().chain(&good[..later]);
        all.filter(move |past| now.is_none_or(|now| !past.policy_ref.runs_like(now)))
            .filter(may_run)
            .take(limits::POLICY_HISTORY_MAX)
    }

    /// Those of [`History::before`] that were active earlier.
    pub(super) fn earlier(
        &self,
        kind: Kind,
        now: Option<&PolicyRef>,
    ) -> impl Iterator<Item = &Past> {
        let good = &self.good(kind)[self.later_than(kind, now)..];
        good.iter()
            .filter(move |past| now.is_none_or(|now| !past.policy_ref.runs_like(now)))
            .filter(move |past| self.bar_of(kind, &past.policy_ref).is_none())
    }

    /// The policies to try at the start of a node: the one that this table asks for, then the others as in
    /// [`History::before`]. So a policy that was rolled back from comes last, though it became active later. If the
    /// table fits several, the one with this file is meant, or else the last.
    pub(super) fn at_start(
        &self,
        kind: Kind,
        table: Option<&KindSpec>,
        file: Option<Digest>,
    ) -> Vec<&Past> {
        let is_meant = |past: &&Past| {
            table.is_some_and(|table| {
                let meant = PolicyRef::new(
                    &past.policy_ref.name,
                    past.policy_ref.origin,
                    past.policy_ref.digest,
                    table,
                );
                past.policy_ref.name.as_str() == table.policy && past.policy_ref.runs_like(&meant)
            })
        };
        let meant = self.good(kind).iter().filter(is_meant);
        let meant = meant.min_by_key(|past| Some(past.policy_ref.digest) != file);
        let others = self.before(kind, meant.map(|past| &past.policy_ref));
        let may_run = meant.filter(|past| self.bar_of(kind, &past.policy_ref).is_none());
        may_run.into_iter().chain(others).collect()
    }

    /// How many became active later than `now`.
    fn later_than(&self, kind: Kind, now: Option<&PolicyRef>) -> usize {
        let good = self.good(kind).iter();
        let place =
            now.and_then(|now| good.clone().position(|past| past.policy_ref.runs_like(now)));
        place.unwrap_or(0)
    }

    /// Notes that this policy is good and was the last to become active.
    pub(super) fn note_good(&mut self, kind: Kind, past: Past) {
        let good = &mut self.kinds[kind as usize].good;
        good.retain(|other| !other.policy_ref.runs_like(&past.policy_ref));
        good.insert(0, past);
        good.truncate(limits::POLICY_HISTORY_MAX + 1);
    }

    /// Notes that this policy is good, and keeps its position if it is known already.
    pub(super) fn note_still_good(&mut self, kind: Kind, past: Past) {
        let good = &self.kinds[kind as usize].good;
        if !good
            .iter()
            .any(|other| other.policy_ref.runs_like(&past.policy_ref))
        {
            self.note_good(kind, past);
        }
    }

    /// Moves a known good policy to the front, because it became active again.
    pub(super) fn note_anew(&mut self, kind: Kind, now: &PolicyRef) {
        let good = &mut self.kinds[kind as usize].good;
        let known = good.iter().position(|past| past.policy_ref.runs_like(now));
        if let Some(past) = known.map(|place| good.remove(place)) {
            good.insert(0, past);
        }
    }

    /// Why this policy must not run, if it is barred.
    pub(super) fn bar_of(&self, kind: Kind, policy_ref: &PolicyRef) -> Option<&str> {
        let barred = self.kinds[kind as usize].barred.as_ref();
        let barred = barred.filter(|barred| barred.policy_ref.runs_like(policy_ref));
        barred.map(|barred| barred.reason.as_str())
    }

    /// Bars a policy from running. It replaces the one barred before.
    pub(super) fn bar(&mut self, kind: Kind, barred: Barred) {
        self.kinds[kind as usize].barred = Some(barred);
    }

    /// Lifts the bar, since another policy than the barred one is desired now. True if there was one.
    pub(super) fn lift(&mut self, kind: Kind) -> bool {
        self.kinds[kind as usize].barred.take().is_some()
    }

    /// Saves a copy of a file.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn put(&self, digest: Digest, wasm: &[u8]) -> io::Result<()> {
        let path = self.file(digest);
        if self.get(digest).is_ok() {
            return Ok(());
        }
        write(&path, wasm, Access::Owner)
    }

    /// Reads the copy of a file.
    ///
    /// # Errors
    /// If it can't be read or doesn't match its digest.
    pub(super) fn get(&self, digest: Digest) -> io::Result<Bytes> {
        let bytes = read(self.file(digest), POLICY_FILE_BYTES_MAX as u64)?;
        if Digest::of(&bytes) != digest {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the copy in the data folder is damaged",
            ));
        }
        Ok(bytes.into())
    }

    /// Whether this is the file of a good or barred policy of this kind, and there is a copy of it.
    pub(super) fn has(&self, kind: Kind, digest: Digest) -> bool {
        let OfKind { good, barred } = &self.kinds[kind as usize];
        let good = good.iter().map(|past| past.policy_ref.digest);
        let barred = barred.iter().map(|barred| barred.policy_ref.digest);
        good.chain(barred).any(|it| it == digest) && self.get(digest).is_ok()
    }

    /// Writes the list, and deletes the files that neither it nor `in_use` names.
    ///
    /// # Errors
    /// See [`History::put`].
    pub(super) fn save(&self, in_use: &BTreeSet<[u8; 32]>) -> io::Result<()> {
        let list = serde_json::to_vec(&List::of(&self.kinds))?;
        // A list that could not be read again would be lost.
        understood(&list)?;
        write(&self.folder.join(LIST), &list, Access::Owner)?;
        let good = self.kinds.iter().flat_map(|kind| &kind.good);
        let mut needed: BTreeSet<_> = good.map(|past| past.policy_ref.digest.0).collect();
        let barred = self.kinds.iter().filter_map(|kind| kind.barred.as_ref());
        needed.extend(barred.map(|barred| barred.policy_ref.digest.0));
        needed.extend(in_use);
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if self.may_be_of_lost_list(&entry) {
                continue;
            }
            let path = entry.path();
            let digest = path.file_stem().and_then(|stem| stem.to_str());
            let digest = digest.and_then(|stem| stem.parse::<Digest>().ok());
            if digest.is_some_and(|digest| !needed.contains(&digest.0)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn file(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    fn read(&self) -> io::Result<[OfKind; Kind::ALL.len()]> {
        let list = read(self.folder.join(LIST), limits::POLICY_HISTORY_BYTES_MAX)?;
        understood(&list)
    }

    fn may_be_of_lost_list(&self, entry: &DirEntry) -> bool {
        let written_at = || entry.metadata().and_then(|it| it.modified()).ok();
        self.lost_at
            .is_some_and(|lost_at| written_at().is_none_or(|written_at| written_at <= lost_at))
    }
}

fn understood(list: &[u8]) -> io::Result<[OfKind; Kind::ALL.len()]> {
    if list.len() as u64 > limits::POLICY_HISTORY_BYTES_MAX {
        return Err(too_large());
    }
    let list: List = serde_json::from_slice(list)?;
    list.kinds().map_err(io::Error::other)
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "it is too large")
}

fn read(path: PathBuf, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
