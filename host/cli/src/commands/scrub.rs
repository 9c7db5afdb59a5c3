//! `scrub`: makes a node verify all its content, or shows the progress.

use std::time::Duration;

use dataverse_core::plural::plural;
use reqwest::Method;

use super::Asking;
use super::answers;
use super::client::{Client, understood};
use super::failure::{Exit, Failure};
use super::progress::Progress;
use super::screen::{Screen, size};

/// How often the progress is queried.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Verify all content of a node, or show the progress
///
/// Reads every copy on the node and compares it with its digest, at the rate of `scrub.bytes_per_second`. A bad
/// replica is quarantined and restored from another node. Starts a scrub unless one is in progress, and shows its
/// state. Files of which no good copy is left are listed; with --wait the command then exits with 1.
#[derive(Debug, clap::Args)]
pub(super) struct Scrub {
    /// Only show the state, don't start a scrub
    #[arg(long, conflicts_with = "wait")]
    status: bool,
    /// Wait until everything is verified and every bad replica that can be is restored
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

/// Reports whether a scrub was started or was already in progress.
fn began(scrub: &answers::Scrub) -> String {
    match scrub.joined {
        Some(true) => "a scrub is already in progress; no new one was started".to_owned(),
        _ => "a scrub was started; `dataverse scrub --status` shows its progress".to_owned(),
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
        ("restored", plural(scrub.mended, "replica", "replicas")),
    ];
    let some = [
        ("being restored", scrub.mending, ("replica", "replicas")),
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
            "lost: {unlisted} more files that the node does not list"
        ));
    }
    Ok(())
}

/// The progress of a scrub, or when the last one ended.
pub(super) fn state(scrub: &answers::Scrub) -> String {
    if scrub.running {
        let percent = (scrub.bytes_done * 100).checked_div(scrub.bytes_total);
        return format!("in progress, {} %", percent.unwrap_or(100));
    }
    let Some(ended) = scrub.ended else {
        return "never".to_owned();
    };
    let ended = std::time::UNIX_EPOCH + Duration::from_millis(ended);
    let ago = ended.elapsed().unwrap_or_default();
    format!("ended {} ago", indicatif::HumanDuration(ago))
}
