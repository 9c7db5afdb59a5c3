//! `policy remove`: takes a policy out of a node's folder.

use dataverse_node::policies::name::PolicyName;
use reqwest::Method;

use crate::commands::Asking;
use crate::commands::client::escaped;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

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
