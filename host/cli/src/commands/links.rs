//! `links`: lists a node's links.

use reqwest::Method;

use super::Asking;
use super::answers;
use super::client::understood;
use super::failure::Failure;
use super::screen::{Screen, ago};

/// List a node's links
#[derive(Debug, clap::Args)]
pub(super) struct Links {
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Links {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let text = client
            .ask_text(client.request(Method::GET, "/v1/links"))
            .await?;
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        let links: Vec<answers::Link> = understood(&text)?;
        if links.is_empty() {
            screen.note("no links; `dataverse link ADDR` creates one");
            return Ok(());
        }
        let mut notes = Vec::new();
        let mut rows = Vec::new();
        for link in links {
            if let Some(error) = link.last_error.filter(|_| link.state != "left") {
                let tries = match link.attempts {
                    1 => "1 try".to_owned(),
                    tries => format!("{tries} tries"),
                };
                notes.push(format!("{}: {tries} failed: {error}", link.address));
            }
            let name = match link.node.as_str() {
                "" => "-".to_owned(),
                name => name.to_owned(),
            };
            rows.push(vec![name, link.address, link.state, ago(link.silent_for_s)]);
        }
        screen.table(&["node", "address", "state", "silent for"], rows)?;
        notes.iter().for_each(|note| screen.note(note));
        Ok(())
    }
}
