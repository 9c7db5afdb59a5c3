//! Tests of credentials with real handshakes, in memory: who is let in and who is not.

use std::io::{Read, Write};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::authority::Authority;
use crate::joining::{JoinRequest, NodeKey};
use crate::statement::Content;
use crate::ticket::TicketSecret;

const DAY_S: Seconds = 24 * 60 * 60;

/// The time of the machine, by which rustls judges certificates.
fn now() -> Seconds {
    UnixTime::now().as_secs()
}

fn authority(generation: u32) -> Authority {
    Authority::create("home", generation, now()).expect("an authority")
}

fn presented(node: u128, by: &Authority, from: Seconds, until: Seconds) -> Presented {
    let key = NodeKey::generate().expect("a key");
    let request = JoinRequest::new(NodeId::from(node), "A", &key).expect("a request");
    let leaf = by.issue(&request, "A", from, until).expect("it is issued");
    Presented {
        chain: vec![leaf, by.certificate().der().clone()],
        key: key.for_tls(),
    }
}

fn trusting(authority: &Authority) -> Anchors {
    Anchors::Network(Trust::new(authority.certificate().clone()))
}

fn credentials(node: u128, by: &Authority) -> Credentials {
    let shown = presented(node, by, now(), now() + DAY_S);
    let made = Credentials::new(NodeId::from(node), shown, trusting(by), now());
    made.expect("they are good")
}

/// Runs a handshake and sends a byte each way; returns why it failed, as each side sees it.
fn shake_hands(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<(), Vec<String>> {
    let name = ServerName::try_from("node.invalid").expect("it is a name");
    let mut client = ClientConnection::new(client, name).expect("it is configured");
    let mut server = ServerConnection::new(server).expect("it is configured");
    let mut failures = Vec::new();
    client.writer().write_all(b"c").expect("it is kept");
    server.writer().write_all(b"s").expect("it is kept");
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("it writes");
        }
        server.read_tls(&mut &bytes[..]).expect("it reads");
        let processed = server.process_new_packets();
        failures.extend(
            processed
                .err()
                .map(|error| format!("server: {}", in_words(&error))),
        );
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).expect("it writes");
        }
        client.read_tls(&mut &bytes[..]).expect("it reads");
        let processed = client.process_new_packets();
        failures.extend(
            processed
                .err()
                .map(|error| format!("client: {}", in_words(&error))),
        );
        if !failures.is_empty() {
            failures.dedup();
            return Err(failures);
        }
    }
    let mut byte = [0];
    server.reader().read_exact(&mut byte).expect("it arrives");
    client.reader().read_exact(&mut byte).expect("it arrives");
    Ok(())
}

fn check_refused(outcome: Result<(), Vec<String>>, words: &[&str]) {
    let failures = outcome.expect_err("it is refused").join("; ");
    for word in words {
        assert!(failures.contains(word), "{failures}");
    }
}

#[test]
fn nodes_of_one_network_accept_each_other() {
    let home = authority(1);
    let (a, b) = (credentials(1, &home), credentials(2, &home));
    assert_eq!(shake_hands(a.tls().outgoing, b.tls().nodes), Ok(()));
}

#[test]
fn a_node_of_another_network_is_refused_by_either_side() {
    let (home, other) = (authority(1), authority(1));
    let (a, b) = (credentials(1, &home), credentials(2, &other));
    let words = ["client: its certificate is not of this network"];
    check_refused(shake_hands(a.tls().outgoing, b.tls().nodes), &words);
    // One that lets anybody pass for a server is still refused as a client.
    let careless = Anchors::Pki(vec![
        home.certificate().der().clone(),
        other.certificate().der().clone(),
    ]);
    let shown = presented(3, &other, now(), now() + DAY_S);
    let careless =
        Credentials::new(NodeId::from(3), shown, careless, now()).expect("they are good");
    let words = ["server: its certificate is not of this network"];
    check_refused(shake_hands(careless.tls().outgoing, a.tls().nodes), &words);
}

#[test]
fn an_expired_certificate_is_refused() {
    let home = authority(1);
    let old = now() - 2 * DAY_S;
    let shown = presented(1, &home, old, old + DAY_S);
    let expired = Credentials::new(NodeId::from(1), shown, trusting(&home), old);
    let expired = expired.expect("they were good then");
    let b = credentials(2, &home);
    let words = ["server: its certificate has expired"];
    check_refused(shake_hands(expired.tls().outgoing, b.tls().nodes), &words);
    let words = ["client: its certificate has expired"];
    check_refused(shake_hands(b.tls().outgoing, expired.tls().nodes), &words);
    let shown = presented(1, &home, old, old + DAY_S);
    let refused = Credentials::new(NodeId::from(1), shown, trusting(&home), now());
    assert!(matches!(refused, Err(CredentialsError::NotAccepted(_))));
}

