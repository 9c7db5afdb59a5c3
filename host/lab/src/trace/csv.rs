//! Traces as tables: a header that names the columns, then a line a request.
//!
//! Which column means what can be told ([`Columns`]); those that nobody named are passed by.

use csv::ByteRecord;
use dataverse_core::limits;

use super::packed::Bytes;
use super::rows::Rows;
use super::{Op, Request, TraceError, number};

/// Which column of a table holds what.
///
/// ```
/// use dataverse_lab::trace::Columns;
///
/// let columns = Columns::parse("time=ts,id=key,size=").expect("they are columns");
/// assert_eq!(columns.id, "key");
/// assert_eq!(columns.size, None);
/// assert_eq!(columns.reader.as_deref(), Some("reader"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The object: a number, or any name.
    pub id: String,
    /// When. Without such a column, requests come a millisecond apart.
    pub time: Option<String>,
    /// The object's bytes. Without such a column, every object has one.
    pub size: Option<String>,
    /// Who asked: a number, or any name. The table may lack it.
    pub reader: Option<String>,
    /// What was asked: read, write or delete. The table may lack it.
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
    /// Reads `time=NAME,id=NAME,size=NAME,reader=NAME,op=NAME`, any of them; an empty name says that there is
    /// no such column.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut columns = Self::default();
        for part in text.split(',') {
            let wrong = || {
                format!(
                    "`{part}` is none of time=, id=, size=, reader= and op= with a column's name"
                )
            };
            let (what, name) = part.split_once('=').ok_or_else(wrong)?;
            let name = name.trim();
            let named = (!name.is_empty()).then(|| name.to_owned());
            match what.trim() {
                "id" => columns.id = named.ok_or("every request needs an id: name its column")?,
                "time" => columns.time = named,
                "size" => columns.size = named,
                "reader" => columns.reader = named,
                "op" => columns.op = named,
                _ => return Err(wrong()),
            }
        }
        Ok(columns)
    }
}

/// What a table's times count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds; fractions are fine.
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

/// Where the columns are in this table.
#[derive(Clone, Copy, Debug)]
struct Places {
    id: usize,
    time: Option<usize>,
    size: Option<usize>,
    reader: Option<usize>,
    op: Option<usize>,
}

impl Places {
    fn find(columns: &Columns, header: &ByteRecord) -> Result<Self, String> {
        if header.len() > limits::TRACE_COLUMNS_MAX {
            let most = limits::TRACE_COLUMNS_MAX;
            return Err(format!(
                "it has {} columns; at most {most} are read",
                header.len()
            ));
        }
        let find = |name: &String| {
            let mut found = header.iter().enumerate();
            found.find(|(_, column)| column.trim_ascii() == name.as_bytes())
        };
        let place = |name: &String| find(name).map(|(place, _)| place);
        let needed = |what: &str, name: &String| {
            place(name).ok_or_else(|| {
                let named: Vec<String> = header.iter().map(number::shown).collect();
                format!(
                    "the header has no column `{name}` for the {what}, only `{}`; name the columns, as in \
                     time=TIME,id=ID,size=SIZE",
                    named.join("`, `")
                )
            })
        };
        let needed_if_named = |what: &str, name: &Option<String>| {
            name.as_ref().map(|name| needed(what, name)).transpose()
        };
        Ok(Self {
            id: needed("id", &columns.id)?,
            time: needed_if_named("time", &columns.time)?,
            size: needed_if_named("size", &columns.size)?,
            reader: columns.reader.as_ref().and_then(place),
            op: columns.op.as_ref().and_then(place),
        })
    }
}

pub(super) struct CsvRequests {
    rows: Rows,
    places: Places,
    unit_ms: f64,
    read: u64,
}

impl CsvRequests {
    pub(super) fn new(
        file: String,
        bytes: Bytes,
        columns: &Columns,
        unit: TimeUnit,
    ) -> Result<Self, TraceError> {
        let mut rows = Rows::new(file, bytes, 1);
        let Some(header) = rows.next()? else {
            return Err(rows.wrong("it is empty; the first line must name the columns"));
        };
        let places = Places::find(columns, header);
        let places = places.map_err(|reason| rows.wrong(reason))?;
        Ok(Self {
            rows,
            places,
            unit_ms: unit.ms(),
            read: 0,
        })
    }

    fn read_next(&mut self) -> Result<Option<Request>, TraceError> {
        let Some(row) = self.rows.next()? else {
            return Ok(None);
        };
        self.read += 1;
        let request = self.places.request(row, self.unit_ms, self.read);
        request.map(Some).map_err(|reason| self.rows.wrong(reason))
    }
}

impl Places {
    fn request(&self, row: &ByteRecord, unit_ms: f64, number: u64) -> Result<Request, String> {
        let field = |place: Option<usize>| place.and_then(|place| row.get(place));
        let op = match field(self.op).map(<[u8]>::trim_ascii) {
            None => Op::Read,
            Some(word) => Op::of_word(word).ok_or_else(|| {
                format!(
                    "`{}` is no operation: read, write or delete",
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
