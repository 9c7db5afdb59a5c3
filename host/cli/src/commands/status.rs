//! `status`: shows the status of a node.

use dataverse_core::plural::plural;
use reqwest::Method;

use super::Asking;
use super::answers::{self, Total};
use super::client::understood;
use super::failure::Failure;
use super::screen::{Screen, ago, size};
use super::scrub;

/// Show the status of a node
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    pub(super) asking: Asking,
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

fn rows(status: answers::StatusAnswer) -> Vec<Vec<String>> {
    let files = |count: u64| plural(count, "file", "files");
    let total = |total: Total| files(total.files) + ", " + &size(total.bytes);
    let repair = match (status.repair.waiting.files, status.repair.letting_go) {
        (0, 0) => "nothing to do".to_owned(),
        (waiting, letting_go) => format!(
            "{}, {}, to copy; {} to release",
            files(waiting),
            size(status.repair.waiting.bytes),
            plural(letting_go, "replica", "replicas")
        ),
    };
    let repaired = format!(
        "{}, {} since the node started",
        plural(status.repair.copies, "copy", "copies"),
        size(status.repair.bytes)
    );
    let drain = match (status.drain.draining, status.drain.drained) {
        (false, _) => "no".to_owned(),
        (true, false) => format!("in progress, {} left", files(status.drain.left.files)),
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
        ("upkeep", upkeep_of(&status.upkeep)),
        ("drain", drain),
    ]
    .into_iter()
    .chain(status.scrub.as_ref().map(|it| ("scrub", scrub_of(it))))
    .chain(status.silent.iter().map(|it| ("silent", silent_of(it))))
    .chain(status.problems.into_iter().map(|it| ("problem", it.detail)))
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect()
}

/// The kinds of upkeep of which there is something to do.
fn upkeep_of(kinds: &[answers::Upkeep]) -> String {
    let busy = kinds.iter().filter(|it| it.waiting + it.active > 0);
    let busy = busy.map(|it| {
        format!(
            "{} {} ({} under way)",
            it.waiting + it.active,
            it.kind,
            it.active
        )
    });
    match busy.collect::<Vec<_>>().join(", ") {
        nothing if nothing.is_empty() => "nothing to do".to_owned(),
        busy => busy,
    }
}

/// A node that is not heard from, for how long, and why.
fn silent_of(silent: &answers::Silent) -> String {
    let name = match silent.node.as_str() {
        "" => silent.address.clone(),
        name => format!("{name} at {}", silent.address),
    };
    let error = silent.last_error.as_ref();
    let error = error.map_or(String::new(), |error| format!(": {error}"));
    let since = ago(silent.silent_for_s);
    format!("{name} ({}) for {since}{error}", silent.state)
}

/// The last scrub, and the state of bad copies.
fn scrub_of(scrub: &answers::Scrub) -> String {
    let missing = [
        (scrub.mending, "being restored"),
        (scrub.waiting, "waiting for a node with a good copy"),
        (scrub.lost_total, "lost"),
    ];
    let missing = missing.into_iter().filter(|(count, _)| *count > 0);
    let replicas = |count| plural(count, "replica", "replicas");
    let missing = missing.map(|(count, what)| format!(", {} {what}", replicas(count)));
    scrub::state(scrub) + &missing.collect::<String>()
}
