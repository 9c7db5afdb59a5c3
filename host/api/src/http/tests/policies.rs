//! Policies: which are in charge, how they are changed, and what is refused.

use std::time::Duration;

use dataverse_core::policy::Kind;
use dataverse_node::limits::POLICY_FILE_BYTES_MAX;
use dataverse_node::policies::spec::{KindSpec, LimitsSpec};
use dataverse_node::settings::Settings;
use serde_json::{Value, json};

use super::policy_api::MAGIC;
use super::{Reply, Running, head};

const JSON: (&str, &str) = ("Content-Type", "application/json");

impl Running {
    async fn put_json(&self, path: &str, body: &Value) -> Reply {
        let request = format!("PUT {path}");
        self.ask(&request, &[JSON], body.to_string().as_bytes())
            .await
    }

    async fn post(&self, path: &str) -> Reply {
        self.ask(&format!("POST {path}"), &[], b"").await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.ask(&format!("DELETE {path}"), &[], b"").await
    }
}

#[tokio::test]
async fn the_policies_are_told_field_by_field() {
    let node = Running::start().await;
    node.put("/v1/policies/files/lru", MAGIC).await;
    let spec = json!({"policy": "lru", "config": {"x": 1}, "shadow": "sieve"});
    assert_eq!(
        node.put_json("/v1/policies/eviction", &spec).await.status,
        200
    );
    let told = node.get("/v1/policies").await;
    assert_eq!(told.header("content-type"), Some("application/json"));
    let told = told.json();
    assert_eq!(told["placement"]["active"]["name"], "fifo");
    assert_eq!(
        told["eviction"],
        json!({
            "active": {
                "name": "lru", "version": "0.1.0", "summary": "the oldest goes first", "digest": "d",
                "origin": "built-in", "state": "probation", "config": {"x": 1},
                "loaded_at": "2026-01-01T00:00:00Z", "decisions": 7, "faults": {"trap": 2},
                "fuel": {"p50": 1.0, "p99": 2.0}, "latency_us": {"p50": 3.0, "p99": 4.5},
            },
            "shadow": {
                "name": "sieve", "version": "0.1.0", "summary": "the coldest goes first", "digest": "e",
                "origin": "folder", "state": "active", "loaded_at": "2026-01-01T00:00:00Z",
                "decisions": 5, "faults": {}, "dropped": 1,
                "comparison": {
                    "kind": "eviction", "hit_ratio": 0.5, "active_hit_ratio": 0.25,
                    "byte_hit_ratio": null, "active_byte_hit_ratio": null,
                },
            },
            "pending": null, "previous": [], "last_error": null, "revision": "1",
        })
    );
    assert_eq!(
        told["available"],
        json!([{
            "name": "lru", "kind": "eviction", "version": "0.1.0", "summary": "the oldest goes first",
            "digest": blake3::hash(MAGIC).to_hex().to_string(), "origin": "folder", "size": 4, "error": null,
        }])
    );
    assert_eq!(
        (&told["folder"], &told["last_error"]),
        (&json!("/policies"), &json!(null))
    );
}

#[tokio::test]
async fn a_file_is_new_then_replaced_then_gone() {
    let node = Running::start().await;
    let made = node.put("/v1/policies/files/lru.wasm", MAGIC).await;
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("lru")));
    assert_eq!(node.put("/v1/policies/files/lru", MAGIC).await.status, 200);
    assert_eq!(node.delete("/v1/policies/files/lru").await.status, 204);
    let again = node.delete("/v1/policies/files/lru.wasm").await;
    assert_eq!(again.problem().0, 404);
    assert_eq!(node.put("/v1/policies/files/lru", MAGIC).await.status, 201);
}

#[tokio::test]
async fn a_file_in_use_stays() {
    let node = Running::start().await;
    node.put("/v1/policies/files/lru", MAGIC).await;
    node.put_json("/v1/policies/eviction", &json!({"policy": "lru"}))
        .await;
    let (status, problem) = node.delete("/v1/policies/files/lru").await.problem();
    assert_eq!(
        (status, &problem["detail"]),
        (409, &json!("lru decides eviction"))
    );
}

#[tokio::test]
async fn a_file_that_is_refused_says_why() {
    let node = Running::start().await;
    let refused = node.put("/v1/policies/files/lru", b"GIF89a").await;
    let (status, problem) = refused.problem();
    assert_eq!(
        (status, &problem["detail"]),
        (422, &json!("this is not WebAssembly"))
    );
    let failed = node.put("/v1/policies/files/unwritable", MAGIC).await;
    assert_eq!(failed.problem().0, 500);
    assert_eq!(
        node.get("/v1/policies").await.json()["available"],
        json!([])
    );
}

