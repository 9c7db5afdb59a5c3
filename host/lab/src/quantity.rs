//! Quantities as people write them: `"64 MiB"`, `"1%"`, `"90s"`, or a plain number.
//!
//! Each type carries the check that it passed. Invalid values are refused while the file is parsed, so that the
//! error names the line.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// How a quantity is parsed.
trait Quantity: Sized {
    /// What is expected, for the error message.
    const EXPECTED: &'static str;
    fn from_number(number: f64) -> Result<Self, String>;
    fn from_text(text: &str) -> Result<Self, String>;
    fn from_whole(number: u64) -> Result<Self, String> {
        Self::from_number(number as f64)
    }
}

/// A part of a whole, 0 to 1: `0.05` or `"5%"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Share(f64);

/// A finite number of at least 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct NotNegative(f64);

/// A finite number above 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Positive(f64);

/// Bytes: a whole number, or text with a unit: `"16 KiB"`, `"1.5 GB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

/// Bytes, or a share of the bytes of all files: `"64 MiB"` or `"1%"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// This many bytes.
    Bytes(u64),
    /// This part of the bytes of all files; may be more than 1.
    OfCatalogue(f64),
}

/// A number of requests, or a share of them: `1000` or `"20%"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Portion {
    /// This many.
    Count(u64),
    /// This part of all, 0 to 1.
    Share(f64),
}

/// A time in a run: seconds from its start (`60`, `"90s"`, `"5m"`, `"2h"`), or the moment at which a share of the
/// requests has been made (`"50%"`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// Seconds of simulated time.
    Seconds(f64),
    /// When this share of the requests has been made, 0 to 1.
    OfRequests(f64),
}

impl Share {
    /// As a number.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl NotNegative {
    /// As a number.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl Positive {
    /// As a number.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl Amount {
    /// In bytes, where all files together have `catalogue_bytes`.
    #[must_use]
    pub fn of(self, catalogue_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::OfCatalogue(share) => libm::round(share * catalogue_bytes as f64) as u64,
        }
    }
}

impl Portion {
    /// As a count, out of `all`.
    #[must_use]
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::Count(count) => count.min(all),
            Self::Share(share) => libm::round(share * all as f64) as u64,
        }
    }
}

impl Quantity for Share {
    const EXPECTED: &'static str = "a share: a number from 0 to 1, or a text like \"5%\"";
    fn from_number(number: f64) -> Result<Self, String> {
        match (0.0..=1.0).contains(&number) {
            true => Ok(Self(number)),
            false => Err(format!("{number} is not between 0 and 1")),
        }
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_number(percent(text).ok_or_else(|| not(text, "a percentage"))?)
    }
}

impl Quantity for NotNegative {
    const EXPECTED: &'static str = "a number of at least 0";
    fn from_number(number: f64) -> Result<Self, String> {
        match number.is_finite() && number >= 0.0 {
            true => Ok(Self(number)),
            false => Err(format!("{number} is not a finite number of at least 0")),
        }
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Err(not(text, "a number"))
    }
}

impl Quantity for Positive {
    const EXPECTED: &'static str = "a number above 0";
    fn from_number(number: f64) -> Result<Self, String> {
        match number.is_finite() && number > 0.0 {
            true => Ok(Self(number)),
            false => Err(format!("{number} is not a finite number above 0")),
        }
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Err(not(text, "a number"))
    }
}

impl Quantity for Bytes {
    const EXPECTED: &'static str = "bytes: a whole number, or a text like \"64 MiB\"";
    fn from_number(number: f64) -> Result<Self, String> {
        Err(format!("{number} is not a whole number of bytes"))
    }
    fn from_whole(number: u64) -> Result<Self, String> {
        Ok(Self(number))
    }
    fn from_text(text: &str) -> Result<Self, String> {
        bytes(text)
            .map(Self)
            .ok_or_else(|| not(text, "an amount of bytes; write for example \"64 MiB\""))
    }
}

impl Quantity for Amount {
    const EXPECTED: &'static str =
        "bytes like \"64 MiB\", or a share of all files' bytes like \"1%\"";
    fn from_number(number: f64) -> Result<Self, String> {
        Bytes::from_number(number).map(|bytes| Self::Bytes(bytes.0))
    }
    fn from_whole(number: u64) -> Result<Self, String> {
        Ok(Self::Bytes(number))
    }
    fn from_text(text: &str) -> Result<Self, String> {
        match percent(text) {
            Some(share) if (0.0..=1e6).contains(&share) => Ok(Self::OfCatalogue(share)),
            Some(_) => Err(format!("{text} is not between 0% and 100000000%")),
            None => Bytes::from_text(text).map(|bytes| Self::Bytes(bytes.0)),
        }
    }
}

impl Quantity for Portion {
    const EXPECTED: &'static str = "a count of requests, or a share of them like \"20%\"";
    fn from_number(number: f64) -> Result<Self, String> {
        Err(format!(
            "{number} is not a whole number; write a share as \"20%\""
        ))
    }
    fn from_whole(number: u64) -> Result<Self, String> {
        Ok(Self::Count(number))
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Share::from_text(text).map(|share| Self::Share(share.0))
    }
}

