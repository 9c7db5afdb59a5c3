//! Keeps other sites' pages from using a node through a person's browser.
//!
//! There is no authentication yet, so a browser that can reach a node could be misused. A foreign page may send
//! the node requests or load its answers; both are refused by `Origin` and by the `Sec-Fetch-…` headers. It may
//! also point its own name at the node's address and read from it (DNS rebinding), which is refused by `Host`.
//! Following a link from another site to a node is allowed. Programs other than browsers send none of these
//! headers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The names by which a node may be addressed, besides `localhost` and every IP address.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts(Arc<[String]>);

impl Hosts {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| plain(name)).collect())
    }

    /// An IP address can't be rebound, and neither can a name of this machine or one that the operator configured.
    fn contains(&self, name: &str) -> bool {
        let name = plain(name);
        let number = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        name == "localhost"
            || name.ends_with(".localhost")
            || number.unwrap_or(&name).parse::<IpAddr>().is_ok()
            || self.0.contains(&name)
    }
}

/// A name in the form in which names are compared.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The middleware.
pub(super) async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match judge(&hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn judge<B>(hosts: &Hosts, request: &axum::http::Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let host = host(request.version(), request.uri(), headers)?;
    if let Some((name, _)) = host.map(split)
        && !hosts.contains(name)
    {
        let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
        let detail = format!(
            "this node does not answer to the name `{name}`; use its IP address or `localhost`, or start it with \
             --http-host `{name}` (http_hosts)"
        );
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if is_foreign(host, headers) && !is_followed_link(request.method(), headers) {
        let detail =
            "the request came from a page of another site; only the node's own page may send it";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

const SHOWN_CHARS_MAX: usize = 255;

/// The host that the client addresses: `host` or `host:port`.
///
/// # Errors
/// What RFC 9112, section 3.2, requires a server to refuse: a missing, repeated or malformed `Host`. Also a target
/// that names another host than `Host` does, since a proxy on the way may have checked only one of them.
fn host<'a>(
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, Problem> {
    let target = uri.authority().map(axum::http::uri::Authority::as_str);
    let mut lines = headers.get_all(HOST).iter();
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) => line,
        // HTTP/1.0 has no such header, and HTTP/2 carries the host in the target.
        (None, _) if version < Version::HTTP_11 => return Ok(target),
        (None, _) if version > Version::HTTP_11 && target.is_some_and(is_host) => {
            return Ok(target);
        }
        (None, _) => {
            return Err(Problem::bad_request(
                "`Host` is missing; every request must have one",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("there is more than one `Host` header"));
        }
    };
    let host = line.to_str().ok().filter(|host| is_host(host));
    let host = host.ok_or_else(|| Problem::bad_request("`Host` must be `host` or `host:port`"))?;
    let number = |port: Option<&'a str>| port.filter(|port| !port.is_empty()).unwrap_or(HTTP_PORT);
    let differs = |target: &'a str| {
        let (name, port) = split(target);
        let (other, other_port) = split(host);
        plain(name) != plain(other) || number(port) != number(other_port)
    };
    if target.is_some_and(differs) {
        let detail = "the request's target and `Host` name different hosts";
        return Err(Problem::bad_request(detail));
    }
    Ok(Some(host))
}

const HTTP_PORT: &str = "80";

/// Whether the text is empty or a valid URI authority without user information.
fn is_host(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let (_, port) = split(text);
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    let after_brackets = text.rfind(']').map_or("", |at| &text[at + 1..]);
    let is_authority = (after_brackets.is_empty() || after_brackets.starts_with(':'))
        && text.parse::<axum::http::uri::Authority>().is_ok();
    is_authority && !text.contains('@') && port.is_none_or(is_port)
}

/// Splits into the name, in brackets if it came so, and the port.
fn split(host: &str) -> (&str, Option<&str>) {
    let name_end = host.rfind(']').map_or(0, |at| at + 1);
    match host[name_end..].find(':') {
        Some(colon) => {
            let (name, port) = host.split_at(name_end + colon);
            (name, Some(&port[1..]))
        }
        None => (host, None),
    }
}

/// Whether the request comes from a page of another origin. Other ports of the same host are other origins.
fn is_foreign(host: Option<&str>, headers: &HeaderMap) -> bool {
    let by_origin = headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok();
        let origin = origin.and_then(|origin| origin.split_once("://"));
        !origin.is_some_and(|(_, from)| host.is_some_and(|host| from.eq_ignore_ascii_case(host)))
    });
    // `none`: the user typed the address.
    let by_site = headers
        .get_all(FETCH_SITE)
        .iter()
        .any(|site| site != "same-origin" && site != "none");
    by_origin || by_site
}

