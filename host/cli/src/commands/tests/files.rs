//! `put` and `get` and local files: what is read whole, and what is not overwritten.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::Value;

use super::server::{Mood, Server};
use super::{Exit, files_in, folder, write};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn lines(data: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("valid JSON");
    data.lines().map(parse).collect()
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).expect("it is created");
}

#[tokio::test]
async fn a_file_that_is_there_is_overwritten_only_by_force() {
    let (server, folder) = (Server::start().await, folder());
    server.store("ada/x", b"new");
    let target = write(folder.path(), "x", b"old");
    let other = folder.path().join("other name");
    fs::hard_link(&target, &other).expect("it gets another name");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o440)).expect("it is set");
    for into in [target.as_str(), text(folder.path())] {
        let refused = server.run(&["get", "ada/x", "-o", into]).await;
        refused.ended(
            Exit::Refused,
            &["already exists; use --force to overwrite it"],
        );
    }
    assert_eq!(fs::read(&target).expect("it exists"), b"old");
    assert!(server.world().heard.is_empty(), "nothing was asked for");
    let forced = server
        .run(&["get", "ada/x", "-o", &target, "--force"])
        .await;
    forced.ended(Exit::Done, &[]);
    assert_eq!(fs::read(&other).expect("it exists"), b"new");
    let mode = fs::metadata(&target).expect("it exists").mode();
    assert_eq!(mode & 0o777, 0o440);
    assert_eq!(files_in(folder.path()), ["other name", "x"]);
}

#[tokio::test]
async fn a_link_stays_a_link() {
    let (server, folder) = (Server::start().await, folder());
    server.store("ada/x", b"new");
    let file = write(folder.path(), "file", b"old");
    let link = folder.path().join("link");
    symlink("file", &link).expect("it is linked");
    let get = ["get", "ada/x", "-o", text(&link)];
    server.run(&get).await.ended(Exit::Refused, &["--force"]);
    let forced = [&get[..], &["-f"]].concat();
    server.run(&forced).await.ended(Exit::Done, &[]);
    assert!(link.is_symlink());
    assert_eq!(fs::read(&file).expect("it exists"), b"new");
    let dangling = folder.path().join("dangling");
    symlink("nowhere", &dangling).expect("it is linked");
    let get = ["get", "ada/x", "-f", "-o", text(&dangling)];
    let refused = server.run(&get).await;
    refused.ended(Exit::Refused, &["a link to nowhere, which does not exist"]);
    assert_eq!(files_in(folder.path()), ["dangling", "file", "link"]);
}

#[tokio::test]
async fn what_is_no_file_is_written_through() {
    let (server, folder) = (Server::start().await, folder());
    server.store("ada/x", b"hello");
    let path = folder.path().join("fifo");
    fifo(&path);
    let reading = tokio::task::spawn_blocking({
        let path = path.clone();
        move || fs::read(path).expect("it is read")
    });
    let get = server
        .run(&["get", "ada/x", "-o", text(&path), "--json"])
        .await;
    assert_eq!(lines(&get.ended(Exit::Done, &[]).data)[0]["size"], 5);
    assert_eq!(reading.await.expect("it does not panic"), b"hello");
    let null = ["get", "ada/x", "-o", "/dev/null"];
    server.run(&null).await.ended(Exit::Done, &["to /dev/null"]);
    let kind = fs::symlink_metadata("/dev/null")
        .expect("it exists")
        .file_type();
    assert!(kind.is_char_device());
    let full = server.run(&["get", "ada/x", "-o", "/dev/full"]).await;
    full.ended(Exit::Refused, &["can't write /dev/full: No space left"]);
    let stdout = ["get", "ada/x", "-o", "/dev/stdout"];
    assert_eq!(
        server.run(&stdout).await.ended(Exit::Done, &[]).data,
        "hello"
    );
    assert_eq!(files_in(folder.path()), ["fifo"]);
}

