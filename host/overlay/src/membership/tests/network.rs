//! A network in memory: carries packets between memberships, with delays and losses, and never across a split.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::members::Liveness;
use dataverse_core::search::Peer;
use dataverse_core::version::Stamp;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{self, Instant};

use crate::clock::system_now;
use crate::membership::sending::Wire;
use crate::membership::{Beginning, MemberSeen, Membership, PublishedStatus};
use crate::timings::Timings;
use crate::transport::{
    Call, CallError, FetchAsk, Fetched, GossipPacket, Message, PrepareAnswer, PrepareAsk,
    PrepareBroken, Reply, Sender, Target, Transport,
};

/// A packet, and the node that sent it.
pub(super) type Heard = (NodeId, Bytes);

/// Which node listens where, and how reliably the network carries packets.
pub(super) struct Network {
    listeners: Mutex<HashMap<Arc<str>, Weak<Membership>>>,
    /// Listeners on the other side of a split.
    apart: Mutex<HashSet<Arc<str>>>,
    /// Every tenth packet, for tests that send it again, damaged.
    heard: Mutex<Vec<Heard>>,
    /// Of a hundred packets, how many are lost.
    lost_percent: u32,
    chance: Mutex<StdRng>,
    seed: u64,
}

/// A node in the network.
pub(super) struct Node {
    pub(super) peer: Peer,
    pub(super) membership: Arc<Membership>,
}

impl Network {
    pub(super) fn new(seed: u64, lost_percent: u32) -> Arc<Self> {
        Arc::new(Self {
            listeners: Mutex::default(),
            apart: Mutex::default(),
            heard: Mutex::default(),
            lost_percent,
            chance: Mutex::new(StdRng::seed_from_u64(seed)),
            seed,
        })
    }

    /// Starts node number `node` at an address; it publishes a status by which it can be recognized.
    pub(super) fn start(self: &Arc<Self>, node: u32, address: &str, started_ms: u64) -> Node {
        let peer = Peer {
            id: NodeId::from(u128::from(node)),
            name: format!("node-{node}").into(),
            address: address.into(),
        };
        let speaker = Sender {
            node: peer.clone(),
            clock: Stamp::default(),
            network: "test".into(),
            protocol: 1,
            instance: 0,
        };
        let wire = Wire {
            transport: Arc::clone(self) as Arc<dyn Transport>,
            sender: Arc::new(move || speaker.clone()),
            counters: Arc::default(),
        };
        let seed = self.seed.wrapping_mul(1_000) + u64::from(node);
        let timings = Timings::default();
        let membership = Membership::start_over(
            &peer,
            Beginning {
                started_ms,
                now: system_now(),
                seed,
            },
            &timings,
            wire,
        );
        membership.publish(status(node));
        let membership = Arc::new(membership);
        let mut listeners = self.listeners.lock();
        listeners.insert(address.into(), Arc::downgrade(&membership));
        Node { peer, membership }
    }

    /// Starts nodes 0 to `count`, each announcing itself to the one before, as if linked in a line.
    pub(super) fn line(self: &Arc<Self>, count: u32) -> Vec<Node> {
        let nodes: Vec<_> = (0..count)
            .map(|node| self.start(node, &address(node), 1_000))
            .collect();
        // More than once, because links are confirmed again and again.
        for pair in nodes.windows(2).cycle().take(3 * (nodes.len() - 1)) {
            pair[1].membership.announce_to(&pair[0].peer);
        }
        nodes
    }

    /// From now on nothing passes between these nodes and the others.
    pub(super) fn split(&self, nodes: &[Node]) {
        let mut apart = self.apart.lock();
        apart.extend(nodes.iter().map(|node| Arc::clone(&node.peer.address)));
    }

    /// Ends what [`Self::split`] began.
    pub(super) fn heal(&self) {
        self.apart.lock().clear();
    }

    /// Some of the packets that went through so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }

    fn is_lost(&self, from: &str, to: &str) -> bool {
        let apart = self.apart.lock();
        let mut chance = self.chance.lock();
        let lost = chance.random_range(0..100) < self.lost_percent;
        lost || apart.contains(from) != apart.contains(to)
    }
}

impl Node {
    /// What this node sees of another.
    pub(super) fn sees(&self, other: u32) -> Option<MemberSeen> {
        let id = NodeId::from(u128::from(other));
        let members = self.membership.members();
        members.iter().find(|seen| seen.peer.id == id).cloned()
    }

    /// The state in which it sees another.
    pub(super) fn state_of(&self, other: u32) -> Option<Liveness> {
        self.sees(other).map(|seen| seen.state)
    }
}

/// The status that node number `node` publishes at first.
pub(super) fn status(node: u32) -> PublishedStatus {
    PublishedStatus {
        zone: format!("zone-{node}"),
        http: format!("127.0.0.1:{}", 8_000 + node),
        capacity: 1 << 30,
        free: 1 << 20,
        links: vec![NodeId::from(u128::from(node) + 1)],
        ..PublishedStatus::default()
    }
}

/// Where node number `node` listens at first.
pub(super) fn address(node: u32) -> String {
    format!("127.0.0.1:{}", 7_000 + node)
}

/// Waits until the condition holds, and returns how long that took.
pub(super) async fn until(
    within: Duration,
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

/// Waits until each of these nodes sees every other alive and knows its zone.
pub(super) async fn acquainted(nodes: &[Node], within: Duration) -> Duration {
    let zone_of = |seen: &MemberSeen| seen.status.as_ref().map(|status| status.zone.clone());
    let knows_all = |node: &Node| {
        let members = node.membership.members();
        let full = |seen: &&MemberSeen| {
            seen.state == Liveness::Alive
                && zone_of(seen) == Some(seen.peer.name.replace("node", "zone"))
        };
        members.iter().filter(full).count() == nodes.len() - 1
    };
    until(within, "all know all, with statuses", || {
        nodes.iter().all(knows_all)
    })
    .await
}

#[async_trait]
impl Transport for Network {
    async fn call(&self, to: Target<'_>, call: Message<Call>) -> Result<Message<Reply>, CallError> {
        let Call::Gossip(GossipPacket(packet)) = call.body else {
            unreachable!("membership only gossips")
        };
        let (address, sender) = (to.address(), call.sender);
        let (delay_ms, keep) = {
            let mut chance = self.chance.lock();
            (chance.random_range(1..10), chance.random_range(0..10) == 0)
        };
        if keep {
            let mut heard = self.heard.lock();
            heard.push((sender.node.id, packet.clone()));
        }
        time::sleep(Duration::from_millis(delay_ms)).await;
        if self.is_lost(&sender.node.address, address) {
            return std::future::pending().await;
        }
        let listener = {
            let listeners = self.listeners.lock();
            listeners.get(address).and_then(Weak::upgrade)
        };
        let Some(listener) = listener else {
            return Err(CallError::Unreachable {
                address: address.to_owned(),
                reason: "nobody listens".to_owned(),
            });
        };
        listener.packet(sender.node.id, packet);
        Ok(Message {
            sender,
            body: Reply::Gossip(()),
        })
    }

    async fn fetch(&self, _: &Peer, _: Message<FetchAsk>) -> Result<Message<Fetched>, CallError> {
        unreachable!("membership only gossips")
    }

    async fn prepare(
        &self,
        _: &Peer,
        _: Message<PrepareAsk>,
        _: BoxStream<'static, Result<Bytes, PrepareBroken>>,
    ) -> Result<Message<PrepareAnswer>, CallError> {
        unreachable!("membership only gossips")
    }
}
