//! The `Range` header (RFC 9110, section 14): which bytes of a file the client wants.
//!
//! One range is served. Several ranges, another unit, or a value that can't be parsed get the whole file, which
//! the RFC allows; a range outside the file is refused.

/// Bytes `offset..offset + length` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    /// At least one.
    pub(super) length: u64,
}

impl Part {
    /// The value of `Content-Range` for this part of a file of `size` bytes.
    pub(super) fn content_range(self, size: u64) -> String {
        let last = self.offset + self.length - 1;
        format!("bytes {}-{last}/{size}", self.offset)
    }
}

/// The bytes that a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The value is not understood or not supported: the whole file.
    Whole,
    /// This part.
    Part(Part),
    /// A range outside the file.
    Outside,
}

/// What this value of `Range` asks of a file of `size` bytes.
pub(super) fn wanted(header: &str, size: u64) -> Wanted {
    let Some((unit, range)) = header.split_once('=') else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let range = match (digits(first), digits(last)) {
        (Some(first), Some(last)) if first <= last => (first, last),
        (Some(first), None) if last.is_empty() => (first, u64::MAX),
        (None, Some(0)) if first.is_empty() => return Wanted::Outside,
        (None, Some(suffix)) if first.is_empty() => (size.saturating_sub(suffix), u64::MAX),
        _ => return Wanted::Whole,
    };
    let (first, last) = range;
    if first >= size {
        return Wanted::Outside;
    }
    Wanted::Part(Part {
        offset: first,
        length: last.min(size - 1) - first + 1,
    })
}

/// Parses a number. One that is too large for the type is past the end of every file anyway.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(offset: u64, length: u64) -> Wanted {
        Wanted::Part(Part { offset, length })
    }

    #[test]
    fn one_range_is_a_part() {
        assert_eq!(wanted("bytes=0-0", 10), part(0, 1));
        assert_eq!(wanted("bytes=2-5", 10), part(2, 4));
        assert_eq!(wanted("bytes=2-", 10), part(2, 8));
        assert_eq!(wanted("bytes=2-99", 10), part(2, 8));
        assert_eq!(wanted("bytes=-3", 10), part(7, 3));
        assert_eq!(wanted("bytes=-99", 10), part(0, 10));
        assert_eq!(wanted("Bytes= 2-5 ", 10), part(2, 4));
        assert_eq!(wanted("bytes=0-99999999999999999999999", 10), part(0, 10));
    }

    #[test]
    fn a_range_outside_the_file_is_refused() {
        for header in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(wanted(header, 10), Wanted::Outside, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            assert_eq!(wanted(header, 0), Wanted::Outside, "{header}");
        }
        assert_eq!(wanted("bytes=x", 0), Wanted::Whole);
    }

    #[test]
    fn what_is_no_single_range_means_the_whole_file() {
        let headers = [
            "bytes=5-2",
            "bytes=0-1,3-4",
            "bytes=",
            "bytes=-",
            "bytes",
            "lines=1-2",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=a-b",
            "bytes=1 - 2",
            "",
            "bytes=--1",
        ];
        for header in headers {
            assert_eq!(wanted(header, 10), Wanted::Whole, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(
            header in "bytes=[0-9]{0,21}-[0-9]{0,21}|[ -~]{0,30}", size in any::<u64>()
        ) {
            if let Wanted::Part(part) = wanted(&header, size) {
                prop_assert!(part.length > 0);
                prop_assert!(part.offset.checked_add(part.length).is_some_and(|end| end <= size));
            }
        }
    }
}
