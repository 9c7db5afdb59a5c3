//! `rm`: deletes files.

use dataverse_core::key::Key;
use reqwest::Method;
use serde_json::json;

use super::Asking;
use super::failure::Failure;
use super::outcome::Outcome;
use super::screen::Screen;

/// Delete files
#[derive(Debug, clap::Args)]
pub(super) struct Rm {
    /// The files, as USER/NAME
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<Key>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Rm {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let mut outcome = Outcome::default();
        for key in &self.keys {
            let done = client.ask(client.file(Method::DELETE, key)).await;
            if self.asking.json {
                let json = match &done {
                    Ok(_) => Some(json!({ "key": key.as_str() })),
                    Err(failure) => failure.as_json(&[("key", key.as_str())]),
                };
                if let Some(mut json) = json {
                    json["deleted"] = done.is_ok().into();
                    screen.line(&json.to_string())?;
                }
            } else if done.is_ok() {
                screen.note(&format!("deleted {key}"));
            }
            outcome.take(done.map(drop), screen)?;
        }
        outcome.end()
    }
}
