//! A lock: whoever creates the file holds it.
//!
//! ```text
//! cargo run --example lock -- http://127.0.0.1:8080 ada/lock sleep 5
//! ```
//!
//! Takes the lock, runs the command and gives the lock back. Of any number of programs that do this at the same time,
//! on any nodes, one runs its command and the others wait. The lock has no expiry: if its holder dies, someone has to
//! delete the file. `leader` shows a lease, which expires.

use std::time::Duration;

use reqwest::{Client, StatusCode};

const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A lock that is held.
pub(crate) struct Held {
    url: String,
    /// The entity tag of what this holder wrote. No other holder has the same.
    tag: String,
}

/// Tries to take the lock. `None` if somebody else holds it, or if it is not known whether this try succeeded: try
/// again with the same word.
///
/// `word` is this holder's alone, and the content of the file. So if a try succeeded without an answer, the next one
/// finds its own word there and holds the lock.
///
/// # Errors
/// When the node can't be reached.
pub(crate) async fn take(
    client: &Client,
    node: &str,
    key: &str,
    word: &str,
) -> anyhow::Result<Option<Held>> {
    let url = format!("{node}/v1/files/{key}");
    let tag = format!("\"{}\"", blake3::hash(word.as_bytes()).to_hex());
    let put = client.put(&url).header("If-None-Match", "*");
    let answer = put.body(word.to_owned()).send().await?;
    let is_own = answer.status() == StatusCode::PRECONDITION_FAILED
        && answer.headers().get("etag").is_some_and(|it| *it == *tag);
    let is_held = answer.status().is_success() || is_own;
    Ok(is_held.then_some(Held { url, tag }))
}

impl Held {
    /// Gives the lock back. False if it is no longer this holder's: somebody has deleted the file.
    ///
    /// # Errors
    /// When the node can't be reached, or can't decide (503).
    pub(crate) async fn give_back(self, client: &Client) -> anyhow::Result<bool> {
        let delete = client.delete(&self.url).header("If-Match", self.tag);
        match delete.send().await?.error_for_status() {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(StatusCode::PRECONDITION_FAILED) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[allow(dead_code, reason = "the tests use the functions above")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [node, key, program, rest @ ..] = &arguments[..] else {
        anyhow::bail!("usage: lock NODE KEY COMMAND...");
    };
    let client = Client::new();
    let word = format!("{:032x}\n", rand::random::<u128>());
    let held = loop {
        match take(&client, node, key, &word).await {
            Ok(Some(held)) => break held,
            Ok(None) => {}
            Err(error) => eprintln!("{error:#}"),
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    };
    let status = std::process::Command::new(program).args(rest).status();
    if !held.give_back(&client).await? {
        eprintln!("the lock was taken away meanwhile");
    }
    std::process::exit(status?.code().unwrap_or(1));
}
