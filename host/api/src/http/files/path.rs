//! Parses the key in a request's path.
//!
//! It is parsed from the path as sent: decoding `%2e%2e` or `%2F` before splitting at `/` would let a client
//! smuggle in segments. Each segment is decoded alone, then [`Key`] checks the whole.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use dataverse_core::key::{Key, KeyError};
use dataverse_core::limits::KEY_BYTES_MAX;
use percent_encoding::percent_decode_str;

use crate::http::percent::escapes_are_whole;
use crate::http::problem::Problem;

/// The path before the key.
pub(in crate::http) const PREFIX: &str = "/v1/files/";

/// The key in a request's path.
pub(crate) struct PathKey(pub(crate) Key);

/// Why a path contains no valid key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum PathKeyError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("a segment of a key cannot contain `/`, not even as `%2F`")]
    HiddenSlash,
    #[error(
        "a `%` in a path must be followed by two hexadecimal digits; write a literal `%` as `%25`"
    )]
    BadEscape,
}

fn key_in(path: &str) -> Result<Key, PathKeyError> {
    let raw = path.strip_prefix(PREFIX).unwrap_or_default();
    // Percent-encoding triples the length; normalisation may then shrink it.
    if raw.len() > 9 * KEY_BYTES_MAX {
        return Err(KeyError::Long { bytes: raw.len() }.into());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    for (index, segment) in raw.split('/').enumerate() {
        if index > 0 {
            bytes.push(b'/');
        }
        let start = bytes.len();
        bytes.extend(percent_decode_str(segment));
        if bytes[start..].contains(&b'/') {
            return Err(PathKeyError::HiddenSlash);
        }
        if !escapes_are_whole(segment) {
            return Err(PathKeyError::BadEscape);
        }
    }
    Ok(Key::parse_bytes(&bytes)?)
}

impl<S: Sync> FromRequestParts<S> for PathKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.uri.path();
        key_in(path).map(Self).map_err(|error| {
            let sent = path.strip_prefix(PREFIX).unwrap_or_default();
            Problem::bad_request(error.to_string()).with_refused_key(sent)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: Result<&str, PathKeyError>) {
        let found = key_in(&format!("{PREFIX}{path}"));
        assert_eq!(
            found.as_ref().map(Key::as_str),
            expected.as_ref().copied(),
            "{path}"
        );
    }

    #[test]
    fn each_segment_is_decoded_once() {
        check("ada/notes.txt", Ok("ada/notes.txt"));
        check("ada/a%20b/%C3%BC.txt", Ok("ada/a b/ü.txt"));
        check("ada/100%25", Ok("ada/100%"));
        check("ada/%252e%252e", Ok("ada/%2e%2e"));
        check("ada/a+b", Ok("ada/a+b"));
    }

    #[test]
    fn nothing_climbs_out_however_it_is_spelt() {
        for path in ["ada/../x", "ada/%2e%2e/x", "ada/.%2E/x", "./x", "ada/%2e"] {
            check(path, Err(KeyError::DotSegment.into()));
        }
        check("ada/..%2fx", Err(PathKeyError::HiddenSlash));
        check("ada%2Fx", Err(PathKeyError::HiddenSlash));
        check("ada/a%00b", Err(KeyError::Control { code: 0 }.into()));
        check("ada/%ff", Err(KeyError::NotUtf8 { at: 4 }.into()));
        check("ada//x", Err(KeyError::EmptySegment.into()));
        check("ada/x/", Err(KeyError::EmptySegment.into()));
        check("/ada/x", Err(KeyError::EmptySegment.into()));
        check("ada", Err(KeyError::NoName.into()));
    }

    #[test]
    fn half_an_escape_is_refused() {
        for path in ["ada/100%", "ada/%2", "ada/%zz", "ada/%+1"] {
            check(path, Err(PathKeyError::BadEscape));
        }
    }

    #[test]
    fn overlong_paths_are_refused_before_they_are_decoded() {
        let path = format!("ada/{}", "%41".repeat(10_000));
        check(&path, Err(KeyError::Long { bytes: path.len() }.into()));
    }

    proptest! {
        #[test]
        fn any_key_is_found_again_in_its_path(text in "[a-z]{1,5}(/[^/\\.\\pC]{1,20}){1,3}") {
            let Ok(key) = Key::parse(&text) else { return Ok(()) };
            let segments = key.as_str().split('/').map(|segment| {
                percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
            });
            let path = format!("{PREFIX}{}", segments.collect::<Vec<_>>().join("/"));
            prop_assert_eq!(key_in(&path), Ok(key));
        }

        #[test]
        fn any_path_names_a_key_or_is_refused(path in "[ -~]{0,60}") {
            if let Ok(key) = key_in(&format!("{PREFIX}{path}")) {
                prop_assert!(key.as_str().split('/').all(|it| !it.is_empty() && it != ".."));
            }
        }
    }
}
