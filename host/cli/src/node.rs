//! Runs one node from its configuration to its end: assembles the store, the transport, the driver and the HTTP
//! and gRPC servers.
//!
//! Shutdown runs from the outside in: the servers accept nothing new and finish what is in progress, the policy
//! controller stops, the driver ends its background work and leaves the membership, and the store closes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use dataverse_api::http;
use dataverse_api::http::Around;
use dataverse_core::id::NodeId;
use dataverse_core::search::Peer;
use dataverse_node::driver::{Driver, Parts, PolicySlots, system_now};
use dataverse_node::entropy::Entropy;
use dataverse_node::policies::api::PolicyApi;
use dataverse_node::policies::{Policies, PoliciesConfig, PolicyCompiler};
use dataverse_node::recorder::{Recorder, Recording};
use dataverse_overlay::descriptors;
use dataverse_overlay::enrolment;
use dataverse_overlay::grpc::GrpcTransport;
use dataverse_store::data_folder::DataFolder;
use dataverse_store::{DiskOptions, DiskStore, MemoryStore, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{NodeConfig, is_local};
use crate::identity::{self, NodeIdentity};

/// The default capacity of a node that keeps everything in memory.
const EPHEMERAL_BYTES: u64 = 1 << 30;

/// The subfolder of the data folder for previous and compiled policies.
const HISTORY: &str = "policies-kept";
const COMPILED: &str = "policies-compiled";

/// Where a node keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// In the configured folder.
    OnDisk,
    /// In memory, until the node ends.
    InMemory,
}

/// A running node.
pub(crate) struct RunningNode {
    driver: Arc<Driver>,
    policies: Arc<Policies>,
    http: SocketAddr,
    address: String,
    listens: SocketAddr,
    closing: CancellationToken,
    servers: JoinSet<anyhow::Result<()>>,
    /// Keeps the node's identity up.
    upkeep: JoinSet<()>,
    shutdown: Duration,
    /// The folder for what an in-memory node has to write; removed with it.
    _scratch: Option<TempDir>,
}

/// A node whose data folder is open.
struct Opened {
    store: Arc<dyn Store>,
    id: NodeId,
    identity: Option<NodeIdentity>,
}

impl RunningNode {
    /// Starts a node, which serves when this returns. On failure, nothing that was created for it is left behind.
    ///
    /// # Errors
    /// Why it can't start: for example a port that is taken, or a folder that is refused.
    pub(crate) async fn start(config: NodeConfig, keeping: Keeping) -> anyhow::Result<Self> {
        let mut config = config.rooted().context("resolving the folders")?;
        descriptors::raise_limit();
        let grpc = bind(config.listen, "--listen").await?;
        let http = bind(config.http, "--http").await?;
        let folder = match keeping {
            Keeping::OnDisk => Some(claim(&config).await?),
            Keeping::InMemory => None,
        };
        let known = folder.as_ref().and_then(DataFolder::node);
        let known = known.or_else(|| identity::node_in(&config));
        let drawn = known.unwrap_or_else(|| NodeId::from(rand::random::<u128>()));
        let started = async {
            let identity = identity::prepare(&config, drawn).await?;
            if let Some(identity) = &identity {
                identity.complete(&mut config);
            }
            Self::start_on(config, keeping, (grpc, http), drawn, identity).await
        };
        let started = started.await;
        if let (Err(_), Some(folder)) = (&started, folder) {
            tokio::task::spawn_blocking(move || folder.give_up(drawn)).await?;
        }
        started
    }

    async fn start_on(
        config: NodeConfig,
        keeping: Keeping,
        listeners: (TcpListener, TcpListener),
        drawn: NodeId,
        identity: Option<NodeIdentity>,
    ) -> anyhow::Result<Self> {
        let compiler = open_compiler(&config, keeping).await?;
        let (store, id) = open_store(&config, keeping, drawn).await?;
        let closed = Arc::clone(&store);
        let node = Opened {
            store,
            id,
            identity,
        };
        let started = Self::start_from(config, keeping, compiler, listeners, node).await;
        if started.is_err() {
            closed.close().await;
        }
        started
    }

