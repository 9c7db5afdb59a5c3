//! `Missed`: what it means for a reader that a search found no copy.

use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::record::Record;
use dataverse_core::version::Version;

use super::{Consistency, Reading};
use crate::protocol::Asked;

/// What a search without a hit found, and what the node knows of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missed {
    /// How many were asked.
    pub asked: Asked,
    /// The greatest version of which a node serves a copy, although others have heard of a greater one.
    pub below: Option<Version>,
    /// Nodes have copies below what is known, whether or not they serve them, and none has that version.
    pub overtaken: bool,
    /// The greatest version that a node has heard of.
    pub heard: Option<Heard>,
    /// The greatest deletion that a node holds.
    pub deletion: Option<Version>,
    /// The greatest version that the node itself knows to exist.
    pub confirmed: Option<Heard>,
    /// The record of this node's replica, if that is bad or gone.
    pub missing: Option<Arc<Record>>,
}

/// Why there is no copy for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// Every reachable node said no.
    NotFound,
    /// The search could not ask every node.
    Unknown,
    /// It was overwritten again and again while it was looked for.
    Unsettled,
    /// The replica of this record here is bad or gone, and every reachable node said no.
    Lost(Arc<Record>),
    /// This version was heard of, every node that is up was asked, and none has it.
    Away(Version),
    /// The newest version was asked for, and there is only an older one or nobody to confirm it.
    Unconfirmed,
}

impl Missed {
    /// What the reader gets.
    #[must_use]
    pub fn reading(&self, consistency: Consistency) -> Reading {
        let wants_newest = consistency == Consistency::Newest;
        if self.serves_below() {
            // That no node at all has anything newer is all that can be asked of them.
            return match wants_newest && self.asked != Asked::All {
                true => Reading::No(Unavailable::Unconfirmed),
                false => Reading::Below,
            };
        }
        let known = self.known().filter(|known| !known.is_deletion());
        if self.asked != Asked::Some && !self.is_deleted() {
            match known {
                _ if self.overtaken && (known.is_some() || self.is_made_up()) => {
                    return match wants_newest {
                        true => Reading::No(Unavailable::Unconfirmed),
                        false => Reading::Overtaken,
                    };
                }
                Some(known) => {
                    let away = Unavailable::Away(known.version);
                    return Reading::No(self.lost().unwrap_or(away));
                }
                None => {}
            }
        }
        Reading::No(match self.asked {
            Asked::All => self.lost().unwrap_or(Unavailable::NotFound),
            Asked::RecentlyUp | Asked::Some => Unavailable::Unknown,
        })
    }

    /// The version up to which what was heard of the file can be forgotten, since no node has it.
    #[must_use]
    pub fn disproved(&self) -> Option<Version> {
        let settles = self.serves_below() || self.is_deleted() || self.is_made_up();
        let disproves = settles && self.asked == Asked::All;
        self.heard.filter(|_| disproves).map(|heard| heard.version)
    }

    /// The greatest version that counts.
    fn known(&self) -> Option<Heard> {
        match self.is_made_up() {
            true => self.confirmed,
            false => self.heard,
        }
    }

    /// Whether a deletion was heard of that no node holds, and each was asked. It hides nothing.
    fn is_made_up(&self) -> bool {
        let deletion = self.heard.filter(Heard::is_deletion);
        self.asked == Asked::All
            && deletion.is_some_and(|heard| {
                self.deletion < Some(heard.version) && !self.is_confirmed(heard.version)
            })
    }

    fn is_confirmed(&self, version: Version) -> bool {
        self.confirmed.is_some_and(|known| known.version >= version)
    }

    fn lost(&self) -> Option<Unavailable> {
        let missing = self.missing.as_ref().filter(|_| self.asked == Asked::All);
        missing.map(|record| Unavailable::Lost(Arc::clone(record)))
    }

    /// Whether the copy below what was heard of may be served. What this node knows itself to exist goes before it.
    fn serves_below(&self) -> bool {
        self.below
            .is_some_and(|below| self.knows_nothing_above(below))
    }

    /// Whether a node holds a deletion of the file, and this node knows itself of nothing that was written since.
    fn is_deleted(&self) -> bool {
        self.deletion
            .is_some_and(|deletion| self.knows_nothing_above(deletion))
    }

    fn knows_nothing_above(&self, version: Version) -> bool {
        self.confirmed.is_none_or(|known| known.version <= version)
    }
}
