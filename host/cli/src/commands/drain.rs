//! `drain` and `undrain`: empties a node so that it can be stopped permanently, or cancels that.

use std::time::Duration;

use dataverse_core::plural::plural;
use reqwest::Method;

use super::Asking;
use super::answers::{Drained, Member};
use super::client::{Client, understood};
use super::failure::Failure;
use super::member::{at_member, member_named};
use super::progress::Progress;
use super::screen::{Screen, size};

/// How often the progress is queried.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Move all replicas off a node, then report that it can be stopped
///
/// The node takes no new replicas meanwhile, and draining continues if the node restarts. Refused if the other
/// nodes have too little space, or if a file would be left with fewer copies.
#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// The node's name or id
    #[arg(value_name = "NODE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    member: String,
    /// Return at once; draining continues in the background
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// Cancel draining, so that the node takes replicas again
#[derive(Debug, clap::Args)]
pub(super) struct Undrain {
    /// The node's name or id
    #[arg(value_name = "NODE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    member: String,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Drain {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let asked = self.asking.client()?;
        let member = member_named(&asked, &self.member).await?;
        let (mut text, mut drained) = ask(Method::POST, &asked, &member).await?;
        if !self.no_wait && !drained.drained {
            let files = drained.left.files;
            let name = format!("draining {}", member.name);
            let mut progress = Progress::of_steps(&name, Some(files), !self.asking.json);
            while !drained.drained {
                tokio::time::sleep(LOOK_EVERY).await;
                (text, drained) = ask(Method::GET, &asked, &member).await?;
                if !drained.draining {
                    return Err(Failure::refused(format!(
                        "draining {} was cancelled by another request",
                        member.name
                    )));
                }
                progress.reach(files.saturating_sub(drained.left.files));
            }
        }
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        let name = &member.name;
        screen.line(&match drained.drained {
            true => format!("{name} no longer holds any replicas and can be stopped"),
            false => format!(
                "{name} is draining: {}, {} left",
                plural(drained.left.files, "file", "files"),
                size(drained.left.bytes)
            ),
        })
    }
}

impl Undrain {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let asked = self.asking.client()?;
        let member = member_named(&asked, &self.member).await?;
        let (text, _) = ask(Method::DELETE, &asked, &member).await?;
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        screen.line(&format!("{} takes replicas again", member.name))
    }
}

/// Sends the request to the member itself.
async fn ask(
    method: Method,
    asked: &Client,
    member: &Member,
) -> Result<(String, Drained), Failure> {
    let text = at_member(member, asked, async |client| {
        client.ask_text(client.request(method, "/v1/drain")).await
    });
    let text = text.await?;
    let drained = understood(&text)?;
    Ok((text, drained))
}
