//! The command line and local files: shells, pipes, devices and signals.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::{done, run};
use crate::world::{BINARY, Node, eventually};

fn shell(node: &Node, folder: &Path, script: &str) -> (Option<i32>, String) {
    let mut bash = Command::new("bash");
    let bash = bash.args(["-c", script]).current_dir(folder);
    let bash = bash
        .env("DV", BINARY)
        .env("DATAVERSE_NODE", format!("http://{}", node.http));
    let output = bash.output().expect("bash starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_devices_and_open_files_are_read_and_written_as_a_shell_does() {
    let node = Node::start("A", &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let check = |script: &str, expected: &str| {
        let found = shell(&node, folder.path(), script);
        assert_eq!(found, (Some(0), expected.to_owned()), "{script}");
    };
    check(
        "\"$DV\" put <(echo one) --user ada --as one",
        "ada/one  4 B  on A\n",
    );
    check(
        "echo two | \"$DV\" put - --user ada --as one",
        "ada/one  4 B  on A, replaced\n",
    );
    check(
        "\"$DV\" put /proc/version --user ada > out && \"$DV\" get ada/version -o - | cmp - /proc/version",
        "",
    );
    check(
        "exec 3> >(cat > copy); \"$DV\" get ada/one -o /dev/fd/3; exec 3>&-; wait $!; cat copy",
        "two\n",
    );
    check(
        "echo zero > app; \"$DV\" get ada/one -o /dev/stdout >> app; cat app",
        "zero\ntwo\n",
    );
    check("\"$DV\" get ada/one -o /dev/null", "");
    let null = std::fs::symlink_metadata("/dev/null").expect("it exists");
    assert!(null.file_type().is_char_device());
    let full = run(&node, &["get", "ada/one", "-o", "/dev/full"]);
    assert_eq!(full.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_while_it_is_read_is_not_stored() {
    let node = Node::start("A", &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    // So large that it is not fully read before it grows, which it keeps doing.
    std::fs::write(&path, vec![7; 64 << 20]).expect("it is written");
    let mut file = std::fs::File::options()
        .append(true)
        .open(&path)
        .expect("it exists");
    let put = Command::new(BINARY)
        .args(["put", path.to_str().expect("UTF-8"), "--user", "ada"])
        .env("DATAVERSE_NODE", format!("http://{}", node.http))
        .stderr(Stdio::piped())
        .spawn();
    let mut put = put.expect("it starts");
    let status = loop {
        file.write_all(b"more").expect("it is written");
        if let Some(status) = put.try_wait().expect("it runs") {
            break status;
        }
        tokio::task::yield_now().await;
    };
    let mut words = String::new();
    put.stderr
        .expect("the pipe exists")
        .read_to_string(&mut words)
        .expect("it is text");
    assert_eq!(status.code(), Some(1), "{words}");
    assert!(words.contains("changed while it was read"), "{words}");
    assert_eq!(run(&node, &["stat", "ada/log"]).status.code(), Some(1));
    drop(file);
    done(
        &node,
        &["put", path.to_str().expect("UTF-8"), "--user", "ada"],
    );
}

/// Sends the head of a file of 3 MiB and `sent` bytes of it, and then nothing more.
fn stalling(sent: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client connects");
        let _asked = stream.read(&mut [0; 4096]).expect("a client connects");
        let etag = "0".repeat(64);
        let head = format!(
            "HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\nContent-Length: {}\r\n\r\n",
            3 << 20
        );
        stream
            .write_all(head.as_bytes())
            .expect("the client reads it");
        stream
            .write_all(&vec![0; sent])
            .expect("the client reads it");
        // Until the client disconnects. The head of its request may arrive in several parts.
        while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_is_interrupted_keeps_what_arrived_and_nothing_empty() {
    for (sent, kept) in [(0, false), (2 << 20, true)] {
        let (address, folder) = (stalling(sent), tempfile::tempdir().expect("a folder"));
        let target = folder.path().join("x");
        let get = Command::new(BINARY)
            .args(["get", "ada/x", "--node", &address, "-o"])
            .arg(&target)
            .stderr(Stdio::piped())
            .spawn();
        let mut get = get.expect("it starts");
        let part = folder.path().join("x.part");
        let arrived = || part.metadata().map(|part| part.len());
        let least = if kept { 1 << 20 } else { 0 };
        eventually("the part is there", async || {
            arrived().is_ok_and(|len| len >= least)
        })
        .await;
        // Not Ctrl-C's: where the tests run in the background, that may be ignored, and then it is by every command.
        kill_process(Pid::from_child(&get), Signal::TERM).expect("it runs");
        let status = get.wait().expect("it ends");
        assert_eq!(status.code(), Some(130));
        let mut words = String::new();
        get.stderr
            .expect("the pipe exists")
            .read_to_string(&mut words)
            .expect("it is text");
        assert_eq!(words.contains("what arrived was kept"), kept, "{words}");
        let left = std::fs::read_dir(folder.path()).expect("it exists").count();
        assert_eq!(left, if kept { 2 } else { 0 }, "{words}");
        let len = arrived().ok();
        assert!(
            len.is_some() == kept && len.is_none_or(|len| len <= sent as u64),
            "{len:?}"
        );
    }
}
