//! The commands against a small test server: what they send, what they print, how they end.

mod files;
mod members;
mod policy;
mod server;

use std::path::Path;

use clap::Parser as _;

use super::*;
use server::{Mood, Server};

impl Server {
    async fn run(&self, arguments: &[&str]) -> RunOutput {
        let node = ["--node", &self.url];
        let arguments: Vec<&str> = arguments.iter().chain(&node).copied().collect();
        run(&arguments).await
    }
}

/// The outcome of a command.
#[derive(Debug)]
struct RunOutput {
    exit: Exit,
    data: String,
    notes: String,
}

impl RunOutput {
    fn ended(&self, exit: Exit, notes: &[&str]) -> &Self {
        assert_eq!(self.exit, exit, "{self:?}");
        for note in notes {
            assert!(self.notes.contains(note), "{note:?} in {self:?}");
        }
        self
    }
}

async fn run(arguments: &[&str]) -> RunOutput {
    let (mut data, mut notes) = (Vec::new(), Vec::new());
    let exit = match Cli::try_parse_from(std::iter::once(&"dataverse").chain(arguments)) {
        Ok(cli) => cli.perform(&mut Screen::of(&mut data, &mut notes)).await,
        Err(error) => {
            assert_eq!(error.exit_code(), Exit::Usage as i32);
            notes = error.to_string().into_bytes();
            Exit::Usage
        }
    };
    let text = |bytes| String::from_utf8(bytes).expect("valid UTF-8");
    RunOutput {
        exit,
        data: text(data),
        notes: text(notes),
    }
}

