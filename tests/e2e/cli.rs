//! The command line, as people and scripts use it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::{BINARY, Node, bytes, eventually, line, names, network};

pub(crate) fn run(node: &Node, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env("DATAVERSE_NODE", format!("http://{}", node.http));
    command.output().expect("the binary starts")
}

/// Runs a command that must succeed and returns what it printed.
pub(crate) fn done(node: &Node, arguments: &[&str]) -> String {
    let output = run(node, arguments);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {words}");
    String::from_utf8(output.stdout).expect("it is text")
}

fn json(node: &Node, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&done(node, &arguments)).expect("it is JSON")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_and_comes_out_by_command() {
    let nodes = line(2).await;
    let folder = TempDir::new().expect("a temporary folder can be created");
    let source = folder.path().join("Grüße aus Köln.bin");
    let content = bytes(2_000_000, 41);
    std::fs::write(&source, &content).expect("it can be written");

    done(&nodes[0], &["put", text(&source), "--user", "ada"]);
    let target = folder.path().join("out.bin");
    done(
        &nodes[1],
        &["get", "ada/Grüße aus Köln.bin", "-o", text(&target)],
    );
    assert!(std::fs::read(&target).expect("it exists") == content);

    done(
        &nodes[0],
        &[
            "put",
            text(&source),
            "--user",
            "ada",
            "--as",
            "b/c.bin",
            "--factor",
            "1",
        ],
    );
    let printed = run(&nodes[1], &["get", "ada/b/c.bin", "-o", "-"]);
    assert!(printed.stdout == content);

    let found = json(&nodes[1], &["ls", "ada"]);
    let mut keys: Vec<&str> = found["hits"]
        .as_array()
        .expect("it is a list")
        .iter()
        .filter_map(|hit| hit["key"].as_str())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["ada/Grüße aus Köln.bin", "ada/b/c.bin"]);
    assert_eq!(
        json(&nodes[1], &["search", "ada/b/*"])["hits"][0]["key"],
        "ada/b/c.bin"
    );
    assert_eq!(
        json(&nodes[1], &["stat", "ada/b/c.bin"])["outcome"],
        "found"
    );
    done(&nodes[0], &["rm", "ada/b/c.bin"]);
    assert_eq!(
        run(&nodes[0], &["get", "ada/b/c.bin", "-o", "-"])
            .status
            .code(),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_made_seen_and_cut_by_command() {
    let nodes = [
        Node::start("A", &[]),
        Node::start("B", &[]),
        Node::start("C", &[]),
    ];
    done(&nodes[0], &["link", &nodes[1].grpc]);
    done(&nodes[0], &["link", &nodes[1].grpc, &nodes[2].grpc]);
    assert_eq!(json(&nodes[0], &["links"])[0]["node"], "B");
    assert_eq!(
        json(&nodes[1], &["links"]).as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(json(&nodes[0], &["status"])["links"], 1);
    nodes[0].sees_alive(3).await;
    let members = json(&nodes[0], &["nodes"]);
    let members: Vec<&str> = members
        .as_array()
        .expect("it is a list")
        .iter()
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(members.len(), 3);
    done(&nodes[0], &["unlink", "B"]);
    assert_eq!(
        json(&nodes[0], &["links"]).as_array().map(Vec::len),
        Some(0)
    );
    assert_eq!(run(&nodes[0], &["unlink", "B"]).status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_happened() {
    let mut node = Node::start("A", &[]);
    assert_eq!(
        run(&node, &["get", "ada/none", "-o", "-"]).status.code(),
        Some(1)
    );
    assert_eq!(run(&node, &["stat", "ada/none"]).status.code(), Some(1));
    assert_eq!(run(&node, &["put"]).status.code(), Some(2));
    assert_eq!(run(&node, &["nonsense"]).status.code(), Some(2));
    node.kill();
    assert_eq!(run(&node, &["status"]).status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_its_story_and_leaves() {
    for place in [vec![], vec!["--ephemeral"]] {
        let output = Command::new(BINARY)
            .args(["demo", "--exit", "--http", "127.0.0.1:0"])
            .args(&place)
            .output()
            .expect("the binary starts");
        let story = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{story}\n{words}");
        for chapter in ["link", "upload", "search", "read", "killed"] {
            assert!(story.to_lowercase().contains(chapter), "{chapter}: {story}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_can_be_told_again_in_the_same_folder_and_in_another_shape() {
    let folder = TempDir::new().expect("a temporary folder can be created");
    for shape in ["line", "line", "ring", "star"] {
        let output = Command::new(BINARY)
            .args([
                "demo",
                "--exit",
                "--http",
                "127.0.0.1:0",
                "--shape",
                shape,
                "--data",
            ])
            .arg(folder.path())
            .output()
            .expect("the binary starts");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{shape}: {words}");
    }
}

#[test]
fn every_setting_is_printed_with_its_origin() {
    let output = Command::new(BINARY)
        .args(["node", "--print-config", "--zone", "cellar"])
        .env("DATAVERSE_SEARCH_HOPS", "7")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).expect("it is text");
    let line = |name: &str| {
        let found = printed.lines().find(|line| line.contains(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {printed}"))
            .to_owned()
    };
    assert!(line("search.hops").contains('7') && line("search.hops").contains("environment"));
    assert!(line("zone").contains("cellar") && line("zone").contains("flag"));
    assert!(line("placement.radius").contains("default"));
}

#[test]
fn completions_and_the_manual_are_printed() {
    for arguments in [
        vec!["completions", "bash"],
        vec!["completions", "zsh"],
        vec!["man"],
    ] {
        let output = Command::new(BINARY)
            .args(&arguments)
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("dataverse"), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_put_answer_is_the_contract_of_http() {
    let node = Node::start("A", &["--factor", "1"]);
    let folder = TempDir::new().expect("a temporary folder can be created");
    let empty = folder.path().join("empty.txt");
    std::fs::write(&empty, "").expect("it can be written");
    let stored = json(&node, &["put", text(&empty), "--user", "ada"]);
    let stored = stored.get(0).cloned().unwrap_or(stored);
    assert_eq!(
        (&stored["key"], &stored["size"]),
        (&"ada/empty.txt".into(), &0.into())
    );
    assert_eq!(names(&stored["replicas"]), ["A"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_share_a_folder_of_policies_change_together_and_once() {
    let shared = TempDir::new().expect("a temporary folder can be created");
    let arguments = ["--policies", text(shared.path())];
    let nodes = network(3, &[(0, 1), (1, 2)], &arguments).await;
    let all_run = async |policy: &str| {
        for node in &nodes {
            eventually(&format!("{policy} decides on {}", node.name), async || {
                node.json("/v1/policies").await["eviction"]["active"]["name"] == policy
            })
            .await;
        }
    };
    let change = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["policy"].iter().chain(arguments).copied().collect();
        let told = json(&nodes[0], &[arguments.as_slice(), &["--all"]].concat());
        let answers = told.as_array().expect("a list").iter();
        let ran = answers.map(|told| told["answer"]["active"]["name"].to_string());
        ran.collect::<Vec<_>>()
    };
    assert_eq!(change(&["use", "eviction", "lru"]), ["\"lru\""; 3]);
    all_run("lru").await;
    let shadowed = ["use", "eviction", "sieve", "--shadow", "arc"];
    assert_eq!(change(&shadowed), ["\"sieve\""; 3]);
    all_run("sieve").await;
    assert_eq!(change(&["rollback", "eviction"]), ["\"lru\""; 3]);
    all_run("lru").await;
    assert_eq!(change(&["promote", "eviction"]), ["\"arc\""; 3]);
    all_run("arc").await;
}
