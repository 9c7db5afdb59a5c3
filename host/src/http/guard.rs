//! Keeps other sites' pages from using a node through a person's browser.
//!
//! There is no authentication yet, so a browser that can reach a node could be made to: a foreign page
//! may send it requests (refused by `Origin`), or give its own name the node's address and then read
//! from it (refused by `Host`, on nodes that listen on loopback only).

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The middleware. `loopback` says that the node listens on loopback only.
pub(super) async fn guard(State(loopback): State<bool>, request: Request, next: Next) -> Response {
    match judge(loopback, request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn judge(loopback: bool, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let host = host(uri, headers);
    if loopback && host.is_some_and(|host| !names_this_machine(host)) {
        let detail = "this node listens on loopback; address it as `localhost` or by number";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if method.is_safe() {
        return Ok(());
    }
    let foreign_origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok();
        let origin = origin.and_then(|origin| origin.split_once("://"));
        !origin.is_some_and(|(_, from)| host.is_some_and(|host| from.eq_ignore_ascii_case(host)))
    });
    let foreign_site = headers
        .get(FETCH_SITE)
        .is_some_and(|site| site == "cross-site");
    if foreign_origin || foreign_site {
        let detail = "a page of another site asked for this; only the node's own page may";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

/// Where the client means to be: `host` or `host:port`.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = headers.get(HOST).map(|host| host.to_str().unwrap_or(""));
    named.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
}

fn names_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default().trim_end_matches('.');
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, lines: &[(&'static str, &str)], expected: Result<(), u16>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("it is a header"));
        }
        let found = judge(true, method, &Uri::from_static("/x"), &headers);
        assert_eq!(
            found.map_err(|problem| problem.status.as_u16()),
            expected,
            "{lines:?}"
        );
    }

    #[test]
    fn programs_and_the_own_page_may_write() {
        let host = ("host", "127.0.0.1:8080");
        check(&Method::PUT, &[host], Ok(()));
        check(&Method::PUT, &[], Ok(()));
        check(
            &Method::PUT,
            &[host, ("origin", "http://127.0.0.1:8080")],
            Ok(()),
        );
        check(
            &Method::DELETE,
            &[host, ("sec-fetch-site", "same-origin")],
            Ok(()),
        );
        check(
            &Method::POST,
            &[("host", "LOCALHOST"), ("origin", "https://localhost")],
            Ok(()),
        );
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        let host = ("host", "127.0.0.1:8080");
        let origins = [
            "http://evil.example",
            "null",
            "http://127.0.0.1:8081",
            "127.0.0.1:8080",
            "",
        ];
        for origin in origins {
            for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
                check(&method, &[host, ("origin", origin)], Err(403));
            }
        }
        check(
            &Method::POST,
            &[host, ("sec-fetch-site", "cross-site")],
            Err(403),
        );
        check(
            &Method::GET,
            &[host, ("origin", "http://evil.example")],
            Ok(()),
        );
    }

    #[test]
    fn a_name_that_may_be_anyones_is_not_this_machine() {
        for host in [
            "localhost",
            "localhost:1",
            "a.localhost:1",
            "127.0.0.1",
            "[::1]:80",
            "10.0.0.1:9",
        ] {
            check(&Method::GET, &[("host", host)], Ok(()));
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
        ] {
            check(&Method::GET, &[("host", host)], Err(421));
        }
        let headers = [(HOST, "evil.example".parse().expect("it is a header"))];
        let headers = headers.into_iter().collect();
        assert!(judge(false, &Method::GET, &Uri::from_static("/x"), &headers).is_ok());
    }
}
