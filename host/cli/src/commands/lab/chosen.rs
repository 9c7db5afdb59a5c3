//! Parses the policies that the lab's commands are given.

use dataverse_core::policy::Kind;
use dataverse_lab::library::{Chosen, PolicyLibrary};

use crate::commands::failure::Failure;

/// Splits `NAME` or `NAME:{JSON}` into a policy's name or path and its configuration, if any.
pub(super) fn named(policy: &str) -> (&str, Option<&str>) {
    match policy.find(":{") {
        Some(colon) => (&policy[..colon], Some(&policy[colon + 1..])),
        None => (policy, None),
    }
}

/// All requested policies of this kind, each by its name or path and its configuration.
///
/// # Errors
/// [`Failure::Usage`] that lists all those that can't be used.
pub(super) fn choose<'a>(
    policy_library: &PolicyLibrary,
    kind: Kind,
    asked: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Chosen>, Failure> {
    let mut mistakes = Mistakes::default();
    let mut chosen = Vec::new();
    for (policy, config) in asked {
        match policy_library.choose(kind, policy, config) {
            Ok(policy) => chosen.push(policy),
            Err(error) => mistakes.add(format!("--policy {error}")),
        }
    }
    mistakes.check()?;
    Ok(chosen)
}

/// Mistakes of one kind, reported together.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<String>);

impl Mistakes {
    pub(super) fn add(&mut self, mistake: String) {
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    /// # Errors
    /// [`Failure::Usage`] if there are any.
    pub(super) fn check(self) -> Result<(), Failure> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Failure::Usage(self.0.join("\nerror: "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_may_come_with_its_configuration() {
        assert_eq!(named("ring"), ("ring", None));
        assert_eq!(
            named(r#"a/b.wasm:{"x":1}"#),
            ("a/b.wasm", Some(r#"{"x":1}"#))
        );
        assert_eq!(named("C:/a.wasm"), ("C:/a.wasm", None));
    }

    #[test]
    fn mistakes_are_told_together_and_each_once() {
        let mut mistakes = Mistakes::default();
        for mistake in ["one", "two", "one"] {
            mistakes.add(mistake.to_owned());
        }
        let text = mistakes.check().expect_err("there are some").to_string();
        assert_eq!(text, "one\nerror: two");
        assert!(Mistakes::default().check().is_ok());
    }
}
