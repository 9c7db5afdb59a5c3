//! `link`: links two nodes.

use dataverse_core::address;
use reqwest::{Method, header};

use super::Asking;
use super::client::pairs;
use super::failure::Failure;
use super::screen::Screen;

/// Link two nodes
///
/// With one address, the asked node links with the node at that address; with two, those two nodes link with each
/// other. An address is HOST:PORT, where the node listens for other nodes (grpc=… in its ready line).
#[derive(Debug, clap::Args)]
pub(super) struct Link {
    /// A node's address
    #[arg(value_name = "ADDR", value_parser = address::of_a_node)]
    address: String,
    /// The other node's address
    #[arg(value_name = "ADDR", value_parser = address::of_a_node)]
    other: Option<String>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Link {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let addresses: Vec<&String> = [&self.address].into_iter().chain(&self.other).collect();
        let (request, done) = match &self.other {
            None => {
                let body = serde_json::json!({ "address": self.address });
                let request = client.request(Method::POST, "/v1/links").json(&body);
                (request, format!("linked with {}", self.address))
            }
            Some(other) => {
                let request = client
                    .request(Method::POST, "/config")
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form(&self.address, other)?);
                (request, format!("linked {} and {other}", self.address))
            }
        };
        let text = client.ask_text(request).await?;
        if self.asking.json {
            let plain = serde_json::json!({ "linked": addresses }).to_string();
            return screen.line(match text.trim() {
                // Earlier releases answer with an empty body when two addresses are given.
                "" => &plain,
                answer => answer,
            });
        }
        screen.note(&done);
        Ok(())
    }
}

fn form(a: &str, b: &str) -> Result<String, Failure> {
    let (ip1, port1) = address::host_and_port(a).map_err(Failure::Usage)?;
    let (ip2, port2) = address::host_and_port(b).map_err(Failure::Usage)?;
    Ok(pairs(&[
        ("IP1", ip1),
        ("PORT1", &port1.to_string()),
        ("IP2", ip2),
        ("PORT2", &port2.to_string()),
    ]))
}
