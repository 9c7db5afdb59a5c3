//! Policies on running nodes: dropped into the folder, swapped under load, refused, rolled back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dataverse_core::policy::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::guests;
use crate::world::{Node, bytes, eventually, line, network, sent};

/// Clients that read and write while policies are swapped.
const CLIENTS: u64 = 32;
/// Files that each of them writes.
const FILES: usize = 20;
/// Swaps under load.
const SWAPS: usize = 200;

impl Node {
    async fn kind(&self, kind: &str) -> Value {
        self.json("/v1/policies").await[kind].take()
    }

    async fn choose(&self, kind: &str, spec: Value) -> (StatusCode, Value) {
        let request = self.request(Method::PUT, &format!("/v1/policies/{kind}"));
        let response = sent(request.json(&spec)).await;
        let status = response.status();
        (status, response.json().await.expect("the answer is JSON"))
    }

    async fn must_use(&self, kind: &str, policy: &str) {
        self.must_be_met(kind, json!({ "policy": policy })).await;
    }

    /// Gives the policy generous limits, for busy machines: any remaining failure is its own fault.
    async fn must_use_patiently(&self, kind: &str, policy: &str) {
        let limits = json!({ "wall_ms": 10_000 });
        self.must_be_met(kind, json!({ "policy": policy, "limits": limits }))
            .await;
    }

    async fn must_be_met(&self, kind: &str, spec: Value) {
        let policy = spec["policy"].clone();
        let (status, answer) = self.choose(kind, spec).await;
        assert_eq!(status, StatusCode::OK, "{policy}: {answer}");
        assert_eq!(answer["active"]["name"], policy, "{answer}");
    }

    /// The sum of all samples of this metric whose labels contain this text.
    async fn counted(&self, metric: &str, label: &str) -> f64 {
        let metrics = sent(self.request(Method::GET, "/metrics")).await;
        let metrics = metrics.text().await.expect("it is text");
        let samples = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        let ours = samples.filter(|(name, _)| name.starts_with(metric) && name.contains(label));
        let values: Vec<f64> = ours
            .map(|(_, value)| value.parse().expect("it is a number"))
            .collect();
        assert!(!values.is_empty(), "there is no {metric} with {label}");
        values.iter().sum()
    }

    async fn install(&self, name: &str, wasm: Vec<u8>) -> (StatusCode, Value) {
        let request = self.request(Method::PUT, &format!("/v1/policies/files/{name}"));
        let response = sent(request.body(wasm)).await;
        let status = response.status();
        (status, response.json().await.expect("the answer is JSON"))
    }

    fn policies_folder(&self) -> std::path::PathBuf {
        self.path().join("policies")
    }

    fn write_toml(&self, text: &str) {
        let file = self.policies_folder().join("policies.toml");
        std::fs::write(file, text).expect("the folder can be written");
    }
}

/// The file of a built-in policy.
fn shipped(kind: Kind, name: &str) -> Vec<u8> {
    let policy = dataverse_builtin::find(kind, name);
    policy.unwrap_or_else(|| panic!("no {name}")).wasm.to_vec()
}

#[tokio::test]
async fn a_node_starts_with_the_usual_policies_and_a_folder_that_explains_itself() {
    let node = Node::start("A", &[]);
    for (kind, name) in [
        ("placement", "rendezvous"),
        ("eviction", "gdsf"),
        ("relocation", "reader"),
    ] {
        let active = node.kind(kind).await["active"].take();
        assert_eq!(active["name"], name, "{active}");
        assert_eq!(
            (&active["origin"], &active["state"]),
            (&json!("built-in"), &json!("active"))
        );
        assert_eq!(
            active["digest"].as_str().map(str::len),
            Some(64),
            "{active}"
        );
    }
    let toml = std::fs::read_to_string(node.policies_folder().join("policies.toml"));
    let toml = toml.expect("it exists");
    for word in [
        "[placement]",
        "[eviction]",
        "[relocation]",
        "shadow",
        "limits",
    ] {
        assert!(toml.contains(word), "{word} is not explained: {toml}");
    }
    let available = node.json("/v1/policies").await["available"].take();
    assert!(
        available.as_array().is_some_and(|all| all.len() >= 22),
        "{available}"
    );
}

#[tokio::test]
async fn a_file_dropped_into_the_folder_decides_from_then_on() {
    let node = Node::start("A", &[]);
    let file = node.policies_folder().join("mine.wasm");
    std::fs::write(&file, shipped(Kind::Eviction, "sieve")).expect("it can be written");
    node.write_toml("[eviction]\npolicy = \"mine\"\n");
    eventually("the file decides", async || {
        let active = node.kind("eviction").await["active"].take();
        active["name"] == "mine" && active["origin"] == "folder"
    })
    .await;
    // Different content under the same name is a different policy.
    std::fs::write(&file, shipped(Kind::Eviction, "lru")).expect("it can be written");
    let lru = blake3::hash(&shipped(Kind::Eviction, "lru"))
        .to_hex()
        .to_string();
    eventually("the new file decides", async || {
        node.kind("eviction").await["active"]["digest"] == lru.as_str()
    })
    .await;
    let previous = node.kind("eviction").await["previous"].take();
    assert_eq!(previous[0]["name"], "mine", "{previous}");
}