    async fn start_from(
        config: NodeConfig,
        keeping: Keeping,
        compiler: Arc<PolicyCompiler>,
        (grpc, http): (TcpListener, TcpListener),
        Opened {
            store,
            id,
            identity,
        }: Opened,
    ) -> anyhow::Result<Self> {
        let credentials = identity.as_ref().map(|it| Arc::clone(it.credentials()));
        if let Some(credentials) = credentials.as_ref().filter(|it| it.node() != id) {
            anyhow::bail!(
                "the data folder belongs to node {id} and the certificate to node {}; put back the folders that belong together",
                credentials.node()
            );
        }
        let http_address = http.local_addr()?;
        let listens = grpc.local_addr()?;
        let advertised = config.advertise.clone();
        let address = advertised.unwrap_or_else(|| listens.to_string());
        if let Some(identity) = &identity {
            identity.keep_address(&address).await?;
        }
        let (network, insecure) = (config.network.clone(), config.insecure);
        let settings = config.settings.clone();
        let data = config.folder.clone();
        let record = config.record.clone().map(|file| Recording {
            file,
            names: settings.record_names,
            bytes: settings.record_bytes.unwrap_or(u64::MAX),
            kept: settings.record_files,
        });
        let recorder = record
            .map(|recording| Recorder::start(recording, id))
            .transpose()?;
        let hosts = config.all_http_hosts();
        let (scratch, place) = place_policies(&config, keeping, compiler)?;
        let driver = Driver::start(Parts {
            me: Peer {
                id,
                name: config.name.unwrap_or_else(|| id.default_name()).into(),
                address: address.as_str().into(),
            },
            http: http_address.to_string(),
            network: config.network.into(),
            zone: config.zone,
            factor: config.factor,
            settings: config.settings,
            store,
            transport: Arc::new(GrpcTransport::new(&settings.timings(), credentials.clone())),
            policy_slots: Arc::new(PolicySlots::default()),
            recorder: recorder.map(Arc::new),
            now: system_now(),
            entropy: Entropy::of_system(),
        })
        .await?;

        let policies = match Policies::start(place, &driver).await {
            Ok(policies) => policies,
            Err(error) => {
                driver.stop().await;
                return Err(error);
            }
        };

        let spool = match &scratch {
            Some(scratch) => scratch.path().to_owned(),
            None => data,
        };
        let around = Around { hosts, spool };
        let closing = CancellationToken::new();
        let mut servers = JoinSet::new();
        let (of_grpc, at_end) = (Arc::clone(&driver), closing.clone());
        let timings = settings.timings();
        let mut services = dataverse_api::grpc::services(&of_grpc);
        if let Some(authority) = identity.as_ref().and_then(NodeIdentity::authority) {
            services = enrolment::add_to(services, authority.clone(), network);
        }
        if credentials.is_some() && !is_local(listens.ip()) && !insecure {
            services = services.for_nodes_only();
        }
        servers.spawn(async move {
            let is_ready = move || of_grpc.is_ready();
            let end = at_end.cancelled_owned();
            dataverse_overlay::grpc::serve(grpc, services, &timings, credentials, is_ready, end)
                .await
        });
        let (of_http, at_end) = (Arc::clone(&driver), closing.clone());
        let policy_api = Arc::clone(&policies) as Arc<dyn PolicyApi>;
        servers.spawn(async move {
            let end = at_end.cancelled_owned();
            let served = http::serve(http, of_http, policy_api, &settings, around, end).await;
            served.context("serving HTTP")
        });
        if let Some(identity) = &identity {
            driver.trust_by(Arc::clone(identity.credentials()));
        }
        if let Some(detail) = insecurity(insecure, identity.is_some(), listens, http_address) {
            driver.note_insecure(detail);
        }
        let mut upkeep = JoinSet::new();
        if let Some(identity) = identity {
            let (of_identity, timings) = (Arc::clone(&driver), driver.settings().timings());
            let neighbours = move || {
                let links = of_identity.links().into_iter();
                links
                    .filter(|link| link.up)
                    .map(|link| link.address)
                    .collect()
            };
            upkeep.spawn(identity.keep_up(neighbours, timings, closing.clone()));
        }
        driver.link_with(config.links);
        let shutdown = driver.settings().node_shutdown;
        Ok(Self {
            driver,
            policies,
            http: http_address,
            address,
            listens,
            closing,
            servers,
            upkeep,
            shutdown,
            _scratch: scratch,
        })
    }

