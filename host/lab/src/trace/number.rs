//! Parses the fields of a trace: numbers and names.

use dataverse_core::limits::FILE_BYTES_MAX;

use crate::limits;

/// A whole number.
pub(super) fn whole(field: &[u8]) -> Option<u64> {
    // `parse` would accept a plus sign, which no trace writes.
    field.first().filter(|first| first.is_ascii_digit())?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// A number of bytes within the size limit of a file.
pub(super) fn size(field: &[u8]) -> Result<u64, String> {
    match whole(field) {
        Some(bytes) if bytes <= FILE_BYTES_MAX => Ok(bytes),
        Some(bytes) => Err(format!(
            "a size of {bytes} bytes is above the limit of {} for a file",
            FILE_BYTES_MAX
        )),
        None => Err(format!("`{}` is not a size in bytes", shown(field))),
    }
}

/// A time, in units of `unit_ms` milliseconds.
pub(super) fn time(field: &[u8], unit_ms: f64) -> Result<u64, String> {
    let wrong = || format!("`{}` is not a time of at least 0", shown(field));
    let text = std::str::from_utf8(field).map_err(|_| wrong())?;
    let units: f64 = text.trim().parse().map_err(|_| wrong())?;
    let ms = units * unit_ms;
    // The range excludes negative numbers, infinity and NaN.
    if !(0.0..=limits::TRACE_TIME_MS_MAX as f64).contains(&ms) {
        return Err(wrong());
    }
    Ok(ms as u64)
}

/// A number as it is; the beginning of any other name's BLAKE3, just as a file's id derives from its key.
pub(super) fn id(field: &[u8]) -> u64 {
    whole(field).unwrap_or_else(|| {
        let hash = blake3::hash(field);
        let (first, _) = hash.as_bytes().split_at(8);
        u64::from_be_bytes(first.try_into().expect("a digest has at least eight bytes"))
    })
}

/// A field for an error message: valid UTF-8, and shortened if it is long.
pub(super) fn shown(field: &[u8]) -> String {
    const SHOWN_CHARS: usize = 40;
    let text = String::from_utf8_lossy(&field[..field.len().min(4 * SHOWN_CHARS)]);
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_fractions() {
        assert_eq!(time(b"1.5", 1000.0), Ok(1500));
        assert_eq!(time(b"7", 1.0), Ok(7));
        assert_eq!(time(b"2000000", 1e-3), Ok(2000));
        for wrong in [&b"-1"[..], b"inf", b"nan", b"", b"noon", b"1e300"] {
            assert!(time(wrong, 1000.0).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_is_an_id_as_a_key_is() {
        let key = dataverse_core::key::Key::parse("ada/notes.txt").expect("it is a key");
        assert_eq!(id(b"ada/notes.txt"), key.file_id().0);
        assert_eq!(id(b"18446744073709551615"), u64::MAX);
        assert_ne!(id(b"18446744073709551616"), id(b"+1"));
    }

    #[test]
    fn a_size_is_one_that_a_file_may_have() {
        assert_eq!(size(b"0"), Ok(0));
        assert!(size(b"1099511627777").is_err_and(|reason| reason.contains("above the limit")));
        assert!(size(b"12KiB").is_err_and(|reason| reason.contains("`12KiB`")));
    }
}
