//! Floors: the highest version that a node has heard of, for files that it does not hold in that version.
//!
//! What one other node says is *hearsay*: it makes the node search, and never takes a copy out of service. A
//! *confirmed* floor is one that the node knows itself: it held or wrote that version, or a holder said so when it
//! was asked. Nothing below it is served.
//!
//! Both are bounded; what was heard first is forgotten first. A held file needs no floor of its own version, because
//! its record is the floor. A confirmed floor above the held version is *pinned* as long as that version is held, so
//! that no number of other floors can make the node serve it again.

use std::collections::BTreeMap;

use crate::id::FileId;
use crate::limits::HEARD_FLOORS_MAX;
use crate::recent::Recent;
use crate::record::Record;
use crate::version::Version;

/// What a node has heard of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// The highest version.
    pub version: Version,
    /// The highest version that is a deletion; no higher than `version`. Older versions are never served again,
    /// whatever happens to what was written since.
    pub buried: Option<Version>,
}

impl Heard {
    /// A version that is not known to be a deletion.
    #[must_use]
    pub const fn alive(version: Version) -> Self {
        Self {
            version,
            buried: None,
        }
    }

    /// A deletion.
    #[must_use]
    pub const fn deletion(version: Version) -> Self {
        Self {
            version,
            buried: Some(version),
        }
    }

    /// What this record says.
    #[must_use]
    pub const fn of(record: &Record) -> Self {
        match record.deleted {
            true => Self::deletion(record.version),
            false => Self::alive(record.version),
        }
    }

    /// Whether the highest version is a deletion.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        self.buried == Some(self.version)
    }

    /// Both combined.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            version: self.version.max(other.version),
            buried: self.buried.max(other.buried),
        }
    }

    /// All that are present combined; `None` when none is.
    #[must_use]
    pub fn merged(all: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        all.into_iter().flatten().reduce(Self::and)
    }
}

/// The highest version heard of each file.
#[derive(Debug, Default)]
pub struct Floors {
    hearsay: Bounded,
    confirmed: Bounded,
    /// Confirmed floors of files that are held in a lower version; at most one per held file.
    pinned: BTreeMap<FileId, Heard>,
}

/// What was heard of at most [`HEARD_FLOORS_MAX`] files; what was heard first is forgotten first.
#[derive(Debug)]
struct Bounded(Recent<FileId, Heard>);

impl Default for Bounded {
    fn default() -> Self {
        Self(Recent::new(HEARD_FLOORS_MAX))
    }
}

impl Bounded {
    /// True when it is higher than what was known.
    fn hear(&mut self, file: FileId, heard: Heard) -> bool {
        let Some(known) = self.0.get_mut(&file) else {
            self.0.put(file, heard);
            return true;
        };
        let before = *known;
        *known = before.and(heard);
        *known != before
    }

    fn of(&self, file: FileId) -> Option<Heard> {
        self.0.get(&file).copied()
    }
}

impl Floors {
    /// Records what another node says. True when it is higher than what was said before.
    pub fn hear(&mut self, file: FileId, heard: Heard) -> bool {
        self.hearsay.hear(file, heard)
    }

    /// Forgets what was said up to this version: no node has it.
    pub fn disprove(&mut self, file: FileId, version: Version) {
        let said = self.hearsay.of(file);
        if said.is_some_and(|said| said.version <= version) {
            self.hearsay.0.remove(&file);
        }
    }

    /// Records a version that this node knows itself to exist.
    pub fn confirm(&mut self, file: FileId, heard: Heard) {
        self.confirmed.hear(file, heard);
    }

    /// The same for a version above the one that is held.
    pub fn pin(&mut self, file: FileId, heard: Heard) {
        let pinned = self.pinned.entry(file).or_insert(heard);
        *pinned = pinned.and(heard);
    }

    /// The held version is gone: its pinned floor becomes an ordinary one.
    pub fn unpin(&mut self, file: FileId) {
        if let Some(heard) = self.pinned.remove(&file) {
            self.confirm(file, heard);
        }
    }

    /// The highest version heard of this file, hearsay included.
    #[must_use]
    pub fn of(&self, file: FileId) -> Option<Heard> {
        Heard::merged([self.hearsay.of(file), self.confirmed(file)])
    }

    /// The highest confirmed version of this file.
    #[must_use]
    pub fn confirmed(&self, file: FileId) -> Option<Heard> {
        Heard::merged([self.confirmed.of(file), self.pinned.get(&file).copied()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;
    use crate::version::Stamp;

    fn heard(stamp: u64) -> Heard {
        Heard::alive(Version {
            stamp: Stamp(stamp),
            writer: NodeId::from(1),
        })
    }

    #[test]
    fn a_deletion_is_remembered_beside_what_was_written_since() {
        let deletion = Heard::deletion(heard(5).version);
        for (one, other) in [(deletion, heard(7)), (heard(7), deletion)] {
            let mut floors = Floors::default();
            assert!(floors.hear(FileId(1), one));
            assert!(floors.hear(FileId(1), other));
            let of = floors.of(FileId(1)).expect("it was heard of");
            assert_eq!((of.version, of.buried), (heard(7).version, deletion.buried));
            assert!(!of.is_deletion() && deletion.is_deletion());
        }
    }

    #[test]
    fn only_a_higher_version_is_news() {
        let mut floors = Floors::default();
        assert!(floors.hear(FileId(1), heard(5)));
        assert!(!floors.hear(FileId(1), heard(4)));
        assert!(!floors.hear(FileId(1), heard(5)));
        assert!(floors.hear(FileId(1), heard(6)));
        assert_eq!(floors.of(FileId(1)), Some(heard(6)));
    }

    #[test]
    fn what_is_pinned_is_not_forgotten_for_other_news() {
        let mut floors = Floors::default();
        floors.pin(FileId(7), heard(5));
        floors.pin(FileId(7), heard(4));
        for file in 100..=100 + HEARD_FLOORS_MAX as u64 {
            floors.hear(FileId(file), heard(1));
        }
        assert_eq!(floors.of(FileId(7)), Some(heard(5)));
        floors.unpin(FileId(7));
        assert_eq!(floors.of(FileId(7)), Some(heard(5)));
        assert!(floors.pinned.is_empty());
    }

    #[test]
    fn what_was_heard_first_is_forgotten_first() {
        let mut floors = Floors::default();
        for file in 0..=HEARD_FLOORS_MAX as u64 {
            floors.hear(FileId(file), heard(1));
        }
        assert_eq!(floors.of(FileId(0)), None);
        assert_eq!(floors.of(FileId(1)), Some(heard(1)));
        assert_eq!(floors.hearsay.0.len(), HEARD_FLOORS_MAX);
    }

    #[test]
    fn hearsay_that_was_disproved_is_forgotten_and_what_is_confirmed_stays() {
        let mut floors = Floors::default();
        floors.confirm(FileId(1), heard(3));
        floors.hear(FileId(1), heard(5));
        assert_eq!(floors.confirmed(FileId(1)), Some(heard(3)));
        floors.disprove(FileId(1), heard(4).version);
        assert_eq!(floors.of(FileId(1)), Some(heard(5)));
        floors.disprove(FileId(1), heard(5).version);
        assert_eq!(floors.of(FileId(1)), Some(heard(3)));
    }
}
