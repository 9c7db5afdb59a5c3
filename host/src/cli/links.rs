//! `links`: lists a node's links.

use reqwest::Method;

use super::Asking;
use super::answers;
use super::client::understood;
use super::failure::Failure;
use super::screen::Screen;

/// List the links of a node
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
            screen.note("no links; `dataverse link ADDR` makes one");
            return Ok(());
        }
        let rows = links
            .into_iter()
            .map(|link| vec![link.node, link.address, link.state]);
        screen.table(&["node", "address", "state"], rows.collect())
    }
}
