//! Nodes on a bad network: late, lost, doubled and reordered packets, by the kernel's own `netem` in a network
//! namespace. Skipped, with a word, where namespaces or `netem` are not to be had (both need root).

use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::world::{BINARY, Ready, bytes, eventually, name};

const WEATHER: &str = "delay 15ms 10ms loss 2% duplicate 1% reorder 10%";

/// A network of its own, with bad weather, until it is dropped.
struct Namespace(String);

impl Namespace {
    fn open() -> Result<Self, String> {
        let namespace = Self(format!("dataverse-{}", std::process::id()));
        worked(Command::new("ip").args(["netns", "add", &namespace.0]))?;
        worked(namespace.command("ip").args(["link", "set", "lo", "up"]))?;
        let netem = ["qdisc", "add", "dev", "lo", "root", "netem"];
        let netem = netem.into_iter().chain(WEATHER.split(' '));
        worked(namespace.command("tc").args(netem))?;
        Ok(namespace)
    }

    /// A command that runs in it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// `dataverse` with these arguments, about the node at this address.
    fn dataverse(&self, node: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(BINARY);
        command
            .args(arguments)
            .env("DATAVERSE_NODE", format!("http://{node}"));
        command.output().expect("the binary starts")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

fn worked(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// A node in the namespace.
struct Inside {
    http: String,
    grpc: String,
    child: Child,
    _folder: TempDir,
}

impl Inside {
    fn start(namespace: &Namespace, name: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let mut child = namespace
            .command(BINARY)
            .args(["node", "--name", name, "--listen", "127.0.0.1:0"])
            .args(["--http", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let ready = Ready::of(&mut child);
        Self {
            http: ready.field("http"),
            grpc: ready.field("grpc"),
            child,
            _folder: folder,
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_pass_a_network_that_loses_doubles_and_reorders_packets() {
    let namespace = match Namespace::open() {
        Ok(namespace) => namespace,
        Err(reason) => {
            eprintln!("skipped: no network namespace with netem can be had here: {reason}");
            return;
        }
    };
    let nodes: Vec<Inside> = (0..3)
        .map(|at| Inside::start(&namespace, &name(at)))
        .collect();
    for pair in nodes.windows(2) {
        eventually("they link", async || {
            let linked = namespace.dataverse(&pair[0].http, &["link", &pair[1].grpc]);
            linked.status.success()
        })
        .await;
    }
    let folder = TempDir::new().expect("a temporary folder can be made");
    let (source, target) = (folder.path().join("in"), folder.path().join("out"));
    let path = |path: &std::path::Path| path.to_str().expect("it is text").to_owned();
    for at in 0..8u64 {
        let content = bytes(150_000, at);
        std::fs::write(&source, &content).expect("it can be written");
        let named = format!("file-{at}");
        eventually(&format!("{named} is stored"), async || {
            let put = ["put", &path(&source), "--user", "ada", "--as", &named];
            namespace.dataverse(&nodes[0].http, &put).status.success()
        })
        .await;
        let key = format!("ada/{named}");
        eventually(&format!("{named} is read at the far end"), async || {
            let get = ["get", &key, "-o", &path(&target)];
            let got = namespace.dataverse(&nodes[2].http, &get);
            got.status.success() && std::fs::read(&target).is_ok_and(|it| it == content)
        })
        .await;
        let _ = std::fs::remove_file(&target);
    }
}
