//! `network nodes`: lists the nodes to which the authority issued certificates.

use dataverse_overlay::clock::system_seconds;

use super::Place;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// List the nodes to which the authority issued certificates
#[derive(Debug, clap::Args)]
pub(super) struct Nodes {
    #[command(flatten)]
    pub(super) place: Place,
}

impl Nodes {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let authority = self.place.authority()?;
        let trust = authority.trust().map_err(Failure::refused)?;
        let mut nodes = authority.nodes().map_err(Failure::refused)?;
        nodes.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        let state = |id, expires| match () {
            () if trust.is_revoked(id) => "revoked",
            () if expires <= system_seconds() => "expired",
            () => "valid",
        };
        if self.place.json {
            let nodes = nodes.iter().map(|(id, node)| {
                serde_json::json!({
                    "name": node.name,
                    "id": id.to_string(),
                    "state": state(*id, node.expires),
                    "expires": node.expires,
                })
            });
            let nodes = serde_json::Value::Array(nodes.collect());
            return screen.line(&format!("{nodes:#}"));
        }
        let rows = nodes.iter().map(|(id, node)| {
            let days = node.expires.saturating_sub(system_seconds()) / (24 * 60 * 60);
            vec![
                node.name.clone(),
                id.to_string(),
                state(*id, node.expires).to_owned(),
                format!("{days} days"),
            ]
        });
        screen.table(&["name", "id", "certificate", "valid for"], rows.collect())
    }
}
