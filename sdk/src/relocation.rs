//! Relocation: whether data moves towards those who read it.

use serde::de::DeserializeOwned;

use crate::{About, File, Millis, Node};

/// A read that another node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The file.
    pub file: File,
    /// Reads of this file through this node lately, this one included; halves every ten minutes.
    pub reads: u32,
    /// From the node that was asked (first) to the one that had it (last).
    pub path: Vec<Node>,
    /// When.
    pub now: Millis,
}

/// What a relocation policy says of a read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Indices into `path` of the nodes that shall cache a copy, all distinct.
    pub copy_to: Vec<u32>,
    /// Index into `path` of the node to which the holder's replica moves.
    pub move_to: Option<u32>,
}

/// Decides whether data moves towards those who read it.
pub trait RelocationPolicy: Sized + 'static {
    /// What it can be told in `policies.toml`; [`NoConfig`](crate::NoConfig) when nothing.
    type Config: DeserializeOwned;

    /// How it introduces itself.
    fn about() -> About;

    /// A policy that knows nothing yet. `seed` is the only randomness it gets.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator to read.
    fn new(config: Self::Config, seed: u64) -> Result<Self, String>;

    /// Asked once for each read that another node answers, before the content flows.
    fn on_read(&mut self, read: &Read) -> Verdict;
}
