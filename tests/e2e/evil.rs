//! Evil policies on a running node: whatever they do, every request is answered correctly, the reported state is
//! true, and nothing is lost.

use dataverse_core::policy::Kind;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guests;
use crate::world::{Node, bytes, eventually, network};

/// Requests while a policy is active: each leads to a placement, a relocation and an eviction decision.
const ROUNDS: u64 = 8;

/// Two nodes; the second has files that the first does not.
struct Stage {
    nodes: Vec<Node>,
    files: u64,
}

impl Stage {
    async fn new() -> Self {
        Self {
            // Space for only a few files, so that the eviction policy has to choose.
            nodes: network(2, &[(0, 1)], &["--set", "cache.capacity=16384"]).await,
            files: 0,
        }
    }

    fn node(&self) -> &Node {
        &self.nodes[0]
    }

    /// Writes and reads files, which must come back intact.
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

    /// Puts a file into the folder by hand and selects it.
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
        eventually(&format!("{name} is refused"), async || {
            let kind = stage.kind(Kind::Eviction).await;
            told(&kind).contains(name)
        })
        .await;
        let kind = stage.kind(Kind::Eviction).await;
        let told = told(&kind);
        assert!(told.contains(reason), "{name}: {told:?}, not {reason:?}");
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

/// How an evil guest ends on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It fails at its trial and never decides.
    Refused,
    /// It decides, fails, and is rolled back.
    RolledBack,
    /// It decides, and its misbehaviour is never triggered here, is stopped, or is too rare.
    Stays,
}

/// The end of each of [`guests::EVIL`]. Here an eviction policy is configured, hears of the cache and of hits, and
/// is asked to admit; it is asked to make room only if what it named was not enough.
const ENDS: &[(&str, End)] = &[
    ("endless-loop-later", End::Stays),
    ("endless-loop", End::Refused),
    ("endless-loop-in-hit", End::RolledBack),
    ("endless-recursion", End::RolledBack),
    ("memory-bomb", End::RolledBack),
    ("memory-hoard", End::Stays),
    ("memory-from-the-start", End::Refused),
    ("table-bomb", End::RolledBack),
    ("table-from-the-start", End::Refused),
    ("memory-copy", End::RolledBack),
    ("trap-in-describe", End::Refused),
    ("trap-in-configure", End::Refused),
    ("trap-in-set-capacity", End::Refused),
    ("trap-in-restore", End::RolledBack),
    ("trap-in-hit", End::RolledBack),
    ("trap-in-admit", End::Refused),
    ("trap-in-make-room", End::Stays),
    ("trap-in-removed", End::Stays),
    ("trap-in-place", End::Refused),
    ("trap-in-on-read", End::Refused),
    ("trap-later", End::Stays),
    ("trap-on-the-hundredth-call", End::Stays),
    ("panic", End::RolledBack),
    ("a-million-slots", End::Stays),
    ("five-thousand-slots", End::Stays),
    ("slots-out-of-bounds", End::Stays),
    ("slot-that-is-not-cached", End::Stays),
    ("slot-named-twice", End::RolledBack),
    ("names-nothing", End::RolledBack),
    ("index-out-of-range", End::RolledBack),
    ("index-named-twice", End::RolledBack),
    ("a-million-indices", End::Refused),
    ("answers-differently", End::Stays),
    ("path-index-out-of-range", End::RolledBack),
    ("endless-loop-in-on-read", End::Refused),
    ("endless-loop-in-place", End::Refused),
    ("huge-log-line", End::RolledBack),
    // Some of what it logs is not UTF-8.
    ("long-log-line", End::RolledBack),
    ("log-that-is-not-text", End::RolledBack),
    ("log-flood", End::Stays),
];

/// How often requests are repeated until a guest has failed often enough.
const PATIENCE: usize = 20;
/// How often requests are repeated until a guest is assumed to stay.
const STAYED: usize = 3;

impl Stage {
    /// How this guest has ended so far; `None` if it does not decide and nothing is reported about it.
    async fn end_of(&self, kind: Kind, name: &str) -> Option<End> {
        let of_kind = self.kind(kind).await;
        let told = told(&of_kind);
        match (of_kind["active"]["name"] == name, told.contains(name)) {
            (true, _) => Some(End::Stays),
            (false, true) if told.contains("rolled back") => Some(End::RolledBack),
            (false, true) => Some(End::Refused),
            (false, false) => None,
        }
    }
}

#[tokio::test]
async fn evil_guests_cost_no_request_and_no_byte_and_end_as_they_must() {
    let mut stage = Stage::new().await;
    let named: Vec<&str> = ENDS.iter().map(|(name, _)| *name).collect();
    let all: Vec<&str> = guests::EVIL.iter().map(|evil| evil.name).collect();
    assert_eq!(named, all);
    let mut otherwise = Vec::new();
    for (evil, (name, expected)) in guests::EVIL.iter().zip(ENDS) {
        // The policy hears of what is cached.
        stage.serves().await;
        stage.drop_in(evil.kind, evil.name, &evil.bytes());
        eventually(&format!("{name} is taken up or refused"), async || {
            stage.end_of(evil.kind, name).await.is_some()
        })
        .await;
        let (mut end, mut asked) = (None, 0);
        let is_known = |end: Option<End>, asked| match expected {
            // A guest that would be rolled back is rolled back within a few requests.
            End::Stays => end != Some(End::Stays) || asked == STAYED,
            _ => end == Some(*expected) || asked == PATIENCE,
        };
        while asked == 0 || !is_known(end, asked) {
            stage.serves().await;
            end = stage.end_of(evil.kind, name).await;
            asked += 1;
        }
        if end != Some(*expected) {
            otherwise.push((name, end, stage.kind(evil.kind).await["active"].take()));
        }
    }
    assert!(
        otherwise.is_empty(),
        "these guests ended differently: {otherwise:#?}"
    );
    let toml = "[placement]\npolicy = \"rendezvous\"\n";
    let file = stage.node().path().join("policies/policies.toml");
    std::fs::write(file, toml).expect("it can be written");
    eventually("the defaults decide again", async || {
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
    let other = nodes.pop().expect("two exist");
    let nodes = vec![nodes.remove(0).restart(), other];
    let mut stage = Stage { nodes, files };
    let kind = stage.kind(Kind::Placement).await;
    assert_eq!(kind["active"]["name"], "rendezvous", "{kind}");
    assert!(told(&kind).contains("mine"), "{kind}");
    stage.drop_in(Kind::Placement, "mine", &guests::component(Kind::Placement));
    eventually("the corrected file decides", async || {
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
