//! `unlink`: cuts a link.

use reqwest::Method;

use super::Asking;
use super::client::escaped;
use super::failure::Failure;
use super::screen::Screen;

/// Cut the link with a neighbour
#[derive(Debug, clap::Args)]
pub(super) struct Unlink {
    /// The neighbour's name or id; for a link that is not established yet, its address
    #[arg(value_name = "NODE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    neighbour: String,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Unlink {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let path = format!("/v1/links/{}", escaped(&self.neighbour));
        client.ask(client.request(Method::DELETE, &path)).await?;
        if self.asking.json {
            let answer = serde_json::json!({ "node": self.neighbour, "unlinked": true });
            return screen.line(&answer.to_string());
        }
        screen.note(&format!("cut the link with {}", self.neighbour));
        Ok(())
    }
}
