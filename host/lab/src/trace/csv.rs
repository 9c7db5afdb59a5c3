//! Traces as tables: one line per request, usually with a header that names the columns.
//!
//! [`Columns`] can name the columns; columns without a name are ignored. The header is the first row, or a comment
//! before it. Columns of a table without a header are identified by position: see [`places`].

mod places;

use csv::ByteRecord;

use super::packed::Bytes;
use super::rows::Rows;
use super::{Op, Request, TraceError, number};
use places::{Places, place};

/// Which column of a table holds what, by name or by position.
///
/// ```
/// use dataverse_lab::trace::Columns;
///
/// let columns = Columns::parse("time=ts,id=key,size=").expect("the columns are valid");
/// assert_eq!(columns.id, "key");
/// assert_eq!(columns.size, None);
/// assert_eq!(columns.reader.as_deref(), Some("reader"));
/// // Without a header: the third column is the object.
/// let columns = Columns::parse("time=1,id=3").expect("the columns are valid");
/// assert_eq!(columns.id, "3");
/// ```
///
/// A name that is a number is the column's position, counted from 1, unless the header has a column of that name.
/// Once any column is given by position, columns that were not given exist only if the header names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The object: a number, or any name.
    pub id: String,
    /// The time. Without such a column, requests are a millisecond apart.
    pub time: Option<String>,
    /// The object's bytes. Without such a column, every object has one byte.
    pub size: Option<String>,
    /// Who asked: a number, or any name. Optional.
    pub reader: Option<String>,
    /// The operation: read, write or delete. Optional.
    pub op: Option<String>,
}

impl Default for Columns {
    fn default() -> Self {
        let named = |name: &str| Some(name.to_owned());
        Self {
            id: "id".to_owned(),
            time: named("time"),
            size: named("size"),
            reader: named("reader"),
            op: named("op"),
        }
    }
}

impl Columns {
    /// Parses `time=NAME,id=NAME,size=NAME,reader=NAME,op=NAME`, any of them; an empty name says that the table
    /// has no such column.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut columns = Self::default();
        let mut told: Vec<(&str, &str)> = Vec::new();
        for part in text.split(',') {
            let wrong = || {
                format!(
                    "`{part}` is not one of time=, id=, size=, reader= and op=, each with a column's name or position"
                )
            };
            let (what, name) = part.split_once('=').ok_or_else(wrong)?;
            let (what, name) = (what.trim(), name.trim());
            let named = (!name.is_empty()).then(|| name.to_owned());
            match what {
                "id" => columns.id = named.ok_or("every request needs an id: name its column")?,
                "time" => columns.time = named,
                "size" => columns.size = named,
                "reader" => columns.reader = named,
                "op" => columns.op = named,
                _ => return Err(wrong()),
            }
            if told.iter().any(|(before, _)| *before == what) {
                return Err(format!("`{what}=` is given twice; name one column for it"));
            }
            if let Some((before, _)) = told.iter().find(|(_, it)| *it == name && !name.is_empty()) {
                return Err(format!(
                    "the column `{name}` is named twice, for {before}= and for {what}="
                ));
            }
            told.push((what, name));
        }
        Ok(columns)
    }
}

/// The unit of a table's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds, possibly with a fraction.
    #[default]
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl TimeUnit {
    /// Every unit, by its short name.
    pub const ALL: [(&str, Self); 4] = [
        ("s", Self::Seconds),
        ("ms", Self::Milliseconds),
        ("us", Self::Microseconds),
        ("ns", Self::Nanoseconds),
    ];

    const fn ms(self) -> f64 {
        match self {
            Self::Seconds => 1e3,
            Self::Milliseconds => 1.0,
            Self::Microseconds => 1e-3,
            Self::Nanoseconds => 1e-6,
        }
    }
}

pub(super) struct CsvRequests {
    rows: Rows,
    places: Places,
    unit_ms: f64,
    read: u64,
    /// The first row is a request and has not been returned yet.
    begins: bool,
    /// Assumptions about the columns, for people.
    assumed: Option<String>,
}

impl CsvRequests {
    pub(super) fn new(
        file: String,
        bytes: Bytes,
        columns: &Columns,
        unit: TimeUnit,
    ) -> Result<Self, TraceError> {
        let mut rows = Rows::of_any(file, bytes, 1);
        if rows.next()?.is_none() {
            return Err(rows.wrong("it is empty; a trace has a line for each request"));
        }
        let placed = place(columns, rows.last(), rows.comments());
        let placed = placed.map_err(|reason| rows.wrong(reason))?;
        if placed.begins {
            rows.without_header();
        }
        Ok(Self {
            rows,
            places: placed.places,
            unit_ms: unit.ms(),
            read: 0,
            begins: placed.begins,
            assumed: placed.assumed,
        })
    }

    /// Whether there is a time column.
    pub(super) const fn has_times(&self) -> bool {
        self.places.time.is_some()
    }

    /// The assumed columns, if the table does not name them.
    pub(super) fn assumed(&self) -> Option<&str> {
        self.assumed.as_deref()
    }

    fn read_next(&mut self) -> Result<Option<Request>, TraceError> {
        let is_there = std::mem::take(&mut self.begins) || self.rows.next()?.is_some();
        if !is_there {
            return Ok(None);
        }
        self.read += 1;
        let row = self.rows.last();
        let request = self.places.request(row, self.unit_ms, self.read);
        request.map(Some).map_err(|reason| {
            // If so, the assumption may be wrong.
            let guess = self.assumed.as_ref().filter(|_| self.read == 1);
            let hint = guess.map(|guess| format!(" ({guess}; use --columns to name them)"));
            self.rows.wrong(reason + &hint.unwrap_or_default())
        })
    }
}

impl Places {
    fn request(&self, row: &ByteRecord, unit_ms: f64, number: u64) -> Result<Request, String> {
        let field = |place: Option<usize>| place.and_then(|place| row.get(place));
        let op = match field(self.op).map(<[u8]>::trim_ascii) {
            None => Op::Read,
            Some(word) => super::op_of_word(word).ok_or_else(|| {
                format!(
                    "`{}` is not an operation; use read, write or delete",
                    number::shown(word)
                )
            })?,
        };
        let time = field(self.time).map(|field| number::time(field, unit_ms));
        let size = field(self.size).map(|field| number::size(field.trim_ascii()));
        let id = field(Some(self.id)).map(<[u8]>::trim_ascii);
        let id = id.filter(|id| !id.is_empty()).ok_or("it has no id")?;
        Ok(Request {
            time: time.unwrap_or(Ok(number))?,
            reader: field(self.reader).map_or(0, |field| number::id(field.trim_ascii())),
            id: number::id(id),
            size: size.unwrap_or(Ok(1))?,
            op,
            hops: 1,
            outcome: None,
        })
    }
}

impl Iterator for CsvRequests {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}
