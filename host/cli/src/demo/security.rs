//! The authority of a demo network: made for the first node, which then answers the tickets of the others.

use std::path::PathBuf;

use anyhow::Context;
use dataverse_identity::authority_folder::{AuthorityFolder, Terms};
use dataverse_identity::limits::INVITATION_VALID_S;
use dataverse_identity::ticket::Ticket;
use dataverse_overlay::clock::system_seconds;

use super::story::Story;

/// The authority of a demo network.
pub(super) struct DemoAuthority {
    folder: PathBuf,
}

impl DemoAuthority {
    /// The authority in this folder; it is made if there is none.
    pub(super) async fn create(folder: PathBuf, story: &mut Story) -> anyhow::Result<Self> {
        story.step("Make a network of which each node has a certificate");
        let place = folder.clone();
        let made = tokio::task::spawn_blocking(move || match AuthorityFolder::open(&place) {
            Ok(authority) => Ok(authority),
            Err(_) => AuthorityFolder::create(&place, "demo", system_seconds()),
        });
        let authority = made.await?.context("making the authority")?.authority()?;
        story.tell(&format!(
            "authority {}",
            authority.certificate().fingerprint()
        ));
        Ok(Self { folder })
    }

    /// Where its key is.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// A ticket for one more node, to be used at the node at this address.
    pub(super) async fn ticket(&self, address: &str) -> anyhow::Result<Ticket> {
        let (folder, address) = (self.folder.clone(), address.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let authority = AuthorityFolder::open(&folder)?;
            let terms = Terms {
                name: None,
                zone: None,
                valid_s: INVITATION_VALID_S,
                uses: 1,
            };
            let secret = authority.invite(terms, system_seconds())?;
            let key = authority.authority()?;
            Ticket::new(&address, key.certificate(), secret).map_err(anyhow::Error::msg)
        });
        made.await?.context("making a ticket")
    }
}
