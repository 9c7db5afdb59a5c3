//! Where a change is made: at the node that is asked, or at every member, one after the other.
//!
//! The first member that refuses or can't be reached ends it. Those before it keep what they have taken;
//! which ones they are is said, so that someone can go on or go back.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};

use super::change::{Change, Outcome};
use crate::cli::Asking;
use crate::cli::answers::{Member, Status};
use crate::cli::client::{Client, understood};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::config::address::host_and_port;

/// Which nodes a change is for.
#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// Change every member of the network, one after the other, until one refuses
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    asking: Asking,
}

/// What became of the members so far.
#[derive(Default)]
struct Rollout {
    rows: Vec<Vec<String>>,
    told: Vec<Value>,
    changed: Vec<String>,
}

impl Reach {
    /// Makes the change wherever it is for, and says who runs what.
    pub(super) async fn make(
        &self,
        change: &Change,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let asked = self.asking.client()?;
        if self.all {
            return self.everywhere(asked, change, screen).await;
        }
        let (text, outcome) = change.make(&asked).await?;
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        screen.table(&Outcome::HEAD, vec![outcome.into_row()])
    }

    async fn everywhere(
        &self,
        asked: Client,
        change: &Change,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let members = alive(&asked, screen).await?;
        let mut rollout = Rollout::default();
        let mut waiting = members.iter();
        let mut stopped = None;
        for member in waiting.by_ref() {
            match change_at(member, &asked, change).await {
                Ok((text, outcome)) => {
                    screen.note(&format!("{} has changed", member.name));
                    rollout.took(member, &text, outcome)?;
                }
                Err(failure) => {
                    rollout.refused(member, &failure);
                    stopped = Some((member, failure));
                    break;
                }
            }
        }
        let unasked: Vec<&Member> = waiting.collect();
        let changed = rollout.tell(self.asking.json, &unasked, screen)?;
        let Some((member, failure)) = stopped else {
            return Ok(());
        };
        let mut unchanged = vec![member.name.clone()];
        unchanged.extend(unasked.iter().map(|member| member.name.clone()));
        screen.note(&format!(
            "changed: {}; not changed: {}",
            listed(&changed),
            listed(&unchanged)
        ));
        Err(at(member, failure))
    }
}

impl Rollout {
    fn took(&mut self, member: &Member, text: &str, outcome: Outcome) -> Result<(), Failure> {
        let answer: Value = understood(text)?;
        self.told.push(json!({
            "node": member.name, "id": member.id, "changed": true, "answer": answer, "error": null,
        }));
        let mut row = vec![member.name.clone()];
        row.extend(outcome.into_row());
        self.rows.push(row);
        self.changed.push(member.name.clone());
        Ok(())
    }

    fn refused(&mut self, member: &Member, failure: &Failure) {
        self.told.push(json!({
            "node": member.name, "id": member.id, "changed": false, "answer": null,
            "error": failure.to_string(),
        }));
    }

    /// Prints who runs what, and returns who has changed.
    fn tell(
        mut self,
        json: bool,
        unasked: &[&Member],
        screen: &mut Screen<'_>,
    ) -> Result<Vec<String>, Failure> {
        if json {
            self.told.extend(unasked.iter().map(|member| {
                json!({
                    "node": member.name, "id": member.id, "changed": false, "answer": null,
                    "error": null,
                })
            }));
            screen.line(&Value::Array(self.told).to_string())?;
        } else if !self.rows.is_empty() {
            let head: Vec<&str> = ["node"].into_iter().chain(Outcome::HEAD).collect();
            screen.table(&head, self.rows)?;
        }
        Ok(self.changed)
    }
}

/// The members that live, the one that is asked first, then by distance and name.
async fn alive(asked: &Client, screen: &mut Screen<'_>) -> Result<Vec<Member>, Failure> {
    let text = asked
        .ask_text(asked.request(Method::GET, "/v1/nodes"))
        .await?;
    let members: Vec<Member> = understood(&text)?;
    let (mut alive, away): (Vec<_>, Vec<_>) = members
        .into_iter()
        .partition(|member| member.state == "alive");
    for member in away {
        screen.note(&format!(
            "{} is {} and stays as it is",
            member.name, member.state
        ));
    }
    alive.sort_by(|a, b| {
        let rank = |member: &Member| member.hops.unwrap_or(u32::MAX);
        (rank(a), &a.name, &a.id).cmp(&(rank(b), &b.name, &b.id))
    });
    Ok(alive)
}

async fn change_at(
    member: &Member,
    asked: &Client,
    change: &Change,
) -> Result<(String, Outcome), Failure> {
    if member.hops == Some(0) {
        return change.make(asked).await;
    }
    let client = Client::new(&http_of(member))?;
    // An address on loopback, or one that is reused, may lead to another node than is meant.
    let text = client
        .ask_text(client.request(Method::GET, "/v1/status"))
        .await?;
    let answers: Status = understood(&text)?;
    if answers.id != member.id {
        return Err(Failure::Unreachable(format!(
            "{} answers at its address {}; it can't be told from here what to do",
            answers.name, member.http
        )));
    }
    change.make(&client).await
}

/// Where a member answers HTTP: one that listens on every address of its machine is where other nodes
/// reach it.
fn http_of(member: &Member) -> String {
    let everywhere = member
        .http
        .parse::<SocketAddr>()
        .ok()
        .filter(|http| http.ip().to_canonical().is_unspecified());
    let host = host_and_port(&member.address).map(|(host, _)| host);
    match (everywhere, host) {
        (Some(http), Ok(host)) if host.contains(':') => format!("[{host}]:{}", http.port()),
        (Some(http), Ok(host)) => format!("{host}:{}", http.port()),
        _ => member.http.clone(),
    }
}

/// The failure, with the member's name before it.
fn at(member: &Member, failure: Failure) -> Failure {
    let named = |reason: &dyn std::fmt::Display| format!("{}: {reason}", member.name);
    match failure {
        Failure::Refused(error) => Failure::refused(named(&format_args!("{error:#}"))),
        Failure::Unreachable(reason) => Failure::Unreachable(named(&reason)),
        Failure::Usage(reason) => Failure::refused(named(&reason)),
        told @ (Failure::Told(_) | Failure::Closed) => told,
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(http: &str, address: &str, expected: &str) {
        let member = json!({
            "name": "A", "id": "1", "address": address, "http": http, "zone": "", "hops": 1,
            "capacity": 0, "free": 0, "load": 0, "state": "alive",
        });
        let member = serde_json::from_value(member).expect("it is a member");
        assert_eq!(http_of(&member), expected);
    }

    #[test]
    fn a_member_that_listens_everywhere_is_where_nodes_reach_it() {
        check("127.0.0.1:80", "10.0.0.1:7400", "127.0.0.1:80");
        check("0.0.0.0:80", "node.example:7400", "node.example:80");
        check("[::]:80", "[fd00::1]:7400", "[fd00::1]:80");
        check("0.0.0.0:80", "10.0.0.1:7400", "10.0.0.1:80");
    }
}
