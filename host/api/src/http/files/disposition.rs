//! `Content-Disposition` for a download (RFC 6266), for any file name.

use axum::http::HeaderValue;
use dataverse_core::key::Key;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but `attr-char` of RFC 8187.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The header that makes a browser save the file under the last segment of its key. Old clients read `filename`,
/// in which `_` replaces characters that could be misread; all others read `filename*`.
pub(super) fn attachment(key: &Key) -> HeaderValue {
    let name = key.name().rsplit('/').next().unwrap_or_default();
    let plain: String = name.chars().map(plain).collect();
    let exact = utf8_percent_encode(name, ATTRIBUTE);
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    HeaderValue::try_from(value).expect("only visible ASCII is left")
}

/// Quotes and backslashes end or escape the quoted text, some clients decode `%`, and some treat `/` as a path.
const fn plain(char: char) -> char {
    match char {
        '"' | '\\' | '%' | '/' => '_',
        ' '..='~' => char,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, plain: &str, exact: &str) {
        let header = attachment(&Key::parse(key).expect("a valid key"));
        let expected = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}");
        assert_eq!(header, expected.as_str());
    }

    #[test]
    fn any_name_is_told_twice() {
        check("ada/a.txt", "a.txt", "a.txt");
        check("ada/2024/a b.txt", "a b.txt", "a%20b.txt");
        check("ada/ü€.txt", "__.txt", "%C3%BC%E2%82%AC.txt");
        check(
            r#"ada/a"b\c%d;e'.txt"#,
            "a_b_c_d;e'.txt",
            "a%22b%5Cc%25d%3Be%27.txt",
        );
        check("ada/*()", "*()", "%2A%28%29");
    }
}
