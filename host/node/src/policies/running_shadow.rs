//! `RunningShadow`: a policy that is asked beside the one that decides.

use std::sync::Arc;

use dataverse_sandbox::About;
use parking_lot::{Mutex, MutexGuard};

use super::compiler::blocking;
use super::instance::AnyMaker;
use super::running::{by_word, now};
use super::shadow::{Shadow, ShadowReport};
use super::view::{Comparison, ShadowView};
use crate::driver::PolicySlots;
use crate::metrics::ShadowFigures;
use crate::policies::reference::PolicyRef;

/// A policy that is asked beside.
pub(super) struct RunningShadow {
    /// Which, and how it is run.
    pub(super) reference: PolicyRef,
    about: About,
    loaded_at: String,
    /// Gone once it has ended.
    shadow: Mutex<Option<Shadow>>,
}

impl RunningShadow {
    /// One that is asked from now on.
    ///
    /// # Errors
    /// When no thread can be started for it.
    pub(super) async fn start(
        policy_slots: &Arc<PolicySlots>,
        reference: PolicyRef,
        about: About,
        maker: AnyMaker,
    ) -> std::io::Result<Self> {
        let (policy_slots, name) = (Arc::clone(policy_slots), reference.name.clone());
        let wall_ms = reference.limits.filled().wall_ms;
        let shadow = blocking(move || match maker {
            AnyMaker::Placement(make) => {
                Shadow::placement(&policy_slots, name.as_str(), wall_ms, make)
            }
            AnyMaker::Eviction(make) => {
                Shadow::eviction(&policy_slots, name.as_str(), wall_ms, make)
            }
            AnyMaker::Relocation(make) => {
                Shadow::relocation(&policy_slots, name.as_str(), wall_ms, make)
            }
        });
        Ok(Self {
            reference,
            about,
            loaded_at: now(),
            shadow: Mutex::new(Some(shadow.await?)),
        })
    }

    /// Asks it nothing any more, and waits for the call under way.
    pub(super) async fn end(&self) {
        let shadow = self.shadow().take();
        blocking(move || drop(shadow)).await;
    }

    fn shadow(&self) -> MutexGuard<'_, Option<Shadow>> {
        self.shadow.lock()
    }

    fn report(&self) -> Option<ShadowReport> {
        self.shadow().as_ref().map(Shadow::report)
    }

    /// What is told of it, unless it has ended.
    pub(super) fn view(&self) -> Option<ShadowView> {
        let report = self.report()?;
        Some(ShadowView {
            name: self.reference.name.to_string(),
            version: self.about.version.clone(),
            summary: self.about.summary.clone(),
            digest: self.reference.digest.to_string(),
            origin: self.reference.origin,
            state: report.state.as_str().to_owned(),
            loaded_at: self.loaded_at.clone(),
            decisions: report.decisions,
            faults: by_word(&report.faults),
            last_fault: report.last_fault,
            dropped: report.dropped,
            comparison: report.comparison,
        })
    }

    /// What is counted of it, unless it has ended.
    pub(super) fn figures(&self) -> Option<ShadowFigures> {
        let report = self.report()?;
        Some(ShadowFigures {
            policy: self.reference.name.to_string(),
            digest: self.reference.digest.to_string(),
            decisions: report.decisions,
            faults: report.faults.iter().map(|&(_, times)| times).sum(),
            dropped: report.dropped,
            comparison: compared(&report.comparison),
        })
    }
}

/// What is known of how it compares.
fn compared(comparison: &Comparison) -> Vec<(&'static str, f64)> {
    let figures = match *comparison {
        Comparison::Placement {
            agreement,
            balance,
            active_balance,
        } => vec![
            ("agreement", agreement),
            ("balance", balance),
            ("active_balance", active_balance),
        ],
        Comparison::Eviction {
            hit_ratio,
            active_hit_ratio,
            byte_hit_ratio,
            active_byte_hit_ratio,
        } => vec![
            ("hit_ratio", hit_ratio),
            ("active_hit_ratio", active_hit_ratio),
            ("byte_hit_ratio", byte_hit_ratio),
            ("active_byte_hit_ratio", active_byte_hit_ratio),
        ],
        Comparison::Relocation {
            agreement,
            bytes,
            active_bytes,
        } => vec![
            ("agreement", agreement),
            ("bytes", Some(bytes as f64)),
            ("active_bytes", Some(active_bytes as f64)),
        ],
    };
    let known = figures.into_iter();
    known
        .filter_map(|(what, figure)| Some((what, figure?)))
        .collect()
}