#[tokio::test]
async fn a_spec_that_cannot_be_met_changes_nothing_and_says_why() {
    let node = Node::start("A", &[]);
    node.write_toml("[eviction]\npolicy = \"lru\"\n[placement]\npolicy = \"nobody\"\n");
    eventually("eviction is swapped and placement refused", async || {
        let policies = node.json("/v1/policies").await;
        policies["eviction"]["active"]["name"] == "lru"
            && policies["placement"]["active"]["name"] == "rendezvous"
            && policies["placement"]["last_error"]
                .as_str()
                .is_some_and(|it| it.contains("nobody"))
    })
    .await;
    node.write_toml("[eviction\npolicy = ");
    eventually("the whole file is refused", async || {
        let policies = node.json("/v1/policies").await;
        policies["eviction"]["active"]["name"] == "lru" && policies["last_error"].is_string()
    })
    .await;
    node.write_toml("[eviction]\npolicy = \"sieve\"\n");
    eventually("the next file counts", async || {
        let policies = node.json("/v1/policies").await;
        policies["eviction"]["active"]["name"] == "sieve"
            && policies["last_error"].is_null()
            && policies["placement"]["last_error"].is_null()
    })
    .await;
    let (status, problem) = node.choose("eviction", json!({ "policy": "nobody" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(node.kind("eviction").await["active"]["name"], "sieve");
}

#[tokio::test]
async fn files_are_checked_before_they_are_written_and_kept_while_they_are_used() {
    let node = Node::start("A", &[]);
    let (status, problem) = node.install("bad", b"not wasm".to_vec()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(!node.policies_folder().join("bad.wasm").exists());
    let (status, answer) = node
        .install("mine", shipped(Kind::Relocation, "never"))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    node.must_use("relocation", "mine").await;
    let delete = || node.request(Method::DELETE, "/v1/policies/files/mine");
    assert_eq!(sent(delete()).await.status(), StatusCode::CONFLICT);
    node.must_use("relocation", "reader").await;
    assert_eq!(sent(delete()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(sent(delete()).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_rollback_brings_back_the_policy_before_with_its_file() {
    let node = Node::start("A", &[]);
    let first = shipped(Kind::Eviction, "arc");
    node.install("mine", first.clone()).await;
    node.must_use("eviction", "mine").await;
    node.install("mine", shipped(Kind::Eviction, "fifo")).await;
    eventually("the new file decides", async || {
        let digest = blake3::hash(&shipped(Kind::Eviction, "fifo"))
            .to_hex()
            .to_string();
        node.kind("eviction").await["active"]["digest"] == digest.as_str()
    })
    .await;
    let back = sent(node.request(Method::POST, "/v1/policies/eviction/rollback")).await;
    assert_eq!(back.status(), StatusCode::OK);
    let active = node.kind("eviction").await["active"].take();
    assert_eq!(active["digest"], blake3::hash(&first).to_hex().to_string());
    let file = std::fs::read(node.policies_folder().join("mine.wasm"));
    assert_eq!(file.expect("it exists"), first);
}

#[tokio::test]
async fn a_shadow_is_compared_and_can_be_promoted() {
    let nodes = line(2).await;
    let reader = &nodes[0];
    let spec = json!({ "policy": "lru", "shadow": "sieve" });
    let (status, answer) = reader.choose("eviction", spec).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["shadow"]["name"], "sieve");
    for file in 0..20u64 {
        let key = format!("ada/shadowed-{file}");
        nodes[1].store_on(&key, bytes(2000, file), 1).await;
        reader.read(&key).await;
    }
    eventually("the shadow has seen reads", async || {
        let shadow = reader.kind("eviction").await["shadow"].take();
        shadow["decisions"].as_u64() > Some(0) && shadow["comparison"]["hit_ratio"].is_number()
    })
    .await;
    let promoted = sent(reader.request(Method::POST, "/v1/policies/eviction/promote")).await;
    assert_eq!(promoted.status(), StatusCode::OK);
    let kind = reader.kind("eviction").await;
    assert_eq!(
        (&kind["active"]["name"], &kind["shadow"]),
        (&json!("sieve"), &Value::Null)
    );
    let again = sent(reader.request(Method::POST, "/v1/policies/eviction/promote")).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_spec_holds_across_a_restart() {
    let node = Node::start("A", &[]);
    node.install("mine", shipped(Kind::Placement, "near")).await;
    node.must_use("placement", "mine").await;
    node.must_use("eviction", "arc").await;
    let node = node.restart();
    let policies = node.json("/v1/policies").await;
    assert_eq!(
        policies["placement"]["active"]["name"], "mine",
        "{policies}"
    );
    assert_eq!(policies["eviction"]["active"]["name"], "arc", "{policies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_swaps_under_load_fail_no_request_and_lose_no_file() {
    // A small cache, so that the eviction policies have something to decide.
    let arguments = ["--set", "cache.capacity=4194304"];
    let nodes = Arc::new(network(3, &[(0, 1), (1, 2)], &arguments).await);
    for node in nodes.iter() {
        for (kind, policy) in [
            ("placement", "rendezvous"),
            ("eviction", "gdsf"),
            ("relocation", "reader"),
        ] {
            node.must_use_patiently(kind, policy).await;
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (nodes, over) = (Arc::clone(&nodes), Arc::clone(&over));
            let requests = Arc::clone(&requests);
            tokio::spawn(async move { client_of(&nodes, client, &over, &requests).await })
        })
        .collect();
    let all = dataverse_builtin::all();
    for swap in 0..SWAPS {
        let policy = all[swap % all.len()];
        let node = &nodes[swap / all.len() % nodes.len()];
        node.must_use_patiently(policy.kind.as_str(), policy.name)
            .await;
    }
    over.store(true, Ordering::Relaxed);
    let mut written = BTreeMap::new();
    for client in clients {
        written.extend(
            client
                .await
                .expect("every request of a client is answered right"),
        );
    }
    assert!(
        requests.load(Ordering::Relaxed) > 10 * CLIENTS,
        "there was hardly any load"
    );
    for (key, content) in &written {
        for node in nodes.iter() {
            assert_eq!(
                node.read(key).await.body,
                *content,
                "{key} at {}",
                node.name
            );
        }
    }
    for node in nodes.iter() {
        for kind in Kind::ALL {
            let active = node.kind(kind.as_str()).await["active"].take();
            assert_ne!(active["state"], "suspended", "{active}");
            assert_eq!(active["faults"], json!({}), "{active}");
        }
        // None of the earlier policies failed either.
        let faults = node.counted("dataverse_policy_faults_total", "").await;
        let swaps = "dataverse_policy_swaps_total";
        let rolled_back = node.counted(swaps, "outcome=\"rolled_back\"").await;
        assert_eq!((faults, rolled_back), (0.0, 0.0), "{}", node.name);
        assert!(node.counted(swaps, "outcome=\"swapped\"").await > 1.0);
    }
}

/// Writes and reads until stopped; returns the files that must exist.
async fn client_of(
    nodes: &[Node],
    client: u64,
    over: &AtomicBool,
    requests: &AtomicU64,
) -> BTreeMap<String, Vec<u8>> {
    let mut written = BTreeMap::new();
    let mut turn = 0u64;
    while !over.load(Ordering::Relaxed) || turn < 4 {
        let at = |shift: u64| &nodes[((client + turn) / shift) as usize % nodes.len()];
        if turn.is_multiple_of(4) && written.len() < FILES {
            let key = format!("load/{client}-{turn}");
            let content = bytes(30_000 + turn as usize, client * 1000 + turn);
            at(1).store(&key, content.clone()).await;
            written.insert(key, content);
        }
        let nth = turn as usize * 7 % written.len();
        let (key, content) = written.iter().nth(nth).expect("the first turn writes");
        assert_eq!(at(3).read(key).await.body, *content, "{key}");
        requests.fetch_add(1, Ordering::Relaxed);
        turn += 1;
    }
    written
}

/// A valid policy that takes long to compile.
fn slow_to_compile() -> Vec<u8> {
    let body = "(drop (i64.div_s (i64.const 3) (i64.const 7)))".repeat(15_000);
    let functions = format!("(func {body})").repeat(100);
    guests::guest(Kind::Eviction, &[("module", &functions)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_takes_too_long_to_compile_is_refused_and_holds_up_nobody() {
    let node = Node::start("A", &["--set", "policies.compile_time=1s"]);
    let slow = node.install("slow", slow_to_compile());
    let others = async {
        node.must_use("placement", "near").await;
        node.must_use("eviction", "arc").await;
        let (status, _) = node.install("mine", shipped(Kind::Eviction, "lru")).await;
        assert_eq!(status, StatusCode::CREATED);
    };
    let ((status, answer), ()) = tokio::join!(slow, others);
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let told = answer["detail"].as_str().unwrap_or_default();
    assert!(told.contains("1 s of processor time"), "{answer}");
    // A file dropped into the folder by hand is refused in the same words, and the active policy stays.
    let file = node.policies_folder().join("slow.wasm");
    std::fs::write(file, slow_to_compile()).expect("it can be written");
    node.write_toml("[eviction]\npolicy = \"slow\"\n[placement]\npolicy = \"ring\"\n");
    eventually("it is refused", async || {
        let kind = node.kind("eviction").await;
        let told = kind["last_error"].as_str().unwrap_or_default().to_owned();
        told.contains("slow: ") && told.contains("processor time")
    })
    .await;
    assert_eq!(node.kind("eviction").await["active"]["name"], "arc");
    eventually("the other kind follows", async || {
        node.kind("placement").await["active"]["name"] == "ring"
    })
    .await;
}

#[tokio::test]
async fn what_answers_badly_is_installed_only_by_force() {
    let node = Node::start("A", &[]);
    let bad = guests::evil("slot-named-twice");
    let (status, answer) = node.install("bad", bad.clone()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    assert!(
        answer["detail"].to_string().contains("is named twice"),
        "{answer}"
    );
    let (status, answer) = node.install("bad?force=true", bad).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}
