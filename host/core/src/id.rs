//! Identities: node ids (random, made once) and file ids (derived from the key).
//!
//! Both are plain bytes with an order, so every node sorts them the same way. Nothing here generates a random id:
//! that is up to the driver.

use std::fmt;
use std::str::FromStr;

/// A node's identity: 128 random bits, generated once per data folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 16]);

/// Text that is not a node id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a node id: expected 32 hexadecimal digits")]
pub struct NodeIdError(String);

impl NodeId {
    /// The id with these bytes, most significant first.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, most significant first.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first eight bytes, big-endian: the node's id as policies see it.
    #[must_use]
    pub fn short(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(first)
    }

    /// The default name of a node: the first eight hexadecimal digits of its id.
    #[must_use]
    pub fn default_name(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl From<u128> for NodeId {
    fn from(value: u128) -> Self {
        Self(value.to_be_bytes())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NodeIdError(text.to_owned());
        // `from_str_radix` would accept a sign.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16)
            .map(Self::from)
            .map_err(|_| wrong())
    }
}

/// A file's identity: the first eight bytes of BLAKE3(`user/name`), big-endian. Uniformly distributed, and the
/// same on every node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u64);

impl FileId {
    /// The id of the file with this key, given as `user/name` in NFC.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let hash = blake3::hash(key.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// The lowest id above this one, or of all; `None` if there is none.
    #[must_use]
    pub fn first_after(after: Option<Self>) -> Option<Self> {
        match after {
            None => Some(Self(0)),
            Some(Self(last)) => last.checked_add(1).map(Self),
        }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_reads_back_from_its_text() {
        let id = NodeId::from(0x00ff_0000_0000_0000_0000_0000_0000_0001);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.default_name(), "00ff0000");
        assert_eq!(id.short(), 0x00ff_0000_0000_0000);
    }

    #[test]
    fn text_that_is_no_node_id_is_refused() {
        for text in ["", "1", "+0ff0000000000000000000000000001", "zz"] {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_id_is_the_beginning_of_the_hash_of_the_key() {
        let hash = blake3::hash(b"ada/notes.txt");
        let expected = format!("{}", hash.to_hex());
        assert_eq!(FileId::of("ada/notes.txt").to_string(), expected[..16]);
    }
}
