//! `/v1/links` and `/config`: shows, makes and cuts links between nodes.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Form, FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use dataverse_node::driver::LinkView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::percent::decode;
use super::problem::{Problem, ProblemBody};
use super::{Site, target};

/// A link of this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Link {
    /// The neighbour's name.
    node: String,
    /// The address on which it listens for nodes.
    #[schema(example = "127.0.0.1:7401")]
    address: String,
    /// `up`; `down`: it does not answer; `left`: it was drained, announced that it leaves and stopped, so it is
    /// not expected back; `connecting`: the link was configured at start and is not established yet, and the name
    /// is empty.
    #[schema(example = "up")]
    state: &'static str,
    /// Seconds since it stopped answering; null while it answers.
    silent_for_s: Option<u64>,
    /// Attempts that failed since it last answered.
    attempts: u32,
    /// The error of the last failed attempt; null if none failed.
    last_error: Option<String>,
}

impl From<LinkView> for Link {
    fn from(link: LinkView) -> Self {
        Self {
            node: link.name,
            address: link.address,
            state: link.state.as_str(),
            silent_for_s: link.silent_for.map(|it| it.as_secs()),
            attempts: link.attempts,
            last_error: link.last_error,
        }
    }
}

/// The node to link with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// The address on which the other node listens for nodes (gRPC), `host:port`.
    #[schema(example = "127.0.0.1:7401")]
    address: String,
}

/// Lists this node's links.
#[utoipa::path(
    get, path = "/v1/links", tag = "network",
    responses((status = 200, description = "This node's links.", body = Vec<Link>))
)]
pub(crate) async fn list_links(State(site): State<Site>) -> Json<Vec<Link>> {
    Json(site.node_api.links().into_iter().map(Link::from).collect())
}

/// Links this node with another.
///
/// Both nodes keep the link. Linking again changes nothing. If either side had cut this link, it is allowed again.
#[utoipa::path(
    post, path = "/v1/links", tag = "network", request_body = NewLink,
    responses(
        (status = 201, description = "The nodes are linked.", body = Link),
        (status = 400, description = "The address is invalid.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Refused: the address is this node's own, or the other node belongs to another network or has an incompatible version.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The body has unknown or missing fields.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "The other node cannot be reached, its name cannot be resolved, or the address is not a node's.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn add_link(
    State(site): State<Site>,
    body: Result<Json<NewLink>, JsonRejection>,
) -> Result<(StatusCode, Json<Link>), Problem> {
    let Json(NewLink { address }) = body?;
    match site.node_api.link(&address).await {
        Ok(link) => Ok((StatusCode::CREATED, Json(link.into()))),
        Err(error) => Err(Problem::from(error).with_node(&address)),
    }
}

/// Cuts a link.
///
/// If the other node is away, the link stays cut when it returns.
#[utoipa::path(
    delete, path = "/v1/links/{node}", tag = "network",
    params(("node" = String, Path, description = "The neighbour's name or id; for a link that is not established yet, its address.")),
    responses(
        (status = 204, description = "The link is cut."),
        (status = 404, description = "There is no such link.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Several neighbours have this name; use the id.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cut_link(
    State(site): State<Site>,
    node: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(node) = node?;
    match site.node_api.unlink(&node).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Problem::from(error).with_node(&node)),
    }
}

/// Two nodes to link, by the addresses on which they listen for nodes (gRPC).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introduction {
    /// The address of the first node.
    #[serde(rename = "IP1")]
    #[schema(example = "127.0.0.1")]
    ip1: String,
    /// The port of the first node, as a number or as text.
    #[serde(rename = "PORT1")]
    port1: Port,
    /// The address of the second node.
    #[serde(rename = "IP2")]
    #[schema(example = "127.0.0.1")]
    ip2: String,
    /// The port of the second node, as a number or as text.
    #[serde(rename = "PORT2")]
    port2: Port,
}

