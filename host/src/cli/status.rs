//! `status`: what a node says of itself.

use reqwest::Method;

use super::Asking;
use super::answers::{self, Total};
use super::client::understood;
use super::failure::Failure;
use super::screen::{Screen, size};

/// Show what a node says of itself
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    asking: Asking,
}

impl Status {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let text = client
            .ask_text(client.request(Method::GET, "/v1/status"))
            .await?;
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        screen.table(&[], rows(understood(&text)?))
    }
}

fn rows(status: answers::Status) -> Vec<Vec<String>> {
    let total = |total: Total| format!("{} files, {}", total.files, size(total.bytes));
    let repair = match (status.repair.waiting.files, status.repair.letting_go) {
        (0, 0) => "nothing to do".to_owned(),
        (files, letting_go) => format!(
            "{files} files, {} wait; {letting_go} replicas are to go",
            size(status.repair.waiting.bytes)
        ),
    };
    let repaired = format!(
        "{} copies, {} since it started",
        status.repair.copies,
        size(status.repair.bytes)
    );
    let drain = match (status.drain.draining, status.drain.drained) {
        (false, _) => "no".to_owned(),
        (true, false) => format!("under way, {} files are left", status.drain.left.files),
        (true, true) => "done: the node can be stopped".to_owned(),
    };
    let uptime = std::time::Duration::from_secs(status.uptime_s);
    [
        ("name", status.name),
        ("id", status.id),
        ("network", status.network),
        ("version", status.version),
        ("uptime", indicatif::HumanDuration(uptime).to_string()),
        ("capacity", size(status.capacity)),
        ("free", size(status.free)),
        ("replicas", total(status.replicas)),
        ("cached", total(status.cached)),
        ("links", status.links.to_string()),
        ("repair", repair),
        ("repaired", repaired),
        ("drain", drain),
    ]
    .into_iter()
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect()
}
