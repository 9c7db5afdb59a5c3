//! Text for the report: escaping, and numbers formatted for people.

use std::fmt::Write as _;

/// Escapes text for HTML and SVG, including attributes. Replaces characters that neither may contain, and those
/// that reorder the text after them.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(shown(other)),
        }
    }
    escaped
}

/// Replaces the characters that XML may not contain or that reorder text, for callers that escape the rest.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn shown(char: char) -> char {
    match char {
        '\n' | '\t' => char,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        _ if char.is_control() => '\u{fffd}',
        _ => char,
    }
}

/// At most `most` characters; an ellipsis marks text that was cut.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return plain(text);
    }
    let mut cut: String = text
        .chars()
        .take(most.saturating_sub(1))
        .map(shown)
        .collect();
    cut.push('…');
    cut
}

/// The name of a measure as words: `hit_ratio` becomes `hit ratio`.
pub(super) fn words(name: &str) -> String {
    match name.strip_suffix("_cdf") {
        Some(of) => format!("{}, cumulative", of.replace('_', " ")),
        None => name.replace('_', " "),
    }
}

/// A number with four significant digits; whole numbers in full, with thousands separated.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e12).contains(&size) {
        return format!("{value:.3e}");
    }
    if size.fract() == 0.0 {
        return grouped(&format!("{value:.0}"));
    }
    let before = if size < 1.0 {
        0
    } else {
        size.log10() as i32 + 1
    };
    // Leading zeros after the point are not significant digits.
    let leading = if size < 1.0 {
        (-size.log10()).floor() as i32
    } else {
        0
    };
    let after = (4 - before + leading).clamp(0, 8) as usize;
    let fixed = format!("{value:.after$}");
    let trimmed = if fixed.contains('.') {
        fixed.trim_end_matches('0').trim_end_matches('.')
    } else {
        &fixed
    };
    grouped(trimmed)
}

/// A mean and half the width of its interval, to two digits of the latter.
pub(super) fn with_interval(mean: f64, half: Option<f64>) -> String {
    match half {
        Some(half) if half > 0.0 && half.is_finite() && mean.abs() < 1e12 => {
            let after = (1 - half.log10().floor() as i32).clamp(0, 8) as usize;
            let (mean, half) = (format!("{mean:.after$}"), format!("{half:.after$}"));
            format!("{} ± {}", grouped(&mean), grouped(&half))
        }
        Some(half) => format!("{} ± {}", number(mean), number(half)),
        None => number(mean),
    }
}

/// Separates the thousands of the whole part by a narrow space, from five digits on.
fn grouped(number: &str) -> String {
    let (whole, rest) = match number.find(['.', 'e']) {
        Some(at) => number.split_at(at),
        None => (number, ""),
    };
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("\u{2212}", digits),
        None => ("", whole),
    };
    if digits.len() < 5 {
        return format!("{sign}{digits}{rest}");
    }
    let mut apart = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            apart.push('\u{202f}');
        }
        apart.push(digit);
    }
    format!("{sign}{apart}{rest}")
}

/// The divisor and the unit to show numbers in, given their unit and the largest of them.
pub(super) fn scaled(unit: &str, largest: f64) -> (f64, String) {
    if unit != "bytes" {
        return (1.0, unit.to_owned());
    }
    let mut divisor = 1.0;
    for name in ["bytes", "KiB", "MiB", "GiB"] {
        if largest.abs() < divisor * 1024.0 {
            return (divisor, name.to_owned());
        }
        divisor *= 1024.0;
    }
    (divisor, "TiB".to_owned())
}

fn with_unit(name: &str, unit: &str) -> String {
    if unit.is_empty() {
        name.to_owned()
    } else {
        format!("{name}, {unit}")
    }
}

/// A measure's name in words, without the abbreviation of its unit: `latency_ms_mean` becomes `latency mean`.
pub(super) fn bare(name: &str, unit: &str) -> String {
    let parts: Vec<&str> = name.split('_').collect();
    let others: Vec<&str> = parts
        .iter()
        .filter(|part| **part != unit)
        .copied()
        .collect();
    if unit.len() <= 2 && !others.is_empty() {
        others.join(" ")
    } else {
        words(name)
    }
}

/// A measure as the label of an axis or a row: its name in words, and its unit unless the name already says it.
pub(super) fn label(name: &str, unit: &str) -> String {
    let bare = bare(name, unit);
    if bare.split(' ').any(|word| word == unit) {
        bare
    } else {
        with_unit(&bare, unit)
    }
}

/// Comma-separated rows as a link that a browser saves as a file.
pub(super) fn csv_link(file: &str, rows: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(row)
            .expect("writing to memory never fails, and all rows are as long");
    }
    let bytes = writer.into_inner().expect("writing to memory never fails");
    let mut link = String::from("data:text/csv;charset=utf-8,");
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
            link.push(char::from(byte));
        } else {
            write!(link, "%{byte:02X}").expect("writing to a string never fails");
        }
    }
    let file: String = file
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '-'
            }
        })
        .collect();
    format!(r#"<a download="{file}.csv" href="{link}">Save as CSV</a>"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_not_leave_its_place() {
        assert_eq!(
            escaped("<a href='x'>\"&\"</a>\u{0}\u{1b}[2J\u{202e}"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;\u{fffd}\u{fffd}[2J\u{fffd}"
        );
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("abcd", 4), "abcd");
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (value, expected) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (0.123_456, "0.1235"),
            (0.001_234_6, "0.001235"),
            (12.345, "12.35"),
            (1234.6, "1235"),
            (-1_234_567.0, "\u{2212}1\u{202f}234\u{202f}567"),
            (0.000_012_34, "1.234e-5"),
            (2e15, "2.000e15"),
        ] {
            assert_eq!(number(value), expected);
        }
        for (mean, half, expected) in [
            (0.423_456, Some(0.001_234), "0.4235 ± 0.0012"),
            (123_456.7, Some(1234.5), "123\u{202f}457 ± 1234"),
            (2.0, Some(0.0), "2 ± 0"),
            (0.25, None, "0.25"),
        ] {
            assert_eq!(with_interval(mean, half), expected);
        }
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        assert_eq!(scaled("bytes", 1000.0), (1.0, "bytes".to_owned()));
        assert_eq!(scaled("bytes", 3e6), (1_048_576.0, "MiB".to_owned()));
        assert_eq!(scaled("ms", 3e6), (1.0, "ms".to_owned()));
    }

    #[test]
    fn a_label_tells_the_unit_once() {
        assert_eq!(label("latency_ms_mean", "ms"), "latency mean, ms");
        assert_eq!(label("hops_mean", "hops"), "hops mean");
        assert_eq!(label("probes_per_search", "probes"), "probes per search");
        assert_eq!(label("moved_bytes", "MiB"), "moved bytes, MiB");
        assert_eq!(label("hit_ratio", ""), "hit ratio");
    }

    #[test]
    fn a_link_holds_its_rows() {
        let rows = [vec!["a,b".to_owned(), "\"<".to_owned()]];
        assert_eq!(
            csv_link("x/../y", &rows),
            "<a download=\"x----y.csv\" href=\"data:text/csv;charset=utf-8,%22a,b%22,%22%22%22%3C%22%0A\">Save as \
             CSV</a>"
        );
    }
}
