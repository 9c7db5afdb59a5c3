//! `[run]` and `[[compare]]`: how often and how long to run, and what to compare.

use dataverse_core::policy::Kind;
use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Malformed};
use crate::limits;
use crate::quantity::Portion;
use crate::world::PolicySpec;

/// The table `[run]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Run {
    /// What all seeds derive from (1).
    pub(super) seed: u64,
    /// Runs of each cell, each with its own seed (5).
    pub(super) repetitions: Spanned<u32>,
    /// Requests of a run (10 000, or the whole trace).
    pub(super) requests: Option<u64>,
    /// Requests at the beginning that are not counted (none).
    pub(super) warm_up: Spanned<Portion>,
    /// The entry that the others are compared with (the first).
    pub(super) baseline: Option<Spanned<String>>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            seed: 1,
            repetitions: Spanned::new(0..0, limits::EXPERIMENT_REPETITIONS_DEFAULT),
            requests: None,
            warm_up: Spanned::new(0..0, Portion::Count(0)),
            baseline: None,
        }
    }
}

impl Run {
    /// The number of requests of a run, where a trace has `of_trace`.
    pub(super) fn requests(&self, of_trace: Option<u64>) -> u64 {
        match (self.requests, of_trace) {
            (Some(requests), Some(there_are)) => requests.min(there_are),
            (Some(requests), None) | (None, Some(requests)) => requests,
            (None, None) => limits::EXPERIMENT_REQUESTS_DEFAULT,
        }
    }

    pub(super) fn check(&self, document: &Document) -> Result<(), Malformed> {
        let repetitions = *self.repetitions.get_ref();
        if !(1..=limits::EXPERIMENT_REPETITIONS_MAX).contains(&repetitions) {
            return Err(document.malformed(
                &self.repetitions.span(),
                format!(
                    "{repetitions} repetitions can't be run; choose 1 to {}",
                    limits::EXPERIMENT_REPETITIONS_MAX
                ),
            ));
        }
        Ok(())
    }
}

/// One table `[[compare]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compare {
    /// The name in tables and plots.
    pub(super) name: Spanned<String>,
    #[serde(default)]
    placement: Option<Spanned<PolicySpec>>,
    #[serde(default)]
    eviction: Option<Spanned<PolicySpec>>,
    #[serde(default)]
    relocation: Option<Spanned<PolicySpec>>,
}

impl Compare {
    /// The policy of this kind, if the entry names one.
    pub(super) fn policy_spec(&self, kind: Kind) -> Option<&Spanned<PolicySpec>> {
        match kind {
            Kind::Placement => self.placement.as_ref(),
            Kind::Eviction => self.eviction.as_ref(),
            Kind::Relocation => self.relocation.as_ref(),
        }
    }
}

/// Refuses names that tables and assertions could not tell apart.
pub(super) fn check_names(document: &Document, entries: &[Compare]) -> Result<(), Malformed> {
    for (place, entry) in entries.iter().enumerate() {
        let name = entry.name.get_ref();
        let refused = |reason: String| Err(document.malformed(&entry.name.span(), reason));
        if name.is_empty() || name.len() > limits::EXPERIMENT_NAME_BYTES_MAX {
            return refused(format!(
                "a name has 1 to {} bytes",
                limits::EXPERIMENT_NAME_BYTES_MAX
            ));
        }
        if name.chars().any(char::is_control) {
            return refused(format!("{name:?} has a character that can't be shown"));
        }
        if entries[..place].iter().any(|it| it.name.get_ref() == name) {
            return refused(format!("two entries are named `{name}`"));
        }
    }
    Ok(())
}
