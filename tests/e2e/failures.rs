//! Nodes that die: nothing acknowledged is lost, nothing half-written becomes visible.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;

use crate::world::{Node, bytes, eventually, line, name, names, network, sent};

/// A body that arrives piece by piece, slowly enough to be interrupted.
fn slow_body(content: &[u8]) -> reqwest::Body {
    let pieces: Vec<Vec<u8>> = content.chunks(100_000).map(<[u8]>::to_vec).collect();
    let stream = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async {
        let piece = pieces.next()?;
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    });
    reqwest::Body::wrap_stream(stream)
}

#[tokio::test]
async fn an_entry_node_killed_in_mid_upload_leaves_nothing_half_written() {
    let mut nodes = line(3).await;
    let content = bytes(10_000_000, 31);
    let upload = nodes[0].put("ada/cut", slow_body(&content)).send();
    let upload = tokio::spawn(upload);
    eventually("the upload is under way", async || {
        let incoming = std::fs::read_dir(nodes[0].path().join("incoming"));
        incoming.is_ok_and(|mut files| files.next().is_some())
    })
    .await;
    nodes[0].kill();
    assert!(upload.await.expect("it ends").is_err());
    let a = nodes.remove(0).restart();
    for node in nodes.iter().chain([&a]) {
        eventually("the file is reported missing", async || {
            sent(node.get("ada/cut")).await.status() == StatusCode::NOT_FOUND
        })
        .await;
        let status = node.json("/v1/status").await;
        assert_eq!(status["replicas"]["files"], 0);
    }
    let incoming = std::fs::read_dir(a.path().join("incoming")).expect("the folder exists");
    assert_eq!(
        incoming.count(),
        0,
        "unfinished uploads are removed at start"
    );
    a.store("ada/cut", content.clone()).await;
    assert_eq!(nodes[1].read("ada/cut").await.body, content);
}

#[tokio::test]
async fn a_replica_killed_in_mid_upload_is_replaced_by_a_spare() {
    let mut nodes = network(4, &[(0, 1), (0, 2), (0, 3)], &[]).await;
    // A full replication over the other three, so that whichever node dies was taking part.
    let content = bytes(6_000_000, 32);
    let request = nodes[0].put("ada/spared", slow_body(&content));
    let upload = tokio::spawn(request.header("Dataverse-Factor", 3).send());
    let writing = |node: &Node| {
        let incoming = std::fs::read_dir(node.path().join("incoming"));
        incoming.is_ok_and(|mut files| files.next().is_some())
    };
    let mut victim = 0;
    eventually("another node is writing", async || {
        victim = (1..4).find(|at| writing(&nodes[*at])).unwrap_or(0);
        victim != 0
    })
    .await;
    nodes[victim].kill();
    let response = upload
        .await
        .expect("it ends")
        .expect("the entry node answers");
    assert_eq!(response.status(), StatusCode::CREATED);
    let stored: serde_json::Value = response.json().await.expect("it is JSON");
    let replicas = names(&stored["replicas"]);
    assert!(
        !replicas.contains(&name(victim)),
        "{replicas:?} with {} dead",
        name(victim)
    );
    assert_eq!((replicas.len(), &stored["degraded"]), (3, &false.into()));
    for (at, node) in nodes.iter().enumerate().filter(|(at, _)| *at != victim) {
        assert_eq!(
            node.read("ada/spared").await.body,
            content,
            "at {}",
            name(at)
        );
    }
}

#[tokio::test]
async fn with_too_few_nodes_a_write_is_kept_and_says_that_it_is_degraded() {
    let node = Node::start("A", &[]);
    let stored = node.store("ada/alone", "x").await;
    assert_eq!(stored["degraded"], true);
    assert_eq!(names(&stored["replicas"]), ["A"]);
}