fn write(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("it is written");
    path.to_str().expect("UTF-8").to_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("it is a folder");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn put_streams_a_file_under_its_own_name_or_another() {
    let (server, folder) = (Server::start().await, folder());
    let file = write(folder.path(), "a b.txt", b"hello");
    let put = server.run(&["put", &file, "--user", "ada"]).await;
    put.ended(Exit::Done, &["warning: ada/a b.txt has only 1 of 2 copies"]);
    assert_eq!(put.data, "ada/a b.txt  5 B  on A\n");
    assert_eq!(server.last_heard(), "PUT ada/a b.txt factor=- length=5");
    let arguments = [
        "put", &file, "--user", "ada", "--as", "d/e", "--factor", "3", "--json",
    ];
    let put = server.run(&arguments).await;
    put.ended(Exit::Done, &[]);
    let json: serde_json::Value = serde_json::from_str(&put.data).expect("valid JSON");
    assert_eq!(json["key"], "ada/d/e");
    assert_eq!(server.last_heard(), "PUT ada/d/e factor=3 length=5");
}

#[tokio::test]
async fn an_empty_and_a_large_file_arrive_whole() {
    let (server, folder) = (Server::start().await, folder());
    let large: Vec<u8> = (0..1_500_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    for (name, content) in [("empty", &[][..]), ("large", &large)] {
        let file = write(folder.path(), name, content);
        server
            .run(&["put", &file, "--user", "ada"])
            .await
            .ended(Exit::Done, &[]);
        let copy = folder.path().join("copy");
        let get = [
            "get",
            &format!("ada/{name}"),
            "-o",
            copy.to_str().expect("UTF-8"),
            "--force",
        ];
        server
            .run(&get)
            .await
            .ended(Exit::Done, &["from D, 3 hops away"]);
        assert!(std::fs::read(copy).expect("it exists") == content, "{name}");
    }
}

#[tokio::test]
async fn each_file_of_a_put_is_judged_by_itself() {
    let (server, folder) = (Server::start().await, folder());
    let good = write(folder.path(), "good", b"x");
    let full = write(folder.path(), "full", b"x");
    let missing = folder.path().join("missing");
    let missing = missing.to_str().expect("UTF-8");
    let directory = folder.path().to_str().expect("UTF-8");
    let put = server
        .run(&["put", directory, missing, &full, &good, "--user", "ada"])
        .await;
    put.ended(
        Exit::Refused,
        &[
            "it is a folder",
            "missing: No such file",
            "no room for ada/full",
        ],
    );
    assert_eq!(
        server.world().files.keys().collect::<Vec<_>>(),
        ["ada/good"]
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_name_that_is_no_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let (server, folder) = (Server::start().await, folder());
    let file = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    std::fs::write(&file, b"x").expect("it is written");
    let arguments: Vec<std::ffi::OsString> = vec![
        "dataverse".into(),
        "put".into(),
        file.into(),
        "--user=ada".into(),
        format!("--node={}", server.url).into(),
    ];
    let cli = Cli::try_parse_from(arguments).expect("it is a path");
    let (mut data, mut notes) = (Vec::new(), Vec::new());
    let exit = cli.perform(&mut Screen::of(&mut data, &mut notes)).await;
    assert_eq!(exit, Exit::Refused);
    assert!(String::from_utf8_lossy(&notes).contains("not UTF-8"));
}

#[tokio::test]
async fn a_put_that_makes_no_sense_is_a_usage_error() {
    let server = Server::start().await;
    let check = async |arguments: &[&str], note: &str| {
        server.run(arguments).await.ended(Exit::Usage, &[note]);
    };
    check(&["put", "--user", "ada"], "required").await;
    check(&["put", "x"], "--user").await;
    check(&["put", "x", "y", "--user", "ada", "--as", "z"], "--as").await;
    check(&["put", "-", "--user", "ada"], "--as").await;
    check(&["put", "x", "--user", "a/b"], "--user").await;
    check(&["put", "x", "--user", "ada", "--as", "../x"], "`..`").await;
    check(&["put", "x", "--user", "ada", "--factor", "0"], "--factor").await;
}

#[tokio::test]
async fn a_node_that_stored_other_bytes_is_told_of() {
    let (server, folder) = (Server::start().await, folder());
    server.world().mood = Mood::Lies;
    let file = write(folder.path(), "x", b"x");
    let put = server.run(&["put", &file, "--user", "ada"]).await;
    put.ended(Exit::Refused, &["other bytes than were sent"]);
}

#[tokio::test]
async fn an_interrupted_get_goes_on_where_it_stopped() {
    let (server, folder) = (Server::start().await, folder());
    let target = folder.path().join("x");
    let get = ["get", "ada/x", "-o", target.to_str().expect("UTF-8")];
    server.store("ada/x", b"0123456789");
    server.world().mood = Mood::Breaks(4);
    server
        .run(&get)
        .await
        .ended(Exit::Unreachable, &["what arrived was kept"]);
    assert_eq!(files_in(folder.path()), ["x.part", "x.part.json"]);
    server.world().mood = Mood::Honest;
    server
        .run(&get)
        .await
        .ended(Exit::Done, &["resuming at 4 B of 10 B"]);
    assert_eq!(server.last_heard(), "GET ada/x bytes=4-");
    assert_eq!(files_in(folder.path()), ["x"]);
    assert_eq!(std::fs::read(&target).expect("it exists"), b"0123456789");
}

#[tokio::test]
async fn a_part_of_an_older_version_is_not_continued() {
    let (server, folder) = (Server::start().await, folder());
    let target = folder.path().join("x");
    let get = ["get", "ada/x", "-o", target.to_str().expect("UTF-8")];
    server.store("ada/x", b"0123456789");
    server.world().mood = Mood::Breaks(4);
    server.run(&get).await.ended(Exit::Unreachable, &[]);
    server.world().mood = Mood::Honest;
    server.store("ada/x", b"abc");
    server.run(&get).await.ended(Exit::Done, &[]);
    assert_eq!(std::fs::read(&target).expect("it exists"), b"abc");
    assert_eq!(files_in(folder.path()), ["x"]);
}

#[tokio::test]
async fn a_part_that_was_already_whole_is_finished() {
    let (server, folder) = (Server::start().await, folder());
    let target = folder.path().join("x");
    server.store("ada/x", b"0123456789");
    let etag = format!("\"{}\"", blake3::hash(b"0123456789").to_hex());
    let note = serde_json::json!({"key": "ada/x", "etag": etag, "size": 10});
    write(folder.path(), "x.part", b"0123456789");
    write(folder.path(), "x.part.json", note.to_string().as_bytes());
    let get = ["get", "ada/x", "-o", target.to_str().expect("UTF-8")];
    server.run(&get).await.ended(Exit::Done, &[]);
    assert_eq!(server.last_heard(), "GET ada/x bytes=9-");
    assert_eq!(std::fs::read(&target).expect("it exists"), b"0123456789");
}

#[tokio::test]
async fn wrong_bytes_never_get_the_files_name() {
    let (server, folder) = (Server::start().await, folder());
    let target = write(folder.path(), "x", b"old");
    server.store("ada/x", b"0123456789");
    server.world().mood = Mood::Lies;
    let get = server
        .run(&["get", "ada/x", "-o", &target, "--force"])
        .await;
    get.ended(Exit::Refused, &["their digest is"]);
    assert_eq!(std::fs::read(&target).expect("it exists"), b"old");
    assert_eq!(files_in(folder.path()), ["x"]);
    server
        .run(&["get", "ada/x", "-o", "-"])
        .await
        .ended(Exit::Refused, &["do not use"]);
    // A part that was changed locally is noticed as well.
    server.world().mood = Mood::Breaks(4);
    server
        .run(&["get", "ada/x", "-o", &target, "--force"])
        .await
        .ended(Exit::Unreachable, &[]);
    server.world().mood = Mood::Honest;
    write(folder.path(), "x.part", b"9999");
    server
        .run(&["get", "ada/x", "-o", &target, "--force"])
        .await
        .ended(Exit::Refused, &["try again"]);
    server
        .run(&["get", "ada/x", "-o", &target, "--force"])
        .await
        .ended(Exit::Done, &[]);
}

#[tokio::test]
async fn get_goes_to_standard_output_into_a_folder_and_nowhere_if_there_is_nothing() {
    let (server, folder) = (Server::start().await, folder());
    server.store("ada/d/x", b"hello");
    let into = folder.path().to_str().expect("UTF-8");
    let get = server.run(&["get", "ada/d/x", "-o", "-"]).await;
    assert_eq!(get.ended(Exit::Done, &[]).data, "hello");
    let get = server.run(&["get", "ada/d/x", "-o", into, "--json"]).await;
    let json: serde_json::Value =
        serde_json::from_str(&get.ended(Exit::Done, &[]).data).expect("JSON");
    assert_eq!((&json["hops"], &json["source"]), (&3.into(), &"D".into()));
    let missing = server.run(&["get", "ada/y", "-o", into]).await;
    missing.ended(Exit::Refused, &["no reachable node has it"]);
    assert_eq!(files_in(folder.path()), ["x"]);
    server
        .run(&["get", "ada/x", "-o", "-", "--json"])
        .await
        .ended(Exit::Usage, &["--json"]);
    server
        .run(&["get", "ada", "-o", "-"])
        .await
        .ended(Exit::Usage, &["user/name"]);
}

#[tokio::test]
async fn the_longest_file_name_has_room_for_its_part() {
    let (server, folder) = (Server::start().await, folder());
    let name = "x".repeat(255);
    server.store(&format!("ada/{name}"), b"hello");
    let into = folder.path().to_str().expect("UTF-8");
    server
        .run(&["get", &format!("ada/{name}"), "-o", into])
        .await
        .ended(Exit::Done, &[]);
    assert_eq!(files_in(folder.path()), [name]);
}

#[tokio::test]
async fn searches_print_what_was_found_and_how_it_ended() {
    let server = Server::start().await;
    let none = server
        .run(&["search", "ada/**", "--hops", "2", "--limit", "5"])
        .await;
    none.ended(
        Exit::Refused,
        &[
            "partial (some nodes did not answer)",
            "no answer from E at e:1",
        ],
    );
    assert_eq!(none.data, "");
    assert_eq!(
        server.last_heard(),
        "GET /v1/search?q=ada%2F%2A%2A&hops=2&limit=5"
    );
    server.store("ada/x\u{1b}[2J", b"hello");
    let found = server.run(&["ls", "ada"]).await;
    found.ended(Exit::Done, &["found: 1 file, 3 probes in 3 levels"]);
    let lines: Vec<Vec<&str>> = found
        .data
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["key", "size", "node", "hops", "role"]);
    assert_eq!(lines[1], ["ada/x\\u{1b}[2J", "5", "B", "D", "3", "replica"]);
    let json = server.run(&["search", "**", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.data).expect("JSON");
    assert_eq!(json["hits"][0]["node"], "D");
}

#[tokio::test]
async fn stat_tells_the_way() {
    let server = Server::start().await;
    server.store("ada/x", b"hello");
    let stat = server.run(&["stat", "ada/x"]).await;
    assert!(
        stat.ended(Exit::Done, &[]).data.contains("A → B → C → D"),
        "{stat:?}"
    );
    assert_eq!(server.last_heard(), "GET /v1/search?key=ada%2Fx");
}

#[tokio::test]
async fn rm_judges_each_key_by_itself() {
    let server = Server::start().await;
    server.store("ada/x", b"hello");
    let rm = server.run(&["rm", "ada/y", "ada/x"]).await;
    rm.ended(Exit::Refused, &["there is no such file", "deleted ada/x"]);
    assert!(server.world().files.is_empty());
    server.store("ada/x", b"hello");
    let rm = server.run(&["rm", "ada/y", "ada/x", "--json"]).await;
    let expected = concat!(
        r#"{"deleted":false,"error":"there is no such file","key":"ada/y"}"#,
        "\n",
        r#"{"deleted":true,"key":"ada/x"}"#,
        "\n"
    );
    assert_eq!(rm.ended(Exit::Refused, &["no such file"]).data, expected);
}

#[tokio::test]
async fn every_command_that_speaks_json_does_so_when_it_fails() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let folder = folder();
    let file = write(folder.path(), "x.wasm", b"x");
    let commands: [&[&str]; 22] = [
        &["put", &file, "--user", "ada"],
        &["get", "a/b"],
        &["search", "**"],
        &["ls", "a"],
        &["stat", "a/b"],
        &["rm", "a/b"],
        &["link", "a:1"],
        &["link", "a:1", "b:1"],
        &["unlink", "B"],
        &["links"],
        &["nodes"],
        &["status"],
        &["drain", "B"],
        &["undrain", "B"],
        &["scrub"],
        &["policy", "list"],
        &["policy", "install", &file],
        &["policy", "remove", "x"],
        &["policy", "use", "eviction", "lru"],
        &["policy", "use", "eviction", "lru", "--all"],
        &["policy", "promote", "eviction"],
        &["policy", "rollback", "eviction"],
    ];
    for command in commands {
        let arguments = [command, &["--json", "--node", &address]].concat();
        let failed = run(&arguments).await;
        failed.ended(Exit::Unreachable, &["can't reach the node"]);
        let told: serde_json::Value = serde_json::from_str(&failed.data).expect("JSON");
        let error = told["error"].as_str().expect("it says why");
        assert!(
            error.contains("can't reach the node"),
            "{command:?}: {told}"
        );
    }
    let check = ["policy", "check", &file, "--json"];
    let told: serde_json::Value = serde_json::from_str(&run(&check).await.data).expect("JSON");
    assert_eq!(told["accepted"], false);
    let experiment = ["lab", "run", "/nonexistent.toml", "--json"];
    let failed = run(&experiment).await;
    let told: serde_json::Value = serde_json::from_str(&failed.data).expect("JSON");
    assert!(
        told["error"].as_str().expect("why").contains("nonexistent"),
        "{told}"
    );
    let server = Server::start().await;
    let unlinked = server.run(&["unlink", "B", "--json"]).await;
    assert_eq!(unlinked.data, "{\"node\":\"B\",\"unlinked\":true}\n");
    let linked = server.run(&["link", "a:1", "b:2", "--json"]).await;
    assert_eq!(linked.data, "{\"linked\":[\"a:1\",\"b:2\"]}\n");
}

#[tokio::test]
async fn a_list_that_was_cut_says_so() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        server.store(&format!("ada/{name}"), b"hello");
    }
    let note = "the list ends after 3 files, and there may be more";
    // A node of an earlier release has no `truncated`; it returns at most the requested number of hits.
    let cut = server.run(&["search", "**", "--limit", "3"]).await;
    cut.ended(Exit::Done, &[note, "--limit"]);
    assert_eq!(cut.data.lines().count(), 4);
    let whole = server.run(&["ls", "ada"]).await;
    assert!(!whole.notes.contains("there may be more"), "{whole:?}");
    server.world().is_cut = Some(true);
    server.run(&["ls", "ada"]).await.ended(Exit::Done, &[note]);
    let json = server.run(&["ls", "ada", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&json.data).expect("JSON");
    assert_eq!(told["truncated"], true);
    json.ended(Exit::Done, &[note]);
    server.world().is_cut = Some(false);
    let whole = server
        .run(&["search", "**", "--limit", "3", "--json"])
        .await;
    let told: serde_json::Value = serde_json::from_str(&whole.data).expect("JSON");
    assert_eq!(told["truncated"], false);
}

#[tokio::test]
async fn something_else_than_a_node_is_told_as_that() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let serving = tokio::spawn(async move {
        let mut speaks_first = false;
        while let Ok((mut stream, _)) = listener.accept().await {
            speaks_first = !speaks_first;
            if !speaks_first {
                let _asked = stream.read(&mut [0; 1024]).await;
            }
            // The first bytes of a gRPC server: its settings frame.
            let _gone = stream
                .write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0")
                .await;
            // Until the client disconnects.
            while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        }
    });
    let folder = folder();
    let file = write(folder.path(), "b", b"hello");
    for command in [
        &["status"][..],
        &["ls", "a"],
        &["put", &file, "--user", "a"],
    ] {
        let arguments = [command, &["--node", &address]].concat();
        let failed = run(&arguments).await;
        failed.ended(
            Exit::Unreachable,
            &["no Dataverse node answers HTTP at", "grpc=", &address],
        );
    }
    serving.abort();
    let server = Server::start().await;
    let other = server.run(&["drain", "B"]).await;
    other.ended(Exit::Refused, &["no Dataverse node answers HTTP at", "404"]);
}

