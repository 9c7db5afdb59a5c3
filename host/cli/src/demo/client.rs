//! The demo's client: talks to the nodes over HTTP, as any client does.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::Value;

/// How long the network may take to reach an expected state.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one node.
#[derive(Clone)]
pub(super) struct Voice {
    client: Client,
    base: String,
}

/// The result of a read.
pub(super) struct Read {
    pub(super) source: String,
    pub(super) hops: u32,
    pub(super) body: Vec<u8>,
    pub(super) took: Duration,
}

impl Voice {
    pub(super) fn of(http: std::net::SocketAddr) -> Self {
        // The client only talks to this machine, so it ignores any proxy in the environment.
        let client = Client::builder().no_proxy().build();
        Self {
            client: client.expect("a client without TLS can be made"),
            base: format!("http://{http}"),
        }
    }

    pub(super) async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let response = self.client.get(format!("{}{path}", self.base)).send();
        let response = response.await?.error_for_status()?;
        Ok(response.json().await?)
    }

    pub(super) async fn put_json(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.client.put(format!("{}{path}", self.base)).json(body);
        answered(request.send().await?).await
    }

    pub(super) async fn post(&self, path: &str) -> anyhow::Result<()> {
        let request = self.client.post(format!("{}{path}", self.base));
        answered(request.send().await?).await
    }

    pub(super) async fn link(&self, address: &str) -> anyhow::Result<()> {
        let request = self
            .client
            .post(format!("{}/v1/links", self.base))
            .json(&serde_json::json!({ "address": address }));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    pub(super) async fn unlink(&self, node: &str) -> anyhow::Result<()> {
        let request = self.client.delete(format!("{}/v1/links/{node}", self.base));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Uploads a file and returns the names of the nodes that hold it.
    pub(super) async fn upload(
        &self,
        key: &str,
        content: Vec<u8>,
        factor: u32,
    ) -> anyhow::Result<Vec<String>> {
        let request = self
            .client
            .put(format!("{}/v1/files/{key}", self.base))
            .header("Dataverse-Factor", factor)
            .body(content);
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        let replicas = answer["replicas"].as_array().context("no replicas named")?;
        let names = replicas.iter().filter_map(Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    pub(super) async fn read(&self, key: &str) -> anyhow::Result<Read> {
        let began = Instant::now();
        let request = self.client.get(format!("{}/v1/files/{key}", self.base));
        let response = request.send().await?.error_for_status()?;
        let header = |name: &str| -> anyhow::Result<String> {
            let value = response
                .headers()
                .get(name)
                .context("a header is missing")?;
            Ok(value.to_str()?.to_owned())
        };
        let (source, hops) = (header("dataverse-source")?, header("dataverse-hops")?);
        Ok(Read {
            source,
            hops: hops.parse()?,
            body: response.bytes().await?.to_vec(),
            took: began.elapsed(),
        })
    }
}

/// Turns a refusal into an error with the node's own words.
async fn answered(response: reqwest::Response) -> anyhow::Result<()> {
    let status = response.status();
    let words = response.text().await?;
    ensure!(status.is_success(), "{status}: {words}");
    Ok(())
}

/// Waits until the condition holds and returns how long that took.
pub(super) async fn until(
    what: &str,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while !holds().await? {
        ensure!(began.elapsed() < PATIENCE, "timed out waiting for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(began.elapsed())
}
