//! Which source takes precedence, and which values are refused.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// Settings of an identity: some belong together and others exclude each other.
const OF_IDENTITY: [&str; 5] = ["join", "authority", "tls_ca", "tls_cert", "tls_key"];

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn sources(flags: &[(&str, &str)], environment: &[(&str, &str)], file: &str) -> Sources {
    Sources {
        flags: values(flags),
        environment: values(environment),
        file: file::parse(file).expect("the file is TOML"),
    }
}

fn accepted(flags: &[(&str, &str)], environment: &[(&str, &str)], file: &str) -> Resolved {
    resolve(&sources(flags, environment, file)).expect("it is accepted")
}

fn check_refused(
    flags: &[(&str, &str)],
    environment: &[(&str, &str)],
    file: &str,
    mentioned: &[&str],
) {
    let error = resolve(&sources(flags, environment, file)).expect_err("it is refused");
    for word in mentioned {
        assert!(error.to_string().contains(word), "{word} in `{error}`");
    }
}

fn line<'a>(resolved: &'a Resolved, name: &str) -> &'a Line {
    let mut lines = resolved.lines.iter();
    lines.find(|line| line.name == name).expect("it is listed")
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_the_defaults() {
    let flag: &[_] = &[("search.hops", "1")];
    let environment: &[_] = &[("DATAVERSE_SEARCH_HOPS", "2")];
    let file = "[search]\nhops = 3";
    let check = |resolved: Resolved, hops: u32, origin: Origin| {
        assert_eq!(resolved.config.settings.search_hops, hops);
        assert_eq!(line(&resolved, "search.hops").origin, origin);
        assert_eq!(line(&resolved, "search.hops").value, Some(hops.to_string()));
        assert_eq!(
            line(&resolved, "search.hops").default,
            Some("16".to_owned())
        );
    };
    check(accepted(flag, environment, file), 1, Origin::Flag);
    check(accepted(&[], environment, file), 2, Origin::Environment);
    check(accepted(&[], &[], file), 3, Origin::File);
    check(accepted(&[], &[], ""), 16, Origin::Default);
    let empty: &[_] = &[("DATAVERSE_SEARCH_HOPS", "")];
    check(accepted(&[], empty, file), 3, Origin::File);
}

#[test]
fn every_setting_can_be_given_by_every_source() {
    let shown = accepted(
        &[
            ("http_hosts", "files.example,b"),
            ("links", "a:1"),
            ("name", "A"),
            ("zone", "z"),
            ("advertise", "a:1"),
            ("capacity", "1GiB"),
            ("cache.capacity", "1MB"),
            ("record", "requests.csv"),
        ],
        &[],
        "",
    );
    // Those of an identity can't be given one by one, see below.
    let alone = |line: &&Line| !OF_IDENTITY.contains(&line.name);
    for expected in shown.lines.iter().filter(alone) {
        let text = expected.value.as_deref().expect("every one is set");
        let variable = variable(expected.name);
        let file = format!("{} = {text:?}", expected.name);
        for resolved in [
            accepted(&[(expected.name, text)], &[], ""),
            accepted(&[], &[(&variable, text)], ""),
            accepted(&[], &[], &file),
        ] {
            let line = line(&resolved, expected.name);
            assert_eq!(line.value, expected.value, "{}", expected.name);
            assert_ne!(line.origin, Origin::Default, "{}", expected.name);
        }
    }
}

#[test]
fn a_whole_file_is_read() {
    let file = r#"
        name = "A"
        data = "/srv/dataverse"
        listen = "127.0.0.1:0"
        links = ["127.0.0.1:7401", "[::1]:7402"]
        capacity = "10GiB"
        factor = 3
        insecure = false
        [search]
        deadline = "2s500ms"
        [cache]
        capacity = 500
    "#;
    let config = accepted(&[], &[], file).config;
    assert_eq!(config.name.as_deref(), Some("A"));
    assert_eq!(config.folder, PathBuf::from("/srv/dataverse"));
    assert_eq!(
        config.policies_folder(),
        PathBuf::from("/srv/dataverse/policies")
    );
    assert_eq!(config.listen.port(), 0);
    assert_eq!(config.links, ["127.0.0.1:7401", "[::1]:7402"]);
    assert_eq!(config.capacity, Some(10 << 30));
    assert_eq!(config.factor, 3);
    assert_eq!(
        config.settings.search_deadline,
        Duration::from_millis(2_500)
    );
    assert_eq!(config.settings.cache_capacity_bytes, Some(500));
}

