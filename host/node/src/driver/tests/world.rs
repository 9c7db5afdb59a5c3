//! `Cluster`: the networks that the tests run. Nodes by name, links, cuts, crashes, clocks that are wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::Peer;
use dataverse_core::version::{Millis, Stamp, Version};
use dataverse_overlay::memory::MemoryNetwork;
use dataverse_overlay::transport::{Serve, Transport};
use dataverse_store::{MemoryDisk, MemoryStore, SavedLinks, Store};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::driver::{
    Body, Condition, Consistency, Driver, LinkError, LinkView, Now, Parts, PolicySlots, ReadError,
    WriteError, WriteOptions, Written,
};
use crate::entropy::Entropy;
use crate::settings::Settings;

/// Start of the clocks, in milliseconds.
const BEGINNING: Millis = 1_700_000_000_000;

pub(super) struct Cluster {
    network: MemoryNetwork,
    /// Wraps the transport of nodes started from now on.
    pub(super) around: fn(Arc<dyn Transport>) -> Arc<dyn Transport>,
    began: Instant,
    nodes: BTreeMap<&'static str, Arc<Driver>>,
    clocks: BTreeMap<&'static str, Arc<AtomicI64>>,
    stores: BTreeMap<&'static str, Arc<MemoryStore>>,
    disks: BTreeMap<&'static str, Arc<MemoryDisk>>,
    /// Settings of the nodes started from now on.
    pub(super) settings: Settings,
}

