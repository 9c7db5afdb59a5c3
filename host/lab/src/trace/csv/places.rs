//! Finds the columns of a table, by its header or by position.
//!
//! The first row is the header if it names the id column. A comment before it is the header if it names the id
//! column and has as many fields. Any other first row with a number in it is a request; the columns are then, from
//! the first on, those of a full header: time, id, size, reader, op, as many as there are. A single column is the
//! id.

use csv::ByteRecord;
use dataverse_core::plural::{form, plural};

use super::Columns;
use crate::limits;
use crate::trace::number::shown;

/// The positions of the columns of this table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) id: usize,
    pub(super) time: Option<usize>,
    pub(super) size: Option<usize>,
    pub(super) reader: Option<usize>,
    pub(super) op: Option<usize>,
}

/// What was found out about a table.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) places: Places,
    /// The first row is a request.
    pub(super) begins: bool,
    /// Assumptions about the columns, for people.
    pub(super) assumed: Option<String>,
}

/// Finds the columns by the first row of a table and the comments before it.
///
/// # Errors
/// Which column is missing, or exists twice, for people.
pub(super) fn place(
    columns: &Columns,
    first: &ByteRecord,
    comments: impl IntoIterator<Item = ByteRecord>,
) -> Result<Placed, String> {
    let most = limits::TRACE_COLUMNS_MAX;
    if first.len() > most {
        return Err(format!(
            "it has {} columns; at most {most} are read",
            first.len()
        ));
    }
    if has(first, &columns.id) {
        return named(columns, first, false);
    }
    let is_head = |comment: &ByteRecord| comment.len() == first.len() && has(comment, &columns.id);
    if let Some(head) = comments.into_iter().find(is_head) {
        return named(columns, &head, true);
    }
    if columns.wanted().any(|(_, name)| position(name).is_some()) {
        return by_position(columns, first);
    }
    match first.iter().any(is_number) && columns.id == Columns::default().id {
        true => by_order(columns, first),
        false => named(columns, first, false),
    }
}

impl Columns {
    /// The columns that may exist, in the order of a full header.
    fn wanted(&self) -> impl Iterator<Item = (What, &str)> {
        [
            self.time.as_deref().map(|name| (What::Time, name)),
            Some((What::Id, self.id.as_str())),
            self.size.as_deref().map(|name| (What::Size, name)),
            self.reader.as_deref().map(|name| (What::Reader, name)),
            self.op.as_deref().map(|name| (What::Op, name)),
        ]
        .into_iter()
        .flatten()
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Time,
    Id,
    Size,
    Reader,
    Op,
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Id => "id",
            Self::Size => "size",
            Self::Reader => "reader",
            Self::Op => "op",
        }
    }
}

impl Places {
    fn set(&mut self, what: What, place: usize) {
        match what {
            What::Time => self.time = Some(place),
            What::Id => self.id = place,
            What::Size => self.size = Some(place),
            What::Reader => self.reader = Some(place),
            What::Op => self.op = Some(place),
        }
    }
}

/// By a header. It may lack the reader and the operation and, if any column is given by position, all others that
/// were not given.
fn named(columns: &Columns, head: &ByteRecord, begins: bool) -> Result<Placed, String> {
    let by_position = columns.wanted().any(|(_, name)| position(name).is_some());
    let mut places = Places::default();
    // Without an id there is no request, so report that first.
    let (id, others): (Vec<_>, Vec<_>) = columns.wanted().partition(|(what, _)| *what == What::Id);
    for (what, name) in id.into_iter().chain(others) {
        match find(head, what, name)?.or_else(|| position(name)) {
            Some(place) if place < head.len() => places.set(what, place),
            Some(_) => return Err(beyond(what, name, head)),
            None if matches!(what, What::Reader | What::Op) => {}
            None if by_position && what != What::Id && name == what.as_str() => {}
            None => return Err(no_column(what, name, head)),
        }
    }
    Ok(Placed {
        places,
        begins,
        assumed: None,
    })
}

