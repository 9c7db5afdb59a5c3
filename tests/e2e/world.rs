//! Nodes as processes: started on free ports, waited for, killed when dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::clocks::Clock;

/// How long any awaited condition may take. Generous, because machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_dataverse");

/// Short intervals, so that re-replication and reconciliation happen soon.
pub(crate) const QUICK: [&str; 6] = [
    "--set",
    "repair.after=2s",
    "--set",
    "reconcile.every=1s",
    "--set",
    "gossip.suspect=1s",
];

/// The line in which a node reports that it is ready, and its addresses.
pub(crate) struct Ready(String);

impl Ready {
    /// Waits for it. The node's output is piped.
    pub(crate) fn of(node: &mut Child) -> Self {
        let stdout = node.stdout.take().expect("its output is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its output can be read");
        assert!(line.starts_with("ready "), "{line:?}");
        Self(line)
    }

    pub(crate) fn field(&self, name: &str) -> String {
        let mut words = self.0.split_whitespace();
        let found = words.find_map(|word| word.strip_prefix(&format!("{name}=")));
        found
            .unwrap_or_else(|| panic!("no {name} in the ready line {:?}", self.0))
            .to_owned()
    }
}

/// One node as a process.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) id: String,
    pub(crate) folder: TempDir,
    child: Child,
    client: Client,
    arguments: Vec<String>,
    clock: Option<Clock>,
}

/// The surroundings of a process, apart from its arguments.
#[derive(Default)]
struct Surroundings<'a> {
    log: Option<File>,
    crash_at: Option<&'a str>,
    clock: Option<Clock>,
}

