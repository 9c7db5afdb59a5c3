//! What policies see of the network.

/// Milliseconds: since the Unix epoch on a node, since the run began in the lab.
pub type Millis = u64;

/// Entries in one answer at most. A longer one is a fault; whoever has more to name is asked again.
pub const VERDICT_ENTRIES_MAX: usize = 4096;

/// A file, as policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// First eight bytes of BLAKE3(`user/name`), big-endian: the same on every node, evenly spread.
    pub id: u64,
    /// The user part of its key.
    pub user: String,
    /// The name part of its key.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// A node, as the deciding node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Stable for the life of the node, evenly spread.
    pub id: u64,
    /// Failure domain; empty when the operator named none.
    pub zone: String,
    /// Links between the deciding node and this one; 0 is the deciding node itself.
    pub hops: u32,
    /// Bytes it may use.
    pub capacity: u64,
    /// Bytes still free.
    pub free: u64,
    /// Requests it answered per second, lately.
    pub load: u32,
}
