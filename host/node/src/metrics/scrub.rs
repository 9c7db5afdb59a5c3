//! The figures of the check of all content, and of replicas that are to be made good.

use dataverse_core::holdings::Total;
use dataverse_core::version::Millis;
use metrics::{Counter, Gauge, Recorder, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::as_gauge;
use super::registry::Registry;

/// How far the check of all content is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubFigures {
    /// What was checked since the node started.
    pub checked: Total,
    /// Bad copies found since then, whoever found them.
    pub bad: u64,
    /// Replicas made good since then.
    pub healed: u64,
    /// A pass is under way.
    pub is_running: bool,
    /// What it has still to check.
    pub left: Total,
    /// When a pass last ended; 0 when none ever did.
    pub ended_ms: Millis,
    /// Replicas that are being made good, that can't be now, and that are lost.
    pub missing: [u64; 3],
}

pub(super) struct ScrubMetrics {
    files: Counter,
    bytes: Counter,
    bad: Counter,
    healed: Counter,
    running: Gauge,
    left_files: Gauge,
    left_bytes: Gauge,
    ended: Gauge,
    missing: [Gauge; 3],
}

impl ScrubMetrics {
    pub(super) fn new(new: &Registry<'_>) -> Self {
        Self {
            files: new.counter("dataverse_scrub_files_total"),
            bytes: new.counter("dataverse_scrub_bytes_total"),
            bad: new.counter("dataverse_scrub_bad_total"),
            healed: new.counter("dataverse_scrub_mended_total"),
            running: new.gauge("dataverse_scrub_running"),
            left_files: new.gauge("dataverse_scrub_left_files"),
            left_bytes: new.gauge("dataverse_scrub_left_bytes"),
            ended: new.gauge("dataverse_scrub_ended_timestamp_seconds"),
            missing: new.gauges(
                "dataverse_missing_replicas",
                "state",
                ["mending", "waiting", "lost"],
            ),
        }
    }

    pub(super) fn set(&self, figures: &ScrubFigures) {
        self.files.absolute(figures.checked.files);
        self.bytes.absolute(figures.checked.bytes);
        self.bad.absolute(figures.bad);
        self.healed.absolute(figures.healed);
        self.running.set(f64::from(u8::from(figures.is_running)));
        self.left_files.set(as_gauge(figures.left.files));
        self.left_bytes.set(as_gauge(figures.left.bytes));
        self.ended.set(as_gauge(figures.ended_ms / 1000));
        for (gauge, files) in self.missing.iter().zip(figures.missing) {
            gauge.set(as_gauge(files));
        }
    }
}

pub(super) fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        (
            "scrub_files_total",
            None,
            "Files whose content was checked by a pass over all of it.",
        ),
        (
            "scrub_bytes_total",
            Some(Unit::Bytes),
            "Bytes of content that were checked by a pass over all of it.",
        ),
        (
            "scrub_bad_total",
            None,
            "Copies found to be bad, by a pass, a read or another node's.",
        ),
        (
            "scrub_mended_total",
            None,
            "Replicas that were made good from another node.",
        ),
    ];
    for (short, unit, help) in counters {
        recorder.describe_counter(format!("dataverse_{short}").into(), unit, help.into());
    }
    let gauges = [
        (
            "scrub_running",
            None,
            "Whether a pass over all content is under way.",
        ),
        (
            "scrub_left_files",
            None,
            "Files that the pass has still to check.",
        ),
        (
            "scrub_left_bytes",
            Some(Unit::Bytes),
            "Bytes that the pass has still to check.",
        ),
        (
            "scrub_ended_timestamp_seconds",
            Some(Unit::Seconds),
            "When a pass last ended, in seconds since 1970; 0 when none ever did.",
        ),
        (
            "missing_replicas",
            None,
            "Replicas whose content is bad or gone: being made good, waiting for a node that has it, lost.",
        ),
    ];
    for (short, unit, help) in gauges {
        recorder.describe_gauge(format!("dataverse_{short}").into(), unit, help.into());
    }
}
