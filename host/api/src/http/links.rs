//! `/v1/links` and `/config`: which nodes are linked.

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
    /// Where it listens for nodes.
    #[schema(example = "127.0.0.1:7401")]
    address: String,
    /// `up`; `down`: it does not answer; `left`: it was emptied, said good-bye and stopped, and nobody waits for it;
    /// `connecting`: it was asked for at start and has not come about yet, and the name is empty.
    #[schema(example = "up")]
    state: &'static str,
    /// Seconds for which it has not answered; null while it does.
    silent_for_s: Option<u64>,
    /// Tries that failed since it last answered.
    attempts: u32,
    /// What came of the last of them; null when none failed.
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

/// Which node to link with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// Where the other node listens for nodes (gRPC), `host:port`.
    #[schema(example = "127.0.0.1:7401")]
    address: String,
}

/// Lists this node's links.
#[utoipa::path(
    get, path = "/v1/links", tag = "network",
    responses((status = 200, description = "Its links.", body = Vec<Link>))
)]
pub(crate) async fn list_links(State(site): State<Site>) -> Json<Vec<Link>> {
    Json(site.node_api.links().into_iter().map(Link::from).collect())
}

/// Links this node with another.
///
/// Both keep the link. Linking twice is one link. An earlier refusal by either side is lifted.
#[utoipa::path(
    post, path = "/v1/links", tag = "network", request_body = NewLink,
    responses(
        (status = 201, description = "They are linked.", body = Link),
        (status = 400, description = "The address makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Refused: the node itself, another network or an incompatible version.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The body has other fields.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "The other node can not be reached, its name can not be resolved, or what listens there is no node.", body = ProblemBody, content_type = "application/problem+json"),
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
/// A link whose other end is away stays cut when that node returns.
#[utoipa::path(
    delete, path = "/v1/links/{node}", tag = "network",
    params(("node" = String, Path, description = "The neighbour's name or id; of a link that has not come about yet, its address.")),
    responses(
        (status = 204, description = "It is cut."),
        (status = 404, description = "There is no such link.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The name fits several neighbours; give the id.", body = ProblemBody, content_type = "application/problem+json"),
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

/// Two nodes to link with each other, by where they listen for nodes (gRPC).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introduction {
    /// Address of the one.
    #[serde(rename = "IP1")]
    #[schema(example = "127.0.0.1")]
    ip1: String,
    /// Port of the one; a number or its digits.
    #[serde(rename = "PORT1")]
    port1: Port,
    /// Address of the other.
    #[serde(rename = "IP2")]
    #[schema(example = "127.0.0.1")]
    ip2: String,
    /// Port of the other; a number or its digits.
    #[serde(rename = "PORT2")]
    port2: Port,
}

/// A port: a number or its digits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Port {
    /// A number.
    #[schema(value_type = u16)]
    Number(f64),
    /// Its digits.
    Digits(String),
}

/// The two nodes that are linked now.
#[derive(Serialize, ToSchema)]
pub(crate) struct Introduced {
    /// Their addresses.
    linked: [String; 2],
}

/// Links two nodes with each other.
///
/// Neither has to be this one. The body is a form or JSON.
#[utoipa::path(
    post, path = "/config", tag = "network",
    request_body(content(
        (Introduction = "application/x-www-form-urlencoded"), (Introduction = "application/json"),
    )),
    responses(
        (status = 200, description = "They are linked.", body = Introduced),
        (status = 400, description = "An address makes no sense, or the body can not be read.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "This node's own disk failed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Refused: one node twice, other networks or incompatible versions.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither a form nor JSON.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The body has other fields.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 502, description = "One of them can not be reached, a name can not be resolved, or what listens there is no node.", body = ProblemBody, content_type = "application/problem+json"),
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
    // The form's own reader takes bytes that are no text for others that are.
    let (parts, body) = request.into_parts();
    let mut body = Request::new(body);
    // With the bound on what is collected.
    *body.extensions_mut() = parts.extensions.clone();
    let bytes = Bytes::from_request(body, &()).await?;
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Problem::bad_request("the form can't be read: it is not UTF-8"))?;
    for (name, value) in target::pairs(text) {
        let refused = |error| Problem::bad_request(format!("the form can't be read: {error}"));
        decode(name).and(decode(value)).map_err(refused)?;
    }
    let request = Request::from_parts(parts, Body::from(bytes));
    let Form(asked) = Form::from_request(request, &()).await?;
    Ok(asked)
}

fn address(ip: &str, port: &Port) -> Result<String, Problem> {
    let port = match port {
        // Any integral number is an integer in JSON.
        Port::Number(port) => {
            let is_whole = port.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(port);
            is_whole.then_some(*port as u16)
        }
        Port::Digits(text) => text.trim().parse().ok(),
    };
    let port = port.filter(|port| *port != 0);
    let port = port.ok_or_else(|| Problem::bad_request("a port is a number from 1 to 65535"))?;
    let ip = ip.trim();
    if ip.is_empty() {
        return Err(Problem::bad_request(
            "`IP1` and `IP2` are addresses; one is empty",
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
