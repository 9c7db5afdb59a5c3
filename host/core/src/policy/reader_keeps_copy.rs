//! `ReaderKeepsCopy`, the relocation baseline: the node through which a file was read keeps a cached copy.
//!
//! The strategy "leave copy everywhere" of web caches, restricted to the edge (Laoutaris, Che and Stavrakakis,
//! "The LCD interconnection of LRU caches and its analysis", 2006). It never moves a replica.

use super::{Fault, Relocation, RelocationVerdict, RemoteRead};

/// The reader's node keeps a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReaderKeepsCopy;

impl Relocation for ReaderKeepsCopy {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        let reader = (!read.path.is_empty()).then_some(0);
        Ok(RelocationVerdict {
            copy_to: reader.into_iter().collect(),
            move_to: None,
        })
    }
}
