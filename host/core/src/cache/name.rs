//! `Name`: what identifies a copy in a cache.
//!
//! A node's cache uses keys. The lab drives the same cache with the ids of a trace, which are numbers, so that a
//! policy sees in the lab what it would see on a node.

use std::fmt::Debug;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use crate::id::FileId;
use crate::key::Key;

/// What identifies a copy in a cache.
pub trait Name: Clone + Debug + Eq + Hash {
    /// The hasher of the cache's index. The index is never iterated, so no decision depends on the hasher.
    type Spread: BuildHasher + Default;

    /// The file's id, as policies see it.
    fn file_id(&self) -> FileId;
}

/// Keys come from untrusted clients, so their hash is seeded randomly: nobody can predict collisions.
impl Name for Key {
    type Spread = RandomState;

    fn file_id(&self) -> FileId {
        Self::file_id(self)
    }
}

/// The ids of a trace.
impl Name for u64 {
    type Spread = BuildHasherDefault<Folded>;

    fn file_id(&self) -> FileId {
        FileId(*self)
    }
}

/// Hashes one number by a multiplication with an odd constant; the upper half of the product is folded onto the
/// lower. An attacker who chooses the numbers can cause collisions, so use it only for numbers of one's own.
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
        /// 2^64 divided by the golden ratio: spreads neighbouring numbers far apart.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let product = u128::from(self.0 ^ number ^ GOLDEN.rotate_left(32)) * u128::from(GOLDEN);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