#[test]
fn a_revoked_node_is_refused_from_the_moment_it_is_known() {
    let home = authority(1);
    let (a, b) = (credentials(1, &home), credentials(2, &home));
    let chain = a.own.lock().chain.clone();
    let before = b
        .identify(&chain, Role::Client, now())
        .expect("it is accepted");
    let mut revision = b.revision();
    let node = NodeId::from(1);
    let revoked = Statement::sign(Content::Revocation { node, at: now() }, &home);
    assert!(b.learn(&[revoked.expect("it is signed")], now()));
    assert!(revision.has_changed().expect("it lives"));
    revision.mark_unchanged();
    assert!(!b.accepts(&before, now()));
    let words = ["server: its node was revoked"];
    check_refused(shake_hands(a.tls().outgoing, b.tls().nodes), &words);
    let words = ["client: its node was revoked"];
    check_refused(shake_hands(b.tls().outgoing, a.tls().nodes), &words);
    let other = credentials(3, &home);
    assert_eq!(shake_hands(other.tls().outgoing, b.tls().nodes), Ok(()));
}

#[test]
fn without_a_certificate_nobody_passes_for_a_node() {
    let home = authority(1);
    let a = credentials(1, &home);
    let secret = TicketSecret::draw().expect("a secret");
    let ticket = Ticket::new("a:1", home.certificate(), secret).expect("an address");
    let mut client = (*client_with_ticket(&ticket).expect("it is configured")).clone();
    assert_eq!(
        shake_hands(Arc::new(client.clone()), a.tls().clients),
        Ok(())
    );
    client.alpn_protocols = vec![ALPN_NODES.to_vec()];
    check_refused(
        shake_hands(Arc::new(client), a.tls().nodes),
        &["presented no certificate"],
    );
}

#[test]
fn a_ticket_recognises_only_the_nodes_of_its_network() {
    let (home, other) = (authority(1), authority(1));
    let secret = TicketSecret::draw().expect("a secret");
    let ticket = Ticket::new("a:1", home.certificate(), secret).expect("an address");
    let client = client_with_ticket(&ticket).expect("it is configured");
    let impostor = credentials(2, &other);
    let words = ["client: its certificate is not of this network"];
    check_refused(
        shake_hands(Arc::clone(&client), impostor.tls().clients),
        &words,
    );
    // The right authority beside a certificate that another one signed.
    let mut shown = presented(3, &other, now(), now() + DAY_S);
    shown.chain.push(home.certificate().der().clone());
    let both =
        Credentials::new(NodeId::from(3), shown, trusting(&other), now()).expect("they are good");
    check_refused(shake_hands(client, both.tls().clients), &words);
}

#[test]
fn after_a_rotation_old_and_new_certificates_work_until_the_overlap_ends() {
    let (first, second) = (authority(1), authority(2));
    let (a, b) = (credentials(1, &first), credentials(2, &first));
    assert!(!a.should_renew(now()));
    let until = now() + DAY_S;
    let rotation = Statement::rotation(&first, &second, now(), until).expect("it is signed");
    for node in [&a, &b] {
        assert!(node.learn(std::slice::from_ref(&rotation), now()));
        assert!(node.should_renew(now()), "another authority signs");
    }
    b.present(presented(2, &second, now(), now() + 9 * DAY_S), now())
        .expect("it is good");
    assert!(!b.should_renew(now()));
    assert!(b.should_renew(now() + 7 * DAY_S), "its time is running out");
    assert_eq!(shake_hands(a.tls().outgoing, b.tls().nodes), Ok(()));
    assert_eq!(shake_hands(b.tls().outgoing, a.tls().nodes), Ok(()));
    let chain = a.own.lock().chain.clone();
    assert!(b.identify(&chain, Role::Client, until - 1).is_ok());
    assert!(b.identify(&chain, Role::Client, until).is_err());
}

#[test]
fn a_node_that_was_away_during_a_rotation_accepts_the_others_and_hears_of_it() {
    let (first, second) = (authority(1), authority(2));
    let (away, here) = (credentials(1, &first), credentials(2, &first));
    let until = now() + DAY_S;
    let rotation = Statement::rotation(&first, &second, now(), until).expect("it is signed");
    assert!(here.learn(std::slice::from_ref(&rotation), now()));
    let mut shown = presented(2, &second, now(), now() + 9 * DAY_S);
    here.present(shown.clone_all(), now()).expect("it is good");
    let words = ["client: its certificate is not of this network"];
    check_refused(shake_hands(away.tls().outgoing, here.tls().nodes), &words);
    let trust = here.trust().expect("it is a network's");
    shown
        .chain
        .extend(trust.crossings(now()).into_iter().cloned());
    here.present(shown, now()).expect("it is good");
    assert_eq!(shake_hands(away.tls().outgoing, here.tls().nodes), Ok(()));
    assert_eq!(shake_hands(here.tls().outgoing, away.tls().nodes), Ok(()));
    assert!(away.learn(&[rotation], now()));
    assert_eq!(shake_hands(away.tls().outgoing, here.tls().nodes), Ok(()));
    assert!(trust.crossings(until).is_empty());
}

#[test]
fn a_certificate_of_another_node_is_not_presented() {
    let home = authority(1);
    let shown = presented(1, &home, now(), now() + DAY_S);
    let refused = Credentials::new(NodeId::from(2), shown, trusting(&home), now());
    let Err(CredentialsError::AnotherNode { .. }) = &refused else {
        panic!("{refused:?}");
    };
    let text = refused.expect_err("it is another's").to_string();
    assert!(text.contains("urn:dataverse:node:"), "{text}");
    let a = credentials(1, &home);
    assert!(
        a.present(presented(2, &home, now(), now() + DAY_S), now())
            .is_err()
    );
}
