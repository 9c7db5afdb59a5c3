//! `PolicyName`: what a policy goes by. The name of its file without `.wasm`, so it is one plain segment of a
//! path and can lead nowhere.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use dataverse_core::limits;

/// A name that a policy may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Arc<str>);

/// A name that no policy may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can't be the name of a policy: take up to {most} of A-Z, a-z, 0-9, `.`, `_` and `-`, not beginning with `.`",
    most = limits::POLICY_NAME_BYTES_MAX
)]
pub struct BadName(String);

impl PolicyName {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that is meant by a person, who may say the file's.
    ///
    /// # Errors
    /// [`BadName`] when no policy can be called so.
    pub fn said(text: &str) -> Result<Self, BadName> {
        text.strip_suffix(".wasm").unwrap_or(text).parse()
    }
}

impl FromStr for PolicyName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=limits::POLICY_NAME_BYTES_MAX).contains(&text.len());
        if fits && !text.starts_with('.') && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(BadName(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_segment_of_a_path() {
        for good in ["a", "s3-fifo", "My_policy.v2", &"x".repeat(64)] {
            assert_eq!(
                good.parse::<PolicyName>().expect("it is a name").as_str(),
                good
            );
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "../a",
            "a\\b",
            "a b",
            "ä",
            "a\0",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<PolicyName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_person_may_say_the_name_of_the_file() {
        let check = |text: &str, expected: Option<&str>| {
            let found = PolicyName::said(text).ok();
            assert_eq!(found.as_ref().map(PolicyName::as_str), expected, "{text:?}");
        };
        check("lru", Some("lru"));
        check("lru.wasm", Some("lru"));
        check("a.wasm.wasm", Some("a.wasm"));
        check(".wasm", None);
        check("../lru.wasm", None);
    }
}
