//! The live driver: performs what the core decides, over the transport and the store.
//!
//! Its outside world is three ports: the transport, the store and the clock. It knows neither gRPC nor HTTP nor
//! files, and takes no decision that the core or a policy should take.
//!
//! - `client`: what clients ask of the node. `client::api` holds the types of requests and answers, and is all
//!   that HTTP and gRPC for clients see.
//! - `serving`: what other nodes ask of the node, and admission control.
//! - `peers`: links, membership as this node sees it, announcements.
//! - `replication`: keeps every file at its factor, with good copies, on the right nodes, and compares holdings with
//!   other members.
//! - `slots`: the policies that decide now, and the baselines that answer in their place.
//! - `state`: the core's node and cache in memory. `clock`, `lifetime` and `problems`: time, what is kept about
//!   the node across restarts, and what is wrong with it.
//!
//! A request enters through a method of [`Driver`] (from a client) or of the `Serve` trait (from another node),
//! reads `State` under a short lock, asks a policy slot where a policy decides, and then changes the store and
//! calls other nodes. The store reports each durable change back to `State`.
//!
//! [`Driver::start`] loads the index into the core and spawns the background loops; every task is tracked.
//! [`Driver::stop`] refuses new work, waits for work in flight, leaves the membership and closes the store.

mod client;
mod clock;
mod lifetime;
mod peers;
mod problems;
mod replication;
mod serving;
mod slots;
mod state;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::node::Node;
use dataverse_core::search::Peer;
use dataverse_core::version::Stamp;
use dataverse_replication::PendingWrites;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits;

pub use client::api::*;
pub use dataverse_overlay::clock::{Now, system_now};
pub use peers::call::PROTOCOL;
pub use slots::*;

use dataverse_core::secret::Secret;
use dataverse_identity::credentials::Credentials;
use dataverse_overlay::breaker::Breaker;
use dataverse_overlay::membership::{Beginning, Membership};
use dataverse_overlay::transport::Transport;
use dataverse_store::{Observer, Store};

use crate::entropy::Entropy;
use crate::metrics::Metrics;
use crate::recorder::{self, Op, Recorder};
use crate::settings::Settings;
use client::transfer::Transfers;
use lifetime::NodeLifetime;
use peers::announce::Outgoing;
use peers::call_back::CallBacks;
use peers::claims::Claims;
use peers::isolation::Isolation;
use peers::links::Links;
use peers::members::Seen;
use peers::status::{Load, PolicyNames};
use replication::downtime::Downtime;
use replication::reconcile::Reconciling;
use replication::relief::Relief;
use replication::rereplication::ReReplication;
use replication::scrub::Scrubbing;
use replication::upkeep::Backlog;
use replication::verification::Verification;
use serving::admission::Admission;
use serving::preparations::Preparations;
use state::State;

/// What [`Driver::start`] needs.
pub struct Parts {
    /// This node's id and name, and the address at which other nodes reach it.
    pub me: Peer,
    /// Address of its HTTP server, which other nodes are told.
    pub http: String,
    /// The network it belongs to.
    pub network: Arc<str>,
    /// Its failure domain; may be empty.
    pub zone: String,
    /// Default number of replicas of a file.
    pub factor: u32,
    /// All other settings.
    pub settings: Settings,
    /// Durable storage.
    pub store: Arc<dyn Store>,
    /// Calls to other nodes.
    pub transport: Arc<dyn Transport>,
    /// The policies for placement, eviction and relocation.
    pub policy_slots: Arc<PolicySlots>,
    /// Records requests, if recording is on.
    pub recorder: Option<Arc<Recorder>>,
    /// The wall clock.
    pub now: Now,
    /// Its source of randomness.
    pub entropy: Entropy,
}

