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

/// Takes the lock; `None` if somebody else holds it, or if nobody can tell (503), since nothing is written then.
///
/// # Errors
/// When the node can't be reached.
pub(crate) async fn take(client: &Client, node: &str, key: &str) -> anyhow::Result<Option<Held>> {
    let url = format!("{node}/v1/files/{key}");
    // The content is this holder's alone. So if the connection breaks and the request is sent again, `200 unchanged`
    // means that the first one succeeded.
    let holder = format!("{:032x}\n", rand::random::<u128>());
    let request = || {
        client
            .put(&url)
            .header("If-None-Match", "*")
            .body(holder.clone())
    };
    let answer = match request().send().await {
        Ok(answer) => answer,
        Err(_) => request().send().await?,
    };
    Ok(answer.status().is_success().then(|| Held {
        url,
        tag: format!("\"{}\"", blake3::hash(holder.as_bytes()).to_hex()),
    }))
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
    let held = loop {
        if let Some(held) = take(&client, node, key).await? {
            break held;
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    };
    let status = std::process::Command::new(program).args(rest).status();
    if !held.give_back(&client).await? {
        eprintln!("the lock was taken away meanwhile");
    }
    std::process::exit(status?.code().unwrap_or(1));
}
