//! A counter: read it, and replace it only if it is still what was read.
//!
//! ```text
//! cargo run --example counter -- http://127.0.0.1:8080 ada/visits
//! ```
//!
//! Adds 1 and prints the sum. Of any number of programs that do this at the same time, on any nodes, each gets a sum
//! of its own. If a write ends without a clear answer, the program fails and says so: it may have been counted.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, StatusCode};

const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Adds 1 and returns the sum.
///
/// # Errors
/// When the node can't be reached, or the file is not a counter.
pub(crate) async fn add_one(client: &Client, node: &str, key: &str) -> anyhow::Result<u64> {
    let url = format!("{node}/v1/files/{key}");
    loop {
        let read = client.get(format!("{url}?consistency=newest"));
        let read = read.send().await?;
        // The count, and the condition under which the next one replaces it.
        let (count, condition, value) = match read.status() {
            StatusCode::OK => {
                let tag = read.headers()["etag"].to_str()?.to_owned();
                let text = read.text().await?;
                let count = text.split_whitespace().next();
                let count = count.and_then(|count| count.parse().ok());
                (count.context("the file is not a counter")?, "If-Match", tag)
            }
            StatusCode::NOT_FOUND => (0, "If-None-Match", "*".to_owned()),
            _ => {
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
                continue;
            }
        };
        let sum: u64 = count + 1;
        let put = client.put(&url).header(condition, value);
        // No two programs write the same content: to write what is there already succeeds, whoever wrote it.
        let mine: u64 = rand::random();
        let answer = put.body(format!("{sum} {mine:016x}\n")).send().await;
        let answer = answer.context("it is not known whether this was counted")?;
        match answer.status() {
            status if status.is_success() => return Ok(sum),
            StatusCode::PRECONDITION_FAILED => {}
            status => anyhow::bail!("it is not known whether this was counted: {status}"),
        }
        // Somebody else was first, and nothing was written.
        tokio::time::sleep(TRY_AGAIN_AFTER.mul_f64(rand::random())).await;
    }
}

#[allow(dead_code, reason = "the tests use the function above")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [node, key] = &arguments[..] else {
        anyhow::bail!("usage: counter NODE KEY");
    };
    println!("{}", add_one(&Client::new(), node, key).await?);
    Ok(())
}
