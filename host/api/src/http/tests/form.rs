//! POST of an upload form.

use std::time::Duration;

use dataverse_node::settings::Settings;
use serde_json::{Value, json};

use super::{Reply, Running, head};
use crate::limits::HTTP_FORM_FILES_MAX;

const FORM: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=XX");

fn field(name: &str, value: &str) -> String {
    format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, content: &str) -> String {
    let disposition = format!("form-data; name=\"selected_files\"; filename=\"{name}\"");
    let content_type = "Content-Type: application/octet-stream";
    format!("--XX\r\nContent-Disposition: {disposition}\r\n{content_type}\r\n\r\n{content}\r\n")
}

async fn post(node: &Running, parts: &[String]) -> Reply {
    let body = format!("{}--XX--\r\n", parts.concat());
    node.ask("POST /v1/files", &[FORM], body.as_bytes()).await
}

fn column(array: &Value, name: &str) -> Vec<Value> {
    let rows = array.as_array().expect("an array");
    rows.iter().map(|row| row[name].clone()).collect()
}

#[tokio::test]
async fn every_file_of_a_form_is_stored() {
    let node = Running::start().await;
    let parts = [
        field("username", "ada"),
        file("notes.txt", "hello"),
        file("empty", ""),
        file("dir/ü.png", "x"),
    ];
    let reply = post(&node, &parts).await;
    assert_eq!(reply.status, 201);
    let written = reply.json();
    assert_eq!(
        column(&written, "key"),
        ["ada/notes.txt", "ada/empty", "ada/dir/ü.png"]
    );
    assert_eq!(column(&written, "size"), [5, 0, 1]);
    let types = [
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "image/png",
    ];
    assert_eq!(column(&written, "content_type"), types);
    assert_eq!(node.get("/v1/files/ada/notes.txt").await.body, b"hello");
    assert_eq!(post(&node, &parts).await.status, 200);
}

#[tokio::test]
async fn each_file_is_judged_by_itself() {
    let node = Running::start().await;
    let parts = [
        field("username", "trouble"),
        file("a.txt", "hello"),
        file("full", &"x".repeat(3_000_000)),
        file("..", "x"),
        file("b.txt", "world"),
    ];
    let reply = post(&node, &parts).await;
    assert_eq!(reply.status, 507);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let results = reply.json();
    let keys = [
        "trouble/a.txt",
        "trouble/full",
        "trouble/..",
        "trouble/b.txt",
    ];
    assert_eq!(column(&results, "key"), keys);
    assert_eq!(
        column(&results, "status"),
        [Value::Null, json!(507), json!(400), Value::Null]
    );
    assert!(node.node_api.holds("trouble/b.txt"));
}

#[tokio::test]
async fn a_form_that_makes_no_sense_is_refused() {
    let node = Running::start().await;
    let check = async |parts: &[String], reason: &str| {
        let (status, problem) = post(&node, parts).await.problem();
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            status == 400 && detail.contains(reason),
            "{status} {detail}"
        );
    };
    check(&[file("a", "x")], "no field `username`").await;
    check(&[field("username", "ada")], "no field `selected_files`").await;
    check(
        &[field("username", "ada"), file("", "")],
        "no field `selected_files`",
    )
    .await;
    check(&[field("username", &"u".repeat(5000))], "more than").await;
    check(
        &[
            field("username", "ada"),
            field("username", "bob"),
            file("a", "x"),
        ],
        "more than once",
    )
    .await;
    check(
        &[
            field("factor", "3"),
            field("username", "ada"),
            file("a", "x"),
        ],
        "unknown field `factor`",
    )
    .await;
    check(
        &["--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n".to_owned()],
        "no name",
    )
    .await;
    check(&["preamble".to_owned()], "no field `selected_files`").await;
    check(
        &["--XX\r\nContent-Disposition: \u{1}\r\n\r\nx".to_owned()],
        "cannot be parsed",
    )
    .await;
    assert!(!node.node_api.holds("ada/a"));
    let reply = node.ask("POST /v1/files", &[], b"x").await;
    assert_eq!(reply.problem().0, 400);
    let reply = node.ask("POST /v1/files", &[FORM], b"junk").await;
    assert_eq!(reply.problem().0, 400);
    let (status, text) = {
        let parts = [field("username", "ada"), field("selected_files", "text")];
        let reply = post(&node, &parts).await;
        (reply.status, reply.json()[0]["detail"].to_string())
    };
    assert!(
        status == 400 && text.contains("no `filename`"),
        "{status} {text}"
    );
}