impl Node {
    /// Starts a node with these further arguments and waits until it is ready.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be created");
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let found = ["127.0.0.1:0"; 2];
        Self::start_in(name, folder, arguments, found, Surroundings::default())
    }

    /// The same, in an existing folder.
    pub(crate) fn start_with_folder(name: &str, folder: TempDir) -> Self {
        Self::start_with_folder_and(name, folder, Vec::new())
    }

    /// The same, with these further arguments.
    pub(crate) fn start_with_folder_and(
        name: &str,
        folder: TempDir,
        arguments: Vec<String>,
    ) -> Self {
        let found = ["127.0.0.1:0"; 2];
        Self::start_in(name, folder, arguments, found, Surroundings::default())
    }

    /// Stops it with `kill -9` and keeps its folder.
    pub(crate) fn into_folder(mut self) -> TempDir {
        self.kill();
        let empty = TempDir::new().expect("a temporary folder can be created");
        std::mem::replace(&mut self.folder, empty)
    }

    /// The same, with its own wall clock.
    pub(crate) fn start_at(name: &str, arguments: &[&str], clock: Clock) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be created");
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let surroundings = Surroundings {
            clock: Some(clock),
            ..Surroundings::default()
        };
        Self::start_in(name, folder, arguments, ["127.0.0.1:0"; 2], surroundings)
    }

    /// The same, logging JSON to this file, one object per line.
    pub(crate) fn start_telling(name: &str, arguments: &[&str], log: File) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be created");
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let found = ["127.0.0.1:0"; 2];
        let surroundings = Surroundings {
            log: Some(log),
            ..Surroundings::default()
        };
        Self::start_in(name, folder, arguments, found, surroundings)
    }

    fn start_in(
        name: &str,
        folder: TempDir,
        arguments: Vec<String>,
        places: [&str; 2],
        surroundings: Surroundings<'_>,
    ) -> Self {
        let clock = surroundings.clock.clone();
        let mut child = spawn(name, folder.path(), &arguments, places, surroundings);
        let ready = Ready::of(&mut child);
        Self {
            name: name.to_owned(),
            http: ready.field("http"),
            grpc: ready.field("grpc"),
            id: ready.field("id"),
            folder,
            child,
            client: Client::builder().no_proxy().build().expect("a client"),
            arguments,
            clock,
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// Sends SIGTERM; returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().expect("it can be waited for").code()
    }

    /// Starts the same node again, in the same folder and on the same ports.
    pub(crate) fn restart(self) -> Self {
        self.restart_to(None)
    }

    /// The same, and it dies as by `kill -9` when it reaches this crash point.
    pub(crate) fn restart_to_die_at(self, point: &str) -> Self {
        self.restart_to(Some(point))
    }

    /// Whether its process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().expect("it can be waited for");
        ended.is_some()
    }

    /// Starts the stopped node again; it dies at this crash point before it is ready.
    pub(crate) fn die_starting_at(&mut self, point: &str) {
        let surroundings = Surroundings {
            crash_at: Some(point),
            clock: self.clock.clone(),
            log: None,
        };
        let places = [self.grpc.as_str(), self.http.as_str()];
        let (name, folder) = (&self.name, self.folder.path());
        let mut child = spawn(name, folder, &self.arguments, places, surroundings);
        let ended = child.wait().expect("it can be waited for");
        assert_eq!(ended.code(), None, "it should have died at {point}");
    }

    fn restart_to(mut self, crash_at: Option<&str>) -> Self {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let folder = std::mem::replace(
            &mut self.folder,
            TempDir::new().expect("a temporary folder can be created"),
        );
        let arguments = std::mem::take(&mut self.arguments);
        let places = [self.grpc.as_str(), self.http.as_str()];
        let surroundings = Surroundings {
            log: None,
            crash_at,
            clock: self.clock.take(),
        };
        Self::start_in(&self.name, folder, arguments, places, surroundings)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) fn file_url(&self, key: &str) -> String {
        self.url(&format!("/v1/files/{key}"))
    }

    pub(crate) fn put(&self, key: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.put(self.file_url(key)).body(body)
    }

    pub(crate) fn get(&self, key: &str) -> RequestBuilder {
        self.client.get(self.file_url(key))
    }

    pub(crate) fn head(&self, key: &str) -> RequestBuilder {
        self.client.head(self.file_url(key))
    }

    pub(crate) fn delete(&self, key: &str) -> RequestBuilder {
        self.client.delete(self.file_url(key))
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.client.get(self.url(path)).send().await;
        let response = response.expect("the node answers");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.expect("the answer is JSON")
    }

    pub(crate) async fn search(&self, query: &str) -> Value {
        self.json(&format!("/v1/search?{query}")).await
    }

    /// Stores a file and returns the answer.
    pub(crate) async fn store(&self, key: &str, body: impl Into<reqwest::Body>) -> Value {
        let response = sent(self.put(key, body)).await;
        assert!(
            response.status().is_success(),
            "{key}: {}",
            response.status()
        );
        response.json().await.expect("the answer is JSON")
    }

    /// Stores a file on exactly this many nodes.
    pub(crate) async fn store_on(
        &self,
        key: &str,
        body: impl Into<reqwest::Body>,
        factor: u32,
    ) -> Value {
        let request = self.put(key, body).header("Dataverse-Factor", factor);
        let response = sent(request).await;
        assert!(
            response.status().is_success(),
            "{key}: {}",
            response.status()
        );
        response.json().await.expect("the answer is JSON")
    }

    /// Reads a file that must exist.
    pub(crate) async fn read(&self, key: &str) -> Read {
        let response = sent(self.get(key)).await;
        assert_eq!(response.status(), StatusCode::OK, "{key} at {}", self.name);
        let header = |name: &str| {
            let value = response.headers().get(name).map(|value| value.to_str());
            value
                .expect("the header is present")
                .expect("it is text")
                .to_owned()
        };
        Read {
            source: header("dataverse-source"),
            hops: header("dataverse-hops").parse().expect("hops are a number"),
            body: response.bytes().await.expect("the body arrives").to_vec(),
        }
    }

    /// Links with another node and waits until both ends report the link.
    pub(crate) async fn link(&self, other: &Self) {
        let body = serde_json::json!({ "address": other.grpc });
        let request = self.request(reqwest::Method::POST, "/v1/links").json(&body);
        assert_eq!(sent(request).await.status(), StatusCode::CREATED);
    }

    /// Waits until this node sees exactly this many live members, including itself.
    pub(crate) async fn sees_alive(&self, count: usize) {
        eventually(&format!("{} sees {count} alive", self.name), async || {
            let nodes = self.json("/v1/nodes").await;
            let nodes = nodes.as_array().expect("it is a list");
            let ready = |node: &&Value| node["state"] == "alive" && node["capacity"] != 0;
            nodes.iter().filter(ready).count() == count
        })
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The result of a read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) source: String,
    pub(crate) hops: u32,
    pub(crate) body: Vec<u8>,
}

