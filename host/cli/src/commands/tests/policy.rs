//! `policy …`: what it sends to one node or to all, what it prints, how it ends.

use std::path::Path;

use axum::http::StatusCode;
use dataverse_core::policy::Kind;
use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;
use serde_json::{Value, json};

use super::members::Members;
use super::{Exit, RunOutput, files_in, folder, run, write};

impl Members {
    /// Asks the first member.
    async fn run(&self, arguments: &[&str]) -> RunOutput {
        let node = ["--node", self.url()];
        let arguments = ["policy"].iter().chain(arguments).chain(&node);
        run(&arguments.copied().collect::<Vec<_>>()).await
    }
}

fn words(data: &str) -> Vec<Vec<&str>> {
    let lines = data.lines().map(|line| line.split_whitespace().collect());
    lines.collect()
}

fn parsed(data: &str) -> Value {
    serde_json::from_str(data).expect("valid JSON")
}

#[tokio::test]
async fn the_list_tells_who_decides_who_is_compared_and_what_went_wrong() {
    let members = Members::start(&["A"]).await;
    let list = members.run(&["list"]).await;
    list.ended(Exit::Done, &[]);
    let expected = [
        "kind        active  version  origin    state      decisions  faults              fuel         µs",
        "placement   ring    0.1.0    built-in  probation  12         0                   -            -",
        "eviction    lru     0.1.0    built-in  probation  12         3 (fuel 1, trap 2)  1234 / 5678  1.2 / 20",
        "relocation  reader  0.1.0    built-in  probation  12         0                   1234 / 5678  1.2 / 20",
        "eviction shadow: sieve 0.2.0 (folder, active), 11 decisions, 3 dropped, faults 0: hit ratio 50.0 % vs. 37.5 %, byte hit ratio - vs. -",
        "eviction pending: w-tinylfu is being compiled",
        "eviction previous: fifo (0123456789ab), mine (fedcba987654)",
        "eviction last error: it does\\u{1b}[2J not compile",
        "/policies: policies.toml: line 3",
        "",
        "available  kind      version  origin  size      digest        summary",
        "sieve      eviction  0.1.0    folder  2.00 KiB  0123456789ab  the coldest goes first",
        "broken     -         0.1.0    folder  2.00 KiB  0123456789ab  refused: this is not WebAssembly",
    ];
    assert_eq!(list.data.lines().collect::<Vec<_>>(), expected);
    let json = parsed(&members.run(&["list", "--json"]).await.data);
    assert_eq!(json["eviction"]["shadow"]["dropped"], 3);
}

#[tokio::test]
async fn a_file_is_installed_under_its_own_name_or_another() {
    let (members, folder) = (Members::start(&["A"]).await, folder());
    let file = write(folder.path(), "lru.wasm", b"code");
    let installed = members.run(&["install", &file]).await;
    installed.ended(Exit::Done, &[]);
    let row = ["eviction", "lru", "0.1.0", "0123456789ab", "installed"];
    assert_eq!(words(&installed.data)[1], row);
    let json = members
        .run(&["install", &file, "--as", "mine.wasm", "--json"])
        .await;
    assert_eq!(parsed(&json.data)["name"], "mine");
    let heard = [
        "PUT /v1/policies/files/lru code",
        "PUT /v1/policies/files/mine code",
    ];
    assert_eq!(members.heard("A"), heard);
    members.refuses(
        "A",
        StatusCode::UNPROCESSABLE_ENTITY,
        "this is not WebAssembly",
    );
    let refused = members.run(&["install", &file]).await;
    refused.ended(Exit::Refused, &["error: this is not WebAssembly"]);
}

#[tokio::test]
async fn who_insists_and_where_to_go_back_to_is_sent() {
    let (members, folder) = (Members::start(&["A"]).await, folder());
    let file = write(folder.path(), "mine.wasm", b"code");
    members
        .run(&["install", &file, "--force"])
        .await
        .ended(Exit::Done, &[]);
    for arguments in [
        &["rollback", "eviction", "--to", "mine@01 2"][..],
        &["rollback", "eviction", "--to", "fifo", "--all"],
    ] {
        members.run(arguments).await.ended(Exit::Done, &[]);
    }
    let heard = [
        "PUT /v1/policies/files/mine?force=true code",
        "POST /v1/policies/eviction/rollback?to=mine%4001%202",
        "POST /v1/policies/eviction/rollback?to=fifo&revision=lru-wished",
    ];
    assert_eq!(members.heard("A"), heard);
}

