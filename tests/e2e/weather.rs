//! Nodes on a bad network, made by the kernel in a network namespace: delayed, lost, duplicated and reordered
//! packets by `netem`, and a one-way cut by a routing rule. Skipped, with a message, if namespaces, `netem` or
//! such rules are not available (all need root).

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::world::{BINARY, Ready, bytes, eventually, name};

const WEATHER: &str = "delay 15ms 10ms loss 2% duplicate 1% reorder 10%";

/// A separate network, until it is dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    fn open(name: &str) -> Result<Self, String> {
        let namespace = Self(format!("dataverse-{name}-{}", std::process::id()));
        worked(Command::new("ip").args(["netns", "add", &namespace.0]))?;
        worked(namespace.command("ip").args(["link", "set", "lo", "up"]))?;
        Ok(namespace)
    }

    /// One with bad weather.
    fn with_weather() -> Result<Self, String> {
        let namespace = Self::open("weather")?;
        let netem = ["qdisc", "add", "dev", "lo", "root", "netem"];
        let netem = netem.into_iter().chain(WEATHER.split(' '));
        worked(namespace.command("tc").args(netem))?;
        Ok(namespace)
    }

    /// One in which packets to a port can be dropped while those back from it arrive.
    pub(crate) fn with_one_way_cuts(name: &str) -> Result<Self, String> {
        let namespace = Self::open(name)?;
        let rule = |words: &str| worked(namespace.command("ip").arg("rule").args(words.split(' ')));
        // The lookup of local addresses moves behind, so that a rule can precede it.
        rule("add pref 10 lookup local")?;
        rule("del pref 0")?;
        // Whether this kernel supports such rules shows now.
        namespace.cut_off("127.0.0.1:9")?;
        namespace.heal()?;
        Ok(namespace)
    }

    /// The one of this name, which another process has opened and will close.
    pub(crate) const fn of_another(name: String) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self(name))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Drops everything that is sent to this address, on every connection; packets sent from there still arrive.
    pub(crate) fn cut_off(&self, address: &str) -> Result<(), String> {
        let (_, port) = address.rsplit_once(':').expect("an address has a port");
        let rule = format!("rule add pref 5 ipproto tcp dport {port} blackhole");
        worked(self.command("ip").args(rule.split(' ')))
    }

    pub(crate) fn heal(&self) -> Result<(), String> {
        worked(self.command("ip").args(["rule", "del", "pref", "5"]))
    }

    /// A command that runs in it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// `dataverse` with these arguments, on the node at this address.
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
        let folder = TempDir::new().expect("a temporary folder can be created");
        let mut child = namespace
            .command(BINARY)
            .args(["node", "--name", name, "--listen", "127.0.0.1:0"])
            .args(["--http", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .env("RUST_LOG", "error")
            .env("DATAVERSE_REPAIR_AFTER", "3s")
            .env("DATAVERSE_RECONCILE_EVERY", "2s")
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

/// Three nodes in a namespace.
struct Network {
    nodes: Vec<Inside>,
    namespace: Namespace,
    folder: TempDir,
}

impl Network {
    async fn start(namespace: Namespace, links: &[(usize, usize)]) -> Self {
        let nodes: Vec<Inside> = (0..3)
            .map(|at| Inside::start(&namespace, &name(at)))
            .collect();
        for (one, other) in links {
            eventually("they link", async || {
                let link = ["link", &nodes[*other].grpc];
                let linked = namespace.dataverse(&nodes[*one].http, &link);
                linked.status.success()
            })
            .await;
        }
        Self {
            nodes,
            namespace,
            folder: TempDir::new().expect("a temporary folder can be created"),
        }
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("it is text").to_owned()
    }

    fn put(&self, at: usize, named: &str, content: &[u8]) -> bool {
        let source = self.path("in");
        std::fs::write(&source, content).expect("it can be written");
        let put = ["put", &source, "--user", "ada", "--as", named];
        let put = self.namespace.dataverse(&self.nodes[at].http, &put);
        put.status.success()
    }

    fn get(&self, at: usize, named: &str) -> Option<Vec<u8>> {
        let (key, target) = (format!("ada/{named}"), self.path("out"));
        let _ = std::fs::remove_file(&target);
        let get = ["get", &key, "-o", &target];
        let got = self.namespace.dataverse(&self.nodes[at].http, &get);
        let content = std::fs::read(&target).ok();
        content.filter(|_| got.status.success())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_pass_a_network_that_loses_doubles_and_reorders_packets() {
    let namespace = match Namespace::with_weather() {
        Ok(namespace) => namespace,
        Err(reason) => {
            eprintln!("skipped: no network namespace with netem is available here: {reason}");
            return;
        }
    };
    let network = Network::start(namespace, &[(0, 1), (1, 2)]).await;
    for at in 0..8u64 {
        let (named, content) = (format!("file-{at}"), bytes(150_000, at));
        eventually(&format!("{named} is stored"), async || {
            network.put(0, &named, &content)
        })
        .await;
        eventually(&format!("{named} is read at the far end"), async || {
            network.get(2, &named).as_ref() == Some(&content)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_can_call_and_can_not_be_called_loses_nothing() {
    let namespace = match Namespace::with_one_way_cuts("one-way") {
        Ok(namespace) => namespace,
        Err(reason) => {
            eprintln!(
                "skipped: no network namespace with one-way cuts is available here: {reason}"
            );
            return;
        }
    };
    let network = Network::start(namespace, &[(0, 1), (1, 2), (0, 2)]).await;
    let mut newest = BTreeMap::new();
    for round in 0..3u64 {
        // Files are written before, during and after the cut, each time at another node.
        for at in 0..6u64 {
            let (named, content) = (format!("file-{at}"), bytes(40_000, 100 * round + at));
            let entry = ((at + round) % 3) as usize;
            eventually(&format!("{named} is stored at {entry}"), async || {
                network.put(entry, &named, &content)
            })
            .await;
            newest.insert(named, content);
        }
        match round {
            0 => {
                let cut = network.namespace.cut_off(&network.nodes[2].grpc);
                cut.expect("the same rule worked before");
                // Long enough for the others to declare it dead and re-replicate its files.
                tokio::time::sleep(Duration::from_secs(8)).await;
            }
            1 => {
                // What was written at the unreachable node may exist on that node alone.
                for at in (0..6u64).filter(|at| (at + round) % 3 != 2) {
                    let named = format!("file-{at}");
                    eventually(&format!("{named} is read by the reachable nodes"), {
                        async || {
                            (0..2).all(|at| network.get(at, &named) == newest.get(&named).cloned())
                        }
                    })
                    .await;
                }
                network.namespace.heal().expect("the rule exists");
            }
            _ => {}
        }
    }
    for (named, content) in &newest {
        eventually(&format!("{named} is read everywhere"), async || {
            (0..3).all(|at| network.get(at, named).as_ref() == Some(content))
        })
        .await;
    }
}
