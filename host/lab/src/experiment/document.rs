//! An experiment's text as a tree in which every value knows its place in the file, and the error that points to
//! it.
//!
//! A sweep replaces values in the tree before its sections are read. A value of the sweep is therefore checked
//! exactly like one written in the section, and an error points to where it was written.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::limits;

/// Why an experiment is refused before anything runs: file, place and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The file, as it was named.
    pub file: String,
    /// The place in the file, if known.
    pub place: Option<DocumentPlace>,
    /// What is wrong, and what to do.
    pub reason: String,
    /// Further mistakes of the same kind.
    pub also: Vec<Malformed>,
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPlace {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The whole line.
    pub text: String,
    /// Characters of the line to underline.
    pub width: u32,
}

impl std::error::Error for Malformed {}

impl Malformed {
    /// Several mistakes of one kind as one error, which shows each of them; none for an empty list.
    pub(super) fn all(mistakes: Vec<Self>) -> Option<Self> {
        let mut all: Vec<Self> = Vec::new();
        for mistake in mistakes {
            if !all.contains(&mistake) {
                all.push(mistake);
            }
        }
        let mut all = all.into_iter();
        let first = all.next()?;
        Some(Self {
            also: all.collect(),
            ..first
        })
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            place,
            reason,
            ..
        } = self;
        let Some(place) = place else {
            return write!(f, "{file}: {reason}");
        };
        let line = place.line.to_string();
        let margin = " ".repeat(line.len());
        let before = " ".repeat(place.column as usize - 1);
        let mark = "^".repeat(place.width as usize);
        write!(
            f,
            "{file}:{line}:{}: {reason}\n{margin} |\n{line} | {}\n{margin} | {before}{mark}",
            place.column,
            place.text.replace('\t', " "),
        )
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f)?;
        self.also.iter().try_for_each(|also| write!(f, "\n{also}"))
    }
}

/// A table of the tree.
pub(super) type Table<'a> = DeTable<'a>;
/// A value of the tree.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;
/// A range of bytes in the text.
pub(super) type Span = Range<usize>;

/// An experiment's text.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The file, as it was named.
    pub(super) file: PathBuf,
    /// Its text.
    pub(super) text: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Malformed`] when it can't be read, is not UTF-8, or is too long.
    pub(super) fn read(file: &Path) -> Result<Self, Malformed> {
        let refused = |reason: String| Malformed {
            file: file.display().to_string(),
            place: None,
            reason,
            also: Vec::new(),
        };
        let bytes = crate::file::bytes(file, limits::EXPERIMENT_BYTES_MAX)
            .map_err(|error| refused(format!("can't be read: {error}")))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| refused("can't be read: it is not UTF-8 text".to_owned()))?;
        Ok(Self {
            file: file.to_owned(),
            text,
        })
    }

    /// The folder that relative paths in it start from.
    pub(super) fn folder(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// The tree of its values.
    ///
    /// # Errors
    /// [`Malformed`] when it is not TOML.
    pub(super) fn tree(&self) -> Result<Table<'_>, Malformed> {
        let tree = DeTable::parse(&self.text)
            .map_err(|error| self.refusal(&error, None))?
            .into_inner();
        Ok(tree)
    }

    /// Parses a section from its value.
    ///
    /// # Errors
    /// [`Malformed`] at the value, or at the part of it that is wrong.
    pub(super) fn section<T: DeserializeOwned>(&self, value: Value<'_>) -> Result<T, Malformed> {
        let whole = value.clone();
        T::deserialize(value.into_deserializer())
            .map_err(|error| self.refusal(&error, Some(&whole)))
    }

    /// An error about this place.
    pub(super) fn malformed(&self, span: &Span, reason: impl fmt::Display) -> Malformed {
        Malformed {
            file: self.file.display().to_string(),
            place: Some(self.place(span)),
            reason: reason.to_string(),
            also: Vec::new(),
        }
    }

    /// An error about the whole file.
    pub(super) fn incomplete(&self, reason: impl fmt::Display) -> Malformed {
        Malformed {
            file: self.file.display().to_string(),
            place: None,
            reason: reason.to_string(),
            also: Vec::new(),
        }
    }

    /// The line of this place, from 1.
    pub(super) fn line(&self, span: &Span) -> u32 {
        self.place(span).line
    }

    fn refusal(&self, error: &toml::de::Error, within: Option<&Value<'_>>) -> Malformed {
        let unknown = unknown_key(error.message());
        let is_that_key = |span: &Span| {
            let text = self.text.get(span.clone()).unwrap_or_default();
            unknown.is_some_and(|name| text.trim_matches(['"', '\'']) == name)
        };
        // If the error has no place, or only that of the enclosing table, the key is looked up.
        let own = error.span();
        let found = || find_key(unknown?, within?);
        let span = own.clone().filter(is_that_key).or_else(found).or(own);
        match span.or_else(|| within.map(Spanned::span)) {
            Some(span) => self.malformed(&span, error.message()),
            None => self.incomplete(error.message()),
        }
    }

    fn place(&self, span: &Span) -> DocumentPlace {
        let start = (0..=span.start.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or_default();
        let before = &self.text[..start];
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[begin..].lines().next().unwrap_or_default();
        let column = self.text[begin..start].chars().count();
        let length = line.chars().count().saturating_sub(column);
        let meant = self.text.get(start..span.end).unwrap_or_default();
        let width = meant.chars().count().clamp(1, length.max(1));
        let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        DocumentPlace {
            line: count(before.matches('\n').count() + 1),
            column: count(column + 1),
            text: line.to_owned(),
            width: count(width),
        }
    }
}

/// The key in an error about an unknown key; none for other errors.
fn unknown_key(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("unknown field `")?;
    rest.split_once('`').map(|(name, _)| name)
}

