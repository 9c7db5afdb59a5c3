//! `network invite`: prints a ticket, with which a new machine joins.

use dataverse_identity::authority_folder::Terms;
use dataverse_identity::limits::INVITATION_VALID_S;
use dataverse_identity::ticket::Ticket;
use dataverse_overlay::clock::system_seconds;

use super::{Place, seconds};
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Print a ticket with which a new machine joins the network
///
/// On that machine, `dataverse node --join TICKET` does the rest. Pass the ticket on like a password.
#[derive(Debug, clap::Args)]
pub(super) struct Invite {
    /// The name of the machine's node [default: the one that it asks for]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The zone that the machine is in
    #[arg(long)]
    zone: Option<String>,
    /// For how long the ticket can be used, such as 10m or 7d [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u64>,
    /// How many machines can join with it
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u32,
    /// The address of the node that issues certificates [default: that of the node that last ran with --authority]
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Invite {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let authority = self.place.authority()?;
        let recorded = authority.address().map_err(Failure::refused)?;
        let address = self.address.or(recorded).ok_or_else(|| {
            Failure::refused(
                "no node has run with this authority yet: start one with --authority first, or name its address with --address",
            )
        })?;
        let key = authority.authority().map_err(Failure::refused)?;
        let valid_s = self.expires.unwrap_or(INVITATION_VALID_S);
        let terms = Terms {
            name: self.name,
            zone: self.zone,
            valid_s,
            uses: self.uses,
        };
        dataverse_core::address::of_a_node(&address).map_err(Failure::Usage)?;
        let secret = authority
            .invite(terms, system_seconds())
            .map_err(Failure::refused)?;
        let ticket = Ticket::new(&address, key.certificate(), secret).map_err(Failure::Usage)?;
        if self.place.json {
            return screen.line(&format!(
                "{:#}",
                serde_json::json!({
                    "ticket": ticket.to_text(),
                    "address": address,
                    "expires_s": valid_s,
                    "uses": self.uses,
                })
            ));
        }
        screen.line(&ticket.to_text())?;
        screen.note(&format!(
            "on the new machine: dataverse node --join TICKET (through {address})"
        ));
        Ok(())
    }
}
