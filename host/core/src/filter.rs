//! `Filter`: a compact summary of which files a node has, at about ten bits per file.
//!
//! A Bloom filter (Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970) over file ids. It
//! has no false negatives, and a false positive rate of about one in a hundred. File ids are hashes already, so
//! their two halves serve as the two hashes from which all others are derived (Kirsch and Mitzenmacher, "Less
//! hashing, same performance", 2006).

use crate::id::FileId;
use crate::limits::{FILTER_BITS_A_FILE, FILTER_BYTES_MAX, FILTER_HASHES};

/// Which files a node has. More files than fit into [`FILTER_BYTES_MAX`] raise the false positive rate; there are
/// never false negatives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    bytes: Vec<u8>,
}

impl Filter {
    /// An empty filter sized for this many files.
    #[must_use]
    pub fn with_room_for(files: usize) -> Self {
        let bytes = files.saturating_mul(FILTER_BITS_A_FILE).div_ceil(8);
        Self {
            bytes: vec![0; bytes.clamp(8, FILTER_BYTES_MAX)],
        }
    }

    /// A filter received from another node. `None` when it is empty or too long.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (1..=FILTER_BYTES_MAX)
            .contains(&bytes.len())
            .then_some(Self { bytes })
    }

    /// The filter as it is sent over the network.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Identifies the filter: equal only for equal filters. Never 0.
    #[must_use]
    pub fn tag(&self) -> u128 {
        let hash = blake3::hash(&self.bytes);
        let mut first = [0; 16];
        first.copy_from_slice(&hash.as_bytes()[..16]);
        u128::from_be_bytes(first).max(1)
    }

    /// Adds a file.
    pub fn put(&mut self, file: FileId) {
        for bit in self.bits_of(file) {
            self.bytes[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// Whether this file may have been added; a false answer is certain.
    #[must_use]
    pub fn may_have(&self, file: FileId) -> bool {
        self.bits_of(file)
            .iter()
            .all(|bit| self.bytes[bit / 8] & (1 << (bit % 8)) != 0)
    }

    fn bits_of(&self, file: FileId) -> [usize; FILTER_HASHES] {
        let bits = self.bytes.len() as u64 * 8;
        let (first, second) = (file.0 >> 32, (file.0 & 0xffff_ffff) | 1);
        std::array::from_fn(|at| ((first + at as u64 * second) % bits) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u64) -> FileId {
        FileId::of(&format!("ada/{number}"))
    }

    fn filter_of(files: u64) -> Filter {
        let mut filter = Filter::with_room_for(files as usize);
        (0..files).for_each(|number| filter.put(file(number)));
        filter
    }

    #[test]
    fn what_was_put_in_is_never_denied_and_little_else_is_taken_for_it() {
        let filter = filter_of(20_000);
        assert!((0..20_000).all(|number| filter.may_have(file(number))));
        let wrong = (20_000..40_000)
            .filter(|number| filter.may_have(file(*number)))
            .count();
        assert!(wrong < 400, "{wrong} of 20,000 were false positives");
    }

    #[test]
    fn an_empty_filter_has_nothing() {
        let filter = Filter::with_room_for(0);
        assert!((0..100).all(|number| !filter.may_have(file(number))));
    }

    #[test]
    fn a_filter_reads_back_from_its_bytes_and_has_their_tag() {
        let filter = filter_of(100);
        let read = Filter::from_bytes(filter.as_bytes().to_vec()).expect("it fits");
        assert_eq!((read.tag(), &read), (filter.tag(), &filter));
        assert_ne!(filter.tag(), filter_of(101).tag());
        assert_eq!(Filter::from_bytes(Vec::new()), None);
        assert_eq!(Filter::from_bytes(vec![0; FILTER_BYTES_MAX + 1]), None);
    }

    #[test]
    fn a_million_files_take_a_mebibyte_and_a_quarter() {
        assert_eq!(Filter::with_room_for(1_000_000).as_bytes().len(), 1_250_000);
        let most = Filter::with_room_for(usize::MAX);
        assert_eq!(most.as_bytes().len(), FILTER_BYTES_MAX);
    }
}
