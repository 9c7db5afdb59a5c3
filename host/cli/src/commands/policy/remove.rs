//! `policy remove`: removes a policy from a node's policies folder.

use dataverse_node::policies::name::PolicyName;
use reqwest::Method;

use crate::commands::Asking;
use crate::commands::client::escaped;
use crate::commands::failure::Failure;
use crate::commands::screen::Screen;

/// Remove a policy from a node
///
/// Refused if the policy is active or a shadow.
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The policy's name
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
            let answer = serde_json::json!({ "name": self.name.as_str(), "removed": true });
            return screen.line(&answer.to_string());
        }
        screen.note(&format!("removed {}", self.name));
        Ok(())
    }
}
