//! Decodes percent-encoded text in a request's target, or says why it is invalid.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Why a text in a target was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PercentError {
    #[error("a `%` must be followed by two hexadecimal digits; write a literal `%` as `%25`")]
    BadEscape,
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("control characters such as U+{code:04X} are not allowed")]
    Control { code: u32 },
}

/// The text, decoded once.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, PercentError> {
    if !escapes_are_whole(text) {
        return Err(PercentError::BadEscape);
    }
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| PercentError::NotUtf8)?;
    match decoded.chars().find(|char| char.is_control()) {
        Some(code) => Err(PercentError::Control { code: code.into() }),
        None => Ok(decoded),
    }
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(super) fn escapes_are_whole(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(at + 1..at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = &rest[at + 3..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_once_or_refused() {
        let check = |text: &str, expected: Result<&str, PercentError>| {
            assert_eq!(
                decode(text).as_deref(),
                expected.as_ref().copied(),
                "{text}"
            );
        };
        check("a%20b/%C3%BC", Ok("a b/ü"));
        check("%2541", Ok("%41"));
        for text in ["%", "%2", "%zz", "a%+1", "100%"] {
            check(text, Err(PercentError::BadEscape));
        }
        for text in ["%ff", "%C3", "%ED%A0%80", "%C0%AF"] {
            check(text, Err(PercentError::NotUtf8));
        }
        check("a%00", Err(PercentError::Control { code: 0 }));
        check("%C2%85", Err(PercentError::Control { code: 0x85 }));
    }
}