#[tokio::test]
async fn a_part_that_is_not_of_this_file_is_left_alone() {
    let (server, folder) = (Server::start().await, folder());
    server.store("ada/x", b"0123456789");
    let target = folder.path().join("x");
    let get = ["get", "ada/x", "-f", "-o", text(&target)];
    let check = async |name: &str, content: &str, reason: &str| {
        let path = write(folder.path(), name, content.as_bytes());
        server.run(&get).await.ended(Exit::Refused, &[name, reason]);
        assert_eq!(fs::read_to_string(&path).expect("it exists"), content);
    };
    check(
        "x.part",
        "dear diary",
        "not an unfinished download of ada/x",
    )
    .await;
    let etag = format!("\"{}\"", blake3::hash(b"0123456789").to_hex());
    let note = |key: &str, size: u64| {
        serde_json::json!({"key": key, "etag": etag, "size": size}).to_string()
    };
    check(
        "x.part.json",
        "{\"dear\": \"diary\"}",
        "not an unfinished download",
    )
    .await;
    check(
        "x.part.json",
        &note("bob/x", 10),
        "unfinished download of bob/x",
    )
    .await;
    // Longer than the whole file, so it was never a part of it.
    write(folder.path(), "x.part.json", note("ada/x", 9).as_bytes());
    let refused = server.run(&get).await;
    refused.ended(Exit::Refused, &["not an unfinished download of ada/x"]);
    fs::remove_file(folder.path().join("x.part")).expect("it is removed");
    symlink("elsewhere", folder.path().join("x.part")).expect("it is linked");
    server
        .run(&get)
        .await
        .ended(Exit::Refused, &["x.part exists and is not a file"]);
    fs::remove_file(folder.path().join("x.part")).expect("it is removed");
    server.run(&get).await.ended(Exit::Done, &[]);
    assert_eq!(files_in(folder.path()), ["x"]);
}

#[tokio::test]
async fn a_get_that_comes_to_nothing_leaves_nothing() {
    let (server, folder) = (Server::start().await, folder());
    server.store("ada/x", b"0123456789");
    server.world().mood = Mood::Breaks(0);
    let target = folder.path().join("x");
    let get = ["get", "ada/x", "-o", text(&target)];
    let broken = server.run(&get).await;
    broken.ended(Exit::Unreachable, &[]);
    assert!(!broken.notes.contains("was kept"), "{broken:?}");
    assert!(files_in(folder.path()).is_empty());
    let lost = ["get", "ada/x", "-o", "no/such/folder"];
    server
        .run(&lost)
        .await
        .ended(Exit::Refused, &["no/such is not an existing folder"]);
    let nowhere = ["get", "ada/x", "-o", ""];
    server
        .run(&nowhere)
        .await
        .ended(Exit::Usage, &["a value is required"]);
}

#[tokio::test]
async fn what_can_be_read_is_stored_whatever_size_is_stated() {
    let (server, folder) = (Server::start().await, folder());
    let version = fs::read("/proc/version").expect("it can be read");
    let put = server.run(&["put", "/proc/version", "--user", "ada"]).await;
    put.ended(Exit::Done, &[]);
    assert_eq!(server.world().files["ada/version"], version);
    let path = folder.path().join("fifo");
    fifo(&path);
    let writing = tokio::task::spawn_blocking({
        let path = path.clone();
        move || fs::write(path, vec![7; 300_000]).expect("it is read")
    });
    let put = server.run(&["put", text(&path), "--user", "ada"]).await;
    put.ended(Exit::Done, &[]);
    writing.await.expect("it does not panic");
    assert_eq!(server.world().files["ada/fifo"], vec![7; 300_000]);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).expect("one");
    let socket = folder.path().join("s");
    let put = server.run(&["put", text(&socket), "--user", "ada"]).await;
    put.ended(Exit::Refused, &["it is a socket"]);
    server
        .run(&["put", "", "--user", "ada"])
        .await
        .ended(Exit::Usage, &["a value is required"]);
}

#[tokio::test]
async fn a_put_says_whether_it_replaced_a_file() {
    let (server, folder) = (Server::start().await, folder());
    let file = write(folder.path(), "x", b"one");
    let put = ["put", &file, "--user", "ada"];
    assert_eq!(server.run(&put).await.data, "ada/x  3 B  on A\n");
    assert_eq!(server.run(&put).await.data, "ada/x  3 B  on A, unchanged\n");
    write(folder.path(), "x", b"other");
    assert_eq!(server.run(&put).await.data, "ada/x  5 B  on A, replaced\n");
    write(folder.path(), "x", b"third");
    let missing = folder.path().join("missing");
    let put = ["put", text(&missing), &file, "--user", "ada", "--json"];
    let put = server.run(&put).await;
    let told = lines(&put.ended(Exit::Refused, &[]).data);
    assert!(
        told[0]["error"]
            .as_str()
            .expect("it says why")
            .contains("No such file")
    );
    assert_eq!(told[0]["file"], text(&missing));
    assert_eq!(
        (&told[1]["key"], &told[1]["replaced"]),
        (&"ada/x".into(), &true.into())
    );
}
