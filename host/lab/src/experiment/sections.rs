//! The sections of an experiment: their names, reading one from the tree, and locating a mistake in one.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeValue;

use super::document::{Document, Malformed, Span, Table, Value};
use super::settings::Compare;
use crate::limits;
use crate::wrong::Wrong;

/// The names of all sections.
const SECTIONS: &[&str] = &[
    "topology", "workload", "nodes", "compare", "sweep", "event", "run", "expect",
];

/// Refuses an unknown section.
pub(super) fn check_sections(document: &Document, tree: &Table<'_>) -> Result<(), Malformed> {
    match tree
        .keys()
        .find(|key| !SECTIONS.contains(&key.get_ref().as_ref()))
    {
        None => Ok(()),
        Some(key) => Err(document.malformed(
            &key.span(),
            format!(
                "there is no section `{}`; the sections are {}",
                key.get_ref(),
                SECTIONS.join(", ")
            ),
        )),
    }
}

/// Reads a section, if present.
pub(super) fn section<T: DeserializeOwned>(
    document: &Document,
    tree: &Table<'_>,
    name: &str,
) -> Result<Option<T>, Malformed> {
    let value = tree.get(name).cloned();
    value.map(|value| document.section(value)).transpose()
}

/// The tables of a repeatable section.
pub(super) fn list<'a>(
    document: &Document,
    value: Option<Value<'a>>,
    name: &str,
) -> Result<Vec<Value<'a>>, Malformed> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(values) => Ok(values.into_iter().collect()),
        _ => Err(document.malformed(&span, format!("`{name}` can be repeated: write [[{name}]]"))),
    }
}

/// The tables `[[compare]]`.
pub(super) fn compare_entries(
    document: &Document,
    tree: &Table<'_>,
) -> Result<Vec<Compare>, Malformed> {
    let tables = list(document, tree.get("compare").cloned(), "compare")?;
    if tables.is_empty() || tables.len() > limits::EXPERIMENT_COMPARE_MAX {
        return Err(document.incomplete(format!(
            "an experiment has 1 to {} [[compare]] entries, this one has {}",
            limits::EXPERIMENT_COMPARE_MAX,
            tables.len()
        )));
    }
    tables
        .into_iter()
        .map(|table| document.section(table))
        .collect()
}

impl Document {
    /// An error about a key that turned out wrong once everything was put together, at its place in this tree.
    pub(super) fn wrong(&self, tree: &Table<'_>, wrong: &Wrong) -> Malformed {
        let whole = Spanned::new(0..0, DeValue::Table(tree.clone()));
        let mut found: Option<Span> = None;
        let mut value = &whole;
        let mut is_whole_key = true;
        for segment in wrong.key.split('.') {
            let next = match value.get_ref() {
                DeValue::Table(table) => table.get(segment),
                DeValue::Array(values) => segment.parse().ok().and_then(|at: usize| values.get(at)),
                _ => None,
            };
            let Some(next) = next else {
                is_whole_key = false;
                break;
            };
            found = Some(next.span());
            value = next;
        }
        let reason = match is_whole_key {
            true => wrong.reason.clone(),
            false => wrong.to_string(),
        };
        match found {
            Some(span) => self.malformed(&span, reason),
            None => self.incomplete(reason),
        }
    }
}
