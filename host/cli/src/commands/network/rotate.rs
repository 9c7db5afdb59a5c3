//! `network rotate`: replaces the authority's key.

use dataverse_identity::limits::ROTATION_OVERLAP_S;
use dataverse_overlay::clock::system_seconds;

use super::{Place, seconds};
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Replace the authority's key
///
/// Nodes that hear of it renew their certificates at once. The old key still counts for a while, for nodes that are
/// switched off; one that is off for longer joins again with a ticket. Tickets made before do not work any more.
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// For how long the old key still counts [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    overlap: Option<u64>,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Rotate {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let authority = self.place.authority()?;
        let overlap_s = self.overlap.unwrap_or(ROTATION_OVERLAP_S);
        let new = authority
            .rotate(overlap_s, system_seconds())
            .map_err(Failure::refused)?;
        if self.place.json {
            let text = serde_json::json!({
                "authority": new.fingerprint().to_string(),
                "generation": new.generation(),
                "overlap_s": overlap_s,
            });
            return screen.line(&format!("{text:#}"));
        }
        screen.line(&format!("authority {}", new.fingerprint()))?;
        screen.note("make a new copy of the folder of the authority, and new tickets");
        Ok(())
    }
}
