//! `Running`: the active policy of a kind, from the swap on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dataverse_core::limits;
use dataverse_core::policy::{Conduct, FaultKind};
use dataverse_sandbox::About;
use tokio::time::Instant;

use super::view::{ActiveView, PreviousView, Spread};
use crate::driver::{Cost, Health};
use crate::policies::history::Past;
use crate::policies::reference::PolicyRef;

/// An active policy.
pub(super) struct Running {
    /// Which, and how it is run.
    pub(super) policy_ref: PolicyRef,
    /// How it described itself.
    pub(super) about: About,
    /// Its decisions, faults and costs.
    pub(super) health: Arc<Health>,
    /// When it took over, RFC 3339.
    pub(super) loaded_at: String,
    began: Instant,
}

impl Running {
    /// A policy that becomes active now.
    pub(super) fn new(policy_ref: PolicyRef, about: About, health: Arc<Health>) -> Self {
        Self {
            policy_ref,
            about,
            health,
            loaded_at: now(),
            began: Instant::now(),
        }
    }

    /// Whether it failed during its probation and must be rolled back.
    pub(super) fn has_failed(&self) -> bool {
        self.health.behaviour().has_failed_probation()
    }

    /// Whether it is not suspended at the moment.
    pub(super) fn is_sound(&self) -> bool {
        self.health.conduct() != Conduct::Suspended
    }

    /// Whether it is in good health after as many decisions, or as much time, as a probation lasts.
    pub(super) fn has_proved_itself(&self) -> bool {
        let long = Duration::from_millis(limits::PROBATION_MS);
        let decisions = self.health.behaviour().decisions();
        self.health.conduct() == Conduct::Active
            && (decisions >= limits::PROBATION_DECISIONS || self.began.elapsed() >= long)
    }

    /// Its entry in the history.
    pub(super) fn as_past(&self) -> Past {
        Past {
            policy_ref: self.policy_ref.clone(),
            loaded_at: self.loaded_at.clone(),
        }
    }

    /// Its faults as a sentence.
    pub(super) fn faults_in_words(&self) -> String {
        let faults = self.health.faults();
        let counted = faults
            .iter()
            .map(|(kind, times)| format!("{times} {}", kind.as_str()));
        let counted: Vec<_> = counted.collect();
        let last = self.health.last_fault();
        let last = last.map_or_else(String::new, |fault| format!("; the last one: {fault}"));
        format!(
            "{} of {} decisions failed ({}{last})",
            faults.iter().map(|&(_, times)| times).sum::<u64>(),
            self.health.behaviour().decisions(),
            counted.join(", ")
        )
    }

    /// How the API shows it.
    pub(super) fn view(&self) -> ActiveView {
        let (fuel, latency_us) = spreads(&self.health.costs());
        ActiveView {
            name: self.policy_ref.name.to_string(),
            version: self.about.version.clone(),
            summary: self.about.summary.clone(),
            digest: self.policy_ref.digest.to_string(),
            origin: self.policy_ref.origin,
            state: self.health.conduct().as_str().to_owned(),
            config: self.policy_ref.config.clone(),
            loaded_at: self.loaded_at.clone(),
            decisions: self.health.behaviour().decisions(),
            faults: by_word(&self.health.faults()),
            last_fault: self.health.last_fault(),
            fuel,
            latency_us,
        }
    }
}

impl Past {
    /// How the API shows it.
    pub(super) fn view(&self) -> PreviousView {
        PreviousView {
            name: self.policy_ref.name.to_string(),
            digest: self.policy_ref.digest.to_string(),
            origin: self.policy_ref.origin,
            config: self.policy_ref.config.clone(),
            loaded_at: self.loaded_at.clone(),
        }
    }
}

/// The current time, RFC 3339.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Faults by the name of their kind.
pub(super) fn by_word(faults: &[(FaultKind, u64)]) -> BTreeMap<String, u64> {
    let words = faults
        .iter()
        .map(|&(kind, times)| (kind.as_str().to_owned(), times));
    words.collect()
}

/// Percentiles of the fuel and of the microseconds of decisions.
pub(super) fn spreads(costs: &[Cost]) -> (Spread, Spread) {
    let fuel = costs.iter().map(|cost| cost.fuel as f64);
    let latency = costs.iter().map(|cost| cost.elapsed.as_secs_f64() * 1e6);
    (Spread::of(fuel.collect()), Spread::of(latency.collect()))
}
