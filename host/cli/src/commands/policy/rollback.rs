//! `policy rollback`: rolls back to the previous policy.

use dataverse_core::policy::Kind;

use super::change::Change;
use super::everywhere::Reach;
use super::kind_of;
use crate::commands::failure::Failure;
use crate::commands::offered::{kinds, offered};
use crate::commands::screen::Screen;

/// Roll back to the previous policy
///
/// Also restores its file and its table in `policies.toml`. Repeat it to go back further; `policy list` shows the
/// previous policies.
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// The kind: placement, eviction or relocation
    #[arg(value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Kind,
    /// Roll back to this previous policy, by its name or the first four or more digits of its digest
    #[arg(long, value_name = "NAME|DIGEST")]
    to: Option<String>,
    #[command(flatten)]
    pub(super) reach: Reach,
}

impl Rollback {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let change = Change::Rollback(self.kind, self.to);
        self.reach.make(&change, screen).await
    }
}