#[test]
fn unknown_names_are_refused_with_what_was_meant() {
    check_refused(
        &[],
        &[],
        "[search]\nhop = 1",
        &["`search.hop`", "`search.hops`"],
    );
    check_refused(&[], &[], "[node]\nname = 'A'", &["`node.name`", "`name`"]);
    check_refused(
        &[("bikeshed.colour", "1")],
        &[],
        "",
        &["`bikeshed.colour`", "--print-config"],
    );
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    check_refused(&[("factor", "0")], &[], "", &["factor", "1 to 64"]);
    check_refused(&[("capacity", "0")], &[], "", &["capacity"]);
    check_refused(
        &[],
        &[("DATAVERSE_SEARCH_FANOUT", "0")],
        "",
        &["search.fanout", "environment"],
    );
    check_refused(
        &[],
        &[],
        "search.deadline = '2h'",
        &["search.deadline", "1ms to 1h"],
    );
    check_refused(&[], &[], "search.deadline = 3", &["search.deadline", "3s"]);
    check_refused(&[("name", "a b")], &[], "", &["name", "spaces"]);
    check_refused(&[("name", "a/b")], &[], "", &["name"]);
    check_refused(&[("links", "here")], &[], "", &["links", "HOST:PORT"]);
    check_refused(
        &[("listen", "example.org:1")],
        &[],
        "",
        &["listen", "IP address"],
    );
    check_refused(&[("advertise", "0.0.0.0:1")], &[], "", &["advertise"]);
}

#[test]
fn a_recording_is_called_what_it_is() {
    for name in ["requests.json", "requests.csv.gz", "r.ZST"] {
        check_refused(&[("record", name)], &[], "", &["record", "plain CSV"]);
    }
    for name in ["requests.csv", "node.rec", "requests", "today.2"] {
        accepted(&[("record", name)], &[], "");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let flags: &[_] = &[("factor", "1"), ("write.min_replicas", "2")];
    check_refused(flags, &[], "", &["write.min_replicas", "factor"]);
    check_refused(&[("link.retry_min", "1h")], &[], "", &["link.retry_max"]);
}

#[test]
fn addresses_off_loopback_need_to_be_asked_for() {
    let http: &[_] = &[("http", "0.0.0.0:0")];
    check_refused(http, &[], "", &["http", "--insecure", "authentication"]);
    let config = accepted(&[("listen", "192.0.2.7:0")], &[], "").config;
    let refused = config
        .check_listening(false)
        .expect_err("it has no identity");
    for word in ["listen 192.0.2.7:0", "--insecure", "--join", "--authority"] {
        assert!(refused.contains(word), "{word} in {refused}");
    }
    assert_eq!(config.check_listening(true), Ok(()));
    for name in ["listen", "http"] {
        let address = "192.0.2.7:0";
        let config = accepted(&[(name, address), ("insecure", "true")], &[], "").config;
        assert!(config.insecure);
        assert_eq!(config.check_listening(false), Ok(()));
    }
}

#[test]
fn a_node_has_one_identity_and_all_of_it() {
    check_refused(
        &[("tls_ca", "a"), ("tls_key", "b")],
        &[],
        "",
        &["--tls-cert"],
    );
    let all: &[_] = &[("tls_ca", "a"), ("tls_cert", "b"), ("tls_key", "c")];
    let config = accepted(all, &[], "").config;
    assert_eq!(config.tls_cert, Some(PathBuf::from("b")));
    let two = [all, &[("authority", "d")]].concat();
    check_refused(&two, &[], "", &["one identity"]);
    check_refused(&[("join", "hello")], &[], "", &["join", "not a ticket"]);
}

fn ticket() -> String {
    use dataverse_identity::authority::Authority;
    use dataverse_identity::ticket::{Ticket, TicketSecret};
    let authority = Authority::create("home", 1, 1_000_000).expect("an authority");
    let secret = TicketSecret::draw().expect("a secret");
    let ticket = Ticket::new("a:1", authority.certificate(), secret);
    ticket.expect("an address").to_text()
}

#[test]
fn every_identity_can_be_given_by_every_source() {
    let ticket = ticket();
    let pki: &[_] = &[("tls_ca", "a"), ("tls_cert", "b"), ("tls_key", "c")];
    for given in [pki, &[("authority", "d")], &[("join", &ticket)]] {
        let variables: Vec<_> = given
            .iter()
            .map(|(name, text)| (variable(name), *text))
            .collect();
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, text)| (name.as_str(), *text))
            .collect();
        let file = given
            .iter()
            .map(|(name, text)| format!("{name} = {text:?}\n"));
        let file: String = file.collect();
        let flags = accepted(given, &[], "").config;
        assert_eq!(accepted(&[], &variables, "").config, flags);
        assert_eq!(accepted(&[], &[], &file).config, flags);
        let given: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
        for line in accepted(&[], &variables, "").lines {
            assert!(
                !given.contains(&line.name) || line.value.is_some(),
                "{}",
                line.name
            );
        }
    }
}

