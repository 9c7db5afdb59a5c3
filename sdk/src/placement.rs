//! Placement: where the copies of a new file go.

use serde::de::DeserializeOwned;

use crate::{About, File, Millis, Node};

/// A question to a placement policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The file.
    pub file: File,
    /// Copies wanted.
    pub factor: u32,
    /// The time of the question.
    pub now: Millis,
}

/// Decides where the copies of a new file go.
pub trait PlacementPolicy: Sized + 'static {
    /// Its configuration in `policies.toml`; [`NoConfig`](crate::NoConfig) for none.
    type Config: DeserializeOwned;

    /// Its description of itself.
    fn about() -> About;

    /// Creates a policy that knows nothing yet. `seed` is its only source of randomness.
    ///
    /// # Errors
    /// What is wrong with the configuration, as a message for the operator.
    fn new(config: Self::Config, seed: u64) -> Result<Self, String>;

    /// Returns indices into `candidates` (all of which have enough space), best first, all distinct. The first
    /// `factor` that accept get a replica; the rest are spares.
    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32>;
}
