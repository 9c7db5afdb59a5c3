//! Decides which change wins: one function from the present holding and a change to a verdict.
//!
//! Every store calls it and only carries out the verdict, so all stores agree. It has no side effects. Stores do
//! not keep the time of validation: it is passed on to the observer and then forgotten.

use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::record::Record;

use super::{Change, StoreError};

/// What a store must do with a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing to change.
    Nothing,
    /// A greater record is held.
    Superseded(Arc<Record>),
    /// This is held from now on.
    Hold {
        /// The holding.
        after: Holding,
        /// What happens to the content.
        content: Fate,
    },
    /// Nothing is held any more.
    Remove {
        /// The content is kept in quarantine.
        quarantine: bool,
        /// It counts as missing from then on.
        misses: bool,
    },
}

impl Verdict {
    const REMOVE: Self = Self::Remove {
        quarantine: false,
        misses: false,
    };
}

/// What happens to the content under [`Verdict::Hold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The held content stays; content that came with the change is dropped.
    Kept,
    /// The new content, if any, replaces the held one, if any.
    Replaced,
}

/// Decides about `change` when `present` is held.
///
/// # Errors
/// [`StoreError::Absent`] when content is needed and missing, [`StoreError::Corrupt`] when the content is not the
/// one that the record names.
pub(super) fn decide(present: Option<&Holding>, change: &Change) -> Result<Verdict, StoreError> {
    let verdict = match change {
        Change::Put { .. } => return put(present, change),
        Change::Drop { version, only, .. } => present
            .filter(|held| held.record.version <= *version)
            .filter(|held| only.is_none_or(|role| role == held.role))
            .map_or(Verdict::Nothing, |_| Verdict::REMOVE),
        Change::Demote { record } => demote(present, record),
        Change::Release { record } => release(present, record),
        Change::Verified { version, at, .. } => present
            .filter(|held| held.record.version == *version && !held.record.deleted)
            .map_or(Verdict::Nothing, |held| Verdict::Hold {
                after: Holding {
                    verified: held.verified.max(*at),
                    ..held.clone()
                },
                content: Fate::Kept,
            }),
        Change::Quarantine { version, .. } => present
            .filter(|held| held.record.version == *version && !held.record.deleted)
            .map_or(Verdict::Nothing, |held| Verdict::Remove {
                quarantine: true,
                misses: held.role == Role::Replica,
            }),
        Change::SetAside { version, .. } => present
            .filter(|held| held.record.version == *version && !held.record.deleted)
            .map_or(Verdict::Nothing, |_| Verdict::Remove {
                quarantine: true,
                misses: false,
            }),
    };
    Ok(verdict)
}

fn put(present: Option<&Holding>, change: &Change) -> Result<Verdict, StoreError> {
    let Change::Put {
        record,
        role,
        content,
        validated,
        verified,
    } = change
    else {
        unreachable!("only a put is asked about");
    };
    let coming = Holding {
        record: Arc::clone(record),
        role: *role,
        validated: *validated,
        verified: *verified,
    };
    match present {
        Some(held) if held.record.version > record.version => {
            Ok(Verdict::Superseded(Arc::clone(&held.record)))
        }
        Some(held) if held.record.version == record.version => Ok(merge(held, &coming)),
        // A replica is replaced only by a replica, or when the newer version is known to be durable; an extra copy
        // of a newer version is not enough.
        Some(held) if held.role == Role::Replica && *role == Role::Cached => Ok(Verdict::Nothing),
        _ => {
            let content = content
                .as_ref()
                .map(|content| (content.digest(), content.size()));
            check_content(record, content)?;
            Ok(Verdict::Hold {
                after: coming,
                content: Fate::Replaced,
            })
        }
    }
}

/// Merges two holdings of one version: the greater layout, the greater role, the later times.
fn merge(held: &Holding, coming: &Holding) -> Verdict {
    // A version is written once: a record that disagrees is wrong, however great its layout. Nor is a copy promised again
    // under a layout that is no longer in force.
    if coming.record != held.record && !coming.record.is_relayout_of(&held.record) {
        return Verdict::Superseded(Arc::clone(&held.record));
    }
    Verdict::Hold {
        after: Holding {
            record: Arc::clone(&coming.record),
            role: held.role.max(coming.role),
            validated: coming.validated,
            // The content that is kept is the one that was verified.
            verified: held.verified,
        },
        content: Fate::Kept,
    }
}

fn check_content(record: &Record, content: Option<(Digest, u64)>) -> Result<(), StoreError> {
    match content {
        _ if record.deleted => Ok(()),
        None => Err(StoreError::Absent(record.key.clone())),
        Some(content) if content == (record.digest, record.size) => Ok(()),
        Some(_) => Err(StoreError::Corrupt(record.key.clone())),
    }
}