/// Whether the user navigates to this node, from any site: at the top level and not in a frame of the foreign
/// page.
fn is_followed_link(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, value: &str| headers.get(name).is_some_and(|it| it == value);
    method.is_safe()
        && says(FETCH_MODE, "navigate")
        && (says(FETCH_DEST, "document") || !headers.contains_key(FETCH_DEST))
        && !headers.contains_key(ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(
        method: &Method,
        uri: &str,
        version: Version,
        lines: &[(&'static str, &str)],
    ) -> Result<(), u16> {
        let mut request = axum::http::Request::new(());
        *request.method_mut() = method.clone();
        *request.version_mut() = version;
        *request.uri_mut() = uri.parse().expect("a valid URI");
        for (name, value) in lines {
            let value = value.parse().expect("a valid header");
            request.headers_mut().append(*name, value);
        }
        let hosts = Hosts::new(&["Node.example".to_owned()]);
        judge(&hosts, &request).map_err(|problem| problem.status.as_u16())
    }

    #[track_caller]
    fn check(method: &Method, lines: &[(&'static str, &str)], expected: Result<(), u16>) {
        let found = ask(method, "/x", Version::HTTP_11, lines);
        assert_eq!(found, expected, "{method} {lines:?}");
    }

    const HERE: (&str, &str) = ("host", "127.0.0.1:8080");

    #[test]
    fn programs_and_the_own_page_may_write() {
        check(&Method::PUT, &[HERE], Ok(()));
        check(
            &Method::PUT,
            &[HERE, ("origin", "http://127.0.0.1:8080")],
            Ok(()),
        );
        check(
            &Method::DELETE,
            &[HERE, ("sec-fetch-site", "same-origin")],
            Ok(()),
        );
        check(
            &Method::POST,
            &[("host", "LOCALHOST"), ("origin", "https://localhost")],
            Ok(()),
        );
    }

    #[test]
    fn pages_of_other_sites_may_not_ask_for_anything() {
        let origins = [
            "http://evil.example",
            "null",
            "http://127.0.0.1:8081",
            "127.0.0.1:8080",
            "",
        ];
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::PUT,
            Method::POST,
            Method::DELETE,
            Method::PATCH,
        ];
        for method in methods {
            for origin in origins {
                check(&method, &[HERE, ("origin", origin)], Err(403));
            }
            for site in ["cross-site", "same-site", "x"] {
                check(&method, &[HERE, ("sec-fetch-site", site)], Err(403));
                for mode in ["cors", "no-cors", "same-origin", "websocket", ""] {
                    let lines = [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
                    check(&method, &[&[HERE], &lines[..]].concat(), Err(403));
                }
            }
        }
        let own = ("origin", "http://127.0.0.1:8080");
        let foreign = ("origin", "http://evil.example");
        check(&Method::PUT, &[HERE, own, foreign], Err(403));
    }

    #[test]
    fn a_person_may_follow_a_link_from_anywhere() {
        let link = [
            HERE,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        check(&Method::GET, &link, Ok(()));
        let with = |line| [&link[..], &[line]].concat();
        check(&Method::GET, &with(("sec-fetch-dest", "document")), Ok(()));
        for dest in ["iframe", "frame", "embed", "object"] {
            check(&Method::GET, &with(("sec-fetch-dest", dest)), Err(403));
        }
        check(&Method::POST, &link, Err(403));
        let typed = [
            HERE,
            ("sec-fetch-site", "none"),
            ("sec-fetch-mode", "navigate"),
        ];
        check(&Method::GET, &typed, Ok(()));
    }

    #[test]
    fn a_name_that_may_be_anyones_is_not_this_node() {
        for host in [
            "localhost",
            "localhost:1",
            "localhost.:1",
            "a.localhost:1",
            "127.0.0.1",
            "[::1]:80",
            "[::1]",
            "10.0.0.1:9",
            "node.example",
            "NODE.EXAMPLE.:8080",
        ] {
            check(&Method::GET, &[("host", host)], Ok(()));
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
            "a.node.example",
            "127.1",
        ] {
            check(&Method::GET, &[("host", host)], Err(421));
        }
    }

    #[test]
    fn a_request_names_one_host() {
        check(&Method::GET, &[], Err(400));
        check(&Method::GET, &[HERE, HERE], Err(400));
        check(&Method::GET, &[HERE, ("host", "evil.example")], Err(400));
        for host in [
            "a b",
            "a/b",
            "a@localhost",
            "localhost:x",
            "localhost:99999",
            "[::1",
            "[::1]x",
            "local\thost",
            "localhost:1:2",
        ] {
            check(&Method::GET, &[("host", host)], Err(400));
        }
        // HTTP/1.0 has no such header, and HTTP/2 carries the host in the target.
        assert_eq!(ask(&Method::PUT, "/x", Version::HTTP_10, &[]), Ok(()));
        let here = "http://127.0.0.1:8080/x";
        for (target, version, expected) in [
            (here, Version::HTTP_2, Ok(())),
            (here, Version::HTTP_11, Err(400)),
            ("/x", Version::HTTP_2, Err(400)),
            ("http://evil.example/x", Version::HTTP_2, Err(421)),
        ] {
            assert_eq!(
                ask(&Method::PUT, target, version, &[]),
                expected,
                "{target}"
            );
        }
    }

    #[test]
    fn a_target_with_a_host_means_the_same_host() {
        let check = |uri: &str, host: &str, expected| {
            let lines = [("host", host)];
            let found = ask(&Method::GET, uri, Version::HTTP_11, &lines);
            assert_eq!(found, expected, "{uri} {host}");
        };
        check("http://localhost:8080/x", "localhost:8080", Ok(()));
        check("http://localhost/x", "LOCALHOST:80", Ok(()));
        check("http://evil.example/x", "localhost", Err(400));
        check("http://localhost:8081/x", "localhost:8080", Err(400));
        check("http://evil.example/x", "evil.example", Err(421));
        let target = "http://evil.example/x";
        assert_eq!(ask(&Method::GET, target, Version::HTTP_10, &[]), Err(421));
    }
}