#[tokio::test]
async fn where_nothing_changes_it_is_not_said_to_have_changed() {
    let (members, folder) = (Members::start(&["A", "B"]).await, folder());
    let check = async |arguments: &[&str], changed: bool| {
        let arguments = [arguments, &["--all", "--json"]].concat();
        let told = parsed(&members.run(&arguments).await.ended(Exit::Done, &[]).data);
        let answers = told.as_array().expect("a list");
        assert!(
            answers.iter().all(|told| told["changed"] == changed),
            "{arguments:?}: {told}"
        );
    };
    // Members answer that `gdsf` is active, and `lru` before that; their folders contain `sieve`.
    check(&["use", "eviction", "gdsf"], true).await;
    check(
        &["install", &write(folder.path(), "mine.wasm", b"code")],
        true,
    )
    .await;
    check(
        &["install", &write(folder.path(), "sieve.wasm", b"code")],
        false,
    )
    .await;
}

#[tokio::test]
async fn a_file_that_can_be_no_policy_is_not_sent() {
    let (members, folder) = (Members::start(&["A"]).await, folder());
    let check = async |arguments: &[&str], exit: Exit, note: &str| {
        let arguments: Vec<&str> = ["install"].iter().chain(arguments).copied().collect();
        members.run(&arguments).await.ended(exit, &[note]);
    };
    let odd = write(folder.path(), "a b.wasm", b"code");
    check(&[&odd], Exit::Usage, "--as NAME").await;
    check(&[&odd, "--as", "../x"], Exit::Usage, "can't be the name").await;
    check(
        &["/nonexistent.wasm"],
        Exit::Refused,
        "/nonexistent.wasm: No such file",
    )
    .await;
    let directory = folder.path().to_str().expect("UTF-8");
    check(&[directory, "--as", "x"], Exit::Refused, "directory").await;
    let long = folder.path().join("long.wasm");
    let file = std::fs::File::create(&long).expect("it is created");
    file.set_len(POLICY_FILE_BYTES_MAX as u64 + 1)
        .expect("there is room");
    check(
        &[long.to_str().expect("UTF-8")],
        Exit::Refused,
        "at most 33554432 bytes",
    )
    .await;
    assert!(members.heard("A").is_empty());
}

#[tokio::test]
async fn a_spec_is_sent_whole() {
    let members = Members::start(&["A"]).await;
    let used = members.run(&["use", "eviction", "gdsf"]).await;
    used.ended(Exit::Done, &[]);
    let row = ["eviction", "gdsf", "0.1.0", "fedcba987654", "probation"];
    assert_eq!(words(&used.data)[1], row);
    let arguments = [
        "use",
        "placement",
        "ring.wasm",
        "--config",
        "{\"points\": 7}",
        "--shadow",
        "near",
        "--json",
    ];
    let used = members.run(&arguments).await;
    assert_eq!(parsed(&used.data)["active"]["name"], "gdsf");
    let heard = [
        r#"PUT /v1/policies/eviction {"policy":"gdsf"}"#,
        r#"PUT /v1/policies/placement {"policy":"ring","config":{"points":7},"shadow":"near"}"#,
    ];
    assert_eq!(members.heard("A"), heard);
}

#[tokio::test]
async fn what_makes_no_sense_is_a_usage_error() {
    let members = Members::start(&["A"]).await;
    let check = async |arguments: &[&str], note: &str| {
        members.run(arguments).await.ended(Exit::Usage, &[note]);
    };
    check(
        &["use", "evict", "lru"],
        "the kinds are placement, eviction and relocation",
    )
    .await;
    check(&["use", "eviction"], "NAME").await;
    check(&["use", "eviction", "a/b"], "can't be the name").await;
    check(&["use", "eviction", "lru", "--config", "{"], "--config").await;
    check(&["use", "eviction", "lru", "--config", "7"], "JSON object").await;
    check(&["promote"], "KIND").await;
    check(&["rollback", "files"], "`files` is not a kind of policy").await;
    check(&["remove", ".."], "can't be the name").await;
    assert!(members.heard("A").is_empty());
}

#[tokio::test]
async fn shadows_are_promoted_policies_rolled_back_and_files_removed() {
    let members = Members::start(&["A"]).await;
    members
        .run(&["promote", "eviction"])
        .await
        .ended(Exit::Done, &[]);
    members
        .run(&["rollback", "placement"])
        .await
        .ended(Exit::Done, &[]);
    let removed = members.run(&["remove", "lru.wasm"]).await;
    removed.ended(Exit::Done, &["removed lru"]);
    assert_eq!(removed.data, "");
    let heard = [
        "POST /v1/policies/eviction/promote",
        "POST /v1/policies/placement/rollback",
        "DELETE /v1/policies/files/lru",
    ];
    assert_eq!(members.heard("A"), heard);
    members.refuses("A", StatusCode::CONFLICT, "lru decides eviction");
    members
        .run(&["remove", "lru"])
        .await
        .ended(Exit::Refused, &["lru decides eviction"]);
    members.refuses("A", StatusCode::NOT_FOUND, "eviction has no shadow");
    members
        .run(&["promote", "eviction"])
        .await
        .ended(Exit::Refused, &["no shadow"]);
}

