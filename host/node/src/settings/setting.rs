//! `Setting`: name, meaning, parser and printer of one setting.
//!
//! The sources (flags, environment, file) and `--print-config` know settings only through a table of these,
//! so a new setting is one new line in a table.

use std::ops::RangeInclusive;

use super::value::Value;

/// A setting of a `T`.
pub struct Setting<T> {
    /// `table.key` as in the file; the name of the environment variable is derived from it.
    pub name: &'static str,
    /// What it bounds or chooses: lower case, without a full stop.
    pub meaning: &'static str,
    /// Prints its value such that `read` parses it again; `None` when it isn't set.
    pub show: fn(&T) -> Option<String>,
    /// Sets it from text. The error says which values are allowed.
    pub read: fn(&mut T, &str) -> Result<(), String>,
}

/// The environment variable for the setting of this name.
pub fn variable(name: &str) -> String {
    format!("DATAVERSE_{}", name.replace('.', "_").to_uppercase())
}

/// Parses a value and checks its range.
pub fn within<V: Value + PartialOrd>(text: &str, range: RangeInclusive<V>) -> Result<V, String> {
    let value = V::read(text)?;
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "expected {} to {}",
        range.start().shown(),
        range.end().shown()
    ))
}

/// The candidate that `name` is probably a misspelling of.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    candidates
        .into_iter()
        .map(|candidate| {
            let same_end = last(candidate) == last(name);
            (if same_end { 1 } else { edits(name, candidate) }, candidate)
        })
        .min()
        .filter(|(edits, _)| *edits <= 3 && *edits < name.chars().count())
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace to turn one text into the other (Levenshtein distance).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["search.hops", "search.budget", "name", "links"];

    #[test]
    fn the_nearest_name_is_offered_and_nothing_far_fetched() {
        assert_eq!(nearest("search.hop", NAMES), Some("search.hops"));
        assert_eq!(nearest("serch.hops", NAMES), Some("search.hops"));
        assert_eq!(nearest("node.name", NAMES), Some("name"));
        assert_eq!(nearest("link", NAMES), Some("links"));
        assert_eq!(nearest("colour.of.bikeshed", NAMES), None);
        assert_eq!(nearest("x", NAMES), None);
    }

    #[test]
    fn a_value_out_of_range_is_told_the_range() {
        assert_eq!(within("3", 1..=4_u32), Ok(3));
        assert_eq!(within("5", 1..=4_u32), Err("expected 1 to 4".to_owned()));
    }

    #[test]
    fn variables_are_the_names_in_capitals() {
        assert_eq!(variable("search.hops"), "DATAVERSE_SEARCH_HOPS");
    }
}
