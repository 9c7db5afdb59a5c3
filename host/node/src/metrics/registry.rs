//! `Registry`: creates the series of a node.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

pub(super) static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Creates series at the start, so that they are zero rather than absent until something happens.
pub(super) struct Registry<'a>(pub(super) &'a PrometheusRecorder);

impl Registry<'_> {
    pub(super) fn counter(&self, name: &'static str) -> Counter {
        self.0
            .register_counter(&Key::from_static_name(name), &METADATA)
    }

    pub(super) fn gauge(&self, name: &'static str) -> Gauge {
        self.0
            .register_gauge(&Key::from_static_name(name), &METADATA)
    }

    pub(super) fn histogram(&self, name: &'static str) -> Histogram {
        self.0
            .register_histogram(&Key::from_static_name(name), &METADATA)
    }

    pub(super) fn counters<const N: usize>(
        &self,
        name: &'static str,
        fixed: &[(&'static str, &'static str)],
        label: &'static str,
        values: [&'static str; N],
    ) -> [Counter; N] {
        values.map(|value| {
            let key = Key::from_parts(name, labels(fixed, label, value));
            self.0.register_counter(&key, &METADATA)
        })
    }

    pub(super) fn gauges<const N: usize>(
        &self,
        name: &'static str,
        fixed: &[(&'static str, &'static str)],
        label: &'static str,
        values: [&'static str; N],
    ) -> [Gauge; N] {
        values.map(|value| {
            let key = Key::from_parts(name, labels(fixed, label, value));
            self.0.register_gauge(&key, &METADATA)
        })
    }
}

fn labels(
    fixed: &[(&'static str, &'static str)],
    label: &'static str,
    value: &'static str,
) -> Vec<Label> {
    let labels = fixed.iter().copied().chain([(label, value)]);
    labels
        .map(|(key, value)| Label::from_static_parts(key, value))
        .collect()
}
