//! `Value`: how the value of a setting is written as text. Counts, booleans, durations (`3s`, `1h30m`) and byte
//! counts (`10GiB`).
//!
//! Printed text parses to the same value, so the output of `--print-config` can be copied into a file.

use std::time::Duration;

/// A type that a setting can have.
pub trait Value: Sized {
    /// Parses it. The error says which form is expected.
    fn read(text: &str) -> Result<Self, String>;

    /// Its shortest exact text; `None` if it is not set.
    fn show(&self) -> Option<String>;

    /// As [`Value::show`], for use in a sentence.
    fn shown(&self) -> String {
        self.show().unwrap_or_else(|| "unset".to_owned())
    }
}

impl Value for u32 {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected a whole number such as 4".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err("expected true or false".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Duration {
    fn read(text: &str) -> Result<Self, String> {
        duration(text).ok_or_else(|| "expected a duration such as 250ms, 3s or 1h30m".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(show_duration(*self))
    }
}

/// Byte counts.
impl Value for Option<u64> {
    fn read(text: &str) -> Result<Self, String> {
        byte_count(text)
            .map(Some)
            .ok_or_else(|| "expected a byte count such as 10GiB, 500MB or 1048576".to_owned())
    }

    fn show(&self) -> Option<String> {
        self.map(show_byte_count)
    }
}

/// Units of time in milliseconds, longest first; the first of each length is printed.
const TIME_UNITS: [(&str, u64); 6] = [
    ("d", 24 * 60 * 60 * 1_000),
    ("h", 60 * 60 * 1_000),
    ("m", 60 * 1_000),
    ("min", 60 * 1_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A sum of whole numbers with units, each unit shorter than the one before: `1h30m`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let (mut total_ms, mut shorter_than_ms) = (0_u64, u64::MAX);
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let unit_end = after
            .find(|char: char| !char.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let (_, unit_ms) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
        if *unit_ms >= shorter_than_ms {
            return None;
        }
        shorter_than_ms = *unit_ms;
        let number: u64 = number.parse().ok()?;
        total_ms = total_ms.checked_add(number.checked_mul(*unit_ms)?)?;
        rest = next.trim_start();
    }
    (shorter_than_ms != u64::MAX).then(|| Duration::from_millis(total_ms))
}

fn show_duration(duration: Duration) -> String {
    // Every duration was parsed from whole milliseconds or is a constant of whole milliseconds.
    let mut rest_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, unit_ms) in TIME_UNITS {
        if rest_ms >= unit_ms {
            text.push_str(&format!("{}{unit}", rest_ms / unit_ms));
            rest_ms %= unit_ms;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// Units of bytes: first those that `show_byte_count` may print, largest first.
const BYTE_UNITS: [(&str, u64); 11] = [
    ("pib", 1 << 50),
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("pb", 1_000_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
];

/// A number, with a fraction if its unit allows one, and a unit: `1.5GiB`. `10G` is ambiguous and refused.
fn byte_count(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim());
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit_bytes = match unit.as_str() {
        "" => 1,
        unit => BYTE_UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let whole: u128 = whole.parse::<u64>().ok()?.into();
    let fraction: u128 = fraction.parse::<u64>().ok()?.into();
    let bytes = (whole * scale + fraction) * u128::from(unit_bytes);
    if unit_bytes == 1 && fraction != 0 {
        return None;
    }
    u64::try_from(bytes / scale).ok()
}

fn show_byte_count(bytes: u64) -> String {
    const SHOWN: [&str; 5] = ["PiB", "TiB", "GiB", "MiB", "KiB"];
    SHOWN
        .iter()
        .zip(BYTE_UNITS)
        .find(|(_, (_, unit))| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || bytes.to_string(),
            |(shown, (_, unit))| format!("{}{shown}", bytes / unit),
        )
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|char: char| !char.is_ascii_digit() && char != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_bytes(text: &str, expected: Option<u64>) {
        assert_eq!(byte_count(text), expected, "{text:?}");
    }

    fn check_duration(text: &str, expected_ms: Option<u64>) {
        let expected = expected_ms.map(Duration::from_millis);
        assert_eq!(duration(text), expected, "{text:?}");
    }

    #[test]
    fn byte_counts_are_read_with_decimal_and_binary_units() {
        check_bytes("0", Some(0));
        check_bytes("10GiB", Some(10 << 30));
        check_bytes("10 gib", Some(10 << 30));
        check_bytes("500MB", Some(500_000_000));
        check_bytes("1.5KiB", Some(1_536));
        check_bytes("12B", Some(12));
        check_bytes("18446744073709551615", Some(u64::MAX));
    }

    #[test]
    fn what_is_no_byte_count_is_refused() {
        for text in [
            "",
            "G",
            "10G",
            "-1",
            "1.5",
            "1.",
            ".5GiB",
            "1.2.3MB",
            "1e3",
            "99999999PiB",
            "10GiBs",
        ] {
            check_bytes(text, None);
        }
    }

    #[test]
    fn durations_are_sums_of_shrinking_units() {
        check_duration("250ms", Some(250));
        check_duration("3s", Some(3_000));
        check_duration("1h30m", Some(5_400_000));
        check_duration("2d 4h", Some(52 * 3_600_000));
        check_duration("10min", Some(600_000));
        check_duration("0s", Some(0));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "3",
            "s",
            "-3s",
            "1.5s",
            "3s3s",
            "1s1h",
            "3 weeks",
            "99999999999999999d",
        ] {
            check_duration(text, None);
        }
    }

    proptest! {
        #[test]
        fn a_shown_byte_count_reads_back(bytes in any::<u64>(), shift in 0_u32..50) {
            for bytes in [bytes, bytes >> shift, (bytes >> shift) << shift] {
                prop_assert_eq!(byte_count(&show_byte_count(bytes)), Some(bytes));
            }
        }

        #[test]
        fn a_shown_duration_reads_back(millis in 0_u64..1 << 50) {
            let expected = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(expected)), Some(expected));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}|[0-9.]{0,30}[a-zA-Z ]{0,4}") {
            let _read = (byte_count(&text), duration(&text));
        }
    }
}
