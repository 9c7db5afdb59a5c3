//! `SeenAnnouncements`: which announcements a node has already seen.
//!
//! A node forwards each announcement once, and recognises a copy that arrives after a greater version was
//! announced. A record is announced only when it is durable on every node that its layout names.

use std::collections::{BTreeSet, VecDeque};

use crate::id::{FileId, NodeId};
use crate::limits::ANNOUNCEMENTS_MAX;
use crate::record::Record;
use crate::version::{Stamp, Version};

type SeenAnnouncement = (FileId, Version, u64, NodeId);

/// A bounded memory of announcements that forgets the oldest first. A forgotten announcement that arrives again is
/// forwarded again, which costs messages and does no harm.
#[derive(Debug, Default)]
pub struct SeenAnnouncements {
    seen: BTreeSet<SeenAnnouncement>,
    order: VecDeque<SeenAnnouncement>,
}

impl SeenAnnouncements {
    /// Marks this record (version and layout) as seen. True when it was not seen before.
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

    /// The greatest announced version of this file, as far as it is remembered.
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