#[test]
fn nobody_is_shown_the_ticket() {
    let text = ticket();
    let resolved = accepted(&[], &[("DATAVERSE_JOIN", &text)], "");
    assert!(resolved.config.join.is_some());
    assert!(!format!("{:?}", resolved.lines).contains(&text[8..]));
}

#[test]
fn a_node_that_listens_everywhere_has_to_say_where_it_is_reached() {
    let everywhere: [(&str, &str); 2] = [("listen", "0.0.0.0:7400"), ("insecure", "true")];
    check_refused(&everywhere, &[], "", &["listen", "--advertise"]);
    let config = accepted(&everywhere[..1], &[], "").config;
    let refused = config.check_listening(true).expect_err("it is everywhere");
    assert!(refused.contains("--advertise"), "{refused}");
    let mut advertised = everywhere.to_vec();
    advertised.push(("advertise", "node.example:7400"));
    let config = accepted(&advertised, &[], "").config;
    assert_eq!(config.advertise.as_deref(), Some("node.example:7400"));
}

#[test]
fn data_is_kept_where_the_xdg_specification_says() {
    let check = |environment: &[_], folder: &str| {
        let config = accepted(&[], environment, "").config;
        assert_eq!(config.folder, PathBuf::from(folder));
    };
    check(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")], "/x/dataverse");
    check(
        &[("XDG_DATA_HOME", "x"), ("HOME", "/h")],
        "/h/.local/share/dataverse",
    );
    check(&[], "dataverse-data");
}

#[test]
fn a_misspelt_variable_is_suspected_and_a_foreign_one_left_alone() {
    let environment: &[_] = &[
        ("DATAVERSE_SERCH_HOPS", "1"),
        ("DATAVERSE_SERVICE_PORT_GRPC", "1"),
        ("DATAVERSE_NODE", "http://x"),
        ("DATAVERSE_LINK", "a:1"),
    ];
    let resolved = accepted(&[], environment, "");
    assert_eq!(resolved.suspicions.len(), 1, "{:?}", resolved.suspicions);
    assert!(resolved.suspicions[0].contains("DATAVERSE_SEARCH_HOPS"));
    assert_eq!(resolved.config.links, ["a:1"]);
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_refused() {
    let missing = file::read(std::path::Path::new("/nonexistent/dataverse.toml"));
    assert!(matches!(missing, Err(ConfigError::Unreadable { .. })));
    assert!(file::parse("name = ").is_err());
}

#[test]
fn paths_begin_at_the_root_however_they_were_given() {
    let mut config = NodeConfig::new("data".into());
    config.policies = Some("../policies".into());
    config.record = Some("trace.csv".into());
    let rooted = config.rooted().expect("this process is somewhere");
    let folder = std::env::current_dir().expect("this process is somewhere");
    assert_eq!(rooted.folder, folder.join("data"));
    assert_eq!(rooted.record, Some(folder.join("trace.csv")));
    assert!(rooted.policies_folder().is_absolute());
    assert_eq!(rooted.clone().rooted().expect("it is"), rooted);
}
