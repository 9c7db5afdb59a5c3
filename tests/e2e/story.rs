//! The story of the network: link, upload, find, read from afar, read again from nearby, survive a death.

use serde_json::Value;

use crate::world::{Node, bytes, eventually, line, name, names, network, sent, store_only_at};

fn holders(stored: &Value) -> Vec<String> {
    names(&stored["replicas"])
}

#[tokio::test]
async fn a_file_that_goes_in_at_one_end_of_a_line_comes_out_at_the_other() {
    let nodes = line(4).await;
    let content = bytes(300_000, 1);
    nodes[0].store("ada/notes.txt", content.clone()).await;
    for node in &nodes {
        let read = node.read("ada/notes.txt").await;
        assert_eq!(read.body, content, "at {}", node.name);
    }
}

#[tokio::test]
async fn a_search_says_which_way_it_found_the_nearest_copy() {
    let nodes = line(4).await;
    let at = 2;
    let key = store_only_at(&nodes, at, "one", b"only here").await;
    for (from, node) in nodes.iter().enumerate() {
        let report = node.search(&format!("key={key}")).await;
        assert_eq!(report["outcome"], "found");
        assert_eq!(report["exact"], true);
        assert_eq!(report["hits"][0]["node"], name(at));
        assert_eq!(report["hits"][0]["hops"], from.abs_diff(at));
        let mut way: Vec<String> = (from.min(at)..=from.max(at)).map(name).collect();
        if from > at {
            way.reverse();
        }
        assert_eq!(names(&report["path"]), way);
        // One probe per node up to the hit's level, no more.
        let distance = from.abs_diff(at);
        let within = (0..nodes.len()).filter(|other| other.abs_diff(from) <= distance);
        assert_eq!(report["probes"], within.count() - 1, "from {}", node.name);
        assert_eq!(report["levels"], distance);
    }
}

#[tokio::test]
async fn a_miss_in_a_whole_graph_is_certain() {
    let nodes = line(3).await;
    let report = nodes[0].search("key=ada/none").await;
    assert_eq!(report["outcome"], "not_found");
    assert_eq!(report["probes"], 2);
    assert_eq!(sent(nodes[0].get("ada/none")).await.status(), 404);
}

#[tokio::test]
async fn a_second_read_is_local_because_data_moves_to_its_reader() {
    let nodes = line(4).await;
    let content = bytes(2_500_000, 3);
    let key = store_only_at(&nodes, 3, "far", &content).await;
    let reader = &nodes[0];
    let first = reader.read(&key).await;
    assert_eq!((first.source.as_str(), first.hops), ("D", 3));
    assert!(first.body == content);
    eventually("the copy is kept", async || {
        reader.read(&key).await.source == reader.name
    })
    .await;
    assert_eq!(reader.read(&key).await.body, content);
    let report = reader.search(&format!("key={key}")).await;
    assert_eq!(report["hits"][0]["role"], "cached");
}

#[tokio::test]
async fn a_file_outlives_a_node_that_held_it() {
    let mut nodes = line(4).await;
    let content = bytes(50_000, 4);
    let stored = nodes[0].store("ada/safe", content.clone()).await;
    let holders = holders(&stored);
    assert_eq!(
        (holders.len(), &stored["degraded"]),
        (2, &Value::Bool(false))
    );
    // Removing a node at the end of the line does not split it.
    let victim = holders.iter().find(|name| *name == "A" || *name == "D");
    let Some(victim) = victim.cloned() else {
        // Both replicas are in the middle: after killing one, the other is next to one of the ends.
        nodes[1].kill();
        assert_eq!(nodes[3].read("ada/safe").await.body, content);
        return;
    };
    let at = nodes
        .iter()
        .position(|node| node.name == victim)
        .expect("it is in the list");
    nodes[at].kill();
    let survivors: Vec<&Node> = nodes.iter().filter(|node| node.name != victim).collect();
    for node in survivors {
        assert_eq!(
            node.read("ada/safe").await.body,
            content,
            "at {}",
            node.name
        );
    }
}

#[tokio::test]
async fn a_ring_offers_the_shorter_way() {
    let nodes = network(5, &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)], &[]).await;
    let at = 2;
    let key = store_only_at(&nodes, at, "ring", b"only here").await;
    for (from, node) in nodes.iter().enumerate() {
        let clockwise = (at + 5 - from) % 5;
        let report = node.search(&format!("key={key}")).await;
        assert_eq!(report["hits"][0]["hops"], clockwise.min(5 - clockwise));
    }
}