impl Quantity for Moment {
    const EXPECTED: &'static str =
        "seconds, a text like \"5m\", or a share of the requests like \"50%\"";
    fn from_number(number: f64) -> Result<Self, String> {
        NotNegative::from_number(number).map(|seconds| Self::Seconds(seconds.0))
    }
    fn from_text(text: &str) -> Result<Self, String> {
        if text.ends_with('%') {
            return Share::from_text(text).map(|share| Self::OfRequests(share.0));
        }
        let seconds = with_unit(
            text,
            &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)],
        );
        Self::from_number(seconds.ok_or_else(|| not(text, "a time"))?)
    }
}

fn not(text: &str, what: &str) -> String {
    format!("\"{text}\" is not {what}")
}

fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    number.is_finite().then_some(number / 100.0)
}

fn bytes(text: &str) -> Option<u64> {
    const UNITS: &[(&str, f64)] = &[
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("B", 1.0),
    ];
    let count = with_unit(text, UNITS)?;
    (0.0..=1e18)
        .contains(&count)
        .then(|| libm::round(count) as u64)
}

/// A number, with an optional exponent, followed by one of these units, none of which starts with `e`.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let at = text.find(|char: char| char.is_ascii_alphabetic() && char != 'e')?;
    let (number, unit) = text.split_at(at);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let number: f64 = number.trim_end().parse().ok()?;
    number.is_finite().then_some(number * factor)
}

struct Reading<T>(PhantomData<T>);

impl<T: Quantity> Visitor<'_> for Reading<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format!(
                "{number} is below 0; expected {}",
                T::EXPECTED
            ))),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_whole(number).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        T::from_number(number).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }
}

macro_rules! read_as_written {
    ($($type:ty => |$self:ident, $to:ident| $write:expr),+ $(,)?) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Reading(PhantomData))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, $to: S) -> Result<S::Ok, S::Error> {
                let $self = *self;
                $write
            }
        }
    )+};
}

read_as_written! {
    Share => |share, to| to.serialize_f64(share.0),
    NotNegative => |number, to| to.serialize_f64(number.0),
    Positive => |number, to| to.serialize_f64(number.0),
    Bytes => |bytes, to| to.serialize_u64(bytes.0),
    Amount => |amount, to| match amount {
        Amount::Bytes(bytes) => to.serialize_u64(bytes),
        Amount::OfCatalogue(share) => to.collect_str(&format_args!("{}%", share * 100.0)),
    },
    Portion => |portion, to| match portion {
        Portion::Count(count) => to.serialize_u64(count),
        Portion::Share(share) => to.collect_str(&format_args!("{}%", share * 100.0)),
    },
    Moment => |moment, to| match moment {
        Moment::Seconds(seconds) => to.serialize_f64(seconds),
        Moment::OfRequests(share) => to.collect_str(&format_args!("{}%", share * 100.0)),
    },
}

macro_rules! checked {
    ($($type:ident),+) => {$(
        impl TryFrom<f64> for $type {
            type Error = String;

            fn try_from(number: f64) -> Result<Self, String> {
                Self::from_number(number)
            }
        }
    )+};
}

checked!(Share, NotNegative, Positive);

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(value: &str) -> Result<T, String> {
        #[derive(serde::Deserialize)]
        struct One<T> {
            it: T,
        }
        let read: Result<One<T>, _> = toml::from_str(&format!("\nit = {value}"));
        read.map(|one| one.it).map_err(|error| error.to_string())
    }

    #[test]
    fn bytes_have_units() {
        for (text, expected) in [
            ("17", 17),
            ("\"64 MiB\"", 64 << 20),
            ("\"1.5kB\"", 1500),
            ("\"2 GB\"", 2_000_000_000),
            ("\"8 B\"", 8),
        ] {
            assert_eq!(read(text), Ok(Bytes(expected)), "{text}");
        }
        for text in [
            "-1",
            "1.5",
            "\"64\"",
            "\"64 Mib\"",
            "\"MiB\"",
            "true",
            "\"1e30 TB\"",
        ] {
            assert!(read::<Bytes>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_numbers_or_percentages() {
        assert_eq!(read("0.05"), Ok(Share(0.05)));
        assert_eq!(read("\"5%\""), Ok(Share(0.05)));
        assert_eq!(read("1"), Ok(Share(1.0)));
        for text in ["1.01", "-0.1", "nan", "\"101%\"", "\"5\""] {
            assert!(read::<Share>(text).is_err(), "{text}");
        }
        assert_eq!(read("\"150%\""), Ok(Amount::OfCatalogue(1.5)));
        assert_eq!(read("1000"), Ok(Portion::Count(1000)));
        assert_eq!(read("\"20%\""), Ok(Portion::Share(0.2)));
    }

    #[test]
    fn moments_are_seconds_or_shares_of_the_requests() {
        for (text, expected) in [
            ("60", Moment::Seconds(60.0)),
            ("\"90s\"", Moment::Seconds(90.0)),
            ("\"5m\"", Moment::Seconds(300.0)),
            ("\"250ms\"", Moment::Seconds(0.25)),
            ("\"50%\"", Moment::OfRequests(0.5)),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        assert!(read::<Moment>("\"noon\"").is_err());
        assert!(read::<Moment>("-3").is_err());
    }

    #[test]
    fn an_error_names_the_line() {
        let error = read::<Share>("7").expect_err("7 is not a share");
        assert!(error.contains("line 2"), "{error}");
        assert!(error.contains("7 is not between 0 and 1"), "{error}");
    }
}
