//! `Name`: what names a copy in a cache.
//!
//! A node's cache goes by keys. The lab drives the same cache by the ids of a trace, which are numbers, so that
//! a policy tried there is told what a node would tell it.

use std::fmt::Debug;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use crate::id::FileId;
use crate::key::Key;

/// What names a copy in a cache.
pub trait Name: Clone + Debug + Eq + Hash {
    /// How names are spread over the cache's index. The index is never walked, so nothing else hangs on it.
    type Spread: BuildHasher + Default;

    /// The file's id, which policies are told.
    fn file_id(&self) -> FileId;
}

/// Keys come from strangers: where they lie in the index can't be foreseen.
impl Name for Key {
    type Spread = RandomState;

    fn file_id(&self) -> FileId {
        Self::file_id(self)
    }
}

/// Ids of a trace.
impl Name for u64 {
    type Spread = BuildHasherDefault<Folded>;

    fn file_id(&self) -> FileId {
        FileId(*self)
    }
}

/// Hashes one number, in a multiplication: its product with an odd constant, the upper half folded onto the
/// lower. Whoever chooses the numbers can make it slow, so it is for numbers that one brings oneself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        /// 2^64 over the golden ratio: neighbours come to lie far apart.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let product = u128::from(self.0 ^ number ^ GOLDEN.rotate_left(32)) * u128::from(GOLDEN);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
