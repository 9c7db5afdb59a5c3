//! Finds the proxy that the environment configures for a node. None is used for this machine itself.

use std::net::IpAddr;

use hyper_util::client::proxy::matcher::Matcher;

use crate::config::is_local;

/// The proxy for this URL, without credentials.
pub(crate) fn of(url: &str) -> Option<String> {
    with(&Matcher::from_env(), url)
}

fn with(matcher: &Matcher, url: &str) -> Option<String> {
    let parsed = reqwest::Url::parse(url).ok()?;
    if parsed.host_str().is_some_and(is_this_machine) {
        return None;
    }
    let proxy = matcher.intercept(&url.parse().ok()?)?;
    let authority = proxy.uri().authority()?.as_str();
    let host = authority.rsplit('@').next().unwrap_or(authority);
    Some(format!(
        "{}://{host}",
        proxy.uri().scheme_str().unwrap_or("http")
    ))
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(ip) => is_local(ip),
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_asked_without_a_proxy_and_others_through_theirs() {
        let matcher = Matcher::builder()
            .all("http://user:secret@proxy.example:3128")
            .no("10.0.0.0/8")
            .build();
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(with(&matcher, url).as_deref(), expected, "{url}");
        };
        for here in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]:1",
            "http://localhost:8080",
            "http://node-a.localhost",
            "http://10.1.2.3:8080",
        ] {
            check(here, None);
        }
        check(
            "http://node.example:8080",
            Some("http://proxy.example:3128"),
        );
        check("http://192.168.1.2", Some("http://proxy.example:3128"));
    }
}
