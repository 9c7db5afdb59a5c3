//! What is remembered of policies in the data folder: the last good ones of each kind, with their files, so
//! that there is something to go back to; and which one was rolled back, so that it is not run again.
//!
//! A *good* policy has decided long enough, or was replaced while there was nothing against it. All of it is
//! for its owner alone, since what lies here is run. A list that can't be read is begun anew: nothing but
//! the way back is lost.
//!
//! Every function blocks.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::limits;
use dataverse_core::policy::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folder::{Access, write};
use super::name::PolicyName;
use super::pick::Pick;
use super::view::Origin;
use super::wish::LimitsWish;

const LIST: &str = "kept.json";

/// A policy that decided, or was to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    /// Which.
    pub(super) pick: Pick,
    /// When it took over, RFC 3339.
    pub(super) loaded_at: String,
}

/// A policy that is not to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Barred {
    /// Which.
    pub(super) pick: Pick,
    /// Why.
    pub(super) reason: String,
}

/// What is remembered.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    kinds: [OfKind; Kind::ALL.len()],
}

#[derive(Clone, Debug, Default)]
struct OfKind {
    /// The last first; with the one that decides now there is one more.
    good: Vec<Past>,
    barred: Option<Barred>,
}

impl Kept {
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
        let mut kept = Self {
            folder,
            kinds: Default::default(),
        };
        match kept.read() {
            Ok(kinds) => kept.kinds = kinds,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                file = %kept.folder.join(LIST).display(),
                %error,
                "the list of good policies can't be read and is begun anew"
            ),
        }
        Ok(kept)
    }

    /// The good ones, the last first.
    pub(super) fn good(&self, kind: Kind) -> &[Past] {
        &self.kinds[kind as usize].good
    }

    /// Those that can be gone back to from `now`, the last first.
    pub(super) fn before(&self, kind: Kind, now: Option<&Pick>) -> impl Iterator<Item = &Past> {
        let good = self.good(kind).iter();
        good.filter(move |past| now.is_none_or(|now| !past.pick.runs_like(now)))
            .filter(move |past| self.bar_of(kind, &past.pick).is_none())
            .take(limits::POLICIES_KEPT)
    }

    /// Notes that this one is good.
    pub(super) fn note_good(&mut self, kind: Kind, past: Past) {
        let good = &mut self.kinds[kind as usize].good;
        good.retain(|other| !other.pick.runs_like(&past.pick));
        good.insert(0, past);
        good.truncate(limits::POLICIES_KEPT + 1);
    }

    /// Why this one is not to run.
    pub(super) fn bar_of(&self, kind: Kind, pick: &Pick) -> Option<&str> {
        let barred = self.kinds[kind as usize].barred.as_ref();
        let barred = barred.filter(|barred| barred.pick.runs_like(pick));
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
        let bytes = read(self.file(digest), limits::POLICY_FILE_BYTES_MAX as u64)?;
        if Digest::of(&bytes) != digest {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the copy kept in the data folder is damaged",
            ));
        }
        Ok(bytes.into())
    }

    /// Makes what is remembered durable, and forgets files of none of these and of no good one.
    ///
    /// # Errors
    /// See [`Kept::put`].
    pub(super) fn save(&self, in_use: &BTreeSet<[u8; 32]>) -> io::Result<()> {
        let list = serde_json::to_vec_pretty(&List::of(&self.kinds))?;
        write(&self.folder.join(LIST), &list, Access::Owner)?;
        let good = self.kinds.iter().flat_map(|kind| &kind.good);
        let mut needed: BTreeSet<_> = good.map(|past| past.pick.digest.0).collect();
        needed.extend(in_use);
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
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
        let list = read(self.folder.join(LIST), limits::POLICIES_KEPT_BYTES_MAX)?;
        let list: List = serde_json::from_slice(&list)?;
        list.kinds().map_err(io::Error::other)
    }
}

fn read(path: PathBuf, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large",
        ));
    }
    Ok(bytes)
}

/// The list as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    placement: ListOfKind,
    eviction: ListOfKind,
    relocation: ListOfKind,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListOfKind {
    good: Vec<Entry>,
    barred: Option<Entry>,
}

/// A policy in the list; with when it took over if it is good, with why if it is barred.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    origin: Origin,
    digest: String,
    config: Value,
    limits: LimitsWish,
    note: String,
}

impl List {
    fn of(kinds: &[OfKind; Kind::ALL.len()]) -> Self {
        let of = |kind: Kind| {
            let OfKind { good, barred } = &kinds[kind as usize];
            let good = good
                .iter()
                .map(|past| Entry::of(&past.pick, &past.loaded_at));
            let barred = barred.as_ref();
            ListOfKind {
                good: good.collect(),
                barred: barred.map(|barred| Entry::of(&barred.pick, &barred.reason)),
            }
        };
        Self {
            placement: of(Kind::Placement),
            eviction: of(Kind::Eviction),
            relocation: of(Kind::Relocation),
        }
    }

    fn kinds(self) -> Result<[OfKind; Kind::ALL.len()], String> {
        let mut kinds: [OfKind; Kind::ALL.len()] = Default::default();
        let lists = [self.placement, self.eviction, self.relocation];
        for (kind, list) in kinds.iter_mut().zip(lists) {
            for entry in list.good.into_iter().take(limits::POLICIES_KEPT + 1) {
                let (pick, loaded_at) = entry.read()?;
                kind.good.push(Past { pick, loaded_at });
            }
            if let Some(entry) = list.barred {
                let (pick, reason) = entry.read()?;
                kind.barred = Some(Barred { pick, reason });
            }
        }
        Ok(kinds)
    }
}

