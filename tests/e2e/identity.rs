//! Networks with an authority: who gets in with a ticket, who does not, and what a revocation and a rotation do.

use std::path::Path;
use std::process::Output;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clocks::Clock;
use crate::world::{BINARY, Node, QUICK, eventually, names, sent};

/// A network's authority, in a folder of its own.
struct Authority(TempDir);

impl Authority {
    fn create(name: &str) -> Self {
        let authority = Self(TempDir::new().expect("a temporary folder can be created"));
        authority.command(&["create", name]);
        authority
    }

    fn dir(&self) -> String {
        self.0.path().join("a").display().to_string()
    }

    fn try_command(&self, arguments: &[&str]) -> Output {
        let mut command = std::process::Command::new(BINARY);
        let command = command.arg("network").args(arguments);
        let output = command.args(["--dir", &self.dir(), "--json"]).output();
        output.expect("it runs")
    }

    fn command(&self, arguments: &[&str]) -> Value {
        let output = self.try_command(arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    }

    /// A ticket on these terms.
    fn invite(&self, terms: &[&str]) -> String {
        let invited = self.command(&[&["invite"], terms].concat());
        invited["ticket"].as_str().expect("it is a text").to_owned()
    }

    /// The node that issues certificates.
    fn first_node(&self, name: &str) -> Node {
        let dir = self.dir();
        Node::start(name, &[&["--authority", &dir], &QUICK[..]].concat())
    }

    /// A node that joins with a new ticket.
    fn join(&self, name: &str) -> Node {
        let ticket = self.invite(&[]);
        Node::start(name, &[&["--join", &ticket], &QUICK[..]].concat())
    }
}

const DAY_S: i64 = 24 * 60 * 60;

/// The certificate of a node.
fn certificate(node: &Node) -> String {
    std::fs::read_to_string(node.path().join("identity/node.pem")).expect("it has one")
}

/// What a node says that can't start.
fn check_refused(arguments: &[&str], words: &[&str]) {
    let folder = TempDir::new().expect("a temporary folder can be created");
    let mut command = std::process::Command::new(BINARY);
    let command = command.args(["node", "--name", "X", "--listen", "127.0.0.1:0"]);
    let command = command.args(["--http", "127.0.0.1:0", "--data"]);
    let output = command.arg(folder.path()).args(arguments).output();
    let output = output.expect("it runs");
    assert!(!output.status.success(), "it should not start");
    let text = String::from_utf8_lossy(&output.stderr);
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
}

/// Whether one node can be made to link with the other.
async fn can_link(node: &Node, other: &Node) -> bool {
    let body = json!({ "address": other.grpc });
    let asked = sent(node.request(Method::POST, "/v1/links").json(&body)).await;
    asked.status() == StatusCode::CREATED
}

async fn is_linked(node: &Node, other: &Node) -> bool {
    let links = node.json("/v1/links").await;
    let mut links = links.as_array().expect("a list").iter();
    links.any(|link| link["node"] == other.name.as_str() && link["state"] == "up")
}

async fn knows(node: &Node, other: &Node) -> bool {
    let nodes = node.json("/v1/nodes").await;
    let mut nodes = nodes.as_array().expect("a list").iter();
    nodes.any(|seen| seen["id"] == other.id.as_str())
}

#[tokio::test]
async fn a_ticket_is_all_that_a_new_machine_needs_and_only_once() {
    let home = Authority::create("home");
    let a = home.first_node("A");
    let b = home.join("B");
    eventually("they are linked", async || is_linked(&a, &b).await).await;
    a.store("ada/f", "hello").await;
    assert_eq!(b.read("ada/f").await.body, b"hello");
    let b = b.restart();
    eventually("they are linked again", async || is_linked(&a, &b).await).await;
    // Without the ticket.
    let folder = b.into_folder();
    let b = Node::start_with_folder("B", folder);
    eventually("they are linked again", async || is_linked(&b, &a).await).await;
}

#[tokio::test]
async fn a_ticket_that_is_used_expired_or_of_another_network_is_refused() {
    let (home, work) = (Authority::create("home"), Authority::create("work"));
    let refused = home.try_command(&["invite"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && text.contains("--authority"),
        "{text}"
    );
    let a = home.first_node("A");
    let used = home.invite(&[]);
    let b = Node::start("B", &["--join", &used]);
    check_refused(&["--join", &used], &["this ticket has been used"]);
    let short = home.invite(&["--expires", "1s"]);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    check_refused(&["--join", &short], &["this ticket has expired"]);
    let foreign = work.invite(&["--address", &a.grpc]);
    check_refused(&["--join", &foreign], &["not of this network"]);
    check_refused(&["--join", &used[..used.len() - 1]], &["damaged"]);
    drop(b);
}

#[tokio::test]
async fn nodes_without_a_certificate_or_of_another_network_are_not_let_in() {
    let (home, work) = (Authority::create("home"), Authority::create("work"));
    let (a, w) = (home.first_node("A"), work.first_node("W"));
    let plain = Node::start("P", &[]);
    for other in [&w, &plain] {
        assert!(!can_link(other, &a).await && !can_link(&a, other).await);
        assert!(!knows(&a, other).await);
    }
}

#[tokio::test]
async fn a_revoked_node_is_cut_off_also_after_restarts_and_its_replicas_are_made_again() {
    let home = Authority::create("home");
    let a = home.first_node("A");
    let (b, c) = (home.join("B"), home.join("C"));
    b.link(&c).await;
    eventually("all know each other", async || {
        knows(&a, &b).await && knows(&a, &c).await && knows(&b, &c).await
    })
    .await;
    for node in [&a, &b, &c] {
        node.sees_alive(3).await;
    }
    let mut on_c = 0;
    for number in 0..16 {
        let stored = a.store(&format!("ada/{number}"), "hello").await;
        on_c += usize::from(names(&stored["replicas"]).contains(&"C".to_owned()));
    }
    assert!(on_c > 0, "placement chose C for none of many files");
    home.command(&["revoke", "C"]);
    eventually("C is cut off", async || {
        let is_linked = is_linked(&a, &c).await || is_linked(&b, &c).await;
        !is_linked && !knows(&a, &c).await && !knows(&b, &c).await
    })
    .await;
    for node in [&a, &b] {
        eventually("A and B hold every file", async || {
            node.json("/v1/status").await["replicas"]["files"] == 16
        })
        .await;
    }
    // B keeps it away on its own, and so does A.
    let (a, b, c) = (a.restart(), b.restart(), c.restart());
    eventually("the others are linked", async || is_linked(&a, &b).await).await;
    assert!(!can_link(&c, &b).await && !can_link(&b, &c).await);
    assert!(!knows(&a, &c).await && !knows(&b, &c).await);
    let nodes = home.command(&["nodes"]);
    let states: Vec<_> = nodes
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["state"].clone())
        .collect();
    assert_eq!(states, ["valid", "valid", "revoked"]);
}

#[tokio::test]
async fn after_a_rotation_nodes_renew_and_one_that_was_off_comes_back() {
    let home = Authority::create("home");
    let a = home.first_node("A");
    let (b, mut c) = (home.join("B"), home.join("C"));
    let before = [certificate(&b), certificate(&c)];
    c.terminate();
    let rotated = home.command(&["rotate"]);
    assert_eq!(rotated["generation"], 2);
    eventually("B has renewed", async || certificate(&b) != before[0]).await;
    let c = c.restart();
    eventually("C is back and has renewed", async || {
        is_linked(&a, &c).await && certificate(&c) != before[1]
    })
    .await;
    let d = home.join("D");
    eventually("a new one joins", async || is_linked(&a, &d).await).await;
    d.link(&c).await;
    d.link(&b).await;
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_expires() {
    let Some(clock) = Clock::new() else {
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let home = Authority::create("home");
    let (dir, plain) = (home.dir(), QUICK.to_vec());
    let with = |more: &[&'static str]| [&plain[..], more].concat();
    let a = [&["--authority", dir.as_str()], &with(&[])[..]].concat();
    let a = Node::start_at("A", &a, clock.clone());
    let ticket = home.invite(&[]);
    let b = [&["--join", ticket.as_str()], &with(&[])[..]].concat();
    let b = Node::start_at("B", &b, clock.clone());
    eventually("they are linked", async || is_linked(&a, &b).await).await;
    let before = [certificate(&a), certificate(&b)];
    clock.set_ahead(19 * DAY_S);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(before, [certificate(&a), certificate(&b)], "there is time");
    clock.set_ahead(21 * DAY_S);
    for (node, before) in [&a, &b].into_iter().zip(&before) {
        eventually("it is renewed", async || certificate(node) != *before).await;
    }
    // Past the end of the first certificates.
    clock.set_ahead(40 * DAY_S);
    a.store("ada/f", "hello").await;
    assert_eq!(b.read("ada/f").await.body, b"hello");
    let (a, b) = (a.restart(), b.restart());
    eventually("they are linked", async || is_linked(&a, &b).await).await;
}

/// Writes the files of a PKI for a node with this id; returns the flags that name them.
fn pki(
    authority: &dataverse_identity::authority::Authority,
    node: &str,
    place: &Path,
) -> [String; 6] {
    use dataverse_identity::certificate::pem_of;
    use dataverse_identity::joining::{JoinRequest, NodeKey};
    let key = NodeKey::generate().expect("a key");
    let id = node.parse().expect("it is an id");
    let request = JoinRequest::new(id, "A", &key).expect("a request");
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("it is later")
        .as_secs();
    let leaf = authority
        .issue(&request, "A", now, now + 3600)
        .expect("it is issued");
    let files = [
        ("--tls-ca", "ca.pem", authority.certificate().to_pem()),
        ("--tls-cert", "cert.pem", pem_of(&[leaf])),
        ("--tls-key", "key.pem", key.to_pem()),
    ];
    let flags = files.map(|(flag, file, text)| {
        let (path, unfinished) = (place.join(file), place.join("new"));
        std::fs::write(&unfinished, text).expect("it is written");
        std::fs::rename(unfinished, &path).expect("it is renamed");
        [flag.to_owned(), path.display().to_string()]
    });
    let [a, b, c] = flags;
    [a, b, c].concat().try_into().expect("there are six")
}

#[tokio::test]
async fn the_files_of_a_pki_are_used_and_read_again_when_they_change() {
    use dataverse_identity::authority::Authority;
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("it is later")
        .as_secs();
    let pki_of = |name| Authority::create(name, 1, now).expect("an authority");
    let (old, new) = (pki_of("old"), pki_of("new"));
    let places = [(); 2].map(|()| TempDir::new().expect("a temporary folder can be created"));
    let [a, b] = [("A", &places[0]), ("B", &places[1])].map(|(name, place)| {
        // Its id is known once it has run.
        let node = Node::start(name, &[]);
        let (id, folder) = (node.id.clone(), node.into_folder());
        let flags = pki(&old, &id, place.path());
        Node::start_with_folder_and(name, folder, flags.to_vec())
    });
    a.link(&b).await;
    let other = pki(&old, &a.id, places[1].path());
    check_refused(
        &other.each_ref().map(String::as_str),
        &["urn:dataverse:node:"],
    );
    pki(&new, &b.id, places[1].path());
    eventually("B is cut off", async || {
        !is_linked(&a, &b).await && !can_link(&a, &b).await
    })
    .await;
    pki(&new, &a.id, places[0].path());
    eventually("they are linked again", async || is_linked(&a, &b).await).await;
}
