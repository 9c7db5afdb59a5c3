//! `scrub`: has a node check all its content, or shows how far it is.

use std::time::Duration;

use dataverse_core::plural::plural;
use reqwest::Method;

use super::Asking;
use super::answers;
use super::client::{Client, understood};
use super::failure::{Exit, Failure};
use super::progress::Progress;
use super::screen::{Screen, size};

/// How often a node is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Have a node check all its content, or show how far it is
///
/// Every copy on the node is read and compared with its digest, at the pace that `scrub.bytes_per_second` sets. A
/// bad replica is put aside and made good from another node. Begins such a check unless one is under way, and shows
/// it. Files of which no good copy is left are listed; with --wait the command then exits with 1.
#[derive(Debug, clap::Args)]
pub(super) struct Scrub {
    /// Begin nothing, only show
    #[arg(long, conflicts_with = "wait")]
    status: bool,
    /// Wait until everything is checked and what can be is made good
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Scrub {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let method = if self.status {
            Method::GET
        } else {
            Method::POST
        };
        let mut text = ask(&client, method).await?;
        if !self.status && !self.asking.json {
            let asked: answers::Scrub = understood(&text)?;
            screen.note(&began(&asked));
        }
        if self.wait {
            text = wait(&client, text, screen.bars).await?;
        }
        let scrub: answers::Scrub = understood(&text)?;
        let is_lost = self.wait && scrub.lost_total > 0;
        if self.asking.json {
            screen.line(text.trim_end())?;
        } else {
            show(scrub, screen)?;
        }
        if is_lost {
            return Err(Failure::Told(Exit::Refused));
        }
        Ok(())
    }
}

/// Whether a check was begun, or the one under way is shown.
fn began(scrub: &answers::Scrub) -> String {
    match scrub.joined {
        Some(true) => "a check is under way already; nothing new was begun".to_owned(),
        _ => "a check was begun; `dataverse scrub --status` shows it without beginning one"
            .to_owned(),
    }
}

async fn ask(client: &Client, method: Method) -> Result<String, Failure> {
    client.ask_text(client.request(method, "/v1/scrub")).await
}

async fn wait(client: &Client, mut text: String, drawn: bool) -> Result<String, Failure> {
    let mut scrub: answers::Scrub = understood(&text)?;
    let mut progress = Progress::of("checking", Some(scrub.bytes_total), drawn);
    progress.begin_at(scrub.bytes_done);
    let mut done = scrub.bytes_done;
    while scrub.running || scrub.mending > 0 {
        tokio::time::sleep(LOOK_EVERY).await;
        text = ask(client, Method::GET).await?;
        scrub = understood(&text)?;
        progress.advance(scrub.bytes_done.saturating_sub(done));
        done = done.max(scrub.bytes_done);
    }
    Ok(text)
}

fn show(scrub: answers::Scrub, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let mut rows = vec![
        ("scrub", state(&scrub)),
        (
            "checked",
            format!(
                "{} of {}, {} of {}",
                scrub.files_done,
                plural(scrub.files_total, "file", "files"),
                size(scrub.bytes_done),
                size(scrub.bytes_total)
            ),
        ),
        ("bad", plural(scrub.bad, "copy", "copies")),
        ("made good", plural(scrub.mended, "replica", "replicas")),
    ];
    let some = [
        ("being made good", scrub.mending, ("replica", "replicas")),
        ("waiting for a node", scrub.waiting, ("replica", "replicas")),
        ("unreadable", scrub.unreadable, ("copy", "copies")),
        ("lost", scrub.lost_total, ("file", "files")),
    ];
    let some = some.into_iter().filter(|(_, count, _)| *count > 0);
    rows.extend(some.map(|(name, count, (one, many))| (name, plural(count, one, many))));
    let rows = rows.into_iter();
    screen.table(
        &[],
        rows.map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    )?;
    for key in &scrub.lost {
        screen.note(&format!("lost: {key}"));
    }
    let unlisted = scrub.lost_total.saturating_sub(scrub.lost.len() as u64);
    if unlisted > 0 {
        screen.note(&format!(
            "lost: {unlisted} more, which the node does not list"
        ));
    }
    Ok(())
}

/// What a scrub is doing, or when the last one ended.
pub(super) fn state(scrub: &answers::Scrub) -> String {
    if scrub.running {
        let percent = (scrub.bytes_done * 100).checked_div(scrub.bytes_total);
        return format!("under way, {} %", percent.unwrap_or(100));
    }
    let Some(ended) = scrub.ended else {
        return "never".to_owned();
    };
    let ended = std::time::UNIX_EPOCH + Duration::from_millis(ended);
    let ago = ended.elapsed().unwrap_or_default();
    format!("ended {} ago", indicatif::HumanDuration(ago))
}