/// One running node.
pub struct Driver {
    this: Weak<Self>,
    me: Peer,
    /// Identifies this run of the node: see [`Sender::instance`](dataverse_overlay::transport::Sender::instance).
    instance: u64,
    /// Known only to this node and to nodes that run from a copy of its data folder.
    secret: Secret,
    http: String,
    network: Arc<str>,
    zone: String,
    factor: u32,
    settings: Settings,
    started: Instant,
    now: Now,
    entropy: Entropy,
    store: Arc<dyn Store>,
    transport: Arc<dyn Transport>,
    policy_slots: Arc<PolicySlots>,
    recorder: Option<Arc<Recorder>>,
    state: Arc<State>,
    members: Membership,
    seen: Seen,
    links: Links,
    call_backs: CallBacks,
    claims: Claims,
    isolation: Arc<Isolation>,
    leaving: AtomicBool,
    /// What this node presents and whom it accepts; set if it has an identity.
    credentials: OnceLock<Arc<Credentials>>,
    /// Why anybody can reach this node, if so.
    insecure: OnceLock<String>,
    /// The operator was told that this node is revoked.
    told_revoked: AtomicBool,
    lifetime: NodeLifetime,
    reconciling: Reconciling,
    verification: Verification,
    downtime: Arc<Downtime>,
    relief: Relief,
    admission: Admission,
    pending_writes: Arc<Mutex<PendingWrites>>,
    rereplication: ReReplication,
    scrubbing: Scrubbing,
    transfers: Transfers,
    preparations: Preparations,
    announcements: mpsc::Sender<Outgoing>,
    load: Load,
    policies: PolicyNames,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Driver {
    /// Starts a node: loads the store's index and spawns the background loops.
    ///
    /// # Errors
    /// When the store can't persist the clock.
    pub async fn start(parts: Parts) -> anyhow::Result<Arc<Self>> {
        let id = parts.me.id;
        let empty = Node::new(id, Stamp::default(), Vec::new());
        let backlog = Backlog::new(id, parts.settings.repair_concurrent);
        let state = Arc::new(State::new(empty, backlog));
        let mut opened = parts.store.start(Arc::clone(&state) as Arc<dyn Observer>);
        let lifetime = opened.lifetime;
        let saved = std::mem::take(&mut opened.links);
        let missing = opened.missing.clone();
        let secret = opened.secret.clone();
        state.load(id, opened);
        parts
            .policy_slots
            .attach(Arc::clone(&state) as Arc<dyn Caches>);

        let now = (parts.now)();
        let ceiling = state.node().clock().ceiling_at_start(now);
        parts.store.save_ceiling(ceiling).await?;
        state.node().clock().raise(ceiling);
        let (announcements, outgoing) = mpsc::channel(limits::ANNOUNCEMENTS_QUEUE_MAX);
        let metrics = Arc::new(Metrics::new());
        let admission = Admission::new(&parts.settings);
        let isolation = Arc::new(Isolation::default());
        let isolated = Arc::clone(&isolation);
        let calls = Breaker::around(
            Arc::clone(&parts.transport),
            Arc::clone(metrics.overlay()),
            Arc::new(move || isolated.is_on()),
        );
        let calls: Arc<dyn Transport> = Arc::new(calls);
        let seed = parts.entropy.seed();
        let instance = instance_of(ceiling.millis(), seed);
        let driver = Arc::new_cyclic(|this: &Weak<Self>| {
            let (weak, transport) = (this.clone(), Arc::clone(&calls));
            let members = Membership::start(
                &parts.me,
                Beginning {
                    started_ms: ceiling.millis(),
                    now: Arc::clone(&parts.now),
                    seed,
                },
                &parts.settings.timings(),
                transport,
                gossip_sender(&parts, instance, Arc::clone(&state)),
                Arc::clone(metrics.overlay()),
            );
            Self {
                this: weak,
                me: parts.me,
                instance,
                secret,
                http: parts.http,
                network: parts.network,
                zone: parts.zone,
                factor: parts.factor,
                settings: parts.settings,
                started: Instant::now(),
                now: parts.now,
                entropy: parts.entropy,
                store: parts.store,
                transport: calls,
                policy_slots: parts.policy_slots,
                recorder: parts.recorder,
                state,
                members,
                seen: Seen::default(),
                links: Links::new(saved),
                call_backs: CallBacks::default(),
                claims: Claims::default(),
                isolation,
                leaving: AtomicBool::new(false),
                credentials: OnceLock::new(),
                insecure: OnceLock::new(),
                told_revoked: AtomicBool::new(false),
                lifetime: NodeLifetime::new(lifetime),
                reconciling: Reconciling::default(),
                verification: Verification::default(),
                downtime: Arc::default(),
                relief: Relief::default(),
                admission,
                pending_writes: Arc::default(),
                rereplication: ReReplication::default(),
                scrubbing: Scrubbing::default(),
                transfers: Transfers::default(),
                preparations: Preparations::default(),
                announcements,
                load: Load::default(),
                policies: PolicyNames::default(),
                metrics,
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }
        });
        driver.verify_if_long_away();
        driver.spawn(Arc::clone(&driver).keep_links());
        driver.spawn(Arc::clone(&driver).keep_isolated());
        driver.spawn(Arc::clone(&driver).keep_store_checked());
        driver.spawn(Arc::clone(&driver).keep_ceiling());
        driver.spawn(Arc::clone(&driver).keep_status());
        driver.spawn(Arc::clone(&driver).expire_preparations());
        driver.spawn(Arc::clone(&driver).keep_lifetime());
        driver.spawn(Arc::clone(&driver).keep_replicas());
        driver.spawn(Arc::clone(&driver).keep_up(missing));
        driver.spawn(Arc::clone(&driver).keep_scrubbing());
        driver.spawn(Arc::clone(&driver).watch_members());
        driver.spawn(Arc::clone(&driver).send_announcements(outgoing));
        driver.spawn(Arc::clone(&driver).keep_reconciled());
        driver.spawn(Arc::clone(&driver).verify_copies());
        driver.spawn(Arc::clone(&driver).forget_tombstones());
        Ok(driver)
    }

    /// Links with these addresses, each as soon as its node answers.
    pub fn link_with(&self, addresses: Vec<String>) {
        for address in addresses {
            self.spawn(self.shared().link_at_start(address));
        }
    }

    /// Stops the node: refuses new work, gives work in flight up to `node.shutdown` to finish, announces that it
    /// leaves and closes the store.
    pub async fn stop(&self) {
        self.say_goodbye().await;
        self.stopping.cancel();
        self.policy_slots.close();
        self.tasks.close();
        let ended = tokio::time::timeout(self.settings.node_shutdown, self.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "tasks did not finish within node.shutdown and are abandoned"
            );
        }
        self.members.leave().await;
        self.store.close().await;
        if let Some(recorder) = self.recorder.clone() {
            // Stopping joins the recorder's thread, which waits for the disk.
            let _ = tokio::task::spawn_blocking(move || recorder.stop()).await;
        }
    }

