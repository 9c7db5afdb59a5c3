//! `policy remove`: takes a policy out of a node's folder.

use reqwest::Method;

use crate::cli::Asking;
use crate::cli::client::escaped;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::policies::name::PolicyName;

/// Take a policy out of a node's folder
///
/// One that decides, or is a shadow, is refused.
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The policy
    #[arg(value_name = "NAME", value_parser = PolicyName::said)]
    name: PolicyName,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Remove {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let path = format!("/v1/policies/files/{}", escaped(self.name.as_str()));
        client.ask(client.request(Method::DELETE, &path)).await?;
        if self.asking.json {
            let told = serde_json::json!({ "name": self.name.as_str(), "removed": true });
            return screen.line(&told.to_string());
        }
        screen.note(&format!("removed {}", self.name));
        Ok(())
    }
}
