//! What is remembered of policies in the data folder: the last good ones of each kind, with their files, so
//! that there is something to go back to; and which one was rolled back, so that it is not run again.
//!
//! A *good* policy has decided long enough, or was replaced while there was nothing against it. All of it is
//! for its owner alone, since what lies here is run. A list that can't be read is set aside and begun anew;
//! the files that it may have named stay, and nobody is trusted for its loss.
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

/// A list that could not be read.
const SET_ASIDE: &str = "kept.json.bad";

/// A policy that decided, or was to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    /// Which.
    pub(super) reference: PolicyRef,
    /// When it took over, RFC 3339.
    pub(super) loaded_at: String,
}

/// A policy that is not to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Barred {
    /// Which.
    pub(super) reference: PolicyRef,
    /// Why.
    pub(super) reason: String,
}

/// What is remembered.
#[derive(Debug)]
pub(super) struct History {
    folder: PathBuf,
    kinds: [OfKind; Kind::ALL.len()],
    /// When a list was set aside that could not be read; files from before then may be those that it named.
    lost_at: Option<SystemTime>,
}

#[derive(Clone, Debug, Default)]
struct OfKind {
    /// In the order in which they began to decide, the last first; with the one that decides now there is one more.
    /// Going back changes nothing in it, so that the next step goes further.
    good: Vec<Past>,
    barred: Option<Barred>,
}

