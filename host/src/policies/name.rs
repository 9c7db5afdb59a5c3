//! `PolicyName`: a name that a policy can go by, checked once.
//!
//! A name becomes a file in the policies' folder, a word in metrics and a line on a screen. What it may
//! consist of is the same everywhere and can neither leave the folder nor hide in it.

use std::fmt;
use std::str::FromStr;

use dataverse_core::limits::POLICY_NAME_BYTES_MAX;

/// What the files of policies end in.
const SUFFIX: &str = ".wasm";

/// The name of a policy, without `.wasm`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(String);

/// Why a text is no name of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for a policy: it has 1 to {max} letters, digits, `-`, `_` and `.`, and begins with a \
     letter or digit",
    max = POLICY_NAME_BYTES_MAX
)]
pub struct BadPolicyName(String);

impl PolicyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl From<PolicyName> for String {
    fn from(name: PolicyName) -> Self {
        name.0
    }
}

/// With or without `.wasm`.
impl FromStr for PolicyName {
    type Err = BadPolicyName;

    fn from_str(text: &str) -> Result<Self, BadPolicyName> {
        let name = text.strip_suffix(SUFFIX).unwrap_or(text);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = name.len() <= POLICY_NAME_BYTES_MAX
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(is_plain);
        if fits {
            return Ok(Self(name.to_owned()));
        }
        // Whoever sent it knows the rest.
        Err(BadPolicyName(
            text.chars().take(POLICY_NAME_BYTES_MAX).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let found = text.parse::<PolicyName>().ok();
        assert_eq!(found.as_ref().map(PolicyName::as_str), expected, "{text:?}");
    }

    #[test]
    fn a_name_goes_with_or_without_its_suffix() {
        check("s3-fifo", Some("s3-fifo"));
        check("s3-fifo.wasm", Some("s3-fifo"));
        check("My_policy.2", Some("My_policy.2"));
        check("a.wasm.wasm", Some("a.wasm"));
    }

    #[test]
    fn a_name_can_neither_leave_the_folder_nor_hide_in_it() {
        for text in [
            "", ".wasm", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-x", "a b", "a\n", "a\0",
            "ü",
        ] {
            check(text, None);
        }
        check(&"x".repeat(POLICY_NAME_BYTES_MAX), Some(&"x".repeat(64)));
        check(&"x".repeat(POLICY_NAME_BYTES_MAX + 1), None);
    }
}