#[tokio::test]
async fn links_are_made_listed_and_cut() {
    let server = Server::start().await;
    server
        .run(&["link", "127.0.0.1:7401"])
        .await
        .ended(Exit::Done, &["linked with"]);
    assert_eq!(
        server.last_heard(),
        r#"POST /v1/links {"address":"127.0.0.1:7401"}"#
    );
    server
        .run(&["link", "127.0.0.1:1", "h:2"])
        .await
        .ended(Exit::Done, &["linked 127.0.0.1:1 and h:2"]);
    assert_eq!(
        server.last_heard(),
        "POST /config IP1=127.0.0.1&PORT1=1&IP2=h&PORT2=2"
    );
    server
        .run(&["link", "dead:1"])
        .await
        .ended(Exit::Unreachable, &["dead:1 can't be reached"]);
    server
        .run(&["link", "nowhere"])
        .await
        .ended(Exit::Usage, &["HOST:PORT"]);
    server.run(&["unlink", "B c"]).await.ended(Exit::Done, &[]);
    assert_eq!(server.last_heard(), "DELETE B c");
    let links = server.run(&["links"]).await;
    assert!(links.data.contains("B\\u{1b}[2J"), "{links:?}");
}

#[tokio::test]
async fn a_node_that_is_not_there_or_talks_nonsense_is_told_of() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    for command in [
        &["status"][..],
        &["get", "a/b", "-o", "-"],
        &["ls", "a"],
        &["rm", "a/b"],
    ] {
        let arguments: Vec<&str> = command
            .iter()
            .copied()
            .chain(["--node", &address])
            .collect();
        run(&arguments)
            .await
            .ended(Exit::Unreachable, &["--node", "Is it running?"]);
    }
    run(&["status", "--node", "https://x"])
        .await
        .ended(Exit::Usage, &["http"]);
    let server = Server::start().await;
    server
        .run(&["status"])
        .await
        .ended(Exit::Refused, &["can't parse the node's answer"]);
    server.run(&["nodes"]).await.ended(Exit::Refused, &["404"]);
}

