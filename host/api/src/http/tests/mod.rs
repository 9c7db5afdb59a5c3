//! The HTTP contract, tested through real sockets against a node that keeps its files in memory.

mod connections;
mod edge;
mod files;
mod form;
mod memory;
mod network;
mod policies;
mod policy_api;
mod routes;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dataverse_node::settings::Settings;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::memory::Memory;
use self::policy_api::Tray;
use super::Around;
use super::server::serve_node;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in front of a node in memory; stops when dropped.
struct Running {
    node_api: Arc<Memory>,
    policy_api: Arc<Tray>,
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
    _stop_at_last: DropGuard,
}

/// A response, as it came over the wire.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Running {
    async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    async fn start_with(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let node_api = Arc::new(Memory::default());
        let stop = CancellationToken::new();
        let policy_api = Arc::new(Tray::default());
        let (served_node, stopped) = (Arc::clone(&node_api), stop.clone());
        let served_policy_api = Arc::clone(&policy_api);
        let served = tokio::spawn(async move {
            let end = stopped.cancelled();
            let around = Around {
                hosts: vec!["node.example".to_owned()],
                spool: std::env::temp_dir(),
            };
            serve_node(
                listener,
                served_node,
                served_policy_api,
                &settings,
                around,
                end,
            )
            .await
        });
        Self {
            node_api,
            policy_api,
            address,
            _stop_at_last: stop.clone().drop_guard(),
            stop,
            served,
        }
    }

    /// Opens a connection, sends these bytes and leaves it open.
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(bytes).await.expect("it reads");
        stream
    }

    /// The same, with more bytes than the server may take.
    async fn send_what_it_takes(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        drop(stream.write_all(bytes).await);
        stream
    }

    /// Sends one request and returns the response. `request` is the request line without the protocol.
    async fn ask(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut text = head(request, headers).into_bytes();
        text.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        text.extend(body);
        Reply::read(self.send(&text).await).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), &[], b"").await
    }

    async fn put(&self, path: &str, body: &[u8]) -> Reply {
        self.ask(&format!("PUT {path}"), &[], body).await
    }

    async fn post_json(&self, path: &str, body: &Value) -> Reply {
        let headers = [("Content-Type", "application/json")];
        self.ask(
            &format!("POST {path}"),
            &headers,
            body.to_string().as_bytes(),
        )
        .await
    }
}

/// The head of a request, without the empty line at its end.
fn head(request: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text
}

impl Reply {
    async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        read.expect("an answer comes in time")
            .expect("the connection ends orderly");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(&bytes)));
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8(bytes).expect("a head is ASCII");
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        Self {
            status: status.expect("there is a status"),
            head,
            body,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The status, after checking that the response is a complete problem (or not an error).
    #[track_caller]
    fn problem(&self) -> (u16, Value) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let body = self.json();
        assert_eq!(body["status"], self.status);
        assert!(
            body["title"].is_string() && body["detail"].is_string(),
            "{body}"
        );
        (self.status, body)
    }
}
