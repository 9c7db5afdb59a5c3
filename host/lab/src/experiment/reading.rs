//! `Reading`: what reading an experiment depends on, apart from its text.

use dataverse_core::policy::Kind;

use crate::library::{BASELINE, PolicyLibrary};

/// What reading an experiment depends on, apart from its text.
pub struct Reading<'a> {
    /// The source of policies.
    pub policy_library: &'a PolicyLibrary,
    /// The policy of a kind for which a compare entry names none.
    pub default_policy: fn(Kind) -> &'static str,
    /// Replaces the experiment's own seed.
    pub seed: Option<u64>,
    /// Upper bound on the experiment's requests, to try it out quickly.
    pub requests_max: Option<u64>,
    /// Upper bound on its repetitions.
    pub repetitions_max: Option<u32>,
}

impl<'a> Reading<'a> {
    /// As the experiment says, with the native baseline for kinds for which an entry names no policy.
    #[must_use]
    pub fn new(policy_library: &'a PolicyLibrary) -> Self {
        Self {
            policy_library,
            default_policy: |_| BASELINE,
            seed: None,
            requests_max: None,
            repetitions_max: None,
        }
    }
}
