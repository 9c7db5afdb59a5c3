//! Clients that read and write continuously, and the results of their requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::Voice;

/// Concurrent clients.
const CLIENTS: usize = 8;
/// Reads that follow each write of a new file, of that file and of earlier ones.
const READS: u64 = 32;
const FILE_BYTES: usize = 16 << 10;

/// One request.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) at: Instant,
    pub(super) took: Duration,
    pub(super) error: Option<String>,
}

/// Clients that read and write until they are stopped.
pub(super) struct Traffic {
    clients: JoinSet<()>,
    stop: CancellationToken,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Traffic {
    /// Starts clients of these nodes. Each writes at one node and reads at the next, and must get back the bytes
    /// that it wrote.
    pub(super) fn start(voices: &[Voice], prefix: &str) -> Self {
        let stop = CancellationToken::new();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let writer = voices[client % voices.len()].clone();
            let reader = voices[(client + 1) % voices.len()].clone();
            let (stop, requests) = (stop.clone(), Arc::clone(&requests));
            let prefix = format!("{prefix}/{client}");
            clients.spawn(async move {
                for turn in 0u64.. {
                    if stop.is_cancelled() {
                        return;
                    }
                    let newest = turn / READS;
                    if turn.is_multiple_of(READS) {
                        let (key, content) = file(&prefix, newest);
                        note(&requests, write(&writer, &key, content)).await;
                    }
                    let (key, content) = file(&prefix, newest - turn % (newest + 1));
                    note(&requests, read(&reader, &key, &content)).await;
                }
            });
        }
        Self {
            clients,
            stop,
            requests,
        }
    }

    /// Stops the clients and returns their requests.
    pub(super) async fn stop(mut self) -> Vec<Request> {
        self.stop.cancel();
        while self.clients.join_next().await.is_some() {}
        let requests = self.requests.lock();
        requests.clone()
    }
}

/// The key and the content of a client's file of this number.
fn file(prefix: &str, number: u64) -> (String, Vec<u8>) {
    let content = vec![(number % 251) as u8; FILE_BYTES];
    (format!("{prefix}-{number}.bin"), content)
}

async fn note(requests: &Mutex<Vec<Request>>, request: impl Future<Output = anyhow::Result<()>>) {
    let at = Instant::now();
    let error = request.await.err().map(|error| format!("{error:#}"));
    let took = at.elapsed();
    let mut requests = requests.lock();
    requests.push(Request { at, took, error });
}

async fn write(writer: &Voice, key: &str, content: Vec<u8>) -> anyhow::Result<()> {
    let written = writer.upload(key, content, 2).await;
    written
        .map(|_| ())
        .with_context(|| format!("writing {key}"))
}

async fn read(reader: &Voice, key: &str, content: &[u8]) -> anyhow::Result<()> {
    let read = reader.read(key).await;
    let read = read.with_context(|| format!("reading {key}"))?;
    ensure!(
        read.body == content,
        "{key} was read with other bytes than were written"
    );
    Ok(())
}
