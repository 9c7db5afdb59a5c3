//! `ChosenPolicies`: the policies that decide in a run, one of each kind.

use crate::library::Chosen;

/// The policies that decide.
#[derive(Clone, Debug)]
pub struct ChosenPolicies {
    /// Where the copies of a new file go.
    pub placement: Chosen,
    /// Which cached copies are evicted.
    pub eviction: Chosen,
    /// Whether data moves towards its readers.
    pub relocation: Chosen,
}
