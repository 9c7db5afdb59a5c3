//! The series of the scrub, which verifies all content, and of replicas that are healed.

use dataverse_core::holdings::Total;
use dataverse_core::version::Millis;
use metrics::{Counter, Gauge, Recorder, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::as_gauge;
use super::registry::Registry;

/// The current progress of scrub and healing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubFigures {
    /// Files and bytes verified since the node started.
    pub checked: Total,
    /// Bad copies found since then, by a scrub, a read or another node.
    pub bad: u64,
    /// Replicas healed since then.
    pub healed: u64,
    /// Whether a scrub is running.
    pub is_running: bool,
    /// What it has still to verify.
    pub left: Total,
    /// When a scrub last ended; 0 if none ever did.
    pub ended_ms: Millis,
    /// Replicas being healed, waiting for a node that has the content, and lost, in this order.
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
                &[],
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
            "Files whose content the scrub verified.",
        ),
        (
            "scrub_bytes_total",
            Some(Unit::Bytes),
            "Bytes of content that the scrub verified.",
        ),
        (
            "scrub_bad_total",
            None,
            "Bad copies found by a scrub, a read or another node.",
        ),
        (
            "scrub_mended_total",
            None,
            "Replicas that were healed with content from another node.",
        ),
    ];
    for (short, unit, help) in counters {
        recorder.describe_counter(format!("dataverse_{short}").into(), unit, help.into());
    }
    let gauges = [
        ("scrub_running", None, "1 while a scrub is running."),
        (
            "scrub_left_files",
            None,
            "Files that the running scrub has still to verify.",
        ),
        (
            "scrub_left_bytes",
            Some(Unit::Bytes),
            "Bytes that the running scrub has still to verify.",
        ),
        (
            "scrub_ended_timestamp_seconds",
            Some(Unit::Seconds),
            "When a scrub last ended, in seconds since 1970; 0 if none ever did.",
        ),
        (
            "missing_replicas",
            None,
            "Replicas whose content is bad or missing, by state: being healed (`mending`), waiting for a node that has it, or lost.",
        ),
    ];
    for (short, unit, help) in gauges {
        recorder.describe_gauge(format!("dataverse_{short}").into(), unit, help.into());
    }
}