    /// Stops immediately and tells nobody, as a crash would; only changes already handed to the store survive. The
    /// demo kills nodes this way.
    pub async fn crash(&self) {
        self.stopping.cancel();
        self.policy_slots.close();
        self.members.stop().await;
        self.store.close().await;
    }

    /// This node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.me.name
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.me.id
    }

    /// This node's settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// This node's policy slots.
    #[must_use]
    pub const fn policy_slots(&self) -> &Arc<PolicySlots> {
        &self.policy_slots
    }

    /// This node's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the node serves: the store is intact, no other node runs under its id, and it isn't stopping.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.not_ready().is_none()
    }

    /// Records a request and its outcome, if recording is on.
    fn take_down(
        &self,
        op: Op,
        key: &Key,
        size: u64,
        outcome: recorder::RequestOutcome,
        hops: u32,
    ) {
        if let Some(to) = &self.recorder {
            to.take_down(recorder::Asked {
                time: self.now(),
                op,
                key: key.clone(),
                size,
                outcome,
                hops,
            });
        }
    }

    fn shared(&self) -> Arc<Self> {
        self.this
            .upgrade()
            .expect("a driver lives in the Arc that `start` returns")
    }

    /// Spawns a task that [`Driver::stop`] waits for.
    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(task)
    }

    /// The result of `work`, or `None` once the node is stopping.
    async fn still_runs<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => None,
            done = work => Some(done),
        }
    }
}

/// Builds the sender of gossip messages. Gossip starts before the driver exists and ends after it stops, so it
/// can't ask the driver.
fn gossip_sender(
    parts: &Parts,
    instance: u64,
    state: Arc<State>,
) -> Arc<dyn Fn() -> dataverse_overlay::transport::Sender + Send + Sync> {
    let (me, network) = (parts.me.clone(), Arc::clone(&parts.network));
    Arc::new(move || dataverse_overlay::transport::Sender {
        node: me.clone(),
        clock: state.node().clock().last(),
        network: Arc::clone(&network),
        protocol: PROTOCOL,
        instance,
    })
}

/// The number of a run that began at this time. It is greater than those of earlier runs, whose clock was
/// persisted; the random low bits tell apart two copies started in the same millisecond.
fn instance_of(began: u64, random: u64) -> u64 {
    (began << 16 | random >> 48).max(1)
}