#[tokio::test]
async fn the_configuration_is_printed_whatever_its_source() {
    let folder = folder();
    let file = write(folder.path(), "c.toml", b"factor = 3\n[search]\nhops = 4\n");
    let arguments = [
        "node",
        "--print-config",
        "--config",
        &file,
        "--set",
        "search.hops=5",
        "--link",
        "a:1",
        "--link",
        "b:2",
    ];
    let text = run(&arguments).await;
    let row = |name: &str| {
        let line = text
            .data
            .lines()
            .find(|line| line.starts_with(name))
            .expect("it is listed");
        line.split_whitespace()
            .take(4)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("factor"), ["factor", "3", "2", "file"]);
    assert_eq!(row("search.hops"), ["search.hops", "5", "16", "flag"]);
    assert_eq!(row("links"), ["links", "a:1,b:2", "-", "flag"]);
    assert_eq!(
        row("gossip.suspect"),
        ["gossip.suspect", "3s", "3s", "default"]
    );
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let json: serde_json::Value = serde_json::from_str(&run(&arguments).await.data).expect("JSON");
    let rows = json.as_array().expect("a list");
    assert!(
        rows.iter()
            .any(|row| row["name"] == "factor" && row["origin"] == "file")
    );
}

#[tokio::test]
async fn a_wrong_configuration_is_a_usage_error() {
    let folder = folder();
    let file = write(folder.path(), "c.toml", b"[search]\nhop = 4\n");
    let check = async |arguments: &[&str], notes: &[&str]| {
        let arguments: Vec<&str> = ["node"].iter().chain(arguments).copied().collect();
        run(&arguments).await.ended(Exit::Usage, notes);
    };
    check(&["--config", &file], &["`search.hop`", "`search.hops`"]).await;
    check(&["--config", "/nonexistent.toml"], &["/nonexistent.toml"]).await;
    check(&["--http", "0.0.0.0:0"], &["http 0.0.0.0:0", "--insecure"]).await;
    check(&["--set", "search.hops"], &["NAME=VALUE"]).await;
    check(&["--set", "factor=1", "--factor", "2"], &["twice"]).await;
    check(&["--json"], &["--print-config"]).await;
    check(&["--capacity", "10G"], &["capacity", "10GiB"]).await;
    for flag in [
        "--name",
        "--data",
        "--listen",
        "--advertise",
        "--http",
        "--link",
        "--network",
        "--zone",
        "--capacity",
        "--factor",
        "--policies",
        "--record",
    ] {
        check(&[flag, ""], &[flag, "empty"]).await;
    }
    check(&["--config", ""], &["--config", "a value is required"]).await;
    check(&["--link", "a:1,"], &["--link", "empty"]).await;
    check(&["--link", "a:1", "--link", " "], &["--link", "empty"]).await;
    check(&["--set", "zone="], &["--set zone=", "empty"]).await;
}