#[tokio::test]
async fn all_members_change_one_after_the_other() {
    let (members, folder) = (Members::start(&["A", "B", "C", "D"]).await, folder());
    members.list(|name, node| {
        if name == "C" {
            node["state"] = json!("gone");
        }
    });
    let used = members.run(&["use", "eviction", "gdsf", "--all"]).await;
    used.ended(Exit::Done, &["C is gone and was not changed"]);
    let rows = words(&used.data);
    assert_eq!(
        rows[0],
        ["node", "kind", "policy", "version", "digest", "state"]
    );
    for (row, name) in rows[1..].iter().zip(["A", "B", "D"]) {
        let expected = [
            name,
            "eviction",
            "gdsf",
            "0.1.0",
            "fedcba987654",
            "probation",
        ];
        assert_eq!(row, &expected);
    }
    assert_eq!(rows[4], ["C", "-", "-", "-", "-", "gone"]);
    assert_eq!(rows.len(), 5);
    let used = members
        .run(&["use", "eviction", "gdsf", "--all", "--json"])
        .await;
    let told = parsed(&used.ended(Exit::Done, &[]).data);
    let gone = json!({
        "node": "C", "id": "id-of-C", "changed": false, "answer": null, "error": "it is gone",
    });
    assert_eq!((&told[2]["changed"], &told[3]), (&json!(true), &gone));
    let file = write(folder.path(), "lru.wasm", b"code");
    members
        .run(&["install", &file, "--all"])
        .await
        .ended(Exit::Done, &[]);
    members
        .run(&["promote", "eviction", "--all"])
        .await
        .ended(Exit::Done, &[]);
    members
        .run(&["rollback", "eviction", "--all"])
        .await
        .ended(Exit::Done, &[]);
    let heard = [
        r#"PUT /v1/policies/eviction {"policy":"gdsf"}"#,
        r#"PUT /v1/policies/eviction {"policy":"gdsf"}"#,
        "PUT /v1/policies/files/lru code",
        "POST /v1/policies/eviction/promote?revision=lru-wished",
        "POST /v1/policies/eviction/rollback?revision=lru-wished",
    ];
    for name in ["A", "B", "D"] {
        assert_eq!(members.heard(name), heard, "{name}");
    }
    assert!(members.heard("C").is_empty());
}

#[tokio::test]
async fn the_first_member_that_refuses_is_the_last_to_be_asked() {
    let members = Members::start(&["A", "B", "C"]).await;
    members.refuses(
        "B",
        StatusCode::UNPROCESSABLE_ENTITY,
        "there is no policy `gdsf`",
    );
    let used = members.run(&["use", "eviction", "gdsf", "--all"]).await;
    used.ended(
        Exit::Refused,
        &[
            "changed: A; not changed: B, C",
            "error: B: there is no policy `gdsf`",
        ],
    );
    assert_eq!(words(&used.data)[1][0], "A");
    assert_eq!(words(&used.data).len(), 2);
    let json = members
        .run(&["use", "eviction", "gdsf", "--all", "--json"])
        .await;
    json.ended(Exit::Refused, &["error: B"]);
    let told = parsed(&json.data);
    assert_eq!(told[0]["answer"]["active"]["name"], "gdsf");
    let expected = json!([
        {"node": "B", "id": "id-of-B", "changed": false, "answer": null, "error": "there is no policy `gdsf`"},
        {"node": "C", "id": "id-of-C", "changed": false, "answer": null, "error": null},
    ]);
    assert_eq!(
        told.as_array().expect("a list")[1..],
        *expected.as_array().expect("a list")
    );
    assert!(members.heard("C").is_empty());
}

#[tokio::test]
async fn a_member_that_can_not_be_reached_or_is_another_ends_it() {
    let members = Members::start(&["A", "B", "C"]).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let other = members.url_of("C").trim_start_matches("http://");
    for (address, note) in [
        (nobody.as_str(), "B: can't reach the node"),
        (other, "leads to another node, C"),
    ] {
        members.list(|name, node| {
            if name == "B" {
                node["http"] = json!(address);
            }
        });
        let used = members.run(&["use", "eviction", "gdsf", "--all"]).await;
        used.ended(Exit::Unreachable, &["changed: A; not changed: B, C", note]);
    }
    assert!(members.heard("C").is_empty());
}