/// Starts the process of a node.
fn spawn(
    name: &str,
    folder: &Path,
    arguments: &[String],
    [listen, http]: [&str; 2],
    surroundings: Surroundings<'_>,
) -> Child {
    let usual = std::env::var("RUST_LOG").unwrap_or("warn".into());
    let (level, format, stderr) = match surroundings.log {
        Some(file) => ("dataverse=debug".to_owned(), "json", Stdio::from(file)),
        None => (usual, "text", Stdio::inherit()),
    };
    let mut command = Command::new(BINARY);
    if let Some(clock) = &surroundings.clock {
        clock.give_to(&mut command);
    }
    command
        .args(["node", "--name", name, "--listen", listen, "--http", http])
        .arg("--data")
        .arg(folder)
        // Tests ask which policies are active immediately.
        .args(["--set", "policies.start=60s"])
        .args(arguments)
        .env("RUST_LOG", level)
        .env("DATAVERSE_LOG_FORMAT", format)
        .env("DATAVERSE_CRASH_AT", surroundings.crash_at.unwrap_or(""))
        .stderr(stderr)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

pub(crate) async fn sent(request: RequestBuilder) -> Response {
    request.send().await.expect("the node answers")
}

/// Nodes `A`, `B`, … with these links, which all know each other.
pub(crate) async fn network(
    count: usize,
    links: &[(usize, usize)],
    arguments: &[&str],
) -> Vec<Node> {
    let nodes: Vec<Node> = (0..count)
        .map(|at| Node::start(&name(at), arguments))
        .collect();
    for (a, b) in links {
        nodes[*a].link(&nodes[*b]).await;
    }
    for node in &nodes {
        node.sees_alive(count).await;
    }
    nodes
}

/// Waits until a reader at each of these nodes finds this content, or, if `None`, no file.
pub(crate) async fn all_read(nodes: &[Node], key: &str, content: Option<&[u8]>, when: &str) {
    for node in nodes {
        let what = format!("{key} is right at {} {when}", node.name);
        eventually(&what, async || {
            let answer = sent(node.get(key)).await;
            match content {
                None => answer.status() == StatusCode::NOT_FOUND,
                Some(content) => {
                    answer.status() == StatusCode::OK
                        && answer.bytes().await.is_ok_and(|body| body == content)
                }
            }
        })
        .await;
    }
}

/// The total number of replicas that these nodes hold.
pub(crate) async fn replicas(nodes: &[Node]) -> u64 {
    let mut replicas = 0;
    for node in nodes {
        let status = node.json("/v1/status").await;
        replicas += status["replicas"]["files"]
            .as_u64()
            .expect("it is a number");
    }
    replicas
}

/// `A` – `B` – `C` – …
pub(crate) async fn line(count: usize) -> Vec<Node> {
    let links: Vec<_> = (1..count).map(|at| (at - 1, at)).collect();
    network(count, &links, &[]).await
}

pub(crate) fn name(at: usize) -> String {
    char::from(b'A' + u8::try_from(at).expect("there are few nodes")).to_string()
}

/// Stores a file whose only replica is on the node at this index, and returns its key. Placement depends on the
/// hash of the name, so this tries names until one is placed there.
pub(crate) async fn store_only_at(nodes: &[Node], at: usize, name: &str, content: &[u8]) -> String {
    for tried in 0..500 {
        let key = format!("ada/{name}-{tried}");
        let stored = nodes[at].store_on(&key, content.to_vec(), 1).await;
        if names(&stored["replicas"]) == [nodes[at].name.as_str()] {
            return key;
        }
    }
    panic!("placement never chose {}", nodes[at].name);
}

/// Waits until the condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "this never happened: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The names in a JSON list.
pub(crate) fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("it is a list");
    let name = |value: &Value| value.as_str().expect("it is text").to_owned();
    list.iter().map(name).collect()
}

/// Bytes that differ by position and seed.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
