//! `ls`: lists a user's files.

use dataverse_core::key::Key;

use super::Asking;
use super::failure::Failure;
use super::screen::Screen;
use super::search::by_pattern;

/// List a user's files
///
/// The same as `search 'USER/**'`. A list that is cut short says so on standard error, and with --json by
/// `truncated`; the exit code is 0 all the same.
#[derive(Debug, clap::Args)]
pub(super) struct Ls {
    /// The owner of the files
    user: String,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Ls {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let key = Key::of(&self.user, "name").map_err(|error| {
            Failure::Usage(format!("{:?} is not a valid user: {error}", self.user))
        })?;
        by_pattern(&pattern(key.user()), None, None, &self.asking, screen).await
    }
}

/// A pattern for all files of a user, whose name may contain special characters of patterns.
fn pattern(user: &str) -> String {
    let mut pattern = String::new();
    for char in user.chars() {
        if "?*[]{}\\".contains(char) {
            pattern.extend(['[', char, ']']);
        } else {
            pattern.push(char);
        }
    }
    pattern + "/**"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_is_taken_literally() {
        assert_eq!(pattern("ada"), "ada/**");
        assert_eq!(pattern("a*[b"), "a[*][[]b/**");
    }
}