#[tokio::test]
async fn it_does_not_matter_where_the_form_says_whose_the_files_are() {
    let node = Running::start().await;
    let large = "x".repeat(3_000_000);
    let parts = [
        file("a.txt", "hello"),
        file("..", "no name"),
        field("selected_files", "no file"),
        file("large", &large),
        file("", ""),
        field("username", "ada"),
        file("b.txt", "world"),
    ];
    let reply = post(&node, &parts).await;
    assert_eq!(reply.status, 400);
    let results = reply.json();
    let keys = [
        json!("ada/a.txt"),
        json!("ada/.."),
        Value::Null,
        json!("ada/large"),
        json!("ada/b.txt"),
    ];
    assert_eq!(column(&results, "key"), keys);
    let fine = Value::Null;
    let statuses = [&fine, &json!(400), &json!(400), &fine, &fine].map(Clone::clone);
    assert_eq!(column(&results, "status"), statuses);
    let stored = node.get("/v1/files/ada/large").await;
    assert_eq!(stored.body, large.as_bytes());
    let found = node.get("/v1/files/ada/a.txt").await;
    let content_type = found.header("content-type");
    assert_eq!(content_type, Some("text/plain; charset=utf-8"));
    assert_eq!(
        post(&node, &[file("a.txt", "hello"), field("username", "ada")])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_second_user_ends_the_form_and_what_was_stored_is_told() {
    let node = Running::start().await;
    let parts = [
        field("username", "ada"),
        file("a.txt", "hello"),
        field("username", "bob"),
        file("b.txt", "world"),
    ];
    let reply = post(&node, &parts).await;
    let results = reply.json();
    assert_eq!(
        (reply.status, column(&results, "status")),
        (400, vec![Value::Null, json!(400)])
    );
    assert!(node.node_api.holds("ada/a.txt") && !node.node_api.holds("bob/b.txt"));
}

#[tokio::test]
async fn a_name_that_is_in_the_form_twice_is_stored_once() {
    let node = Running::start().await;
    let parts = [
        field("username", "ada"),
        file("\u{fc}.txt", "first"),
        file("u\u{308}.txt", "second"),
        file("", "content without a name"),
    ];
    let reply = post(&node, &parts).await;
    let results = reply.json();
    assert_eq!(reply.status, 400);
    assert_eq!(
        column(&results, "status"),
        [Value::Null, json!(400), json!(400)]
    );
    assert_eq!(node.get("/v1/files/ada/%C3%BC.txt").await.body, b"first");
}

#[tokio::test]
async fn a_file_name_is_kept_as_it_is_sent() {
    let node = Running::start().await;
    let names = [r"C:\x\y", "a/b", "100%25", "a b"];
    let mut parts = vec![field("username", "ada")];
    parts.extend(names.map(|name| file(name, "x")));
    let reply = post(&node, &parts).await;
    assert_eq!(reply.status, 201);
    let keys = names.map(|name| format!("ada/{name}"));
    assert_eq!(column(&reply.json(), "key"), keys);
}

#[tokio::test]
async fn a_form_of_too_many_files_says_what_was_stored() {
    let node = Running::start().await;
    let files: Vec<_> = (0..=HTTP_FORM_FILES_MAX)
        .map(|at| file(&at.to_string(), ""))
        .collect();
    let parts = [&files[..], &[field("username", "ada")]].concat();
    let (status, problem) = post(&node, &parts).await.problem();
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        status == 413 && detail.contains("nothing was stored"),
        "{status} {detail}"
    );
    assert!(!node.node_api.holds("ada/0"));

    let parts = [&[field("username", "ada")], &files[..]].concat();
    let reply = post(&node, &parts).await;
    let results = reply.json();
    let told = results.as_array().map(Vec::len);
    assert_eq!((reply.status, told), (413, Some(HTTP_FORM_FILES_MAX + 1)));
    assert_eq!(results[HTTP_FORM_FILES_MAX - 1]["key"], "ada/999");
    assert!(
        results[HTTP_FORM_FILES_MAX]["detail"]
            .as_str()
            .is_some_and(|it| it.contains("before"))
    );
}

#[tokio::test]
async fn a_form_that_breaks_off_tells_what_became_of_the_files_before() {
    let node = Running::start().await;
    let last = file("b.txt", "wor");
    let body = [field("username", "ada"), file("a.txt", "hello"), last].concat();
    let reply = node
        .ask("POST /v1/files", &[FORM], body.trim_end().as_bytes())
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(column(&reply.json(), "key"), ["ada/a.txt", "ada/b.txt"]);
    assert!(node.node_api.holds("ada/a.txt"));
    assert!(!node.node_api.holds("ada/b.txt"));
}

#[tokio::test]
async fn a_form_that_stalls_is_ended() {
    let settings = Settings {
        write_stall: Duration::from_millis(20),
        ..Settings::default()
    };
    let node = Running::start_with(settings).await;
    let body = [field("username", "ada"), file("a.txt", "hello")].concat();
    let head = head("POST /v1/files", &[FORM]);
    let request = format!("{head}Content-Length: 9999\r\n\r\n{body}");
    let reply = Reply::read(node.send(request.as_bytes()).await).await;
    assert_eq!(reply.status, 408);
    assert!(!node.node_api.holds("ada/a.txt"));
}

#[tokio::test]
async fn a_form_that_never_becomes_a_part_is_refused() {
    let node = Running::start().await;
    let filler = "x".repeat(1 << 20);
    let part = "--XX\r\nContent-Disposition: form-data; name=\"username\"\r\nX: ";
    let check = async |body: String| {
        let reply = node.ask("POST /v1/files", &[FORM], body.as_bytes()).await;
        let (status, problem) = reply.problem();
        let detail = problem["detail"].to_string();
        assert!(status == 400 && detail.contains("more than"), "{detail}");
    };
    check(filler.clone()).await;
    check(format!("{part}{filler}\r\n\r\nada\r\n--XX--")).await;
    let stored = [field("username", "ada"), file("a.txt", "hello")].concat();
    let body = format!("{stored}--XX--{filler}");
    let reply = node.ask("POST /v1/files", &[FORM], body.as_bytes()).await;
    assert_eq!(reply.status, 400);
    assert_eq!(column(&reply.json(), "status"), [Value::Null, json!(400)]);
    assert!(node.node_api.holds("ada/a.txt"));
}

#[tokio::test]
async fn a_part_that_is_coded_is_refused_by_itself() {
    let node = Running::start().await;
    let coded = file("a.txt", "aGVsbG8=").replacen(
        "\r\n\r\n",
        "\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        1,
    );
    let parts = [field("username", "ada"), coded, file("b.txt", "hello")];
    let reply = post(&node, &parts).await;
    assert_eq!(reply.status, 415);
    assert_eq!(column(&reply.json(), "status"), [json!(415), Value::Null]);
    assert!(!node.node_api.holds("ada/a.txt") && node.node_api.holds("ada/b.txt"));
}

#[tokio::test]
async fn a_type_that_a_client_guessed_from_the_name_is_settled_by_the_content() {
    let node = Running::start().await;
    let typed = |name: &str, content: &str, stated: &str| {
        file(name, content).replace("application/octet-stream", stated)
    };
    let parts = [
        field("username", "ada"),
        typed("a.txt", "Gr\u{fc}\u{df}e", "text/plain"),
        typed("b.ts", "let a = 1;", "video/mp2t"),
        typed("c.txt", "hello", "text/html"),
    ];
    let types = [
        "text/plain; charset=utf-8",
        "text/x-typescript; charset=utf-8",
        "text/html",
    ];
    assert_eq!(
        column(&post(&node, &parts).await.json(), "content_type"),
        types
    );
}

#[tokio::test]
async fn a_node_keeps_aside_no_more_than_it_has_room_for() {
    let node = Running::start().await;
    // As much as the node in memory claims to have free.
    let half = "x".repeat(2_500_000);
    let parts = [file("a", &half), file("b", &half), field("username", "ada")];
    let (status, problem) = post(&node, &parts).await.problem();
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        status == 413 && detail.contains("first"),
        "{status} {detail}"
    );
    assert!(!node.node_api.holds("ada/a"));
    // Spool space that was taken is released.
    let parts = [file("a", &half), field("username", "ada")];
    assert_eq!(post(&node, &parts).await.status, 201);
}
