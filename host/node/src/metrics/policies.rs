//! The series of policies. They are rendered from the current figures, because policies come and go while the node
//! runs and a registry would keep the series of those that are gone.

use std::fmt::Write;

use dataverse_core::policy::{FaultKind, Kind};

/// Outcome of a requested swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The swap took place.
    Swapped,
    /// The policy was refused.
    Refused,
    /// The policy failed during its probation and the previous one is back.
    RolledBack,
}

impl Swap {
    /// All outcomes.
    pub const ALL: [Self; 3] = [Self::Swapped, Self::Refused, Self::RolledBack];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Refused => "refused",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// The current figures of one kind of policy. Totals count from the start of the node.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyFigures {
    /// The kind.
    pub kind: Kind,
    /// Name of the active policy.
    pub policy: String,
    /// Its digest.
    pub digest: String,
    /// `active`, `probation` or `suspended`.
    pub state: String,
    /// Decisions, those of earlier policies included.
    pub decisions: u64,
    /// Faults, those of earlier policies included, in the order of [`FaultKind::ALL`].
    pub faults: [u64; FaultKind::ALL.len()],
    /// Swaps, in the order of [`Swap::ALL`].
    pub swaps: [u64; Swap::ALL.len()],
    /// Fuel of a decision: median and 99th percentile.
    pub fuel: (f64, f64),
    /// Microseconds of a decision: median and 99th percentile.
    pub latency_us: (f64, f64),
    /// The shadow policy.
    pub shadow: Option<ShadowFigures>,
}

/// The figures of a shadow policy.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowFigures {
    /// Its name.
    pub policy: String,
    /// Its digest.
    pub digest: String,
    /// Questions that it answered.
    pub decisions: u64,
    /// Its faults.
    pub faults: u64,
    /// Questions dropped because it was behind.
    pub dropped: u64,
    /// How it compares with the active policy, figure by figure.
    pub comparison: Vec<(&'static str, f64)>,
}

/// A metric and its samples: labels and value.
struct Family {
    name: &'static str,
    form: &'static str,
    help: &'static str,
    samples: Vec<(String, f64)>,
}

/// All series of policies in Prometheus' text format.
pub(super) fn render(figures: &[PolicyFigures]) -> String {
    let mut text = String::new();
    for family in families(figures).iter().filter(|it| !it.samples.is_empty()) {
        let Family {
            name, form, help, ..
        } = family;
        let _ = writeln!(
            text,
            "# HELP dataverse_{name} {help}\n# TYPE dataverse_{name} {form}"
        );
        for (labels, value) in &family.samples {
            let _ = writeln!(text, "dataverse_{name}{{{labels}}} {value}");
        }
        text.push('\n');
    }
    text
}

fn families(figures: &[PolicyFigures]) -> Vec<Family> {
    let counter = |name, help, samples| Family {
        name,
        form: "counter",
        help,
        samples,
    };
    let gauge = |name, help, samples| Family {
        name,
        form: "gauge",
        help,
        samples,
    };
    let decisions = each(figures, |it| vec![(String::new(), it.decisions as f64)]);
    let faults = each(figures, |it| {
        let faults = FaultKind::ALL.iter().zip(it.faults);
        faults
            .map(|(fault, times)| (label("fault", fault.as_str()), times as f64))
            .collect()
    });
    let swaps = each(figures, |it| {
        let swaps = Swap::ALL.iter().zip(it.swaps);
        swaps
            .map(|(swap, times)| (label("outcome", swap.as_str()), times as f64))
            .collect()
    });
    let state = each(figures, |it| {
        let labels = named(&it.policy, &it.digest) + &label("state", &it.state);
        vec![(labels, 1.0)]
    });
    let mut all = vec![
        counter(
            "policy_decisions_total",
            "Decisions that policies were asked for, by kind.",
            decisions,
        ),
        counter(
            "policy_faults_total",
            "Decisions in which the policy failed and the baseline answered, by kind of fault.",
            faults,
        ),
        counter(
            "policy_swaps_total",
            "Requested swaps of policies, by outcome.",
            swaps,
        ),
        gauge(
            "policy_state",
            "The active policy and its state; always 1.",
            state,
        ),
        gauge(
            "policy_fuel",
            "Fuel of recent decisions.",
            each(figures, |it| quantiles(it.fuel)),
        ),
        gauge(
            "policy_latency_microseconds",
            "Time of recent decisions.",
            each(figures, |it| quantiles(it.latency_us)),
        ),
    ];
    let of_shadow = |figure: fn(&ShadowFigures) -> Vec<(String, f64)>| {
        each(figures, |it| {
            let Some(shadow) = &it.shadow else {
                return Vec::new();
            };
            let named = named(&shadow.policy, &shadow.digest);
            let figures = figure(shadow).into_iter();
            figures
                .map(|(labels, value)| (format!("{named}{labels}"), value))
                .collect()
        })
    };
    all.extend([
        counter(
            "policy_shadow_decisions_total",
            "Questions that the shadow answered.",
            of_shadow(|it| vec![(String::new(), it.decisions as f64)]),
        ),
        counter(
            "policy_shadow_faults_total",
            "Questions on which the shadow failed.",
            of_shadow(|it| vec![(String::new(), it.faults as f64)]),
        ),
        counter(
            "policy_shadow_dropped_total",
            "Questions dropped because the shadow was behind.",
            of_shadow(|it| vec![(String::new(), it.dropped as f64)]),
        ),
        gauge(
            "policy_shadow_comparison",
            "How the shadow compares with the active policy, by figure (`what`).",
            of_shadow(|it| {
                let compared = it.comparison.iter();
                compared
                    .map(|&(what, value)| (label("what", what), value))
                    .collect()
            }),
        ),
    ]);
    all
}