impl Cluster {
    /// Nodes with these names, in one network, without links.
    pub(super) async fn of(names: &[&'static str]) -> Self {
        Self::of_with(names, Settings::default()).await
    }

    /// The same, with other settings.
    pub(super) async fn of_with(names: &[&'static str], settings: Settings) -> Self {
        let mut world = Self {
            network: MemoryNetwork::new(&Settings::default().timings()),
            around: |transport| transport,
            began: Instant::now(),
            nodes: BTreeMap::new(),
            clocks: BTreeMap::new(),
            stores: BTreeMap::new(),
            disks: BTreeMap::new(),
            settings,
        };
        for name in names {
            world.start(name, "test").await;
        }
        world
    }

    /// These nodes in a line, once they know each other.
    pub(super) async fn line(names: &[&'static str]) -> Self {
        Self::line_with(names, Settings::default()).await
    }

    /// The same, with other settings.
    pub(super) async fn line_with(names: &[&'static str], settings: Settings) -> Self {
        let world = Self::of_with(names, settings).await;
        for pair in names.windows(2) {
            world.link(pair[0], pair[1]).await.expect("they link");
        }
        for name in names {
            world
                .eventually("all know each other", async || {
                    let seen = world.node(name).nodes();
                    seen.len() == names.len() && seen.iter().all(|node| node.capacity > 0)
                })
                .await;
        }
        world
    }

    pub(super) async fn start(&mut self, name: &'static str, network: &str) {
        let id = NodeId::from(rand::random::<u128>());
        self.start_as(name, id, network, MemoryDisk::new(), 64 << 20)
            .await;
    }

    /// Stops a node gracefully; nobody listens in its place.
    pub(super) async fn stop(&self, name: &str) {
        self.node(name).stop().await;
        self.network.stop(&address(name));
    }

    /// Restarts a node from its disk.
    pub(super) async fn restart(&mut self, name: &'static str) {
        let (id, disk) = (self.node(name).id(), Arc::clone(&self.disks[name]));
        self.start_as(name, id, "test", disk, 64 << 20).await;
    }

    /// Starts a node with the id, the secret and the links of another, as if its data folder had been copied.
    pub(super) async fn start_copy(&mut self, name: &'static str, of: &str) {
        let disk = MemoryDisk::new();
        disk.share_secret_of(&self.disks[of]);
        let links = self.node(of).links().into_iter();
        let links = links.map(|link| (link.id, link.name, link.address));
        let saved = SavedLinks {
            links: links.collect(),
            ..SavedLinks::default()
        };
        let store = disk.open(1 << 20);
        store.save_links(saved).await.expect("it is saved");
        store.close().await;
        let id = self.node(of).id();
        // It must start later.
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.start_as(name, id, "test", disk, 64 << 20).await;
    }

    /// Starts a node that uses the id of another, with a folder of its own.
    pub(super) async fn start_pretender(&mut self, name: &'static str, of: &str) {
        let id = self.node(of).id();
        // It must start later.
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.start_as(name, id, "test", MemoryDisk::new(), 64 << 20)
            .await;
    }

    /// Starts a node with this capacity in bytes.
    pub(super) async fn start_with_room(&mut self, name: &'static str, capacity: u64) {
        let id = NodeId::from(rand::random::<u128>());
        self.start_as(name, id, "test", MemoryDisk::new(), capacity)
            .await;
    }

    async fn start_as(
        &mut self,
        name: &'static str,
        id: NodeId,
        network: &str,
        disk: Arc<MemoryDisk>,
        capacity: u64,
    ) {
        let store = disk.open(capacity);
        self.disks.insert(name, disk);
        let ahead = Arc::new(AtomicI64::new(0));
        let (began, clock) = (self.began, Arc::clone(&ahead));
        let now: Now = Arc::new(move || {
            let passed = began.elapsed().as_millis() as u64;
            (BEGINNING + passed).saturating_add_signed(clock.load(Ordering::Relaxed))
        });
        self.stores.insert(name, Arc::clone(&store));
        let driver = Driver::start(Parts {
            me: Peer {
                id,
                name: name.into(),
                address: address(name).into(),
            },
            http: "127.0.0.1:1".to_owned(),
            network: network.into(),
            zone: String::new(),
            factor: 2,
            settings: self.settings.clone(),
            store,
            transport: (self.around)(Arc::new(self.network.transport(&address(name)))),
            recorder: None,
            policy_slots: Arc::new(PolicySlots::default()),
            now,
            entropy: Entropy::of_system(),
        })
        .await
        .expect("a store in memory starts");
        self.network
            .listen(&address(name), Arc::clone(&driver) as Arc<dyn Serve>);
        self.nodes.insert(name, driver);
        self.clocks.insert(name, ahead);
    }

    pub(super) fn node(&self, name: &str) -> &Arc<Driver> {
        &self.nodes[name]
    }

    /// From now on this answers the calls to a node in its place.
    pub(super) fn listen_instead(&self, name: &str, node: Arc<dyn Serve>) {
        self.network.listen(&address(name), node);
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.nodes.keys().copied()
    }

    /// Cuts a node off from all others.
    pub(super) fn isolate(&self, name: &str) {
        let others = self.names().filter(|other| *other != name);
        others.for_each(|other| self.cut(name, other));
    }

    /// Undoes [`Cluster::isolate`].
    pub(super) fn rejoin(&self, name: &str) {
        let others = self.names().filter(|other| *other != name);
        others.for_each(|other| self.heal(name, other));
    }

    /// Flips a bit of a content that a node holds.
    pub(super) fn rot(&self, at: &str, name: &str) {
        self.stores[at].rot(&key(name));
    }

    /// Sets a node's wall clock forward, or back.
    pub(super) fn set_clock(&self, name: &str, ahead_ms: i64) {
        self.clocks[name].store(ahead_ms, Ordering::Relaxed);
    }

    pub(super) async fn link(&self, a: &str, b: &str) -> Result<LinkView, LinkError> {
        self.node(a).link(&address(b)).await
    }

    pub(super) fn cut(&self, a: &str, b: &str) {
        self.network.cut(&address(a), &address(b));
    }

    pub(super) fn heal(&self, a: &str, b: &str) {
        self.network.heal(&address(a), &address(b));
    }

    /// Partitions these nodes from all others.
    pub(super) fn part(&self, names: &[&str]) {
        self.between(names, |a, b| self.cut(a, b));
    }

    /// Undoes [`Cluster::part`].
    pub(super) fn join(&self, names: &[&str]) {
        self.between(names, |a, b| self.heal(a, b));
    }

    fn between(&self, names: &[&str], each: impl Fn(&str, &str)) {
        for name in names {
            for other in self.nodes.keys().filter(|other| !names.contains(other)) {
                each(name, other);
            }
        }
    }

    pub(super) fn kill(&self, name: &str) {
        self.network.stop(&address(name));
    }

    pub(super) fn silence(&self, name: &str) {
        self.network.silence(&address(name));
    }

    pub(super) fn wake(&self, name: &str) {
        self.network.wake(&address(name));
    }

    pub(super) async fn write(
        &self,
        at: &str,
        name: &str,
        content: &str,
        factor: u32,
    ) -> Result<Written, WriteError> {
        let options = WriteOptions {
            factor: Some(factor),
            ..WriteOptions::default()
        };
        self.write_as(at, name, content, options).await
    }

    pub(super) async fn put_if(
        &self,
        at: &str,
        name: &str,
        content: &str,
        condition: Condition,
    ) -> Result<Written, WriteError> {
        let options = WriteOptions {
            condition,
            ..WriteOptions::default()
        };
        self.write_as(at, name, content, options).await
    }

    async fn write_as(
        &self,
        at: &str,
        name: &str,
        content: &str,
        options: WriteOptions,
    ) -> Result<Written, WriteError> {
        let body: Body = stream::iter([Ok(Bytes::from(content.to_owned()))]).boxed();
        self.node(at).write(&key(name), options, body).await
    }

    /// Reads a file. Returns its content and whether it was marked stale.
    pub(super) async fn read(
        &self,
        at: &str,
        name: &str,
        consistency: Consistency,
    ) -> Result<(String, bool), ReadError> {
        let node = self.node(at);
        let located = node.locate(&key(name), consistency).await?;
        let (size, stale) = (located.record.size, located.stale);
        let mut body = node.body(located, 0, size).await?;
        let mut content = Vec::new();
        while let Some(bytes) = body.next().await {
            content.extend_from_slice(&bytes.expect("the body arrives"));
        }
        Ok((String::from_utf8(content).expect("it is text"), stale))
    }

    /// Stores a file whose only replica is on the node itself, and returns its name.
    pub(super) async fn write_only_at(&self, at: &str, content: &str) -> String {
        for tried in 0..200 {
            let name = format!("ada/{tried}");
            let written = self.write(at, &name, content, 1).await;
            if written.expect("it is stored").replicas == [at] {
                return name;
            }
        }
        panic!("placement never chose {at}");
    }

    /// Stores a file whose replicas are on exactly these nodes, and returns its name.
    pub(super) async fn write_on(&self, names: &[&str], content: &str) -> String {
        for tried in 0..500 {
            let name = format!("ben/{tried}");
            let written = self.write(names[0], &name, content, names.len() as u32);
            let mut replicas = written.await.expect("it is stored").replicas;
            replicas.sort_unstable();
            if replicas == names {
                return name;
            }
        }
        panic!("placement never chose {names:?}");
    }

    /// Stores `count` files whose only replicas are on the node itself, and returns their names, which are also
    /// their contents.
    pub(super) async fn write_many_only_at(&self, at: &str, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for tried in 0..1000 {
            if names.len() == count {
                return names;
            }
            let name = format!("{}/{tried}", at.to_lowercase());
            let written = self.write(at, &name, &name, 1).await;
            if written.expect("it is stored").replicas == [at] {
                names.push(name);
            }
        }
        panic!("placement did not choose {at} often enough");
    }

    /// Waits until the condition holds. Time advances on its own.
    pub(super) async fn eventually(&self, what: &str, holds: impl AsyncFnMut() -> bool) {
        let patience = Duration::from_secs(240);
        self.eventually_within(patience, what, holds).await;
    }

    /// The same, with another deadline.
    pub(super) async fn eventually_within(
        &self,
        patience: Duration,
        what: &str,
        mut holds: impl AsyncFnMut() -> bool,
    ) {
        let deadline = Instant::now() + patience;
        while !holds().await {
            assert!(Instant::now() < deadline, "timed out waiting until {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(super) fn address(name: &str) -> String {
    format!("{}.test:1", name.to_lowercase())
}

/// A record whose only holder is its writer.
pub(in crate::driver) fn record(name: &str, stamp: u64) -> Record {
    let writer = NodeId::from(1);
    Record {
        key: key(name),
        version: Version {
            stamp: Stamp(stamp),
            writer,
        },
        layout: Layout {
            counter: 0,
            author: writer,
            holders: vec![writer],
        },
        deleted: false,
        size: 1,
        digest: Digest::of(b"x"),
        content_type: "text/plain".into(),
        factor: 1,
    }
}

pub(in crate::driver) fn key(name: &str) -> Key {
    Key::parse(name).expect("it is a key")
}