#[tokio::test]
async fn in_a_graph_with_cycles_every_pattern_finds_each_file_once() {
    let links = [
        (0, 1),
        (0, 2),
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
        (5, 3),
        (1, 5),
    ];
    let nodes = network(6, &links, &[]).await;
    for (at, node) in nodes.iter().enumerate() {
        node.store(&format!("ada/photos/{at}.jpg"), bytes(1_000 + at, 6))
            .await;
        node.store(&format!("bob/{at}.txt"), bytes(10, 7)).await;
    }
    for node in &nodes {
        let report = node.search("q=ada/**").await;
        let mut keys: Vec<&str> = report["hits"]
            .as_array()
            .expect("it is a list")
            .iter()
            .map(|hit| hit["key"].as_str().expect("it is text"))
            .collect();
        keys.sort_unstable();
        let expected: Vec<String> = (0..6).map(|at| format!("ada/photos/{at}.jpg")).collect();
        assert_eq!(keys, expected, "at {}", node.name);
        assert_eq!(report["outcome"], "found");
        assert_eq!(
            node.search("q=ada/*").await["hits"]
                .as_array()
                .map(Vec::len),
            Some(0)
        );
    }
}

#[tokio::test]
async fn an_overwrite_and_a_deletion_reach_every_copy() {
    let nodes = line(4).await;
    nodes[0].store("ada/x", "first").await;
    for node in &nodes {
        assert_eq!(node.read("ada/x").await.body, b"first");
    }
    let again = sent(nodes[3].put("ada/x", "second")).await;
    assert_eq!(again.status(), 200);
    for node in &nodes {
        eventually("the new content is read", async || {
            node.read("ada/x").await.body == b"second"
        })
        .await;
    }
    assert_eq!(sent(nodes[1].delete("ada/x")).await.status(), 204);
    for node in &nodes {
        eventually("the file is gone", async || {
            sent(node.get("ada/x")).await.status() == 404
        })
        .await;
    }
    assert_eq!(sent(nodes[2].put("ada/x", "third")).await.status(), 201);
    for node in &nodes {
        eventually("the file is back", async || {
            sent(node.get("ada/x")).await.status() == 200
        })
        .await;
    }
}

#[tokio::test]
async fn a_link_is_kept_by_both_ends_and_can_be_cut_by_either() {
    let mut nodes = line(2).await;
    let count = async |node: &Node| node.json("/v1/links").await.as_array().map(Vec::len);
    nodes[0].link(&nodes[1]).await;
    assert_eq!(
        (count(&nodes[0]).await, count(&nodes[1]).await),
        (Some(1), Some(1))
    );

    // A node that comes back restores its link without a command.
    let b = nodes.remove(1).restart();
    eventually("the link is up again", async || {
        nodes[0].json("/v1/links").await[0]["state"] == "up"
            && b.json("/v1/links").await[0]["state"] == "up"
    })
    .await;

    let cut = b.request(reqwest::Method::DELETE, "/v1/links/A");
    assert_eq!(sent(cut).await.status(), 204);
    assert_eq!(
        (count(&nodes[0]).await, count(&b).await),
        (Some(0), Some(0))
    );
}

#[tokio::test]
async fn a_link_cut_while_the_other_side_is_away_stays_cut() {
    let mut nodes = line(2).await;
    let mut b = nodes.remove(1);
    b.kill();
    let cut = nodes[0].request(reqwest::Method::DELETE, "/v1/links/B");
    assert_eq!(sent(cut).await.status(), 204);
    let b = b.restart();
    eventually("the other side learns of the cut", async || {
        b.json("/v1/links").await.as_array().map(Vec::len) == Some(0)
    })
    .await;
    let count = nodes[0].json("/v1/links").await.as_array().map(Vec::len);
    assert_eq!(count, Some(0));
    nodes[0].link(&b).await;
    assert_eq!(b.json("/v1/links").await.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn any_node_can_have_two_others_linked() {
    let nodes: Vec<Node> = (0..3).map(|at| Node::start(&name(at), &[])).collect();
    let port = |node: &Node| {
        node.grpc
            .rsplit_once(':')
            .expect("there is a port")
            .1
            .to_owned()
    };
    let form = [
        ("IP1", "127.0.0.1".to_owned()),
        ("PORT1", port(&nodes[1])),
        ("IP2", "127.0.0.1".to_owned()),
        ("PORT2", port(&nodes[2])),
    ];
    let body = form
        .map(|(name, value)| format!("{name}={value}"))
        .join("&");
    let request = nodes[0]
        .request(reqwest::Method::POST, "/config")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let response = sent(request).await;
    assert!(response.status().is_success(), "{}", response.status());
    assert_eq!(nodes[1].json("/v1/links").await[0]["node"], "C");
    assert_eq!(nodes[2].json("/v1/links").await[0]["node"], "B");
    assert_eq!(
        nodes[0].json("/v1/links").await.as_array().map(Vec::len),
        Some(0)
    );
}
