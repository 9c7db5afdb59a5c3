//! What is told of a node's policies: the steward says how things stand after each step, and whoever asks
//! gets the figures of that moment. Asking waits for nothing, least of all for a compilation.

use std::sync::Arc;

use dataverse_core::policy::{FaultKind, Kind};
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;

use super::running::Running;
use super::running_shadow::RunningShadow;
use super::view::{ActiveView, Available, KindView, Origin, PoliciesView, PreviousView, Spread};
use crate::metrics::{PolicyFigures, Swap};
use crate::policies::spec::KindSpec;

/// What is told.
pub(super) struct PolicyStatus {
    folder: String,
    recorded: Mutex<Recorded>,
}

/// How things stand, and what led there; told together, so that nothing counts twice.
#[derive(Clone, Default)]
struct Recorded {
    report: Arc<Report>,
    counts: [PolicyCounts; Kind::ALL.len()],
    /// What went wrong that should not be able to.
    mishap: Option<String>,
    /// Who is compiled for somebody who waits with a change, by kind.
    prepared: [Vec<String>; Kind::ALL.len()],
    /// Why the folder's changes are noticed late.
    watch: Option<String>,
}

/// Somebody who is compiled for a change; told until it is dropped.
pub(super) struct Prepared<'a> {
    status: &'a PolicyStatus,
    kind: Kind,
    name: String,
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        let mut recorded = self.status.recorded();
        let prepared = &mut recorded.prepared[self.kind as usize];
        let place = prepared.iter().position(|name| *name == self.name);
        place.map(|place| prepared.remove(place));
    }
}

/// How things stand.
#[derive(Default)]
pub(super) struct Report {
    /// Kind by kind.
    pub(super) kinds: [OfKind; Kind::ALL.len()],
    /// What could be chosen.
    pub(super) available: Vec<Available>,
    /// What is wrong with the whole.
    pub(super) last_error: Option<String>,
}

/// How things stand with one kind.
#[derive(Clone)]
pub(super) struct OfKind {
    /// Who decides; the baseline if nobody.
    pub(super) active: Option<Arc<Running>>,
    /// Since when the baseline does.
    pub(super) baseline_since: String,
    /// Who is asked beside.
    pub(super) shadow: Option<Arc<RunningShadow>>,
    /// Who is being compiled.
    pub(super) pending: Option<String>,
    /// Who decided before.
    pub(super) previous: Vec<PreviousView>,
    /// Why what runs is not what is wished.
    pub(super) last_error: Option<String>,
    /// What is wished, as a word.
    pub(super) revision: String,
    /// What is wished.
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

/// What happened since the node started, but for what the one did that decides.
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
            recorded: Mutex::default(),
        }
    }

    /// From now on this is how things stand.
    pub(super) fn tell(&self, report: Report) {
        self.recorded().report = Arc::new(report);
    }

    /// From now on this is how things stand, since somebody else decides a kind than before. What who did so
    /// before has done is added to what was done before it.
    pub(super) fn tell_of_change(&self, kind: Kind, before: Option<&Running>, report: Report) {
        let mut recorded = self.recorded();
        recorded.report = Arc::new(report);
        let Some(before) = before else {
            return;
        };
        let counts = &mut recorded.counts[kind as usize];
        counts.decisions += before.health.behaviour().decisions();
        for (fault, times) in before.health.faults() {
            counts.faults[fault as usize] += times;
        }
    }

    /// What went wrong inside, until it went well again.
    pub(super) fn tell_of_mishap(&self, mishap: Option<String>) {
        self.recorded().mishap = mishap;
    }

    /// Why the folder's changes are noticed late, until they are not.
    pub(super) fn tell_of_watch(&self, trouble: Option<String>) {
        self.recorded().watch = trouble;
    }

    /// Somebody is compiled for a change of this kind, as long as what is returned lives.
    pub(super) fn prepare(&self, kind: Kind, name: &str) -> Prepared<'_> {
        self.recorded().prepared[kind as usize].push(name.to_owned());
        Prepared {
            status: self,
            kind,
            name: name.to_owned(),
        }
    }

    /// What is wished of a kind.
    pub(super) fn table_of(&self, kind: Kind) -> KindSpec {
        self.report().kinds[kind as usize].table.clone()
    }

    /// PolicyCounts a swap, or what there was instead of one.
    pub(super) fn count(&self, kind: Kind, swap: Swap) {
        self.recorded().counts[kind as usize].swaps[swap as usize] += 1;
    }

    /// All that there is to tell.
    pub(super) fn view(&self) -> PoliciesView {
        let Recorded {
            report,
            mishap,
            prepared,
            watch,
            ..
        } = self.recorded().clone();
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
            last_error: mishap.or_else(|| report.last_error.clone()),
            watch,
            folder: self.folder.clone(),
        }
    }

    /// What there is to tell of one kind.
    pub(super) fn view_of(&self, kind: Kind) -> KindView {
        self.report().kinds[kind as usize].view(kind)
    }

    /// The figures of this moment.
    pub(super) fn figures(&self) -> Vec<PolicyFigures> {
        let Recorded { report, counts, .. } = self.recorded().clone();
        Kind::ALL
            .map(|kind| {
                let (now, counts) = (&report.kinds[kind as usize], &counts[kind as usize]);
                now.figures(kind, counts)
            })
            .into()
    }

    fn report(&self) -> Arc<Report> {
        Arc::clone(&self.recorded().report)
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock()
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
            summary: format!("{summary}; native, the stand-in for a policy"),
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
