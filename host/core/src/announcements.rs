//! `SeenAnnouncements`: which announcements a node has seen, so that each is passed on once, and so that what comes late is
//! known to be late: a record is announced when it is durable on every node that it names.

use std::collections::{BTreeSet, VecDeque};

use crate::id::{FileId, NodeId};
use crate::limits::ANNOUNCEMENTS_MAX;
use crate::record::Record;
use crate::version::{Stamp, Version};

type SeenAnnouncement = (FileId, Version, u64, NodeId);

/// A bounded memory of announcements; the oldest is forgotten first. A forgotten one that comes again is
/// passed on again, which costs messages and harms nothing.
#[derive(Debug, Default)]
pub struct SeenAnnouncements {
    seen: BTreeSet<SeenAnnouncement>,
    order: VecDeque<SeenAnnouncement>,
}

impl SeenAnnouncements {
    /// Whether this record (in this layout) was not seen before. It is from now on.
    pub fn is_new(&mut self, record: &Record) -> bool {
        let seen = (
            record.key.file_id(),
            record.version,
            record.layout.counter,
            record.layout.author,
        );
        if !self.seen.insert(seen) {
            return false;
        }
        self.order.push_back(seen);
        if self.order.len() > ANNOUNCEMENTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }

    /// The greatest version of this file that was announced, as far as that is remembered.
    #[must_use]
    pub fn greatest(&self, file: FileId) -> Option<Version> {
        let no_node_is_greater = NodeId::from_bytes([u8::MAX; 16]);
        let last = Version {
            stamp: Stamp(u64::MAX),
            writer: no_node_is_greater,
        };
        let up_to = (file, last, u64::MAX, no_node_is_greater);
        let greatest = self.seen.range(..=up_to).next_back();
        greatest
            .filter(|seen| seen.0 == file)
            .map(|(_, version, ..)| *version)
    }
}
