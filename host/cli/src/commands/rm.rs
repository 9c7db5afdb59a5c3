//! `rm`: deletes files.

use dataverse_core::content::Digest;
use dataverse_core::key::Key;
use reqwest::{Method, header};
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
    /// Delete the file only if its content still has this digest, as `stat` prints it
    #[arg(long, value_name = "DIGEST")]
    if_digest: Option<Digest>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Rm {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        if self.if_digest.is_some() && self.keys.len() > 1 {
            return Err(Failure::Usage(
                "--if-digest applies to a single file; delete the files one by one".to_owned(),
            ));
        }
        let client = self.asking.client()?;
        let mut outcome = Outcome::default();
        for key in &self.keys {
            let mut request = client.file(Method::DELETE, key);
            if let Some(digest) = self.if_digest {
                request = request.header(header::IF_MATCH, format!("\"{digest}\""));
            }
            let done = client.ask(request).await;
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
