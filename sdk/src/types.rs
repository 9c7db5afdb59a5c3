//! What policies see of files and nodes.

/// Milliseconds since the Unix epoch on a node, and since the start of the run in the lab.
pub type Millis = u64;

/// Maximum number of entries in one answer. A longer answer is a fault; a policy that has more to name is asked
/// again.
pub const VERDICT_ENTRIES_MAX: usize = 4096;

/// A file, as policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// First eight bytes of BLAKE3(`user/name`), big-endian: the same on every node, uniformly distributed.
    pub id: u64,
    /// The user part of its key.
    pub user: String,
    /// The name part of its key.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// A node, as seen from the deciding node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Stable for the lifetime of the node, uniformly distributed.
    pub id: u64,
    /// Failure domain; empty when the operator has set none.
    pub zone: String,
    /// Links between the deciding node and this one; 0 is the deciding node itself.
    pub hops: u32,
    /// Bytes that it may use.
    pub capacity: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Requests answered per second, recently.
    pub load: u32,
}
