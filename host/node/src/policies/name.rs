//! `PolicyName`: the name of a policy, which is that of its file without `.wasm`. It is one plain path segment, so it
//! can never lead out of the policies folder.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits;

/// A valid name of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Arc<str>);

/// An invalid name of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can't be the name of a policy: use 1 to {most} of A-Z, a-z, 0-9, `.`, `_` and `-`, not beginning with `.` and not ending in `.wasm`",
    most = limits::POLICY_NAME_BYTES_MAX
)]
pub struct BadName(String);

impl PolicyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a name as people type it: the ending `.wasm` may be there.
    ///
    /// # Errors
    /// [`BadName`] if it is not a valid name.
    pub fn said(text: &str) -> Result<Self, BadName> {
        text.strip_suffix(".wasm").unwrap_or(text).parse()
    }

    /// The name of its file.
    pub(super) fn file(&self) -> String {
        format!("{self}.wasm")
    }

    /// The name of the policy in this file; `None` if it is not a policy file.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        name.strip_suffix(".wasm")?.parse().ok()
    }
}

impl FromStr for PolicyName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=limits::POLICY_NAME_BYTES_MAX).contains(&text.len());
        // With the ending it would be unclear whether that is a part of the name.
        let is_ambiguous = text.starts_with('.') || text.ends_with(".wasm");
        if fits && !is_ambiguous && text.bytes().all(plain) {
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
                good.parse::<PolicyName>()
                    .expect("the name is valid")
                    .as_str(),
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
            "a.wasm",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<PolicyName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_files_that_end_in_wasm_are_policies() {
        let name = PolicyName::of_file("lru.wasm").unwrap();
        assert_eq!((name.as_str(), name.file().as_str()), ("lru", "lru.wasm"));
        for other in [
            "lru",
            "lru.wat",
            ".lru.wasm",
            ".wasm",
            "lru.wasm~",
            "lru.wasm.tmp",
            "lru.wasm.wasm",
        ] {
            assert_eq!(PolicyName::of_file(other), None, "{other:?}");
        }
    }
}
