//! Digests, and the group tree that lets any part of a file be verified without the rest.
//!
//! Content is split into groups of 1 MiB. BLAKE3 is a tree whose subtrees of that size can be hashed
//! independently. The *group tree* is the list of their chaining values; its root is the plain BLAKE3 digest. The
//! digest verifies the list, and the list verifies each group, so ranges and resumed transfers are verified like
//! whole files (BLAKE3 paper, §2.1 and §6.4).

use std::fmt;
use std::str::FromStr;

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::limits::GROUP_BYTES;

/// The BLAKE3 digest of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected 64 hexadecimal digits")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| DigestError(text.to_owned()))
    }
}

/// The chaining values of a file's groups, in order. Empty when the content fits into one group: its digest then
/// verifies that group directly.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupTree(Vec<ChainingValue>);

/// The chaining values do not match the digest and size that they came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the group tree does not match the digest")]
pub struct TreeMismatch;

impl GroupTree {
    /// The number of groups in content of this size in bytes; the last group may be short.
    #[must_use]
    pub const fn groups_in(size: u64) -> u64 {
        size.div_ceil(GROUP_BYTES)
    }

    /// Parses chaining values (32 bytes each) and checks that they belong to the content.
    ///
    /// # Errors
    /// [`TreeMismatch`] when their number or their root is not that of the content.
    pub fn checked(bytes: &[u8], digest: Digest, size: u64) -> Result<Self, TreeMismatch> {
        let groups = Self::groups_in(size);
        if groups <= 1 {
            return bytes.is_empty().then(Self::default).ok_or(TreeMismatch);
        }
        let (values, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || values.len() as u64 != groups || root(values) != digest {
            return Err(TreeMismatch);
        }
        Ok(Self(values.to_vec()))
    }

    /// The chaining values, 32 bytes each, as [`GroupTree::checked`] reads them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Whether `bytes` are the group at `index` of the content with this digest.
    #[must_use]
    pub fn verifies(&self, digest: Digest, index: u64, bytes: &[u8]) -> bool {
        if self.0.is_empty() {
            return index == 0 && Digest::of(bytes) == digest;
        }
        let known = usize::try_from(index).ok().and_then(|at| self.0.get(at));
        let is_full_or_last = bytes.len() as u64 == GROUP_BYTES
            || (index + 1 == self.0.len() as u64
                && (1..GROUP_BYTES).contains(&(bytes.len() as u64)));
        is_full_or_last && known.is_some_and(|value| group_value(index, bytes) == *value)
    }
}

fn group_value(index: u64, bytes: &[u8]) -> ChainingValue {
    blake3::Hasher::new()
        .set_input_offset(index * GROUP_BYTES)
        .update(bytes)
        .finalize_non_root()
}

/// The digest over two or more groups.
fn root(values: &[ChainingValue]) -> Digest {
    let (left, right) = halves(values);
    Digest(*merge_subtrees_root(&inner(left), &inner(right), Mode::Hash).as_bytes())
}

fn inner(values: &[ChainingValue]) -> ChainingValue {
    if let [one] = values {
        return *one;
    }
    let (left, right) = halves(values);
    merge_subtrees_non_root(&inner(left), &inner(right), Mode::Hash)
}

/// The left subtree is the largest complete one that leaves something for the right.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

/// Hashes content as it arrives and produces its digest and group tree at the end.
#[derive(Debug, Default)]
pub struct ContentHasher {
    values: Vec<ChainingValue>,
    group: blake3::Hasher,
    group_len: u64,
    size: u64,
}

impl ContentHasher {
    /// Hashes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full group is closed only when more bytes follow, because the only group of a content is hashed as
            // the root.
            if self.group_len == GROUP_BYTES {
                self.close_group();
            }
            let room = usize::try_from(GROUP_BYTES - self.group_len).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.group.update(now);
            self.group_len += now.len() as u64;
            bytes = later;
        }
    }

    /// Bytes hashed so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The digest and the group tree of everything hashed.
    #[must_use]
    pub fn finish(mut self) -> (Digest, GroupTree) {
        if self.values.is_empty() {
            return (
                Digest(*self.group.finalize().as_bytes()),
                GroupTree::default(),
            );
        }
        self.close_group();
        (root(&self.values), GroupTree(self.values))
    }

    fn close_group(&mut self) {
        self.values.push(self.group.finalize_non_root());
        self.group = blake3::Hasher::new();
        self.group
            .set_input_offset(self.values.len() as u64 * GROUP_BYTES);
        self.group_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: usize = GROUP_BYTES as usize;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 % 251) as u8).collect()
    }

    fn hashed(bytes: &[u8], step: usize) -> (Digest, GroupTree) {
        let mut hasher = ContentHasher::default();
        for part in bytes.chunks(step) {
            hasher.update(part);
        }
        assert_eq!(hasher.size(), bytes.len() as u64);
        hasher.finish()
    }

    #[test]
    fn the_root_is_the_plain_digest_for_every_number_of_groups() {
        for len in [
            0,
            1,
            GROUP - 1,
            GROUP,
            GROUP + 1,
            2 * GROUP,
            3 * GROUP,
            5 * GROUP + 77,
        ] {
            let bytes = content(len);
            let (digest, tree) = hashed(&bytes, 70_001);
            assert_eq!(digest, Digest::of(&bytes), "{len}");
            let again = GroupTree::checked(&tree.to_bytes(), digest, len as u64);
            assert_eq!(again, Ok(tree), "{len}");
        }
    }

    #[test]
    fn each_group_is_verified_alone_and_a_flipped_bit_is_seen() {
        let bytes = content(2 * GROUP + 9);
        let (digest, tree) = hashed(&bytes, GROUP);
        for (index, group) in bytes.chunks(GROUP).enumerate() {
            assert!(tree.verifies(digest, index as u64, group));
            let mut wrong = group.to_vec();
            wrong[3] ^= 1;
            assert!(!tree.verifies(digest, index as u64, &wrong));
            assert!(!tree.verifies(digest, index as u64 + 1, group));
        }
        assert!(!tree.verifies(digest, 2, &[]));
        assert!(!tree.verifies(digest, 3, &[]));
    }

    #[test]
    fn a_tree_of_another_content_is_refused() {
        let (digest, tree) = hashed(&content(2 * GROUP), GROUP);
        let size = 2 * GROUP_BYTES;
        let mut wrong = tree.to_bytes();
        wrong[0] ^= 1;
        assert!(GroupTree::checked(&wrong, digest, size).is_err());
        assert!(GroupTree::checked(&tree.to_bytes()[..63], digest, size).is_err());
        assert!(GroupTree::checked(&tree.to_bytes(), digest, size + 1).is_err());
        assert!(GroupTree::checked(&tree.to_bytes(), digest, 5).is_err());
        assert!(GroupTree::checked(&[], digest, size).is_err());
    }

    #[test]
    fn a_digest_reads_back_from_its_text() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("00".parse::<Digest>().is_err());
    }
}
