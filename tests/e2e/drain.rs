//! A node that is drained by command, and one that is killed for good.

use reqwest::StatusCode;

use crate::cli::{done, run};
use crate::world::{bytes, eventually, names, network, replicas, sent};

const RING: [(usize, usize); 4] = [(0, 1), (1, 2), (2, 3), (3, 0)];

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_can_be_stopped_for_good() {
    let mut nodes = network(4, &RING, &[]).await;
    let files: Vec<_> = (0..12u64)
        .map(|at| (format!("ada/{at}"), bytes(40_000, at)))
        .collect();
    for (key, content) in &files {
        nodes[0].store_on(key, content.clone(), 2).await;
    }
    // Requested at another node, by name.
    let told = done(&nodes[2], &["drain", "B"]);
    assert!(told.contains("can be stopped"), "{told}");
    let status = nodes[1].json("/v1/status").await;
    assert_eq!(status["replicas"]["files"], 0, "{status}");
    for at in 0..12 {
        let stored = nodes[1].store_on(&format!("bea/{at}"), "later", 2).await;
        let replicas = names(&stored["replicas"]);
        assert!(!replicas.contains(&"B".to_owned()), "{replicas:?}");
    }
    nodes[1].kill();
    for (key, content) in &files {
        assert_eq!(&nodes[0].read(key).await.body, content);
    }
    let b = nodes.remove(1).restart();
    assert_eq!(b.json("/v1/status").await["drain"]["draining"], true);
    for node in &nodes {
        node.sees_alive(4).await;
    }
    done(&nodes[0], &["undrain", "B"]);
    assert_eq!(b.json("/v1/status").await["drain"]["draining"], false);
    let refused = run(&nodes[0], &["drain", "nobody"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[tokio::test]
async fn what_a_dead_node_held_is_made_anew_and_the_node_that_returns_gives_its_copies_up() {
    let quick = ["--set", "repair.after=1s", "--set", "gossip.suspect=1s"];
    let mut nodes = network(4, &RING, &quick).await;
    let files: Vec<_> = (0..12u64)
        .map(|at| (format!("ada/{at}"), bytes(40_000, at)))
        .collect();
    for (key, content) in &files {
        nodes[0].store_on(key, content.clone(), 2).await;
    }
    nodes[3].kill();
    eventually("the others hold two replicas of each", async || {
        replicas(&nodes[..3]).await == 24
    })
    .await;
    let d = nodes.remove(3).restart();
    nodes.push(d);
    eventually(
        "the node that is back has released its copies",
        async || nodes[3].json("/v1/status").await["replicas"]["files"] == 0,
    )
    .await;
    for (key, content) in &files {
        let answer = sent(nodes[3].get(key)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(&answer.bytes().await.expect("it arrives"), content);
    }
}
