//! Finds members of the network through the node that is asked first, and sends requests to them.

use std::net::SocketAddr;

use dataverse_core::address::host_and_port;
use reqwest::Method;

use super::answers::{Member, StatusAnswer};
use super::client::{Client, understood};
use super::failure::Failure;

/// The live members, the asked node first, then by distance and name; and the others.
pub(super) async fn members(asked: &Client) -> Result<(Vec<Member>, Vec<Member>), Failure> {
    let text = asked
        .ask_text(asked.request(Method::GET, "/v1/nodes"))
        .await?;
    let mut members: Vec<Member> = understood(&text)?;
    members.sort_by(|a, b| {
        let rank = |member: &Member| member.hops.unwrap_or(u32::MAX);
        (rank(a), &a.name, &a.id).cmp(&(rank(b), &b.name, &b.id))
    });
    let alive = |member: &Member| member.state == "alive";
    Ok(members.into_iter().partition(alive))
}

/// The member with this name or id. If several have the name, live ones take precedence.
pub(super) async fn member_named(asked: &Client, name: &str) -> Result<Member, Failure> {
    let (alive, away) = members(asked).await?;
    let is_meant = |member: &Member| member.name == name || member.id == name;
    let of_alive: Vec<Member> = alive.into_iter().filter(is_meant).collect();
    let mut meant = match of_alive.is_empty() {
        true => away.into_iter().filter(is_meant).collect(),
        false => of_alive,
    };
    match (meant.pop(), meant.pop()) {
        (None, _) => Err(Failure::refused(format!(
            "no member is named {name}; see `dataverse nodes`"
        ))),
        (Some(only), None) => Ok(only),
        (Some(one), Some(other)) => Err(Failure::refused(format!(
            "several members are named {name}, for example {} and {}; use the id",
            one.id, other.id
        ))),
    }
}

/// Sends a request to a member.
pub(super) async fn at_member<T>(
    member: &Member,
    asked: &Client,
    ask: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if member.hops == Some(0) {
        return ask(asked).await;
    }
    let client = Client::new(&http_of(member))?;
    // A loopback address, or one that is reused, may belong to another node than the intended one.
    let text = client
        .ask_text(client.request(Method::GET, "/v1/status"))
        .await?;
    let answers: StatusAnswer = understood(&text)?;
    if answers.id != member.id {
        return Err(Failure::Unreachable(format!(
            "from here, {}'s address {} leads to another node, {}; set --node to an HTTP address at which {} can be \
             reached",
            member.name, member.http, answers.name, member.name
        )));
    }
    ask(&client).await
}

/// The address at which a member answers HTTP. If it listens on all addresses of its machine, the host is the one
/// at which other nodes reach it.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(http: &str, address: &str, expected: &str) {
        let member = json!({
            "name": "A", "id": "1", "address": address, "http": http, "zone": "", "hops": 1,
            "capacity": 0, "free": 0, "load": 0, "state": "alive",
        });
        let member = serde_json::from_value(member).expect("a valid member");
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
