//! `Ghosts`: recently evicted files.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::{Queued, Queues};
use crate::{Slot, mix};

/// Maximum number of files remembered, in all queues together. They take about 9 MiB.
pub const GHOSTS_MAX: u32 = 1 << 17;

/// Evicted files, by id, in queues from the oldest to the newest, with the sizes that they had.
///
/// ```
/// let mut ghosts = dataverse_sdk::slots::Ghosts::new(1);
/// ghosts.push(0, 0xf11e, 100);
/// assert_eq!(ghosts.take(0xf11e), Some(0));
/// assert_eq!(ghosts.take(0xf11e), None);
/// ```
#[derive(Clone, Debug)]
pub struct Ghosts {
    /// Over slots of its own; the item is the file.
    queues: Queues<u64>,
    count: u32,
    places: HashMap<u64, Slot, BuildHasherDefault<Mixed>>,
    free: Vec<Slot>,
    queue_count: u32,
}

impl Ghosts {
    /// This many empty queues, numbered from 0.
    #[must_use]
    pub fn new(queues: u32) -> Self {
        Self {
            queues: Queues::new(queues),
            count: 0,
            places: HashMap::default(),
            free: Vec::new(),
            queue_count: queues,
        }
    }

    /// Adds a file at the new end of a queue, and removes it from any other. When [`GHOSTS_MAX`] files are
    /// remembered, the longest queue drops its oldest.
    pub fn push(&mut self, queue: u32, file: u64, size: u64) {
        self.take(file);
        if self.count == GHOSTS_MAX {
            let longest = (0..self.queue_count).max_by_key(|&queue| self.queues.len(queue));
            longest.map(|queue| self.pop(queue));
        }
        let place = self.free.pop().unwrap_or(self.count);
        self.count += 1;
        self.places.insert(file, place);
        self.queues.push(queue, place, size, file);
    }

    /// As [`Ghosts::push`], with a bound on the queue's bytes: the oldest are dropped, and a file larger than the
    /// bound is not remembered.
    pub fn push_within(&mut self, bytes_max: u64, queue: u32, file: u64, size: u64) {
        self.take(file);
        if size <= bytes_max {
            self.trim(queue, bytes_max - size);
            self.push(queue, file, size);
        }
    }

    /// Drops the oldest of a queue while it has more bytes than this.
    pub fn trim(&mut self, queue: u32, bytes_max: u64) {
        while self.bytes(queue) > bytes_max {
            self.pop(queue);
        }
    }

    /// Removes a file; returns the queue in which it was.
    pub fn take(&mut self, file: u64) -> Option<u32> {
        let place = *self.places.get(&file)?;
        let ghost = self.queues.remove(place)?;
        self.release(&ghost);
        Some(ghost.queue)
    }

    /// The queue in which a file is remembered.
    #[must_use]
    pub fn find(&self, file: u64) -> Option<u32> {
        let place = *self.places.get(&file)?;
        Some(self.queues.find(place)?.queue)
    }

    /// Removes the oldest of a queue and returns its file.
    pub fn pop(&mut self, queue: u32) -> Option<u64> {
        let ghost = self.queues.pop(queue)?;
        self.release(&ghost);
        Some(ghost.item)
    }

    /// The total size of the files in a queue.
    #[must_use]
    pub fn bytes(&self, queue: u32) -> u64 {
        self.queues.bytes(queue)
    }

    /// The number of files in a queue.
    #[must_use]
    pub fn len(&self, queue: u32) -> u32 {
        self.queues.len(queue)
    }

    /// Whether a queue is empty.
    #[must_use]
    pub fn is_empty(&self, queue: u32) -> bool {
        self.len(queue) == 0
    }

    fn release(&mut self, ghost: &Queued<u64>) {
        self.places.remove(&ghost.item);
        self.free.push(ghost.slot);
        self.count -= 1;
    }
}

/// Hashes one `u64` the same way everywhere; the standard hasher starts from a random state.
#[derive(Clone, Copy, Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0 ^ value);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|&byte| self.write_u64(u64::from(byte)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_remembered_once() {
        let mut ghosts = Ghosts::new(2);
        ghosts.push(0, 1, 10);
        ghosts.push(0, 2, 10);
        ghosts.push(1, 1, 30);
        assert_eq!((ghosts.bytes(0), ghosts.bytes(1)), (10, 30));
        assert_eq!(
            (ghosts.find(1), ghosts.find(2), ghosts.find(3)),
            (Some(1), Some(0), None)
        );
        assert_eq!((ghosts.take(1), ghosts.take(1)), (Some(1), None));
    }

    #[test]
    fn the_oldest_go_for_bytes() {
        let mut ghosts = Ghosts::new(1);
        (1..=5).for_each(|file| ghosts.push_within(30, 0, file, 10));
        assert_eq!(
            (ghosts.find(2), ghosts.find(3), ghosts.bytes(0)),
            (None, Some(0), 30)
        );
        ghosts.push_within(30, 0, 9, 31);
        assert_eq!((ghosts.find(9), ghosts.len(0)), (None, 3));
        ghosts.trim(0, 10);
        assert_eq!((ghosts.pop(0), ghosts.pop(0)), (Some(5), None));
        assert!(ghosts.is_empty(0));
    }

    #[test]
    fn they_are_bounded_in_number() {
        let mut ghosts = Ghosts::new(2);
        ghosts.push(1, 0, 1);
        (1..=u64::from(GHOSTS_MAX)).for_each(|file| ghosts.push(0, file, 1));
        assert_eq!((ghosts.len(0), ghosts.len(1)), (GHOSTS_MAX - 1, 1));
        assert_eq!(
            (ghosts.find(1), ghosts.find(2), ghosts.find(0)),
            (None, Some(0), Some(1))
        );
    }
}