#[tokio::test]
async fn everything_acknowledged_survives_kill_9_under_load() {
    let mut nodes = line(3).await;
    let mut acknowledged: Vec<(String, Vec<u8>)> = Vec::new();
    for round in 0..3u64 {
        let victim = round as usize;
        let writes = (0..24u64).map(|at| {
            let node = &nodes[at as usize % 3];
            let key = format!("ada/{round}/{at}");
            // Some are stored in the index, some in files.
            let content = bytes(if at % 2 == 0 { 2_000 } else { 60_000 }, round * 100 + at);
            let put = node.put(&key, content.clone());
            async move {
                let response = put.send().await.ok()?;
                response.status().is_success().then_some((key, content))
            }
        });
        let writes = tokio::spawn(join_all(writes.collect::<Vec<_>>()));
        let count = acknowledged.len();
        tokio::time::sleep(Duration::from_millis(15 + 10 * round)).await;
        nodes[victim].kill();
        let done = writes.await.expect("it ends").into_iter().flatten();
        acknowledged.extend(done);
        let node = nodes.remove(victim).restart();
        nodes.insert(victim, node);
        assert!(acknowledged.len() >= count);
        for node in &nodes {
            node.sees_alive(3).await;
        }
    }
    assert!(!acknowledged.is_empty(), "some writes got through");
    for (key, content) in &acknowledged {
        for node in &nodes {
            eventually(&format!("{key} is read at {}", node.name), async || {
                let response = sent(node.get(key)).await;
                response.status() == StatusCode::OK
                    && response.bytes().await.is_ok_and(|body| body == content)
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_killed_node_is_known_to_be_gone_and_a_search_says_who_did_not_answer() {
    let mut nodes = line(3).await;
    nodes[2].kill();
    eventually("the others know", async || {
        let members = nodes[0].json("/v1/nodes").await;
        let members = members.as_array().expect("it is a list").clone();
        members
            .iter()
            .any(|member| member["name"] == "C" && member["state"] == "gone")
    })
    .await;
    let report = nodes[0].search("key=ada/none").await;
    assert_eq!(report["outcome"], "partial");
    assert_eq!(report["unanswered"][0]["node"], "C");
    let missed = sent(nodes[0].get("ada/none")).await;
    assert_eq!(missed.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: serde_json::Value = missed.json().await.expect("it is JSON");
    assert_eq!(
        (&problem["outcome"], &problem["key"]),
        (&"partial".into(), &"ada/none".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_told_to_stop_finishes_what_is_in_flight() {
    let mut node = Node::start("A", &[]);
    let content = bytes(3_000_000, 33);
    let upload = tokio::spawn(node.put("ada/last", slow_body(&content)).send());
    eventually("the upload is under way", async || {
        let incoming = std::fs::read_dir(node.path().join("incoming"));
        incoming.is_ok_and(|mut files| files.next().is_some())
    })
    .await;
    let code = tokio::task::block_in_place(|| node.terminate());
    assert_eq!(code, Some(0));
    let response = upload.await.expect("it ends").expect("it was answered");
    assert_eq!(response.status(), StatusCode::CREATED);
    let node = node.restart();
    assert_eq!(node.read("ada/last").await.body, content);
}

#[tokio::test]
async fn bytes_that_rot_on_disk_are_never_passed_on() {
    let nodes = network(2, &[(0, 1)], &["--set", "verify.every=0s"]).await;
    let content = bytes(3_000_000, 34);
    nodes[0].store("ada/rot", content.clone()).await;
    let path = contents(nodes[0].path()).remove(0);
    let mut rotten = std::fs::read(&path).expect("it exists");
    rotten[2_000_000] ^= 1;
    std::fs::write(&path, rotten).expect("it can be written");
    assert_eq!(nodes[0].read("ada/rot").await.body, content);
    quarantined(&nodes[0], &path, &content).await;
    assert_eq!(nodes[0].read("ada/rot").await.body, content);
}

#[tokio::test]
async fn when_the_nearest_copy_is_bad_the_next_holder_is_asked() {
    let nodes = line(3).await;
    let content = bytes(3_000_000, 35);
    // Repeats until the middle node, which is nearest, and the far one hold it.
    let mut found = None;
    for tried in 0..200 {
        let key = format!("ada/nearest-{tried}");
        let stored = nodes[2].store(&key, content.clone()).await;
        let mut replicas = names(&stored["replicas"]);
        replicas.sort();
        if replicas == ["B", "C"] {
            found = Some((key, stored));
            break;
        }
        assert_eq!(
            sent(nodes[2].delete(&key)).await.status(),
            StatusCode::NO_CONTENT
        );
    }
    let (key, stored) = found.expect("placement chooses these two sooner or later");
    let version = stored["version"].as_str().expect("it is text");
    let stamp = version
        .split('-')
        .next()
        .expect("a version begins with a stamp");
    let path = contents(nodes[1].path())
        .into_iter()
        .find(|path| path.to_string_lossy().contains(stamp))
        .expect("the middle node has it");
    let mut rotten = std::fs::read(&path).expect("it exists");
    rotten[10] ^= 1;
    std::fs::write(&path, rotten).expect("it can be written");
    assert_eq!(nodes[0].read(&key).await.body, content);
    quarantined(&nodes[1], &path, &content).await;
    // A node that the layout names as a holder heals its replica when it reads the file.
    assert_eq!(nodes[1].read(&key).await.body, content);
    eventually("the replica is healed", async || {
        let report = nodes[1].search(&format!("key={key}")).await;
        report["hits"][0]["node"] == "B" && report["hits"][0]["role"] == "replica"
    })
    .await;
}

/// Waits until the bad copy at `path` is set aside; a healed one may have its name by then.
async fn quarantined(node: &Node, path: &std::path::Path, content: &[u8]) {
    eventually("the bad copy is quarantined", async || {
        let set_aside = std::fs::read_dir(node.path().join("quarantine"));
        let is_rotten = std::fs::read(path).is_ok_and(|now| now != content);
        set_aside.is_ok_and(|mut files| files.next().is_some()) && !is_rotten
    })
    .await;
}

/// The content files of a node.
pub(crate) fn contents(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut folders = vec![folder.join("content")];
    let mut contents = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none() {
                contents.push(path);
            }
        }
    }
    contents
}
