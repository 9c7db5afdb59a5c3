//! `network create`: makes the key of a network.

use dataverse_identity::authority_folder::AuthorityFolder;
use dataverse_overlay::clock::system_seconds;

use super::Place;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Make the authority of a new network
///
/// Keep its folder safe and make a copy of it: whoever has it decides who belongs to the network. Then start the first
/// node with --authority DIR.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// The name of the network
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Create {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let path = self.place.path()?;
        let made = AuthorityFolder::create(&path, &self.name, system_seconds())
            .map_err(Failure::refused)?;
        let authority = made.authority().map_err(Failure::refused)?;
        let (certificate, path) = (authority.certificate(), path.display());
        if self.place.json {
            return screen.line(&format!(
                "{:#}",
                serde_json::json!({
                    "network": self.name,
                    "dir": path.to_string(),
                    "authority": certificate.fingerprint().to_string(),
                })
            ));
        }
        screen.line(&format!("network {} created in {path}", self.name))?;
        screen.line(&format!("authority {}", certificate.fingerprint()))?;
        screen.note(&format!(
            "start its first node with: dataverse node --authority {path}\nkeep a copy of that folder in a safe place"
        ));
        Ok(())
    }
}
