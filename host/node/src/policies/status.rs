//! `PolicyStatus`: the state of a node's policies, published by the controller after each step and read by the API
//! and the metrics. Reading adds the current counters of the running policies and never waits, least of all for a
//! compilation.

use std::sync::Arc;

use dataverse_core::policy::{FaultKind, Kind};
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;

use super::running::Running;
use super::running_shadow::RunningShadow;
use super::view::{ActiveView, Available, KindView, Origin, PoliciesView, PreviousView, Spread};
use crate::metrics::{PolicyFigures, Swap};
use crate::policies::spec::KindSpec;

/// The published state of a node's policies.
pub(super) struct PolicyStatus {
    folder: String,
    state: Mutex<State>,
}

/// The last report and the counts that belong to it, under one lock, so that nothing is counted twice.
#[derive(Clone, Default)]
struct State {
    report: Arc<Report>,
    counts: [PolicyCounts; Kind::ALL.len()],
    /// A panic of the controller, until it has recovered.
    panic: Option<String>,
    /// Policies being compiled for a requested change, by kind.
    prepared: [Vec<String>; Kind::ALL.len()],
    /// Why changes in the folder are noticed late.
    watch: Option<String>,
}

/// Shows a policy as pending, while it is compiled for a requested change, until this is dropped.
pub(super) struct Prepared<'a> {
    status: &'a PolicyStatus,
    kind: Kind,
    name: String,
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        let mut state = self.status.state();
        let prepared = &mut state.prepared[self.kind as usize];
        let place = prepared.iter().position(|name| *name == self.name);
        place.map(|place| prepared.remove(place));
    }
}

/// What the controller publishes.
#[derive(Default)]
pub(super) struct Report {
    /// Kind by kind.
    pub(super) kinds: [OfKind; Kind::ALL.len()],
    /// Policies that can be used.
    pub(super) available: Vec<Available>,
    /// What is wrong with `policies.toml` or the folder as a whole.
    pub(super) last_error: Option<String>,
}

/// The state of one kind.
#[derive(Clone)]
pub(super) struct OfKind {
    /// The active policy; the baseline decides if there is none.
    pub(super) active: Option<Arc<Running>>,
    /// Since when the baseline decides.
    pub(super) baseline_since: String,
    /// The shadow policy.
    pub(super) shadow: Option<Arc<RunningShadow>>,
    /// The policy that is being compiled.
    pub(super) pending: Option<String>,
    /// Policies that can be rolled back to.
    pub(super) previous: Vec<PreviousView>,
    /// Why what runs is not what the spec asks for.
    pub(super) last_error: Option<String>,
    /// A word that changes whenever the spec or a file that it names does.
    pub(super) revision: String,
    /// The spec.
    pub(super) table: KindSpec,
}

impl Default for OfKind {
    fn default() -> Self {
        Self {
            active: None,
            baseline_since: String::new(),
            shadow: None,
            pending: None,
            previous: Vec::new(),
            last_error: None,
            revision: String::new(),
            table: KindSpec::plain(dataverse_builtin::BASELINE),
        }
    }
}

/// Counts since the node started, without those of the active policy.
#[derive(Clone, Default)]
struct PolicyCounts {
    swaps: [u64; Swap::ALL.len()],
    decisions: u64,
    faults: [u64; FaultKind::ALL.len()],
}

impl PolicyStatus {
    pub(super) fn new(folder: String) -> Self {
        Self {
            folder,
            state: Mutex::default(),
        }
    }

    /// Publishes a report.
    pub(super) fn publish(&self, report: Report) {
        self.state().report = Arc::new(report);
    }

    /// Publishes a report after a swap, and adds the counts of the policy `before` to the totals of its kind.
    pub(super) fn publish_swap(&self, kind: Kind, before: Option<&Running>, report: Report) {
        let mut state = self.state();
        state.report = Arc::new(report);
        let Some(before) = before else {
            return;
        };
        let counts = &mut state.counts[kind as usize];
        counts.decisions += before.health.behaviour().decisions();
        for (fault, times) in before.health.faults() {
            counts.faults[fault as usize] += times;
        }
    }

