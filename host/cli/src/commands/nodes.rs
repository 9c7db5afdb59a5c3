//! `nodes`: lists the members of the network.

use reqwest::Method;

use super::Asking;
use super::answers::Member;
use super::client::understood;
use super::failure::Failure;
use super::screen::{Screen, ago, size};

/// List the members of the network that a node knows, itself included
#[derive(Debug, clap::Args)]
pub(super) struct Nodes {
    #[command(flatten)]
    pub(super) asking: Asking,
}

impl Nodes {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let client = self.asking.client()?;
        let text = client
            .ask_text(client.request(Method::GET, "/v1/nodes"))
            .await?;
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        let members: Vec<Member> = understood(&text)?;
        let head = [
            "name",
            "id",
            "address",
            "http",
            "zone",
            "hops",
            "capacity",
            "free",
            "load",
            "state",
            "silent for",
        ];
        screen.table(&head, members.into_iter().map(row).collect())
    }
}

fn row(member: Member) -> Vec<String> {
    vec![
        member.name,
        member.id,
        member.address,
        member.http,
        member.zone,
        member.hops.map_or("-".to_owned(), |hops| hops.to_string()),
        size(member.capacity),
        size(member.free),
        member.load.to_string(),
        member.state,
        ago(member.silent_for_s),
    ]
}