    /// The line that the node prints when it is ready.
    #[must_use]
    pub(crate) fn ready_line(&self) -> String {
        format!(
            "ready name={} id={} http={} grpc={}",
            self.driver.name(),
            self.driver.id(),
            self.http,
            self.listens
        )
    }

    /// Its HTTP address.
    #[must_use]
    pub(crate) const fn http(&self) -> SocketAddr {
        self.http
    }

    /// The address at which other nodes reach it.
    #[must_use]
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.driver.name()
    }

    /// Completes when a server fails, which normally none does.
    async fn server_failed(&mut self) -> anyhow::Error {
        match self.servers.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => error.into(),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a server ended unexpectedly"),
        }
    }

    /// Finishes what is in progress within `node.shutdown` and stops.
    pub(crate) async fn stop(mut self) {
        // Neighbours that hear it verify it by calling back, which is answered only while the servers run.
        self.driver.say_goodbye().await;
        // Ends requests that wait for a change of policies, so that the servers need not wait for them.
        self.policies.cease();
        self.closing.cancel();
        let ended = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shutdown, ended).await.is_err() {
            tracing::warn!("cut off unfinished requests at shutdown");
        }
        self.servers.shutdown().await;
        while self.upkeep.join_next().await.is_some() {}
        self.policies.stop().await;
        self.driver.stop().await;
    }

    /// Ends abruptly, as if the machine had failed: connections break and no node is notified.
    pub(crate) async fn kill(mut self) {
        self.servers.shutdown().await;
        self.upkeep.shutdown().await;
        self.policies.stop().await;
        self.driver.crash().await;
    }
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// Why it could not start or did not stop cleanly.
pub(crate) async fn run(config: NodeConfig) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut node = RunningNode::start(config, Keeping::OnDisk).await?;
    print_ready(&node.ready_line());
    tokio::select! {
        _ = terminated.recv() => tracing::info!("received SIGTERM, stopping"),
        _ = interrupted.recv() => tracing::info!("interrupted"),
        error = node.server_failed() => {
            node.stop().await;
            return Err(error);
        }
    }
    node.stop().await;
    Ok(())
}

/// What anybody who can connect can do, if this node was told to allow it.
fn insecurity(
    is_allowed: bool,
    has_identity: bool,
    listens: SocketAddr,
    http: SocketAddr,
) -> Option<String> {
    let open: Vec<String> = [("HTTP", http), ("gRPC", listens)]
        .into_iter()
        .filter(|(_, address)| is_allowed && !is_local(address.ip()))
        .map(|(protocol, address)| format!("{protocol} ({address})"))
        .collect();
    if open.is_empty() {
        return None;
    }
    let nodes = match has_identity || is_local(listens.ip()) {
        true => "",
        false => ", and pass for a node",
    };
    Some(format!(
        "this node runs with --insecure: whoever can connect to {} can read, replace and delete every file{nodes}",
        open.join(" or ")
    ))
}

/// The reader of this line may have gone away, which is no reason to stop.
fn print_ready(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("listening on {address} ({flag}); is another node running there? port 0 picks a free port")
    })
}

async fn claim(config: &NodeConfig) -> anyhow::Result<DataFolder> {
    let (folder, policies) = (config.folder.clone(), config.policies.clone());
    let claimed =
        tokio::task::spawn_blocking(move || DataFolder::claim(&folder, policies.as_deref()));
    Ok(claimed.await??)
}

async fn open_compiler(
    config: &NodeConfig,
    keeping: Keeping,
) -> anyhow::Result<Arc<PolicyCompiler>> {
    let cache = (keeping == Keeping::OnDisk).then(|| config.folder.join(COMPILED));
    let bounds = config.settings.compile_bounds();
    Ok(tokio::task::spawn_blocking(move || PolicyCompiler::guarded(cache, bounds)).await??)
}

async fn open_store(
    config: &NodeConfig,
    keeping: Keeping,
    id: NodeId,
) -> anyhow::Result<(Arc<dyn Store>, NodeId)> {
    if keeping == Keeping::InMemory {
        let capacity = config.capacity.unwrap_or(EPHEMERAL_BYTES);
        return Ok((MemoryStore::new(capacity), id));
    }
    let options = DiskOptions {
        folder: config.folder.clone(),
        capacity: config.capacity,
        network: config.network.clone(),
        node_if_new: id,
        now: system_now()(),
    };
    let opened = tokio::task::spawn_blocking(move || DiskStore::open(&options)).await?;
    let (store, identity) = opened?;
    Ok((store, identity.node))
}