#[tokio::test]
async fn a_name_can_not_leave_the_folder() {
    let node = Running::start().await;
    for name in [
        "..%2Fx", "%2e%2e", ".hidden", "a%20b", "%ff", "%C3%BC", ".wasm",
    ] {
        let path = format!("/v1/policies/files/{name}");
        assert_eq!(node.put(&path, MAGIC).await.problem().0, 400, "{name}");
        assert_eq!(node.delete(&path).await.problem().0, 400, "{name}");
    }
    for name in ["../x", "/etc/passwd", "", "a\u{0}b"] {
        for spec in [
            json!({"policy": name}),
            json!({"policy": "lru", "shadow": name}),
        ] {
            let refused = node.put_json("/v1/policies/eviction", &spec).await;
            assert_eq!(refused.problem().0, 422, "{spec}");
        }
    }
    assert!(node.policy_api.specs().is_empty());
}

#[tokio::test]
async fn a_file_has_at_most_32_mebibytes() {
    let node = Running::start().await;
    let mut file = MAGIC.to_vec();
    file.resize(POLICY_FILE_BYTES_MAX, 0);
    assert_eq!(node.put("/v1/policies/files/fits", &file).await.status, 201);
    file.push(0);
    let long = "PUT /v1/policies/files/long";
    assert_eq!(node.ask(long, &[], &file).await.problem().0, 413);
    // Without stating a length first.
    let mut bytes = head(long, &[("Transfer-Encoding", "chunked")]).into_bytes();
    bytes.extend(format!("\r\n{:x}\r\n", file.len()).bytes());
    bytes.extend(&file);
    bytes.extend(b"\r\n0\r\n\r\n");
    let refused = Reply::read(node.send(&bytes).await).await;
    assert_eq!(refused.problem().0, 413);
    // A client that waits for `100 Continue` sends nothing in vain.
    let waits = head(long, &[("Expect", "100-continue")]);
    let waits = format!("{waits}Content-Length: {}\r\n\r\n", file.len());
    let refused = Reply::read(node.send(waits.as_bytes()).await).await;
    assert_eq!(refused.problem().0, 413);
    let there = node.get("/v1/policies").await.json();
    assert_eq!(there["available"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_file_that_stalls_or_breaks_off_is_not_installed() {
    let settings = Settings {
        write_stall: Duration::from_millis(20),
        ..Settings::default()
    };
    let node = Running::start_with(settings).await;
    let head = head("PUT /v1/policies/files/lru", &[("Content-Length", "9")]);
    let stalled = Reply::read(node.send(format!("{head}\r\n\0asm").as_bytes()).await).await;
    assert_eq!(stalled.problem().0, 408);
    assert_eq!(
        node.get("/v1/policies").await.json()["available"],
        json!([])
    );
}

#[tokio::test]
async fn the_node_answers_others_while_policies_are_checked() {
    let node = Running::start().await;
    let slow = node.put("/v1/policies/files/waits", MAGIC);
    let meanwhile = async {
        node.policy_api.begun.notified().await;
        let put = node.put("/v1/policies/files/lru", MAGIC).await;
        let status = node.get("/v1/status").await;
        node.policy_api.go_on.notify_one();
        (put.status, status.status)
    };
    let (slow, meanwhile) = tokio::join!(slow, meanwhile);
    assert_eq!((slow.status, meanwhile), (201, (201, 200)));
}

#[tokio::test]
async fn a_spec_is_the_whole_table() {
    let node = Running::start().await;
    let limits = LimitsSpec {
        fuel: Some(5),
        wall_ms: None,
        memory_mib: Some(6),
    };
    let body = json!({
        "policy": "lru.wasm", "config": {"depth": 2}, "shadow": "sieve.wasm",
        "limits": {"fuel": 5, "memory_mib": 6},
    });
    let view = node.put_json("/v1/policies/relocation", &body).await;
    assert_eq!(
        (view.status, &view.json()["active"]["name"]),
        (200, &json!("lru"))
    );
    // As curl sends it when no type is given.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let plain = br#"{"policy": "fifo", "shadow": null}"#;
    let view = node.ask("PUT /v1/policies/relocation", &form, plain).await;
    assert_eq!(view.json()["previous"][0]["config"], json!({"depth": 2}));
    let first = KindSpec {
        policy: "lru".into(),
        config: json!({"depth": 2}),
        shadow: Some("sieve".into()),
        limits: Some(limits),
    };
    let expected = [
        (Kind::Relocation, first),
        (Kind::Relocation, KindSpec::plain("fifo")),
    ];
    assert_eq!(node.policy_api.specs(), expected);
}

#[tokio::test]
async fn a_spec_that_makes_no_sense_is_refused() {
    let node = Running::start().await;
    let put = async |path: &str, body: &str| {
        let request = format!("PUT /v1/policies/{path}");
        node.ask(&request, &[JSON], body.as_bytes()).await.problem()
    };
    let check = async |body: &str, status: u16, reason: &str| {
        let (found, problem) = put("eviction", body).await;
        let detail = problem["detail"].as_str().expect("UTF-8 text");
        assert_eq!(found, status, "{body}");
        assert!(detail.contains(reason), "{reason} in {detail}");
    };
    check("", 400, "JSON").await;
    check("{", 400, "JSON").await;
    check("policy = \"lru\"", 400, "JSON").await;
    check("{}", 422, "policy").await;
    check("[]", 422, "list").await;
    check(r#" ["lru"]"#, 422, "list").await;
    check(r#"{"policy": "lru", "limits": [5, 6, 7]}"#, 422, "map").await;
    check(r#"{"policy": "lru.wasm.wasm"}"#, 422, "can't be the name").await;
    check(r#"{"policy": 1}"#, 422, "string").await;
    check(r#"{"policy": "lru", "polcy": "x"}"#, 422, "polcy").await;
    check(r#"{"policy": "lru", "limits": {"fule": 1}}"#, 422, "fule").await;
    check(r#"{"policy": "lru", "limits": {"fuel": -1}}"#, 422, "-1").await;
    check(r#"{"policy": "nobody"}"#, 422, "nobody").await;
    check(
        r#"{"policy": "takes-none", "config": {"x": 1}}"#,
        422,
        "takes no",
    )
    .await;
    check(
        &format!("{{\"policy\":\"{}\"}}", "x".repeat(70_000)),
        413,
        "at most 65536 bytes",
    )
    .await;
    let (status, problem) = put("evictions", r#"{"policy": "lru"}"#).await;
    assert_eq!(status, 404);
    assert!(
        problem["detail"]
            .to_string()
            .contains("eviction and relocation")
    );
    assert_eq!(put("files", "{}").await.0, 404);
    assert!(node.policy_api.specs().is_empty());
}

#[tokio::test]
async fn a_shadow_is_promoted_and_rolled_back() {
    let node = Running::start().await;
    let promote = "/v1/policies/eviction/promote";
    let rollback = "/v1/policies/eviction/rollback";
    assert_eq!(node.post(promote).await.problem().0, 404);
    assert_eq!(node.post(rollback).await.problem().0, 404);
    let spec = json!({"policy": "lru", "shadow": "sieve"});
    node.put_json("/v1/policies/eviction", &spec).await;
    let promoted = node.post(promote).await;
    assert_eq!(promoted.status, 200);
    let view = promoted.json();
    assert_eq!(
        (&view["active"]["name"], &view["shadow"]),
        (&json!("sieve"), &json!(null))
    );
    let back = node.post(rollback).await;
    assert_eq!(
        (back.status, &back.json()["active"]["name"]),
        (200, &json!("lru"))
    );
    // A kind that has changed since it was last seen is not changed again.
    for path in [promote, rollback] {
        let late = node.post(&format!("{path}?revision=7")).await;
        assert_eq!(
            (late.status, &late.json()["active"]["name"]),
            (200, &json!("lru"))
        );
        assert_eq!(
            node.post(&format!("{path}?revison=7")).await.problem().0,
            400
        );
    }
    let back = node.post(&format!("{rollback}?revision=1")).await;
    assert_eq!(back.json()["active"]["name"], "fifo");
    for kind in ["evict", "EVICTION"] {
        for path in [promote, rollback] {
            let path = path.replace("eviction", kind);
            assert_eq!(node.post(&path).await.problem().0, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn what_answers_badly_is_refused_unless_somebody_insists() {
    let node = Running::start().await;
    let wasm = [MAGIC, b"answers badly"].concat();
    let refused = node.put("/v1/policies/files/bad", &wasm).await;
    let (status, reason) = refused.problem();
    assert_eq!(status, 422, "{reason}");
    let unclear = node.put("/v1/policies/files/bad?force=maybe", &wasm).await;
    assert_eq!(unclear.problem().0, 400);
    let taken = node.put("/v1/policies/files/bad?force=true", &wasm).await;
    assert_eq!(taken.status, 201);
}
