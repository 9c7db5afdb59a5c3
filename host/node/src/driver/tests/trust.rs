//! What the authority of a network says: it reaches every node over links, and a revoked node is cut off.

use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::search::Question;
use dataverse_identity::authority::Authority;
use dataverse_identity::credentials::{Anchors, Credentials, Presented};
use dataverse_identity::joining::{JoinRequest, NodeKey};
use dataverse_identity::statement::{Content, Statement};
use dataverse_identity::trust::Trust;
use dataverse_overlay::transport::{Message, Refusal, ServeExt};

use super::world::{Cluster, key};

/// The time of the authority, in seconds.
const NOW: u64 = 1_700_000_000;

/// The nodes of a cluster with the credentials of one network.
struct Network {
    authority: Authority,
    credentials: Vec<(&'static str, Arc<Credentials>)>,
}

impl Network {
    fn of(world: &Cluster) -> Self {
        let authority = Authority::create("home", 1, NOW).expect("an authority");
        let credentials = |name: &'static str| {
            let node = world.node(name);
            let made = credentials(node.id(), &authority);
            node.trust_by(Arc::clone(&made));
            (name, made)
        };
        let credentials = world.names().map(credentials).collect();
        Self {
            authority,
            credentials,
        }
    }

    /// The authority revokes a node, and this one is told.
    fn revoke(&self, world: &Cluster, name: &str, told: &str) {
        let node = world.node(name).id();
        let content = Content::Revocation { node, at: NOW };
        let revoked = Statement::sign(content, &self.authority).expect("it is signed");
        assert!(self.of_node(told).learn(&[revoked], NOW));
    }

    fn of_node(&self, name: &str) -> &Credentials {
        let mut all = self.credentials.iter();
        let found = all.find(|(other, _)| *other == name);
        &found.expect("it is a node").1
    }
}

fn credentials(node: NodeId, authority: &Authority) -> Arc<Credentials> {
    let key = NodeKey::generate().expect("a key");
    let request = JoinRequest::new(node, "X", &key).expect("a request");
    let leaf = authority
        .issue(&request, "X", NOW, NOW + 3600)
        .expect("it is issued");
    let presented = Presented {
        chain: vec![leaf],
        key: key.for_tls(),
    };
    let anchors = Anchors::Network(Trust::new(authority.certificate().clone()));
    Arc::new(Credentials::new(node, presented, anchors, NOW).expect("they are good"))
}

/// Whether this node has neither a link with the other nor takes it for a member.
fn has_cut(world: &Cluster, name: &str, other: &str) -> bool {
    let (node, other) = (world.node(name), world.node(other).id());
    let is_linked = node.links().iter().any(|link| link.id == other);
    !is_linked && node.nodes().iter().all(|seen| seen.id != other)
}

#[tokio::test(start_paused = true)]
async fn a_revocation_reaches_all_nodes_over_links_and_cuts_the_node_off() {
    let world = Cluster::line(&["A", "B", "C", "D"]).await;
    let network = Network::of(&world);
    let all_cut = || {
        ["A", "B", "C"]
            .iter()
            .all(|name| has_cut(&world, name, "D"))
    };
    assert!(!all_cut());
    network.revoke(&world, "D", "A");
    world.eventually("D is cut off", async || all_cut()).await;
    let ask = Message {
        sender: world.node("D").sender(),
        body: Question::Exact {
            key: key("ada/x"),
            floor: None,
            pending_before: None,
        },
    };
    let refused = world.node("C").answer(ask).await.map(drop);
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_away_hears_of_a_revocation_from_its_neighbour() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let network = Network::of(&world);
    world.cut("B", "C");
    network.revoke(&world, "A", "B");
    let told = || network.of_node("C").is_revoked(world.node("A").id());
    world
        .eventually("A is cut off", async || has_cut(&world, "B", "A"))
        .await;
    assert!(!told());
    world.heal("B", "C");
    world.eventually("C has heard of it", async || told()).await;
}