/// By the given positions. The first row is a header if it has words where numbers are expected.
fn by_position(columns: &Columns, first: &ByteRecord) -> Result<Placed, String> {
    let has_name = |(what, name): (What, &str)| name != what.as_str() && has(first, name);
    if columns.wanted().any(has_name) {
        return named(columns, first, false);
    }
    let mut places = Places::default();
    let mut is_header = false;
    for (what, name) in columns.wanted() {
        match position(name) {
            Some(place) if place < first.len() => {
                places.set(what, place);
                let counted = matches!(what, What::Time | What::Size);
                is_header |= counted && !first.get(place).is_some_and(is_number);
            }
            Some(_) => return Err(beyond(what, name, first)),
            None if what != What::Id && name == what.as_str() => {}
            None => return Err(no_column(what, name, first)),
        }
    }
    Ok(Placed {
        places,
        begins: !is_header,
        assumed: None,
    })
}

/// By the order of a full header.
fn by_order(columns: &Columns, first: &ByteRecord) -> Result<Placed, String> {
    let all: Vec<What> = columns.wanted().map(|(what, _)| what).collect();
    let found: &[What] = match first.len() {
        1 => &[What::Id],
        count if count <= all.len() => &all[..count],
        count => {
            return Err(format!(
                "it has {count} columns and no header; give their positions, as in \
                 --columns time=1,id=2,size=3"
            ));
        }
    };
    if !found.contains(&What::Id) {
        return Err(
            "it has no header, and no column for the id; give its position, as in --columns id=1"
                .to_owned(),
        );
    }
    let mut places = Places::default();
    for (place, what) in found.iter().enumerate() {
        places.set(*what, place);
    }
    let names: Vec<&str> = found.iter().map(|what| what.as_str()).collect();
    let are = form(
        names.len() as u64,
        "its column is taken as",
        "its columns are taken as",
    );
    Ok(Placed {
        places,
        begins: true,
        assumed: Some(format!("it has no header; {are} {}", names.join(", "))),
    })
}

/// The position of a column, counted from 0, if the name is a position.
fn position(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let place: usize = name.parse().ok().filter(|_| digits)?;
    place.checked_sub(1)
}

fn has(row: &ByteRecord, name: &str) -> bool {
    row.iter()
        .any(|field| field.trim_ascii() == name.as_bytes())
}

/// The position of this name in the header, if any; an error if the header has it twice.
fn find(head: &ByteRecord, what: What, name: &str) -> Result<Option<usize>, String> {
    let mut places = head
        .iter()
        .enumerate()
        .filter(|(_, field)| field.trim_ascii() == name.as_bytes())
        .map(|(place, _)| place);
    let first = places.next();
    match places.next() {
        None => Ok(first),
        Some(_) => Err(format!(
            "the header names the column `{name}` twice; rename one, or give the position of the right one, as in \
             --columns {}={}",
            what.as_str(),
            first.unwrap_or(0) + 1
        )),
    }
}

fn no_column(what: What, name: &str, head: &ByteRecord) -> String {
    let named: Vec<String> = head.iter().map(shown).collect();
    format!(
        "the header has no column `{name}` for the {}, only `{}`; give the names or positions of the columns, as in \
         --columns time=TIME,id=ID,size=3",
        what.as_str(),
        named.join("`, `")
    )
}

fn beyond(what: What, name: &str, row: &ByteRecord) -> String {
    let columns = plural(row.len() as u64, "column", "columns");
    format!(
        "there is no column {name} for the {}: it has {columns}",
        what.as_str()
    )
}

/// Whether this is a number and not a name.
fn is_number(field: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(field.trim_ascii()) else {
        return false;
    };
    // `parse` would accept `inf` and `nan` as well.
    let begins = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    begins && text.parse::<f64>().is_ok()
}
