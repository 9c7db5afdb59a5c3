//! `News`: which announcements a node has seen, so that each is passed on once.

use std::collections::{BTreeSet, VecDeque};

use crate::id::{FileId, NodeId};
use crate::limits::ANNOUNCEMENTS_MAX;
use crate::record::Record;
use crate::version::Version;

type Seen = (FileId, Version, u64, NodeId);

/// A bounded memory of announcements; the oldest is forgotten first. A forgotten one that comes again is
/// passed on again, which costs messages and harms nothing.
#[derive(Debug, Default)]
pub struct News {
    seen: BTreeSet<Seen>,
    order: VecDeque<Seen>,
}

impl News {
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
}