    /// Sets or clears the panic of the controller.
    pub(super) fn set_panic(&self, panic: Option<String>) {
        self.state().panic = panic;
    }

    /// Sets or clears why changes in the folder are noticed late.
    pub(super) fn set_watch_trouble(&self, trouble: Option<String>) {
        self.state().watch = trouble;
    }

    /// Shows this policy as pending until the returned value is dropped.
    pub(super) fn prepare(&self, kind: Kind, name: &str) -> Prepared<'_> {
        self.state().prepared[kind as usize].push(name.to_owned());
        Prepared {
            status: self,
            kind,
            name: name.to_owned(),
        }
    }

    /// What the spec asks for of a kind.
    pub(super) fn table_of(&self, kind: Kind) -> KindSpec {
        self.report().kinds[kind as usize].table.clone()
    }

    /// Counts the outcome of a swap.
    pub(super) fn count(&self, kind: Kind, swap: Swap) {
        self.state().counts[kind as usize].swaps[swap as usize] += 1;
    }

    /// The state of all policies.
    pub(super) fn view(&self) -> PoliciesView {
        let State {
            report,
            panic,
            prepared,
            watch,
            ..
        } = self.state().clone();
        let of = |kind: Kind| {
            let mut view = report.kinds[kind as usize].view(kind);
            view.pending = (view.pending).or_else(|| prepared[kind as usize].first().cloned());
            view
        };
        PoliciesView {
            placement: of(Kind::Placement),
            eviction: of(Kind::Eviction),
            relocation: of(Kind::Relocation),
            available: report.available.clone(),
            last_error: panic.or_else(|| report.last_error.clone()),
            watch,
            folder: self.folder.clone(),
        }
    }

    /// The state of one kind.
    pub(super) fn view_of(&self, kind: Kind) -> KindView {
        self.report().kinds[kind as usize].view(kind)
    }

    /// The current figures for the metrics.
    pub(super) fn figures(&self) -> Vec<PolicyFigures> {
        let State { report, counts, .. } = self.state().clone();
        Kind::ALL
            .map(|kind| {
                let (now, counts) = (&report.kinds[kind as usize], &counts[kind as usize]);
                now.figures(kind, counts)
            })
            .into()
    }

    fn report(&self) -> Arc<Report> {
        Arc::clone(&self.state().report)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl OfKind {
    fn view(&self, kind: Kind) -> KindView {
        KindView {
            active: match &self.active {
                Some(running) => running.view(),
                None => self.baseline(kind),
            },
            shadow: self.shadow.as_ref().and_then(|shadow| shadow.view()),
            pending: self.pending.clone(),
            previous: self.previous.clone(),
            last_error: self.last_error.clone(),
            revision: self.revision.clone(),
        }
    }

    fn baseline(&self, kind: Kind) -> ActiveView {
        let summary = match kind {
            Kind::Placement => "weighted rendezvous over zones",
            Kind::Eviction => "coldest first",
            Kind::Relocation => "the reader keeps a copy",
        };
        ActiveView {
            name: "baseline".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: format!("{summary}; native, decides when no policy can"),
            digest: String::new(),
            origin: Origin::Baseline,
            state: "active".to_owned(),
            config: json!({}),
            loaded_at: self.baseline_since.clone(),
            decisions: 0,
            faults: std::collections::BTreeMap::new(),
            last_fault: None,
            fuel: Spread::default(),
            latency_us: Spread::default(),
        }
    }

    fn figures(&self, kind: Kind, counts: &PolicyCounts) -> PolicyFigures {
        let active = self.view(kind).active;
        let faults = FaultKind::ALL.map(|fault| {
            let now = active.faults.get(fault.as_str()).copied().unwrap_or(0);
            counts.faults[fault as usize] + now
        });
        PolicyFigures {
            kind,
            policy: active.name,
            digest: active.digest,
            state: active.state,
            decisions: counts.decisions + active.decisions,
            faults,
            swaps: Swap::ALL.map(|swap| counts.swaps[swap as usize]),
            fuel: (active.fuel.p50, active.fuel.p99),
            latency_us: (active.latency_us.p50, active.latency_us.p99),
            shadow: self.shadow.as_ref().and_then(|shadow| shadow.figures()),
        }
    }
}
