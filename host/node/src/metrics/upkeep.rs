//! The series of upkeep: what a node has still to do so that replicas are right.

use dataverse_replication::upkeep::{Counts, Kind, Outcome};
use metrics::{Counter, Gauge, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::as_gauge;
use super::registry::Registry;

pub(super) struct UpkeepMetrics(Vec<OfKind>);

struct OfKind {
    kind: Kind,
    waiting: Gauge,
    active: Gauge,
    attempts: [Counter; Outcome::ALL.len()],
}

impl UpkeepMetrics {
    pub(super) fn new(new: &Registry<'_>) -> Self {
        let of_kind = Kind::ALL.map(|kind| {
            let fixed = [("kind", kind.as_str())];
            let outcomes = Outcome::ALL.map(Outcome::as_str);
            let states = ["waiting", "active"];
            let [waiting, active] = new.gauges("dataverse_upkeep_tasks", &fixed, "state", states);
            let name = "dataverse_upkeep_attempts_total";
            OfKind {
                kind,
                waiting,
                active,
                attempts: new.counters(name, &fixed, "outcome", outcomes),
            }
        });
        Self(Vec::from(of_kind))
    }

    pub(super) fn set(&self, counts: &[(Kind, Counts)]) {
        for of_kind in &self.0 {
            let counts = counts.iter().find(|(kind, _)| *kind == of_kind.kind);
            let Some((_, counts)) = counts else {
                continue;
            };
            of_kind.waiting.set(as_gauge(counts.waiting as u64));
            of_kind.active.set(as_gauge(counts.active as u64));
            for (counter, attempts) in of_kind.attempts.iter().zip(counts.outcomes) {
                counter.absolute(attempts);
            }
        }
    }
}

pub(super) fn describe(recorder: &PrometheusRecorder) {
    recorder.describe_gauge(
        "dataverse_upkeep_tasks".into(),
        None,
        "What the node has still to do so that replicas are right, by kind (`re-replicate`, `heal`, `copy`, `move`, `release`, `verify`, `hint`) and state (`waiting`, `active`).".into(),
    );
    recorder.describe_counter(
        "dataverse_upkeep_attempts_total".into(),
        None,
        "Attempts at such tasks, by kind and outcome: `done`; `again` after a pause; `unanswered`, because the node that was to hear did not; `lost`, because no reachable node has the content; `overtaken`, because other nodes know of a greater version.".into(),
    );
}