#[tokio::test]
async fn the_manual_and_the_completions_name_every_command() {
    let manual = run(&["man"]).await;
    let completions = run(&["completions", "bash"]).await;
    for command in [
        "node",
        "demo",
        "put",
        "get",
        "search",
        "ls",
        "stat",
        "rm",
        "unlink",
        "links",
        "nodes",
        "policy",
        "policy-list",
        "policy-check",
        "policy-use",
        "policy-new",
    ] {
        let page = format!("dataverse\\-{}", command.replace('-', "\\-"));
        assert!(manual.data.contains(&page), "{command}");
        let word = command.rsplit('-').next().expect("there is a word");
        assert!(completions.data.contains(word), "{command}");
    }
}

#[tokio::test]
async fn completions_offer_kinds_and_policies() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).await.data;
        for word in ["relocation", "w-tinylfu", "rendezvous"] {
            assert!(script.contains(word), "{word} in {shell}");
        }
    }
    let help = Cli::try_parse_from(["dataverse", "policy", "use", "--help"]);
    let help = help.expect_err("it is help").to_string();
    assert!(!help.contains("possible values"), "{help}");
}

#[test]
fn a_mistake_in_the_arguments_is_told_without_the_usage() {
    let check = |arguments: &[&str], expected: &str| {
        let told = Cli::try_parse_from(arguments).expect_err("it is a mistake");
        let mistake = mistake(&told);
        assert!(mistake.starts_with(expected), "{mistake}");
        assert!(!mistake.contains("Usage:"), "{mistake}");
    };
    check(
        &["dataverse", "ls", "--jsn"],
        "unexpected argument '--jsn' found",
    );
    check(
        &["dataverse", "get", "--json"],
        "the following required arguments were not provided",
    );
    check(&["dataverse", "policy"], "no command is given");
}

#[test]
fn the_arguments_are_consistent() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}