/// The place of a key. A section whose shape depends on one of its keys loses the places of its values while it is
/// parsed, but the tree still has them.
fn find_key(name: &str, value: &Value<'_>) -> Option<Span> {
    match value.get_ref() {
        DeValue::Table(table) => {
            let here = table.keys().find(|key| key.get_ref() == name);
            here.map(Spanned::span)
                .or_else(|| table.values().find_map(|value| find_key(name, value)))
        }
        DeValue::Array(values) => values.iter().find_map(|value| find_key(name, value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn document(text: &str) -> Document {
        Document {
            file: "some/where.toml".into(),
            text: text.to_owned(),
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nodes {
        #[expect(dead_code, reason = "only parsed, never used")]
        count: u32,
    }

    fn refused(text: &str) -> String {
        let document = document(text);
        let tree = match document.tree() {
            Ok(tree) => tree,
            Err(malformed) => return malformed.to_string(),
        };
        let section = tree.get("nodes").expect("a section").clone();
        document
            .section::<Nodes>(section)
            .expect_err("the section is malformed")
            .to_string()
    }

    #[test]
    fn a_refusal_shows_the_line_and_the_place() {
        assert_eq!(
            refused("# ü\n[nodes]\ncount = \"many\"\n"),
            "some/where.toml:3:9: invalid type: string \"many\", expected u32\n  |\n3 | count = \"many\"\n  |         ^^^^^^"
        );
        let unknown = refused("[nodes]\ncount = 1\n\tcuont = 2");
        assert!(
            unknown.starts_with("some/where.toml:3:2: unknown field `cuont`, expected `count`\n"),
            "{unknown}"
        );
        assert!(unknown.ends_with("3 |  cuont = 2\n  |  ^^^^^"), "{unknown}");
        let missing = refused("\n[nodes]\n");
        assert!(
            missing.starts_with("some/where.toml:2:1: missing field `count`\n"),
            "{missing}"
        );
    }

    #[test]
    fn what_is_no_toml_is_refused_where_it_ends() {
        let broken = refused("[nodes]\ncount = \n");
        assert!(broken.starts_with("some/where.toml:2:"), "{broken}");
        let twice = refused("[nodes]\n[nodes]\n");
        assert!(twice.starts_with("some/where.toml:2:"), "{twice}");
    }

    #[test]
    fn a_place_is_found_in_any_text() {
        for text in ["", "\n", "ü", "ü\r\nx"] {
            for start in 0..text.len() + 2 {
                for end in start..text.len() + 2 {
                    let place = document(text).place(&(start..end));
                    assert!(place.line >= 1 && place.column >= 1 && place.width >= 1);
                }
            }
        }
    }

    #[test]
    fn paths_start_from_the_folder_of_the_file() {
        assert_eq!(document("").folder(), Path::new("some"));
        let mut beside = document("");
        beside.file = "x.toml".into();
        assert_eq!(beside.folder(), Path::new("."));
    }
}