/// A port, as a number or as text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Port {
    /// A number.
    #[schema(value_type = u16)]
    Number(f64),
    /// Digits in a string.
    Digits(String),
}

/// The two linked nodes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Introduced {
    /// Their addresses.
    linked: [String; 2],
}

/// Links two nodes.
///
/// Neither has to be this node. The body is a form or JSON.
#[utoipa::path(
    post, path = "/config", tag = "network",
    request_body(content(
        (Introduction = "application/x-www-form-urlencoded"), (Introduction = "application/json"),
    )),
    responses(
        (status = 200, description = "The nodes are linked.", body = Introduced),
        (status = 400, description = "An address is invalid, or the body cannot be parsed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Refused: both addresses are of the same node, or the nodes have different networks or incompatible versions.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither a form nor JSON.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The body has unknown or missing fields.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "One of the nodes cannot be reached, a name cannot be resolved, or an address is not a node's.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn introduce(
    State(site): State<Site>,
    request: Request,
) -> Result<Json<Introduced>, Problem> {
    let asked = read(request).await?;
    let a = address(&asked.ip1, &asked.port1)?;
    let b = address(&asked.ip2, &asked.port2)?;
    match site.node_api.link_pair(&a, &b).await {
        Ok(()) => Ok(Json(Introduced { linked: [a, b] })),
        Err(error) => Err(Problem::from(error).with_node(&format!("{a}, {b}"))),
    }
}

async fn read(request: Request) -> Result<Introduction, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|text| text.starts_with("application/json")) {
        let Json(asked) = Json::from_request(request, &()).await?;
        return Ok(asked);
    }
    // axum's form extractor replaces invalid UTF-8 instead of refusing it.
    let (parts, body) = request.into_parts();
    let mut body = Request::new(body);
    // Keeps the bound on the body's size.
    *body.extensions_mut() = parts.extensions.clone();
    let bytes = Bytes::from_request(body, &()).await?;
    let text = std::str::from_utf8(&bytes);
    let text =
        text.map_err(|_| Problem::bad_request("the form can't be parsed: it is not UTF-8"))?;
    for (name, value) in target::pairs(text) {
        let refused = |error| Problem::bad_request(format!("the form can't be parsed: {error}"));
        decode(name).and(decode(value)).map_err(refused)?;
    }
    let request = Request::from_parts(parts, Body::from(bytes));
    let Form(asked) = Form::from_request(request, &()).await?;
    Ok(asked)
}

fn address(ip: &str, port: &Port) -> Result<String, Problem> {
    let port = match port {
        // JSON does not distinguish integers from integral numbers.
        Port::Number(port) => {
            let is_whole = port.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(port);
            is_whole.then_some(*port as u16)
        }
        Port::Digits(text) => text.trim().parse().ok(),
    };
    let port = port.filter(|port| *port != 0);
    let port =
        port.ok_or_else(|| Problem::bad_request("a port must be a number from 1 to 65535"))?;
    let ip = ip.trim();
    if ip.is_empty() {
        return Err(Problem::bad_request(
            "`IP1` and `IP2` must be addresses; one is empty",
        ));
    }
    Ok(match ip.parse() {
        Ok(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{ip}:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ip: &str, port: &str, expected: Option<&str>) {
        let found = address(ip, &Port::Digits(port.into())).ok();
        assert_eq!(found.as_deref(), expected, "{ip} {port}");
    }

    #[test]
    fn an_address_and_a_port_are_joined() {
        check("127.0.0.1", "7400", Some("127.0.0.1:7400"));
        check(" node.example ", " 7400 ", Some("node.example:7400"));
        check("::1", "7400", Some("[::1]:7400"));
        check("[::1]", "7400", Some("[::1]:7400"));
        for port in ["0", "65536", "-1", "http", ""] {
            check("127.0.0.1", port, None);
        }
        check("", "7400", None);
    }
}
