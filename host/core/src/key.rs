//! `Key`: the name of a file, `user/name`, validated once when it enters the node.
//!
//! A key never becomes a path: the store names its files by hash and version. The rules here keep keys readable,
//! comparable and safe to print, whatever a client sends.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use crate::id::FileId;
use crate::limits;

/// `user/name` in Unicode normal form C. `name` may contain `/`.
///
/// Ordered by bytes, so that the files of one user are adjacent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a key was refused. The message names the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no `/`, so there is no user.
    #[error("a key is `user/name`; there is no `/` in it")]
    NoName,
    /// The bytes are not UTF-8.
    #[error("a key is UTF-8; byte {at} is not")]
    NotUtf8 {
        /// Offset of the first invalid byte.
        at: usize,
    },
    /// A leading, trailing or doubled `/`.
    #[error("a key has no empty segment: no leading, trailing or doubled `/`")]
    EmptySegment,
    /// `.` or `..`.
    #[error("a key has no segment `.` or `..`")]
    DotSegment,
    /// A control character, NUL included.
    #[error("a key has no control characters; U+{code:04X} is one")]
    Control {
        /// The character's code point.
        code: u32,
    },
    /// A segment of more than 255 bytes.
    #[error("a segment of a key has at most {max} bytes; one has {bytes}", max = limits::KEY_SEGMENT_BYTES_MAX)]
    LongSegment {
        /// Its length after normalisation.
        bytes: usize,
    },
    /// More than 1,024 bytes in all.
    #[error("a key has at most {max} bytes; this one has {bytes}", max = limits::KEY_BYTES_MAX)]
    Long {
        /// Its length after normalisation.
        bytes: usize,
    },
}

impl Key {
    /// Parses and normalises (NFC) a key.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        // Normal form C at most triples the length of UTF-8 text (Unicode Standard Annex 15, §9), so a hostile
        // text is refused before it is normalised.
        if text.len() > 3 * limits::KEY_BYTES_MAX {
            return Err(KeyError::Long { bytes: text.len() });
        }
        if let Some(code) = text.chars().find(|char| char.is_control()) {
            return Err(KeyError::Control { code: code.into() });
        }
        // ASCII is always in normal form C, and most keys are ASCII.
        let text: Cow<'_, str> = match text.is_ascii() {
            true => text.into(),
            false => text.nfc().collect::<String>().into(),
        };
        for segment in text.split('/') {
            match segment {
                "" => return Err(KeyError::EmptySegment),
                "." | ".." => return Err(KeyError::DotSegment),
                long if long.len() > limits::KEY_SEGMENT_BYTES_MAX => {
                    return Err(KeyError::LongSegment { bytes: long.len() });
                }
                _ => {}
            }
        }
        if text.len() > limits::KEY_BYTES_MAX {
            return Err(KeyError::Long { bytes: text.len() });
        }
        if !text.contains('/') {
            return Err(KeyError::NoName);
        }
        Ok(Self(Arc::from(&*text)))
    }

    /// Parses a key from bytes.
    ///
    /// # Errors
    /// As [`Key::parse`], and [`KeyError::NotUtf8`].
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(bytes).map_err(|error| KeyError::NotUtf8 {
            at: error.valid_up_to(),
        })?;
        Self::parse(text)
    }

    /// The key of `user`'s file `name`.
    ///
    /// # Errors
    /// As [`Key::parse`]. A `/` in `user` is refused, since it would move the border between the two parts.
    pub fn of(user: &str, name: &str) -> Result<Self, KeyError> {
        if user.contains('/') || user.is_empty() {
            return Err(KeyError::EmptySegment);
        }
        Self::parse(&format!("{user}/{name}"))
    }

    /// Less than every key, and none itself: where a range of keys begins.
    pub(crate) fn before_all() -> Self {
        Self("".into())
    }

    /// `user/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `/`.
    #[must_use]
    pub fn user(&self) -> &str {
        self.parts().0
    }

    /// The part after the first `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.parts().1
    }

    /// The file's id.
    #[must_use]
    pub fn file_id(&self) -> FileId {
        FileId::of(&self.0)
    }

    fn parts(&self) -> (&str, &str) {
        self.0
            .split_once('/')
            .expect("a parsed key has a user and a name")
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

// `Key` orders and hashes as its text does, so maps keyed by it can be looked up by text.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), KeyError>) {
        let parsed = Key::parse(text);
        let parts = parsed.as_ref().map(|key| (key.user(), key.name()));
        assert_eq!(parts, expected.as_ref().copied(), "{text:?}");
    }

    #[test]
    fn user_and_name_are_split_at_the_first_slash() {
        check("ada/notes.txt", Ok(("ada", "notes.txt")));
        check("ada/2024/a b/ü.txt", Ok(("ada", "2024/a b/ü.txt")));
        check("ada/...", Ok(("ada", "...")));
    }

    #[test]
    fn decomposed_letters_are_composed() {
        check("ada/u\u{308}.txt", Ok(("ada", "\u{fc}.txt")));
    }

    #[test]
    fn every_broken_rule_is_named() {
        check("ada", Err(KeyError::NoName));
        check("", Err(KeyError::EmptySegment));
        check("/ada", Err(KeyError::EmptySegment));
        check("ada/", Err(KeyError::EmptySegment));
        check("ada//x", Err(KeyError::EmptySegment));
        check("ada/./x", Err(KeyError::DotSegment));
        check("../x", Err(KeyError::DotSegment));
        check("ada/a\0b", Err(KeyError::Control { code: 0 }));
        check("ada/a\u{85}b", Err(KeyError::Control { code: 0x85 }));
        let long = format!("ada/{}", "x".repeat(256));
        check(&long, Err(KeyError::LongSegment { bytes: 256 }));
        let segments = vec!["x".repeat(255); 4].join("/");
        let long = format!("ada/{segments}");
        check(
            &long,
            Err(KeyError::Long {
                bytes: 4 + 255 * 4 + 3,
            }),
        );
        assert_eq!(
            Key::parse_bytes(b"ada/\xff"),
            Err(KeyError::NotUtf8 { at: 4 })
        );
        assert_eq!(Key::of("a/b", "c"), Err(KeyError::EmptySegment));
    }

    #[test]
    fn the_longest_key_is_accepted() {
        let segments = vec!["x".repeat(255); 3].join("/");
        let text = format!("{}/{segments}/{}", "u".repeat(127), "y".repeat(128));
        assert_eq!(text.len(), 127 + 1 + 767 + 1 + 128);
        check(&text, Ok(("u".repeat(127).as_str(), &text[128..])));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused_and_parsing_again_changes_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..1200)
        ) {
            if let Ok(key) = Key::parse_bytes(&bytes) {
                prop_assert_eq!(Key::parse(key.as_str()), Ok(key.clone()));
                prop_assert!(key.as_str().len() <= limits::KEY_BYTES_MAX);
            }
        }

        #[test]
        fn what_is_accepted_keeps_the_rules(text in "[a-c./\u{308}u]{1,40}") {
            if let Ok(key) = Key::parse(&text) {
                prop_assert!(key.as_str().split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
                prop_assert_eq!(format!("{}/{}", key.user(), key.name()), key.as_str());
            }
        }
    }
}
