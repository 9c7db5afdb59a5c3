//! A file of several GiB: uploaded to one node, downloaded from another, in bounded memory.

use bytes::Bytes;
use futures_util::StreamExt;

use crate::world::{Node, line, names, sent};
use crate::writers::resident_bytes;

const SIZE: u64 = 3 << 30;
const PIECE: usize = 1 << 20;

/// The piece of the file at this index; all pieces differ.
fn piece(index: u64) -> Bytes {
    let mut piece = vec![(index % 251) as u8; PIECE];
    piece[..8].copy_from_slice(&index.to_le_bytes());
    piece.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_3_gib_passes_through_in_bounded_memory() {
    let nodes = line(2).await;
    let pieces = SIZE / PIECE as u64;
    let mut hasher = blake3::Hasher::new();
    for index in 0..pieces {
        hasher.update(&piece(index));
    }
    let digest = hasher.finalize().to_hex().to_string();

    let stream =
        futures_util::stream::iter(0..pieces).map(|index| Ok::<_, std::io::Error>(piece(index)));
    let body = reqwest::Body::wrap_stream(stream);
    let put = nodes[0]
        .put("ada/huge.bin", body)
        .header("Dataverse-Factor", 1);
    let (response, most) = tokio::join!(sent(put), watch(&nodes[0], &nodes[1]));
    assert_eq!(response.status(), 201);
    let stored: serde_json::Value = response.json().await.expect("it is JSON");
    assert_eq!(stored["digest"], digest.as_str());
    assert_eq!(stored["size"], SIZE);
    let holder = names(&stored["replicas"]).remove(0);
    let reader = nodes
        .iter()
        .find(|node| node.name != holder)
        .expect("two exist");

    let response = sent(reader.get("ada/huge.bin")).await;
    let mut body = response.bytes_stream();
    let mut hasher = blake3::Hasher::new();
    let mut peak = most;
    let mut read = 0u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.expect("it arrives");
        hasher.update(&chunk);
        if read / (64 << 20) != (read + chunk.len() as u64) / (64 << 20) {
            peak = peak.max(nodes.iter().map(resident_bytes).max().unwrap_or(0));
        }
        read += chunk.len() as u64;
    }
    assert_eq!(read, SIZE);
    assert_eq!(hasher.finalize().to_hex().to_string(), digest);
    // The budget is 80 MiB; how much an allocator retains differs between machines.
    assert!(peak < 200 << 20, "a node used {} MiB", peak >> 20);
}

/// The most memory that a node used while part of the upload passed through.
async fn watch(a: &Node, b: &Node) -> u64 {
    let mut most = 0;
    for _ in 0..40 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        most = most.max(resident_bytes(a)).max(resident_bytes(b));
    }
    most
}
