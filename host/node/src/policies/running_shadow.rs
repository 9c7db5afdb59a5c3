//! `RunningShadow`: the shadow policy of a kind, which is asked the same questions as the active one but not obeyed.

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

/// A shadow policy.
pub(super) struct RunningShadow {
    /// Which, and how it is run.
    pub(super) policy_ref: PolicyRef,
    about: About,
    loaded_at: String,
    /// `None` once it has ended.
    shadow: Mutex<Option<Shadow>>,
}

impl RunningShadow {
    /// Starts a shadow: it is asked from now on.
    ///
    /// # Errors
    /// If no thread can be started for it.
    pub(super) async fn start(
        policy_slots: &Arc<PolicySlots>,
        policy_ref: PolicyRef,
        about: About,
        maker: AnyMaker,
    ) -> std::io::Result<Self> {
        let (policy_slots, name) = (Arc::clone(policy_slots), policy_ref.name.clone());
        let wall_ms = policy_ref.limits.filled().wall_ms;
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
            policy_ref,
            about,
            loaded_at: now(),
            shadow: Mutex::new(Some(shadow.await?)),
        })
    }

    /// Stops asking it and waits for the call in progress.
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

    /// How the API shows it, unless it has ended.
    pub(super) fn view(&self) -> Option<ShadowView> {
        let report = self.report()?;
        Some(ShadowView {
            name: self.policy_ref.name.to_string(),
            version: self.about.version.clone(),
            summary: self.about.summary.clone(),
            digest: self.policy_ref.digest.to_string(),
            origin: self.policy_ref.origin,
            state: report.state.as_str().to_owned(),
            loaded_at: self.loaded_at.clone(),
            decisions: report.decisions,
            faults: by_word(&report.faults),
            last_fault: report.last_fault,
            dropped: report.dropped,
            comparison: report.comparison,
        })
    }

    /// Its figures for the metrics, unless it has ended.
    pub(super) fn figures(&self) -> Option<ShadowFigures> {
        let report = self.report()?;
        Some(ShadowFigures {
            policy: self.policy_ref.name.to_string(),
            digest: self.policy_ref.digest.to_string(),
            decisions: report.decisions,
            faults: report.faults.iter().map(|&(_, times)| times).sum(),
            dropped: report.dropped,
            comparison: compared(&report.comparison),
        })
    }
}

/// The figures of a comparison that are known.
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
