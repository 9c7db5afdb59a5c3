//! `network revoke`: a node does not belong to the network any more.

use dataverse_overlay::clock::system_seconds;

use super::Place;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Revoke a node, which no other node talks to from then on
///
/// A node that runs with the authority's folder tells all others. It can't be undone; start the machine with a fresh data
/// folder to let it join again.
#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// The node's name or id
    #[arg(value_name = "NODE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    node: String,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Revoke {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let authority = self.place.authority()?;
        let revoked = authority.revoke(&self.node, system_seconds());
        let (id, is_new) = revoked.map_err(Failure::refused)?;
        if self.place.json {
            let text = serde_json::json!({ "id": id.to_string(), "was_revoked_before": !is_new });
            return screen.line(&format!("{text:#}"));
        }
        screen.line(&match is_new {
            true => format!("node {} ({id}) is revoked", self.node),
            false => format!("node {} ({id}) was revoked before", self.node),
        })
    }
}
