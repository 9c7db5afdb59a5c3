//! Placement: where the copies of a new file go.

use serde::de::DeserializeOwned;

use crate::{About, File, Millis, Node};

/// What a placement policy is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The file.
    pub file: File,
    /// Copies wanted.
    pub factor: u32,
    /// When it is asked.
    pub now: Millis,
}

/// Decides where the copies of a new file go.
pub trait PlacementPolicy: Sized + 'static {
    /// What it can be told in `policies.toml`; [`NoConfig`](crate::NoConfig) when nothing.
    type Config: DeserializeOwned;

    /// How it introduces itself.
    fn about() -> About;

    /// A policy that knows nothing yet. `seed` is the only randomness it gets.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator to read.
    fn new(config: Self::Config, seed: u64) -> Result<Self, String>;

    /// Indices into `candidates` (all of which have room), best first, all distinct. The first `factor`
    /// that accept get a replica; the rest are spares.
    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32>;
}
