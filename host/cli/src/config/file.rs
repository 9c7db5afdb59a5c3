//! The configuration file: TOML, whose nested tables use the same setting names as everywhere else.

use std::io::Read as _;
use std::path::Path;

use super::{ConfigError, Values};
use crate::limits;

/// Reads a file into values by setting. Does not check which settings exist.
///
/// # Errors
/// [`ConfigError::Unreadable`].
pub(crate) fn read(path: &Path) -> Result<Values, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable {
        path: path.display().to_string(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    file.take(limits::CONFIG_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > limits::CONFIG_BYTES_MAX {
        return Err(unreadable(format!(
            "it has more than {} bytes",
            limits::CONFIG_BYTES_MAX
        )));
    }
    parse(&text).map_err(unreadable)
}

/// The values in a file's text.
pub(super) fn parse(text: &str) -> Result<Values, String> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| error.to_string())?;
    let mut values = Values::new();
    collect("", &table, &mut values);
    Ok(values)
}

// The depth of the recursion is bounded by the TOML parser's own limit.
fn collect(prefix: &str, table: &toml::Table, values: &mut Values) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => collect(&format!("{name}."), inner, values),
            toml::Value::Array(items) => {
                let items: Vec<String> = items.iter().map(scalar).collect();
                values.insert(name, items.join(","));
            }
            value => {
                values.insert(name, scalar(value));
            }
        }
    }
}

fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
