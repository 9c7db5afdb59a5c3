//! `policy list`: shows a node's active policies, their shadows, and the available ones.

use std::collections::BTreeMap;

use dataverse_core::plural::plural;
use dataverse_core::policy::Kind;
use dataverse_node::policies::view::{
    ActiveView, Available, Comparison, KindView, PoliciesView, ShadowView, Spread,
};
use reqwest::Method;

use super::prefix;
use crate::commands::Asking;
use crate::commands::client::understood;
use crate::commands::failure::Failure;
use crate::commands::screen::{Screen, printable, size};

/// List a node's active and available policies
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl List {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let request = client.request(Method::GET, "/v1/policies");
        let text = client.ask_text(request).await?;
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        print(understood(&text)?, screen)
    }
}

fn print(view: PoliciesView, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let kinds = [
        (Kind::Placement, &view.placement),
        (Kind::Eviction, &view.eviction),
        (Kind::Relocation, &view.relocation),
    ];
    let head = [
        "kind",
        "active",
        "version",
        "origin",
        "state",
        "decisions",
        "faults",
        "fuel",
        "µs",
    ];
    let rows = kinds.map(|(kind, view)| active_row(kind, &view.active));
    screen.table(&head, rows.into())?;
    for (kind, view) in kinds {
        for line in lines_below(kind, view) {
            screen.line(&printable(&line))?;
        }
    }
    if let Some(trouble) = &view.watch {
        screen.line(&printable(&format!("{}: {trouble}", view.folder)))?;
    }
    if let Some(error) = &view.last_error {
        screen.line(&printable(&format!("{}: {error}", view.folder)))?;
    }
    if view.available.is_empty() {
        return Ok(());
    }
    screen.line("")?;
    let head = [
        "available",
        "kind",
        "version",
        "origin",
        "size",
        "digest",
        "summary",
    ];
    let rows = view.available.into_iter().map(available_row);
    screen.table(&head, rows.collect())
}

fn active_row(kind: Kind, active: &ActiveView) -> Vec<String> {
    vec![
        kind.to_string(),
        active.name.clone(),
        active.version.clone(),
        active.origin.as_str().to_owned(),
        active.state.clone(),
        active.decisions.to_string(),
        faults(&active.faults),
        spread(active.fuel),
        spread(active.latency_us),
    ]
}

/// The details of a kind that don't fit into its row.
fn lines_below(kind: Kind, view: &KindView) -> Vec<String> {
    let shadow = view.shadow.as_ref();
    let shadow = shadow.map(|shadow| format!("{kind} shadow: {}", shadow_line(shadow)));
    let pending = view.pending.as_ref();
    let pending = pending.map(|name| format!("{kind} pending: {name} is being compiled"));
    let previous = view.previous.iter();
    let previous: Vec<_> = previous
        .map(|before| {
            let config = shown(&before.config);
            format!("{} ({}{config})", before.name, prefix(&before.digest))
        })
        .collect();
    let previous = match previous.as_slice() {
        [] => None,
        before => Some(format!("{kind} previous: {}", before.join(", "))),
    };
    let config = shown(&view.active.config);
    let config = config.strip_prefix(", ");
    let config = config.map(|config| format!("{kind} configuration: {config}"));
    let fault = view.active.last_fault.as_ref();
    let fault = fault.map(|fault| format!("{kind} last fault: {fault}"));
    let error = view.last_error.as_ref();
    let error = error.map(|error| format!("{kind} last error: {error}"));
    let lines = [config, shadow, pending, previous, fault, error];
    lines.into_iter().flatten().collect()
}

/// A configuration as a suffix; empty if there is none.
fn shown(config: &serde_json::Value) -> String {
    match config.as_object() {
        Some(fields) if fields.is_empty() => String::new(),
        _ => format!(", {config}"),
    }
}

fn shadow_line(shadow: &ShadowView) -> String {
    format!(
        "{} {} ({}, {}), {}, {} dropped, faults {}: {}",
        shadow.name,
        shadow.version,
        shadow.origin.as_str(),
        shadow.state,
        plural(shadow.decisions, "decision", "decisions"),
        shadow.dropped,
        faults(&shadow.faults),
        comparison(&shadow.comparison)
    )
}

/// The shadow's figures next to those of the active policy.
fn comparison(comparison: &Comparison) -> String {
    match comparison {
        Comparison::Placement {
            agreement,
            balance,
            active_balance,
        } => format!(
            "agreement {}, balance {} vs. {}",
            share(*agreement),
            ratio(*balance),
            ratio(*active_balance)
        ),
        Comparison::Eviction {
            hit_ratio,
            active_hit_ratio,
            byte_hit_ratio,
            active_byte_hit_ratio,
        } => format!(
            "hit ratio {} vs. {}, byte hit ratio {} vs. {}",
            share(*hit_ratio),
            share(*active_hit_ratio),
            share(*byte_hit_ratio),
            share(*active_byte_hit_ratio)
        ),
        Comparison::Relocation {
            agreement,
            bytes,
            active_bytes,
        } => format!(
            "agreement {}, moves {} vs. {}",
            share(*agreement),
            size(*bytes),
            size(*active_bytes)
        ),
    }
}

fn available_row(policy: Available) -> Vec<String> {
    vec![
        policy.name,
        policy.kind.unwrap_or_else(|| "-".to_owned()),
        policy.version,
        policy.origin.as_str().to_owned(),
        size(policy.size),
        prefix(&policy.digest),
        match policy.error {
            Some(error) => format!("refused: {error}"),
            None => policy.summary,
        },
    ]
}

fn faults(faults: &BTreeMap<String, u64>) -> String {
    let all: u64 = faults.values().sum();
    if all == 0 {
        return "0".to_owned();
    }
    let kinds = faults.iter().filter(|(_, count)| **count > 0);
    let kinds: Vec<String> = kinds
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    format!("{all} ({})", kinds.join(", "))
}

/// The median and the 99th percentile.
pub(super) fn spread(spread: Spread) -> String {
    if spread == Spread::default() {
        return "-".to_owned();
    }
    let shown = |value: f64| {
        let decimals = usize::from(value < 10.0);
        format!("{value:.decimals$}")
    };
    format!("{} / {}", shown(spread.p50), shown(spread.p99))
}

fn share(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
}
