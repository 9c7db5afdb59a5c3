//! `policy promote`: puts a shadow in charge.

use dataverse_core::policy::Kind;

use super::change::Change;
use super::everywhere::Reach;
use super::kind_of;
use crate::commands::failure::Failure;
use crate::commands::offered::{kinds, offered};
use crate::commands::screen::Screen;

/// Put the shadow of a kind in charge
#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    /// The kind: placement, eviction or relocation
    #[arg(value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Kind,
    #[command(flatten)]
    pub(super) reach: Reach,
}

impl Promote {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        self.reach.make(&Change::Promote(self.kind), screen).await
    }
}
