//! Evil policies on a running node: whatever they do, every request is answered right, the state shown is
//! true, and nothing is lost.

use dataverse_core::policy::Kind;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guests;
use crate::world::{Node, bytes, eventually, line};

/// Requests while a policy is at work: each makes a placement, a relocation and an eviction decide.
const ROUNDS: u64 = 8;

/// Two nodes; the second has files that the first has not.
struct Stage {
    nodes: Vec<Node>,
    files: u64,
}

impl Stage {
    async fn new() -> Self {
        Self {
            nodes: line(2).await,
            files: 0,
        }
    }

    fn node(&self) -> &Node {
        &self.nodes[0]
    }

    /// Files are written and read, and come back right.
    async fn serves(&mut self) {
        for _ in 0..ROUNDS {
            self.files += 1;
            let key = format!("ada/evil-{}", self.files);
            let content = bytes(3000, self.files);
            self.nodes[0].store(&key, content.clone()).await;
            assert_eq!(self.nodes[1].read(&key).await.body, content);
            let key = format!("ada/far-{}", self.files);
            self.nodes[1].store_on(&key, content.clone(), 1).await;
            assert_eq!(self.nodes[0].read(&key).await.body, content);
            assert_eq!(self.nodes[0].read(&key).await.body, content);
        }
    }

    /// A file is put into the folder by hand, and wished for.
    fn drop_in(&self, kind: Kind, name: &str, wasm: &[u8]) {
        let folder = self.node().path().join("policies");
        std::fs::write(folder.join(format!("{name}.wasm")), wasm).expect("it can be written");
        let toml = format!("[{kind}]\npolicy = \"{name}\"\n");
        std::fs::write(folder.join("policies.toml"), toml).expect("it can be written");
    }

    async fn kind(&self, kind: Kind) -> Value {
        self.node().json("/v1/policies").await[kind.as_str()].take()
    }
}

#[tokio::test]
async fn files_that_are_no_policy_are_refused_with_a_reason_and_change_nothing() {
    let mut stage = Stage::new().await;
    for (name, wasm, reason) in guests::unacceptable() {
        stage.drop_in(Kind::Eviction, name, &wasm);
        let mut told = String::new();
        eventually(
            &format!("{name} is refused because of {reason:?}, not {told:?}"),
            async || {
                let kind = stage.kind(Kind::Eviction).await;
                told = kind["last_error"].as_str().unwrap_or_default().to_owned();
                told.contains(name) && told.contains(reason)
            },
        )
        .await;
        let active = stage.kind(Kind::Eviction).await["active"].take();
        assert_eq!(active["name"], "gdsf", "{name}: {active}");
        let request = stage.node().request(
            reqwest::Method::PUT,
            &format!("/v1/policies/files/{name}-again"),
        );
        let answer = request.body(wasm).send().await.expect("the node answers");
        let refused = [
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::PAYLOAD_TOO_LARGE,
        ];
        assert!(
            refused.contains(&answer.status()),
            "{name}: {}",
            answer.status()
        );
    }
    stage.serves().await;
}

#[tokio::test]
async fn evil_guests_cost_no_request_and_no_byte_and_are_rolled_back() {
    let mut stage = Stage::new().await;
    for evil in guests::EVIL {
        stage.drop_in(evil.kind, evil.name, &evil.bytes());
        let taken_up = async || {
            let kind = stage.kind(evil.kind).await;
            kind["active"]["name"] == evil.name || told(&kind).contains(evil.name)
        };
        eventually(&format!("{} is taken up or refused", evil.name), taken_up).await;
        stage.serves().await;
        // Either it did no harm so far, or what harm it did was noted; too much of it, and it is gone.
        eventually(&format!("{} is judged rightly", evil.name), async || {
            let kind = stage.kind(evil.kind).await;
            let active = &kind["active"];
            let faults = active["faults"].as_object().map_or(0, serde_json::Map::len);
            if active["name"] == evil.name {
                faults == 0 || active["state"] == "probation"
            } else {
                told(&kind).contains(evil.name)
            }
        })
        .await;
    }
    let toml = "[placement]\npolicy = \"rendezvous\"\n";
    let file = stage.node().path().join("policies/policies.toml");
    std::fs::write(file, toml).expect("it can be written");
    eventually("all is as it was", async || {
        let policies = stage.node().json("/v1/policies").await;
        policies["placement"]["active"]["name"] == "rendezvous"
            && policies["eviction"]["active"]["name"] == "gdsf"
            && policies["relocation"]["active"]["name"] == "reader"
    })
    .await;
    stage.serves().await;
    for file in 1..=stage.files {
        for key in [format!("ada/evil-{file}"), format!("ada/far-{file}")] {
            assert_eq!(
                stage.node().read(&key).await.body,
                bytes(3000, file),
                "{key}"
            );
        }
    }
}

#[tokio::test]
async fn a_policy_that_failed_its_probation_stays_barred_until_it_changes() {
    let mut stage = Stage::new().await;
    stage.drop_in(Kind::Placement, "mine", &guests::evil("trap-in-place"));
    eventually("it is refused or rolled back", async || {
        stage.serves().await;
        let kind = stage.kind(Kind::Placement).await;
        kind["active"]["name"] == "rendezvous" && told(&kind).contains("mine")
    })
    .await;
    let Stage { mut nodes, files } = stage;
    let other = nodes.pop().expect("there are two");
    let nodes = vec![nodes.remove(0).restart(), other];
    let mut stage = Stage { nodes, files };
    let kind = stage.kind(Kind::Placement).await;
    assert_eq!(kind["active"]["name"], "rendezvous", "{kind}");
    assert!(told(&kind).contains("mine"), "{kind}");
    stage.drop_in(Kind::Placement, "mine", &guests::component(Kind::Placement));
    eventually("the mended file decides", async || {
        stage.kind(Kind::Placement).await["active"]["name"] == "mine"
    })
    .await;
    stage.serves().await;
    let kind = stage.kind(Kind::Placement).await;
    assert_eq!(kind["active"]["faults"], json!({}), "{kind}");
}

fn told(kind: &Value) -> &str {
    kind["last_error"].as_str().unwrap_or_default()
}