impl Entry {
    fn of(pick: &Pick, note: &str) -> Self {
        Self {
            name: pick.name.to_string(),
            origin: pick.origin,
            digest: pick.digest.to_string(),
            config: pick.config.clone(),
            limits: pick.limits,
            note: note.to_owned(),
        }
    }

    fn read(self) -> Result<(Pick, String), String> {
        let name: PolicyName = self.name.parse().map_err(|bad| format!("{bad}"))?;
        let digest: Digest = self.digest.parse().map_err(|bad| format!("{bad}"))?;
        let pick = Pick {
            name,
            origin: self.origin,
            digest,
            config: self.config,
            limits: self.limits,
        };
        pick.wish(None).check()?;
        Ok((pick, self.note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tempfile::TempDir;

    fn past(name: &str) -> Past {
        Past {
            pick: Pick {
                name: name.parse().unwrap(),
                origin: Origin::Folder,
                digest: Digest::of(name.as_bytes()),
                config: json!({"of": name}),
                limits: LimitsWish::default(),
            },
            loaded_at: "2026-01-02T03:04:05Z".to_owned(),
        }
    }

    fn names<'a>(pasts: impl IntoIterator<Item = &'a Past>) -> Vec<&'a str> {
        pasts
            .into_iter()
            .map(|past| past.pick.name.as_str())
            .collect()
    }

    fn open(root: &TempDir) -> Kept {
        Kept::open(root.path().join("kept")).unwrap()
    }

    #[test]
    fn the_last_good_ones_and_the_bar_outlive_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let mut kept = open(&root);
        for name in ["a", "b", "c", "d", "e", "c"] {
            kept.put(past(name).pick.digest, name.as_bytes()).unwrap();
            kept.note_good(Kind::Eviction, past(name));
        }
        let (pick, reason) = (past("d").pick, "it trapped".to_owned());
        kept.bar(Kind::Eviction, Barred { pick, reason });
        kept.save(&BTreeSet::new()).unwrap();

        let mut kept = open(&root);
        let now = past("c").pick;
        assert_eq!(names(kept.good(Kind::Eviction)), ["c", "e", "d", "b"]);
        assert_eq!(names(kept.before(Kind::Eviction, Some(&now))), ["e", "b"]);
        assert_eq!(names(kept.good(Kind::Placement)), [""; 0]);
        assert_eq!(
            kept.bar_of(Kind::Eviction, &past("d").pick),
            Some("it trapped")
        );
        assert_eq!(kept.get(past("b").pick.digest).unwrap(), "b");
        assert!(kept.get(past("a").pick.digest).is_err(), "a is forgotten");
        assert!(kept.lift(Kind::Eviction));
        assert_eq!(
            names(kept.before(Kind::Eviction, Some(&now))),
            ["e", "d", "b"]
        );
    }

    #[test]
    fn what_is_barred_is_code_and_how_it_is_run() {
        let root = tempfile::tempdir().unwrap();
        let mut kept = open(&root);
        let (pick, reason) = (past("d").pick, String::new());
        kept.bar(Kind::Eviction, Barred { pick, reason });
        let renamed = Pick {
            name: "other".parse().unwrap(),
            ..past("d").pick
        };
        assert!(kept.bar_of(Kind::Eviction, &renamed).is_some());
        let configured = Pick {
            config: json!({}),
            ..past("d").pick
        };
        assert!(kept.bar_of(Kind::Eviction, &configured).is_none());
        assert!(kept.bar_of(Kind::Placement, &past("d").pick).is_none());
    }

    #[test]
    fn everything_is_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let kept = open(&root);
        kept.put(Digest::of(b"x"), b"x").unwrap();
        kept.save(&BTreeSet::from([Digest::of(b"x").0])).unwrap();
        let folder = root.path().join("kept");
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.clone()), 0o700);
        let files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        assert_eq!(files.len(), 2);
        assert!(files.into_iter().all(|file| mode(file) == 0o600));
    }

    #[test]
    fn a_damaged_copy_is_refused_and_mended() {
        let root = tempfile::tempdir().unwrap();
        let kept = open(&root);
        let digest = Digest::of(b"x");
        kept.put(digest, b"x").unwrap();
        fs::write(kept.file(digest), "y").unwrap();
        assert_eq!(
            kept.get(digest).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        kept.put(digest, b"x").unwrap();
        assert_eq!(kept.get(digest).unwrap(), "x");
    }

    #[test]
    fn a_list_that_makes_no_sense_is_begun_anew() {
        let root = tempfile::tempdir().unwrap();
        let mut kept = open(&root);
        kept.note_good(Kind::Eviction, past("a"));
        kept.save(&BTreeSet::new()).unwrap();
        let list = root.path().join("kept").join(LIST);
        let good = fs::read_to_string(&list).unwrap();
        for bad in ["", "{}", "[", &good.replace("\"a\"", "\"../a\"")] {
            fs::write(&list, bad).unwrap();
            assert_eq!(names(open(&root).good(Kind::Eviction)), [""; 0], "{bad}");
        }
    }
}