/// The node's policies folder. A node in memory has no data folder to put it in.
fn place_policies(
    config: &NodeConfig,
    keeping: Keeping,
    compiler: Arc<PolicyCompiler>,
) -> anyhow::Result<(Option<TempDir>, PoliciesConfig)> {
    let scratch = match keeping {
        Keeping::OnDisk => None,
        Keeping::InMemory => Some(tempfile::tempdir().context("creating a temporary folder")?),
    };
    let (folder, history) = match &scratch {
        None => (config.policies_folder(), config.folder.join(HISTORY)),
        Some(scratch) => {
            let own = || scratch.path().join("policies");
            let folder = config.policies.clone().unwrap_or_else(own);
            (folder, scratch.path().join(HISTORY))
        }
    };
    let place = PoliciesConfig {
        folder,
        history,
        compiler,
    };
    Ok((scratch, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that can't start; returns why.
    async fn refused(config: NodeConfig) -> String {
        let started = RunningNode::start(config, Keeping::OnDisk).await;
        format!("{:#}", started.err().expect("it can't start"))
    }

    fn config(folder: std::path::PathBuf) -> NodeConfig {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        NodeConfig {
            listen: any,
            http: any,
            ..NodeConfig::new(folder)
        }
    }

    #[test]
    fn what_is_open_to_everybody_is_said() {
        let [local, open] = [[127, 0, 0, 1], [0, 0, 0, 0]].map(|ip| SocketAddr::from((ip, 1)));
        assert_eq!(insecurity(true, false, local, local), None);
        assert_eq!(insecurity(false, true, open, local), None, "nodes only");
        let said = insecurity(true, false, open, local).expect("it is open");
        assert!(said.contains("gRPC") && !said.contains("HTTP"), "{said}");
        assert!(said.contains("pass for a node"), "{said}");
        let said = insecurity(true, true, open, open).expect("it is open");
        assert!(said.contains("gRPC") && said.contains("HTTP"), "{said}");
        assert!(!said.contains("pass for a node"), "{said}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_start_that_fails_leaves_no_folder_behind() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let taken = taken.local_addr().map(|address| (taken, address));
        let (_listener, address) = taken.expect("it is bound");
        let check = async |change: &dyn Fn(&mut NodeConfig), reason: &str| {
            let parent = tempfile::tempdir().expect("a folder");
            let mut config = config(parent.path().join("a/data"));
            change(&mut config);
            let why = refused(config).await;
            assert!(why.contains(reason), "{why}");
            let left: Vec<_> = std::fs::read_dir(parent.path())
                .expect("it exists")
                .collect();
            assert!(left.is_empty(), "{left:?} after {why}");
        };
        check(&|config| config.http = address, "--http").await;
        check(&|config| config.listen = address, "--listen").await;
        check(
            &|config| config.record = Some("/nonexistent/file".into()),
            "--record",
        )
        .await;
        check(
            &|config| config.policies = Some("/dev/null".into()),
            "--policies",
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wrong_data_folder_is_named_before_anything_is_tried_in_it() {
        let parent = tempfile::tempdir().expect("a folder");
        let file = parent.path().join("file");
        std::fs::write(&file, "mine").expect("it is written");
        let why = refused(config(file.clone())).await;
        let named = format!(
            "the data folder {} is a file; name a folder with --data",
            file.display()
        );
        assert_eq!(why, named);
        let why = refused(config(file.join("below"))).await;
        assert!(why.contains("--data") && !why.contains("compile"), "{why}");
        assert_eq!(std::fs::read_to_string(&file).expect("it exists"), "mine");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_second_start_takes_nothing_from_the_node_that_runs() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("data");
        let running = RunningNode::start(config(folder.clone()), Keeping::OnDisk).await;
        let running = running.expect("it starts");
        let why = refused(config(folder.clone())).await;
        assert!(why.contains("in use by a running node"), "{why}");
        assert!(folder.join("index.redb").is_file() && folder.join("policies").is_dir());
        running.stop().await;
    }
}