/// The samples of all kinds, each labelled with its kind.
fn each(
    figures: &[PolicyFigures],
    samples: impl Fn(&PolicyFigures) -> Vec<(String, f64)>,
) -> Vec<(String, f64)> {
    let of_kind = |it: &PolicyFigures| {
        let kind = format!("kind=\"{}\"", it.kind);
        let samples = samples(it).into_iter();
        samples
            .map(|(labels, value)| (format!("{kind}{labels}"), value))
            .collect::<Vec<_>>()
    };
    figures.iter().flat_map(of_kind).collect()
}

/// One more label. Names of policies and digests contain nothing that needs escaping.
fn label(key: &str, value: &str) -> String {
    format!(",{key}=\"{value}\"")
}

fn named(policy: &str, digest: &str) -> String {
    let prefix = digest.get(..12).unwrap_or(digest);
    label("policy", policy) + &label("digest", prefix)
}

fn quantiles((p50, p99): (f64, f64)) -> Vec<(String, f64)> {
    vec![
        (label("quantile", "0.5"), p50),
        (label("quantile", "0.99"), p99),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> PolicyFigures {
        PolicyFigures {
            kind: Kind::Eviction,
            policy: "gdsf".to_owned(),
            digest: "0123456789abcdef".to_owned(),
            state: "probation".to_owned(),
            decisions: 7,
            faults: [0, 2, 0, 0, 0, 0],
            swaps: [3, 0, 1],
            fuel: (10.0, 20.5),
            latency_us: (1.0, 2.0),
            shadow: None,
        }
    }

    #[test]
    fn each_kind_is_told_with_its_policy() {
        let text = render(&[figures()]);
        for line in [
            r#"dataverse_policy_decisions_total{kind="eviction"} 7"#,
            r#"dataverse_policy_faults_total{kind="eviction",fault="fuel"} 2"#,
            r#"dataverse_policy_swaps_total{kind="eviction",outcome="rolled_back"} 1"#,
            r#"dataverse_policy_state{kind="eviction",policy="gdsf",digest="0123456789ab",state="probation"} 1"#,
            r#"dataverse_policy_fuel{kind="eviction",quantile="0.99"} 20.5"#,
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("shadow"), "{text}");
    }

    #[test]
    fn a_shadow_is_told_apart() {
        let shadow = ShadowFigures {
            policy: "lru".to_owned(),
            digest: "ff".to_owned(),
            decisions: 5,
            faults: 1,
            dropped: 2,
            comparison: vec![("hit_ratio", 0.25)],
        };
        let text = render(&[PolicyFigures {
            shadow: Some(shadow),
            ..figures()
        }]);
        for line in [
            r#"dataverse_policy_shadow_dropped_total{kind="eviction",policy="lru",digest="ff"} 2"#,
            r#"dataverse_policy_shadow_comparison{kind="eviction",policy="lru",digest="ff",what="hit_ratio"} 0.25"#,
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn every_metric_has_a_help_text() {
        let text = render(&[figures()]);
        let types = text
            .lines()
            .filter(|line| line.starts_with("# TYPE "))
            .count();
        let helps = text
            .lines()
            .filter(|line| line.starts_with("# HELP "))
            .count();
        assert_eq!((types, helps), (6, 6));
    }
}