#[tokio::test]
async fn a_shipped_policy_is_checked_without_a_node() {
    let folder = folder();
    let wasm = dataverse_builtin::find(Kind::Placement, "rendezvous").expect("it is shipped");
    let wasm = wasm.wasm;
    let file = write(folder.path(), "mine.wasm", wasm);
    let checked = run(&["policy", "check", &file]).await;
    checked.ended(Exit::Done, &[]);
    for expected in [
        &["kind", "placement"][..],
        &["version", "0.1.0"],
        &["faults", "0"],
    ] {
        assert!(
            words(&checked.data).contains(&expected.to_vec()),
            "{checked:?}"
        );
    }
    assert!(
        checked.data.contains("dataverse:policy/host@0.1.0"),
        "{checked:?}"
    );
    let json = run(&["policy", "check", &file, "--json", "--kind", "placement"]).await;
    let json = parsed(&json.ended(Exit::Done, &[]).data);
    assert_eq!(json["digest"], blake3::hash(wasm).to_hex().to_string());
    assert_eq!(
        (&json["accepted"], &json["size"]),
        (&json!(true), &json!(wasm.len()))
    );
    let wrong = run(&["policy", "check", &file, "--kind", "eviction"]).await;
    wrong.ended(
        Exit::Refused,
        &["mine.wasm: it is a policy for placement, not for eviction"],
    );
    let config = ["policy", "check", &file, "--config", "{\"nonsense\": 1}"];
    run(&config).await.ended(Exit::Refused, &["nonsense"]);
}

#[tokio::test]
async fn the_policy_that_a_node_starts_with_answers_every_question() {
    let folder = folder();
    for kind in Kind::ALL {
        let name = dataverse_builtin::default_name(kind);
        let policy = dataverse_builtin::find(kind, name).expect("it is shipped");
        let file = write(folder.path(), name, policy.wasm);
        let checked = run(&["policy", "check", &file, "--json"]).await;
        let told = parsed(&checked.ended(Exit::Done, &[]).data);
        assert_eq!(told["faults"], json!([]), "{name}");
        let more_than = |count: f64, value: &Value| value.as_f64().is_some_and(|it| it > count);
        assert!(more_than(100.0, &told["questions"]), "{told}");
        assert!(more_than(0.0, &told["fuel"]["p50"]), "{told}");
    }
}

#[tokio::test]
async fn what_a_node_would_refuse_is_refused_with_its_reason() {
    let folder = folder();
    let file = write(folder.path(), "x.wasm", b"GIF89a");
    let refused = run(&["policy", "check", &file]).await;
    refused.ended(Exit::Refused, &["x.wasm: this is not WebAssembly"]);
    assert_eq!(refused.data, "");
    let json = run(&["policy", "check", &file, "--json"]).await;
    let told = parsed(&json.ended(Exit::Refused, &[]).data);
    assert_eq!(told["accepted"], false);
    assert!(
        told["error"].to_string().contains("not WebAssembly"),
        "{told}"
    );
    let empty = write(folder.path(), "empty.wasm", b"\0asm\x01\0\0\0");
    let refused = run(&["policy", "check", &empty]).await;
    refused.ended(Exit::Refused, &["does not carry a component type"]);
}

#[tokio::test]
async fn a_new_policy_is_a_folder_of_its_own() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let made = run(&["policy", "new", &path("mine"), "--kind", "relocation"]).await;
    made.ended(Exit::Done, &["dataverse policy use relocation mine"]);
    assert_eq!(made.data.trim_end(), path("mine"));
    let files = [".gitignore", "Cargo.toml", "dataverse-sdk", "src"];
    assert_eq!(files_in(Path::new(&path("mine"))), files);
    let again = [
        "policy",
        "new",
        &path("mine"),
        "--kind",
        "eviction",
        "--lang",
        "rust",
    ];
    run(&again).await.ended(Exit::Refused, &["mine", "exists"]);
    let lost = ["policy", "new", &path("no/such"), "--kind", "eviction"];
    run(&lost).await.ended(Exit::Refused, &["No such file"]);
    for arguments in [
        &["policy", "new", "a b", "--kind", "eviction"][..],
        &["policy", "new", "loop", "--kind", "eviction"],
        &["policy", "new", "x", "--kind", "loop"],
        &[
            "policy", "new", "x", "--kind", "eviction", "--lang", "cobol",
        ],
        &["policy", "new", "x"],
    ] {
        run(arguments).await.ended(Exit::Usage, &[]);
    }
}

#[tokio::test]
async fn only_a_crate_is_built() {
    let folder = folder();
    let path = folder.path().to_str().expect("UTF-8");
    let refused = run(&["policy", "build", path]).await;
    refused.ended(Exit::Refused, &["Cargo.toml: No such file"]);
    assert!(files_in(folder.path()).is_empty());
}
