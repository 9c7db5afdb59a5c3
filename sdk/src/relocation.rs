//! Relocation: whether data moves towards its readers.

use serde::de::DeserializeOwned;

use crate::{About, File, Millis, Node};

/// A read that another node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The file.
    pub file: File,
    /// Recent reads of this file through this node, this one included; the count halves every ten minutes.
    pub reads: u32,
    /// From the node that was asked (first) to the node that has the file (last).
    pub path: Vec<Node>,
    /// The time of the read.
    pub now: Millis,
}

/// A relocation policy's answer about a read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Indices into `path` of the nodes that should cache a copy, all distinct.
    pub copy_to: Vec<u32>,
    /// Index into `path` of the node to which the holder's replica should move.
    pub move_to: Option<u32>,
}

/// Decides whether data moves towards its readers.
pub trait RelocationPolicy: Sized + 'static {
    /// Its configuration in `policies.toml`; [`NoConfig`](crate::NoConfig) for none.
    type Config: DeserializeOwned;

    /// Its description of itself.
    fn about() -> About;

    /// Creates a policy that knows nothing yet. `seed` is its only source of randomness.
    ///
    /// # Errors
    /// What is wrong with the configuration, as a message for the operator.
    fn new(config: Self::Config, seed: u64) -> Result<Self, String>;

    /// Asked once for each read that another node serves, before the content is transferred.
    fn on_read(&mut self, read: &Read) -> Verdict;
}
