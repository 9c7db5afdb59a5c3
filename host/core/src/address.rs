//! `HOST:PORT`: parses addresses, explains what is wrong with them, and tells which ones other machines can reach.
//! Never resolves a name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::limits;

/// Splits `HOST:PORT` or `[V6]:PORT`. The host is returned without brackets.
///
/// # Errors
/// A message that says what is wrong and shows a correct address.
pub fn host_and_port(text: &str) -> Result<(&str, u16), String> {
    let wrong = || {
        format!(
            "`{text}` is not HOST:PORT, such as 127.0.0.1:7400{}",
            hint(text)
        )
    };
    if text.len() > limits::ADDRESS_BYTES_MAX {
        return Err(format!(
            "an address has at most {} bytes; this one has {}",
            limits::ADDRESS_BYTES_MAX,
            text.len()
        ));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => {
            let host = bracketed.strip_suffix(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            host
        }
        None => host,
    };
    if !text.starts_with('[') && !is_host_name(host) {
        return Err(wrong());
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let port: u16 = port.parse().map_err(|_| wrong())?;
    Ok((host, port))
}

/// The most likely mistake in a text that is not an address.
fn hint(text: &str) -> &'static str {
    let port = text.rsplit_once(':').map(|(_, port)| port);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if text.contains("://") {
        "; leave out the scheme and everything after the port"
    } else if text.contains('@') {
        "; leave out the user"
    } else if text.contains('/') {
        "; leave out the path"
    } else if text.parse::<std::net::Ipv6Addr>().is_ok()
        || (text.matches(':').count() > 1 && !text.starts_with('['))
    {
        "; an IPv6 address needs brackets, as in [::1]:7400"
    } else if port.is_some_and(is_number) {
        "; a port is at most 65535, and a host is a name or an IP address"
    } else {
        ""
    }
}

/// Whether this is a host name or an IPv4 address, in characters that every resolver accepts.
fn is_host_name(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !host.is_empty() && host.bytes().all(fits)
}

/// A host name without a port.
///
/// # Errors
/// A message that says what is wrong and shows a correct name.
pub fn host_name(text: &str) -> Result<String, String> {
    if is_host_name(text) && text.len() <= limits::ADDRESS_BYTES_MAX {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "`{text}` is not a host name such as files.example; leave out scheme, port and path"
    ))
}

/// The address of another node, as text: a host name stays a name, because its IP address may change.
///
/// # Errors
/// As [`host_and_port`]. Port 0 is refused: no node can be reached there.
pub fn of_a_node(text: &str) -> Result<String, String> {
    match host_and_port(text)? {
        (_, 0) => Err(format!(
            "`{text}` has port 0; name the port that the node listens on"
        )),
        _ => Ok(text.to_owned()),
    }
}

/// An address to listen on. `localhost` is the only name accepted, since it needs no lookup.
///
/// # Errors
/// A message that says what is wrong and shows a correct address.
pub fn to_listen_on(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = host_and_port(text)?;
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host
            .parse()
            .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:7400".to_owned())?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// Why listening on this address requires `--insecure`; `None` when it is loopback only.
pub fn exposure(setting: &str, address: SocketAddr) -> Option<String> {
    if address.ip().to_canonical().is_loopback() {
        return None;
    }
    Some(format!(
        "{setting} {address} can be reached from other machines, and there is no authentication yet: \
         anyone who can connect can read, replace and delete every file. Listen on 127.0.0.1, or pass \
         --insecure if everyone on that network may do so"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<(&str, u16)>) {
        assert_eq!(host_and_port(text).ok(), expected, "{text:?}");
    }

    #[test]
    fn host_and_port_are_split() {
        check("127.0.0.1:7400", Some(("127.0.0.1", 7400)));
        check("node-a.example:1", Some(("node-a.example", 1)));
        check("[::1]:7400", Some(("::1", 7400)));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":",
            ":7400",
            "host",
            "host:",
            "host:x",
            "host:+1",
            "host:65536",
            "::1:7400",
            "[::1:7400",
            "[x]:7400",
            "http://h:1",
            "a b:1",
            "a@b:1",
            "h\n:1",
            "http://h:1/",
            "h:1/",
            "u:p@h:1",
            "grpc://[::1]:1",
            "ü:1",
            "h%20:1",
            "h: 1",
            " h:1",
            "h:1 ",
            "h:-1",
            "h:٣",
        ] {
            check(text, None);
        }
        assert!(of_a_node("host:0").is_err());
    }

    #[test]
    fn only_loopback_is_not_exposed() {
        let exposed = |text| exposure("listen", to_listen_on(text).expect("an address")).is_some();
        for text in [
            "127.0.0.1:0",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "localhost:1",
        ] {
            assert!(!exposed(text), "{text}");
        }
        for text in [
            "0.0.0.0:1",
            "192.168.1.2:1",
            "[::]:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            assert!(exposed(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_split_or_refused(text in "\\PC{0,40}") {
            if let Ok((host, _)) = host_and_port(&text) {
                prop_assert!(!host.is_empty());
            }
        }
    }
}