impl History {
    /// What is remembered in this folder, which is made if need be.
    ///
    /// # Errors
    /// When there is no such folder and none can be made.
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
        // Renaming it changed nothing of it but this time.
        let set_aside_s = set_aside.and_then(|it| u64::try_from(it.ctime()).ok());
        let end_of = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second + 1);
        history.lost_at = set_aside_s.map(end_of);
        Ok(history)
    }

    fn set_aside(&self, error: &io::Error) {
        let (list, compilation) = (self.folder.join(LIST), self.folder.join(SET_ASIDE));
        let renamed = fs::rename(&list, &compilation);
        tracing::error!(
            file = %list.display(),
            %error,
            is_set_aside = renamed.is_ok(),
            "the list of good policies can't be read and is begun anew; see kept.json.bad, and remove it when nothing in it is needed"
        );
    }

    /// Whether a list was lost, so that it is not known whether nobody was good.
    pub(super) fn was_lost(&self) -> bool {
        self.lost_at.is_some()
    }

    /// The good ones, the last first.
    pub(super) fn good(&self, kind: Kind) -> &[Past] {
        &self.kinds[kind as usize].good
    }

    /// Those that can be gone back to from `now`: those that decided earlier, the last first, and then those that
    /// decided later, if `now` was gone back to.
    pub(super) fn before(
        &self,
        kind: Kind,
        now: Option<&PolicyRef>,
    ) -> impl Iterator<Item = &Past> {
        let good = self.good(kind);
        let later = self.later_than(kind, now);
        let may_run = move |past: &&Past| self.bar_of(kind, &past.reference).is_none();
        let all = good[later..].iter().chain(&good[..later]);
        all.filter(move |past| now.is_none_or(|now| !past.reference.runs_like(now)))
            .filter(may_run)
            .take(limits::POLICY_HISTORY_MAX)
    }

    /// Those of [`History::before`] that decided earlier.
    pub(super) fn earlier(
        &self,
        kind: Kind,
        now: Option<&PolicyRef>,
    ) -> impl Iterator<Item = &Past> {
        let good = &self.good(kind)[self.later_than(kind, now)..];
        good.iter()
            .filter(move |past| now.is_none_or(|now| !past.reference.runs_like(now)))
            .filter(move |past| self.bar_of(kind, &past.reference).is_none())
    }

    /// Those that may decide at a start: the one that was to decide by this table, then those before and after it as for
    /// [`History::before`]. So a policy that was rolled away from comes last, though it began to decide later. Of several
    /// that this table fits, the one with this file is meant, else the last.
    pub(super) fn at_start(
        &self,
        kind: Kind,
        table: Option<&KindSpec>,
        file: Option<Digest>,
    ) -> Vec<&Past> {
        let is_meant = |past: &&Past| {
            table.is_some_and(|table| {
                let meant = PolicyRef::new(
                    &past.reference.name,
                    past.reference.origin,
                    past.reference.digest,
                    table,
                );
                past.reference.name.as_str() == table.policy && past.reference.runs_like(&meant)
            })
        };
        let meant = self.good(kind).iter().filter(is_meant);
        let meant = meant.min_by_key(|past| Some(past.reference.digest) != file);
        let others = self.before(kind, meant.map(|past| &past.reference));
        let may_run = meant.filter(|past| self.bar_of(kind, &past.reference).is_none());
        may_run.into_iter().chain(others).collect()
    }

    /// How many decided later than `now`.
    fn later_than(&self, kind: Kind, now: Option<&PolicyRef>) -> usize {
        let good = self.good(kind).iter();
        let place = now.and_then(|now| good.clone().position(|past| past.reference.runs_like(now)));
        place.unwrap_or(0)
    }

    /// Notes that this one is good, and the last that decided.
    pub(super) fn note_good(&mut self, kind: Kind, past: Past) {
        let good = &mut self.kinds[kind as usize].good;
        good.retain(|other| !other.reference.runs_like(&past.reference));
        good.insert(0, past);
        good.truncate(limits::POLICY_HISTORY_MAX + 1);
    }

    /// Notes that this one is good, and leaves it where it is among the others if it was known.
    pub(super) fn note_still_good(&mut self, kind: Kind, past: Past) {
        let good = &self.kinds[kind as usize].good;
        if !good
            .iter()
            .any(|other| other.reference.runs_like(&past.reference))
        {
            self.note_good(kind, past);
        }
    }

    /// Notes that this one decides now, anew, if it was good before.
    pub(super) fn note_anew(&mut self, kind: Kind, now: &PolicyRef) {
        let good = &mut self.kinds[kind as usize].good;
        let known = good.iter().position(|past| past.reference.runs_like(now));
        if let Some(past) = known.map(|place| good.remove(place)) {
            good.insert(0, past);
        }
    }

    /// Why this one is not to run.
    pub(super) fn bar_of(&self, kind: Kind, reference: &PolicyRef) -> Option<&str> {
        let barred = self.kinds[kind as usize].barred.as_ref();
        let barred = barred.filter(|barred| barred.reference.runs_like(reference));
        barred.map(|barred| barred.reason.as_str())
    }

    /// Bars one from running. Whichever was barred before is no longer.
    pub(super) fn bar(&mut self, kind: Kind, barred: Barred) {
        self.kinds[kind as usize].barred = Some(barred);
    }

    /// Lifts the bar, since another one than the barred is wished now. True when there was one.
    pub(super) fn lift(&mut self, kind: Kind) -> bool {
        self.kinds[kind as usize].barred.take().is_some()
    }

    /// Keeps a file.
    ///
    /// # Errors
    /// When it can't be written. So for the others.
    pub(super) fn put(&self, digest: Digest, wasm: &[u8]) -> io::Result<()> {
        let path = self.file(digest);
        if self.get(digest).is_ok() {
            return Ok(());
        }
        write(&path, wasm, Access::Owner)
    }

    /// A file that was kept.
    ///
    /// # Errors
    /// When it can't be read, or is not what was kept.
    pub(super) fn get(&self, digest: Digest) -> io::Result<Bytes> {
        let bytes = read(self.file(digest), POLICY_FILE_BYTES_MAX as u64)?;
        if Digest::of(&bytes) != digest {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the copy kept in the data folder is damaged",
            ));
        }
        Ok(bytes.into())
    }

    /// Whether the file of a policy of this kind is kept.
    pub(super) fn has(&self, kind: Kind, digest: Digest) -> bool {
        let OfKind { good, barred } = &self.kinds[kind as usize];
        let good = good.iter().map(|past| past.reference.digest);
        let barred = barred.iter().map(|barred| barred.reference.digest);
        good.chain(barred).any(|it| it == digest) && self.get(digest).is_ok()
    }

    /// Makes what is remembered durable, and forgets files of none of these and of nothing that is.
    ///
    /// # Errors
    /// See [`History::put`].
    pub(super) fn save(&self, in_use: &BTreeSet<[u8; 32]>) -> io::Result<()> {
        let list = serde_json::to_vec(&List::of(&self.kinds))?;
        // What could not be read again would be lost.
        understood(&list)?;
        write(&self.folder.join(LIST), &list, Access::Owner)?;
        let good = self.kinds.iter().flat_map(|kind| &kind.good);
        let mut needed: BTreeSet<_> = good.map(|past| past.reference.digest.0).collect();
        let barred = self.kinds.iter().filter_map(|kind| kind.barred.as_ref());
        needed.extend(barred.map(|barred| barred.reference.digest.0));
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
