//! `policy promote`: puts a shadow in charge.

use dataverse_core::policy::Kind;

use super::change::Change;
use super::everywhere::Reach;
use super::kind_of;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;

/// Put the shadow of a kind in charge
#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    /// What it decides: placement, eviction or relocation
    #[arg(value_name = "KIND", value_parser = kind_of)]
    kind: Kind,
    #[command(flatten)]
    reach: Reach,
}

impl Promote {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        self.reach.make(&Change::Promote(self.kind), screen).await
    }
}
