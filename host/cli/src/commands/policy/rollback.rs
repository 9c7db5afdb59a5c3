//! `policy rollback`: goes back to the policy before.

use dataverse_core::policy::Kind;

use super::change::Change;
use super::everywhere::Reach;
use super::kind_of;
use crate::commands::failure::Failure;
use crate::commands::offered::{kinds, offered};
use crate::commands::screen::Screen;

/// Go back to the policy that decided before
///
/// Its file and its table in `policies.toml` come back with it. Done again it goes one further back; `policy list`
/// shows where to.
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// What it decides: placement, eviction or relocation
    #[arg(value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Kind,
    /// Go to this one of the previous, by its name or the beginning of its digest, four digits at least
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
