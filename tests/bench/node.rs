//! Nodes as processes, in temporary folders.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http::Connection;

/// How long a network may take to form.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fresh folder on the disk of the build; `/tmp` may be memory.
pub(crate) fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be created")
}

/// A node as a process; killed when dropped.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) http: String,
    pub(crate) grpc: String,
    /// From the start of the process to its ready line.
    pub(crate) ready_after: Duration,
    folder: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Node {
    pub(crate) fn start(name: &str, folder: &Path, arguments: &[String]) -> Self {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_dataverse"))
            .args(["node", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--name", name, "--data"])
            .arg(folder)
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("its output is piped");
        let mut ready = String::new();
        let read = BufReader::new(stdout).read_line(&mut ready);
        let ready_after = begun.elapsed();
        read.expect("its output can be read");
        let field = |name: &str| {
            let mut words = ready.split_whitespace();
            let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found
                .unwrap_or_else(|| panic!("no {name} in {ready:?}"))
                .to_owned()
        };
        Self {
            name: name.to_owned(),
            http: field("http"),
            grpc: field("grpc"),
            ready_after,
            folder: folder.to_owned(),
            arguments: arguments.to_vec(),
            child,
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.http)
    }

    /// Stops it with SIGTERM and starts the same node again in the same folder.
    pub(crate) fn restarted(mut self) -> Self {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.child.wait().expect("it can be waited for");
        self.again()
    }

    /// Kills it with `kill -9` and starts the same node again in the same folder.
    pub(crate) fn killed_and_restarted(mut self) -> Self {
        self.kill();
        self.again()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again in the same folder, after it was killed.
    pub(crate) fn again(&self) -> Self {
        Self::start(&self.name, &self.folder, &self.arguments)
    }

    /// The memory that it uses now, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most memory that it used since [`Self::forget_peak`], in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(path, "5").expect("the kernel forgets the peak");
    }

    /// Processor time that it has used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).expect("the process runs");
        // After the name, which is in parentheses: the state is field 3, utime field 14, stime field 15.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |field: usize| -> f64 { fields[field - 3].parse().expect("it is a number") };
        (ticks(14) + ticks(15)) / rustix::param::clock_ticks_per_second() as f64
    }

    fn status(&self, field: &str) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib: f64 = line
            .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .expect("the kernel counts memory");
        kib / 1024.0
    }

    /// Waits until this many links are up and this many nodes are known.
    fn settled(&self, links: usize, members: usize) {
        let mut connection = self.connect();
        let begun = Instant::now();
        loop {
            let up = count(&mut connection, "/v1/links", "up");
            let alive = count(&mut connection, "/v1/nodes", "alive");
            if (up, alive) == (links, members) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{}: {up} of {links} links, {alive} of {members} nodes",
                self.name
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn count(connection: &mut Connection, path: &str, state: &str) -> usize {
    let list = connection.request("GET", path).expect_success().json();
    let list = list.as_array().expect("it is a list").clone();
    list.iter().filter(|it| it["state"] == state).count()
}

/// Nodes that know each other, linked as `links` says (each pair: the later node, an earlier one).
pub(crate) fn network(
    count: usize,
    folder: &Path,
    links: &[(usize, usize)],
    arguments: &[&str],
) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..count {
        let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        for (_, earlier) in links.iter().filter(|(later, _)| *later == at) {
            all.extend(["--link".to_owned(), nodes[*earlier].grpc.clone()]);
        }
        let name = format!("N{at}");
        nodes.push(Node::start(&name, &folder.join(&name), &all));
    }
    for (at, node) in nodes.iter().enumerate() {
        let degree = links.iter().filter(|(a, b)| at == *a || at == *b).count();
        node.settled(degree, count);
    }
    nodes
}
