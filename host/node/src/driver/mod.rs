//! The live driver: performs what the core decides, over the transport and the store.
//!
//! `face` is what people's requests speak in; `write`, `read`, `search`, `delete` and `links` are the flows
//! behind it; `serve` is what other nodes may ask. The driver knows neither gRPC nor HTTP nor files: its
//! outside world is the transport, the store and the clock.
//!
//! Life cycle: [`Driver::start`] loads the index into the core and starts the background work; every task is
//! tracked. [`Driver::stop`] refuses new work, waits for what is in flight, leaves the membership, and closes
//! the store.

mod client;
mod clock;
mod lifetime;
mod peers;
mod problems;
mod reconcile;
mod replication;
mod serving;
mod slots;
mod state;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::node::Node;
use dataverse_core::search::Peer;
use dataverse_core::version::Stamp;
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
use peers::claims::Claims;
use peers::isolation::Isolation;
use peers::links::Links;
use peers::status::{Load, PolicyNames, Seen};
use reconcile::Reconciling;
use replication::downtime::Downtime;
use replication::hints::Hints;
use replication::relayout::Relaying;
use replication::release::PendingReleases;
use replication::rereplication::ReReplication;
use replication::scrub::Scrubbing;
use replication::verification::Verification;
use serving::admission::Admission;
use serving::serve::Preparations;
use state::State;

/// What a driver is made of.
pub struct Parts {
    /// Who the node is, and the address at which others reach it.
    pub me: Peer,
    /// Where its HTTP face listens; told to others.
    pub http: String,
    /// The network that it belongs to.
    pub network: Arc<str>,
    /// Its failure domain; may be empty.
    pub zone: String,
    /// Replicas of a file unless told otherwise.
    pub factor: u32,
    /// Everything else that can be set.
    pub settings: Settings,
    /// Where files outlive it.
    pub store: Arc<dyn Store>,
    /// How it reaches others.
    pub transport: Arc<dyn Transport>,
    /// Who decides placement, eviction and relocation.
    pub policy_slots: Arc<PolicySlots>,
    /// Writes down what is asked, if that is wanted.
    pub recorder: Option<Arc<Recorder>>,
    /// The wall clock.
    pub now: Now,
    /// Where its chance comes from.
    pub entropy: Entropy,
}

/// One running node.
pub struct Driver {
    this: Weak<Self>,
    me: Peer,
    /// Which of the node's runs this is: see [`Sender::instance`](dataverse_overlay::transport::Sender::instance).
    instance: u64,
    /// What only a node in a copy of this one's data folder knows as well.
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
    claims: Claims,
    isolation: Arc<Isolation>,
    leaving: AtomicBool,
    lifetime: NodeLifetime,
    reconciling: Reconciling,
    verification: Verification,
    downtime: Downtime,
    relaying: Relaying,
    admission: Admission,
    pending_releases: PendingReleases,
    hints: Hints,
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
    /// Starts a node: loads what the store has, and begins to keep links, clock and membership.
    ///
    /// # Errors
    /// When the clock can't be persisted.
    pub async fn start(parts: Parts) -> anyhow::Result<Arc<Self>> {
        let id = parts.me.id;
        let empty = Node::new(id, Stamp::default(), Vec::new());
        let state = Arc::new(State::new(empty));
        let mut opened = parts.store.start(Arc::clone(&state) as Arc<dyn Observer>);
        let lifetime = opened.lifetime;
        let saved = std::mem::take(&mut opened.links);
        let missing = opened.missing.clone();
        let secret = opened.secret.clone();
        state.load(id, opened);
        parts.policy_slots.attach(&state);

        let now = (parts.now)();
        let ceiling = state.node().clock().ceiling_at_start(now);
        parts.store.save_ceiling(ceiling).await?;
        state.node().clock().raise(ceiling);
        let (announcements, outgoing) = mpsc::channel(limits::ANNOUNCEMENTS_QUEUE_MAX);
        let metrics = Arc::new(Metrics::new());
        let admission = Admission::new(&parts.settings);
        let isolation = Arc::new(Isolation::default());
        let away = Arc::clone(&isolation);
        let calls = Breaker::around(
            Arc::clone(&parts.transport),
            Arc::clone(metrics.overlay()),
            Arc::new(move || away.is_on()),
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
                claims: Claims::default(),
                isolation,
                leaving: AtomicBool::new(false),
                lifetime: NodeLifetime::new(lifetime),
                reconciling: Reconciling::default(),
                verification: Verification::default(),
                downtime: Downtime::default(),
                relaying: Relaying::default(),
                admission,
                pending_releases: PendingReleases::default(),
                hints: Hints::default(),
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
        driver.spawn(Arc::clone(&driver).keep_lifetime());
        driver.spawn(Arc::clone(&driver).keep_replicas());
        driver.spawn(Arc::clone(&driver).keep_releasing());
        driver.spawn(Arc::clone(&driver).keep_healing(missing));
        driver.spawn(Arc::clone(&driver).keep_scrubbing());
        driver.spawn(Arc::clone(&driver).watch_members());
        driver.spawn(Arc::clone(&driver).send_announcements(outgoing));
        driver.spawn(Arc::clone(&driver).keep_reconciled());
        driver.spawn(Arc::clone(&driver).verify_copies());
        driver.spawn(Arc::clone(&driver).forget_tombstones());
        Ok(driver)
    }

    /// Links with these addresses, each as soon as its node is there.
    pub fn link_with(&self, addresses: Vec<String>) {
        for address in addresses {
            self.spawn(self.shared().link_at_start(address));
        }
    }

    /// Stops: nothing new is begun, what is in flight may end within `node.shutdown`, the others are told,
    /// and the store is closed.
    pub async fn stop(&self) {
        self.say_goodbye().await;
        self.stopping.cancel();
        self.policy_slots.close();
        self.tasks.close();
        let ended = tokio::time::timeout(self.settings.node_shutdown, self.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "work in flight did not end in time and is cut off"
            );
        }
        self.members.leave().await;
        self.store.close().await;
        if let Some(recorder) = self.recorder.clone() {
            // It waits for its thread, and that for the disk.
            let _ = tokio::task::spawn_blocking(move || recorder.stop()).await;
        }
    }

    /// Stops at once and without a word, as a crash would, but for what the store has been handed already.
    /// The demo kills nodes with it.
    pub async fn crash(&self) {
        self.stopping.cancel();
        self.policy_slots.close();
        self.members.stop().await;
        self.store.close().await;
    }

    /// The name of this node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.me.name
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.me.id
    }

    /// How the node is set.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who decides for it.
    #[must_use]
    pub const fn policy_slots(&self) -> &Arc<PolicySlots> {
        &self.policy_slots
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the node serves: its store is open and as it was opened, no other node goes by its id, and it isn't
    /// stopping.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.not_ready().is_none()
    }

    /// Writes down what was asked and what became of it, if that is wanted.
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
            .expect("a driver is only ever used behind its Arc")
    }

    /// Spawns a task that [`Driver::stop`] waits for.
    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(task)
    }

    /// The outcome of `work`, or `None` once the node is stopping.
    async fn still_runs<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => None,
            done = work => Some(done),
        }
    }
}

/// Gossip runs from before the driver exists until after it has stopped, so it says who it is by itself.
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

/// The number of a run that began at this time: above those of earlier runs, whose clock was persisted, and no
/// copy's that began at the same moment.
fn instance_of(began: u64, chance: u64) -> u64 {
    (began << 16 | chance >> 48).max(1)
}