fn demote(present: Option<&Holding>, record: &Arc<Record>) -> Verdict {
    let Some(held) = present.filter(|held| held.record.version == record.version) else {
        return Verdict::Nothing;
    };
    if held.record.deleted {
        return Verdict::Nothing;
    }
    // A copy that was promised under a layout is kept until a greater layout replaces it.
    if held.record.layout != record.layout && !record.layout.follows(&held.record.layout) {
        return Verdict::Superseded(Arc::clone(&held.record));
    }
    let same = held.record.is_same_write(record);
    let record = if same { record } else { &held.record };
    Verdict::Hold {
        after: Holding {
            record: Arc::clone(record),
            role: Role::Cached,
            ..held.clone()
        },
        content: Fate::Kept,
    }
}

fn release(present: Option<&Holding>, record: &Record) -> Verdict {
    match present.filter(|held| held.record.version == record.version) {
        None => Verdict::Nothing,
        // A copy that was promised under a layout is kept until a greater layout replaces it.
        Some(held) if !record.layout.follows(&held.record.layout) => {
            Verdict::Superseded(Arc::clone(&held.record))
        }
        Some(_) => Verdict::REMOVE,
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::version::Stamp;

    use super::*;
    use crate::suite::record;

    fn holding(stamp: u64, layout: u64, role: Role) -> Holding {
        let mut record = record("ada/x", stamp, b"x");
        record.layout.counter = layout;
        Holding {
            record: Arc::new(record),
            role,
            validated: 0,
            verified: 0,
        }
    }

    fn put_of(holding: &Holding) -> Change {
        Change::Put {
            record: Arc::clone(&holding.record),
            role: holding.role,
            content: None,
            validated: 0,
            verified: 0,
        }
    }

    fn check_put(held: &Holding, coming: &Holding, expected: Option<&Holding>) {
        let verdict = decide(Some(held), &put_of(coming)).expect("no content is needed");
        let expected = expected.map_or_else(
            || Verdict::Superseded(Arc::clone(&held.record)),
            |after| Verdict::Hold {
                after: after.clone(),
                content: Fate::Kept,
            },
        );
        assert_eq!(verdict, expected);
    }

    #[test]
    fn of_one_version_the_greater_layout_and_the_greater_role_win() {
        use Role::{Cached, Replica};
        let held = holding(1, 1, Replica);
        check_put(&held, &holding(1, 2, Cached), Some(&holding(1, 2, Replica)));
        check_put(&held, &holding(1, 0, Replica), None);
        let held = holding(1, 1, Cached);
        check_put(&held, &holding(1, 0, Replica), None);
        check_put(
            &held,
            &holding(1, 1, Replica),
            Some(&holding(1, 1, Replica)),
        );
        check_put(&held, &holding(1, 0, Cached), None);
        check_put(&held, &holding(0, 9, Replica), None);
    }

    #[test]
    fn one_version_never_takes_another_content() {
        let held = holding(1, 1, Role::Cached);
        let mut other = record("ada/x", 1, b"y");
        other.layout.counter = 9;
        let coming = Holding {
            record: Arc::new(other),
            role: Role::Replica,
            validated: 0,
            verified: 0,
        };
        check_put(&held, &coming, None);
    }

    #[test]
    fn a_newer_version_needs_its_content_and_a_tombstone_does_not() {
        let held = holding(1, 1, Role::Replica);
        let newer = holding(2, 1, Role::Replica);
        assert!(matches!(
            decide(Some(&held), &put_of(&newer)),
            Err(StoreError::Absent(_))
        ));
        let mut gone = record("ada/x", 2, b"");
        gone.deleted = true;
        let gone = Holding {
            record: Arc::new(gone),
            ..newer
        };
        assert_eq!(
            decide(Some(&held), &put_of(&gone)).expect("no content is needed"),
            Verdict::Hold {
                after: gone,
                content: Fate::Replaced
            }
        );
    }

    #[test]
    fn a_replica_promised_under_a_greater_layout_is_not_demoted() {
        let held = holding(1, 5, Role::Replica);
        let lesser = Change::Demote {
            record: Arc::clone(&holding(1, 4, Role::Replica).record),
        };
        let greater = Change::Demote {
            record: Arc::clone(&holding(1, 6, Role::Replica).record),
        };
        assert!(matches!(
            decide(Some(&held), &lesser),
            Ok(Verdict::Superseded(_))
        ));
        assert!(matches!(
            decide(Some(&held), &greater),
            Ok(Verdict::Hold { after, .. }) if after.role == Role::Cached
        ));
        let other = Change::Demote {
            record: Arc::new(record("ada/x", 7, b"x")),
        };
        assert_eq!(decide(Some(&held), &other).ok(), Some(Verdict::Nothing));
        assert_eq!(held.record.version.stamp, Stamp(1));
    }

    #[test]
    fn a_replica_promised_under_the_same_or_a_greater_layout_is_not_released() {
        let held = holding(1, 5, Role::Replica);
        let release = |stamp, layout| {
            let record = Arc::clone(&holding(stamp, layout, Role::Replica).record);
            decide(Some(&held), &Change::Release { record }).expect("no content is needed")
        };
        assert!(matches!(release(1, 4), Verdict::Superseded(_)));
        assert!(matches!(release(1, 5), Verdict::Superseded(_)));
        assert_eq!(release(1, 6), Verdict::REMOVE);
        assert_eq!(release(2, 6), Verdict::Nothing);
    }
}
