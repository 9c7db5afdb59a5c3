//! Who may be linked: nodes that answer where they say that they listen.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::limits::LINKS_MAX;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Message, Refusal, Sender, ServeExt};
use dataverse_store::SavedLinks;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::world::{Cluster, address};
use crate::driver::{Consistency, Driver, ReadError};

/// A node of this id that says that it listens at this address.
fn stranger(world: &Cluster, id: u128, address: &str) -> Sender {
    Sender {
        node: Peer {
            id: NodeId::from(id),
            name: format!("X{id}").into(),
            address: address.into(),
        },
        instance: 7,
        ..world.node("A").sender()
    }
}

async fn asks_for_a_link(world: &Cluster, sender: Sender) -> Result<LinkAnswer, Refusal> {
    let ask = Message {
        sender,
        body: LinkAsk::EXPLICIT,
    };
    let answer = world.node("A").answer(ask).await;
    answer.map(|answer| answer.body)
}

/// Restarts A with links to so many nodes that do not exist, and waits until it has tried each.
async fn restart_with_made_up_links(world: &mut Cluster, count: usize) {
    let made_up = (0..count as u128).map(|id| {
        let address = format!("x{id}.test:1");
        (NodeId::from(id), format!("X{id}"), address)
    });
    let saved = SavedLinks {
        links: made_up.collect(),
        ..SavedLinks::default()
    };
    let a = Arc::clone(world.node("A"));
    a.store.save_links(saved).await.expect("it is saved");
    world.stop("A").await;
    world.restart("A").await;
    let tried = || world.node("A").links().iter().all(|link| link.attempts > 0);
    world.eventually("each was tried", async || tried()).await;
    assert_eq!(world.node("A").links().len(), count);
}

fn up(node: &Driver) -> Vec<String> {
    let links = node.links().into_iter().filter(|link| link.up);
    links.map(|link| link.name).collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_that_do_not_exist_are_not_linked_and_a_miss_stays_certain_and_fast() {
    let world = Cluster::line(&["A", "B"]).await;
    for number in 0..LINKS_MAX as u128 {
        let made_up = stranger(&world, number, &format!("x{number}.test:1"));
        let refused = asks_for_a_link(&world, made_up).await;
        assert!(matches!(refused, Err(Refusal::Absent(_))), "{refused:?}");
    }
    assert_eq!(up(world.node("A")), ["B"]);
    assert_eq!(world.node("A").links().len(), 1);
    let asked = Instant::now();
    let missing = world.read("A", "ada/nothing", Consistency::Usual).await;
    assert!(
        matches!(missing, Err(ReadError::NotFound { .. })),
        "{missing:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_not_linked_at_the_address_of_another_or_as_another_run() {
    let world = Cluster::of(&["A", "B"]).await;
    let refused = asks_for_a_link(&world, stranger(&world, 5, &address("B"))).await;
    let Err(Refusal::Invalid(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("node B listens there now"), "{why}");
    let mut earlier = world.node("B").sender();
    earlier.instance -= 1;
    let refused = asks_for_a_link(&world, earlier).await;
    let Err(Refusal::Invalid(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("another run"), "{why}");
    assert!(world.node("A").links().is_empty());
    // An earlier release does not say which run it is.
    let mut unsaid = world.node("B").sender();
    unsaid.instance = 0;
    let linked = asks_for_a_link(&world, unsaid).await;
    assert_eq!(linked, Ok(LinkAnswer::Linked));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_all_link_with_each_other_at_the_same_moment_are_linked() {
    let names = ["A", "B", "C", "D"];
    let world = Cluster::of(&names).await;
    let pairs = names.iter().flat_map(|a| names.iter().map(move |b| (a, b)));
    let links = pairs.filter(|(a, b)| a != b).map(|(a, b)| world.link(a, b));
    let linked = join_all(links).await;
    assert!(linked.iter().all(Result::is_ok), "{linked:?}");
    for name in names {
        assert_eq!(up(world.node(name)).len(), names.len() - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_made_stays_when_its_end_can_call_and_can_not_be_called() {
    let world = Cluster::line(&["A", "B"]).await;
    world.silence("B");
    world
        .eventually("B does not answer", async || up(world.node("A")).is_empty())
        .await;
    let again = Message {
        sender: world.node("B").sender(),
        body: LinkAsk::AGAIN,
    };
    let answer = world.node("A").answer(again).await.map(|it| it.body);
    assert_eq!(answer.expect("it is known"), LinkAnswer::Linked);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_called_once_however_many_ask_with_it_at_the_same_time() {
    let world = Cluster::of(&["A", "B"]).await;
    world.silence("B");
    let many = (0..100).map(|id| asks_for_a_link(&world, stranger(&world, id, &address("B"))));
    let answers = join_all(many).await;
    let busy = answers
        .iter()
        .filter(|answer| matches!(answer, Err(Refusal::Busy(_))));
    assert_eq!(busy.count(), 99, "{answers:?}");
    // And it is free again.
    world.wake("B");
    world.link("B", "A").await.expect("they link");
}

#[tokio::test(start_paused = true)]
async fn call_backs_that_fail_do_not_keep_out_the_node_whose_id_was_used() {
    let world = Cluster::of(&["A", "B"]).await;
    let name = world.write_only_at("B", "content").await;
    for number in 0..20 {
        let impostor = Sender {
            node: Peer {
                id: world.node("B").id(),
                ..stranger(&world, 0, &format!("x{number}.test:1")).node
            },
            ..world.node("B").sender()
        };
        let refused = asks_for_a_link(&world, impostor).await;
        assert!(matches!(refused, Err(Refusal::Absent(_))), "{refused:?}");
    }
    world.link("B", "A").await.expect("they link");
    let found = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(found.expect("it is found").0, "content");
}

#[tokio::test(start_paused = true)]
async fn links_that_have_not_answered_make_way_for_nodes_that_do() {
    let mut world = Cluster::of(&["A", "B"]).await;
    restart_with_made_up_links(&mut world, LINKS_MAX).await;
    world.link("B", "A").await.expect("one makes way");
    assert_eq!(world.node("A").links().len(), LINKS_MAX);
    assert_eq!(up(world.node("A")), ["B"]);
    // And also for those that the operator makes on the node itself.
    world.start("C", "test").await;
    world.link("A", "C").await.expect("another makes way");
    assert_eq!(up(world.node("A")).len(), 2);
    assert_eq!(world.node("A").links().len(), LINKS_MAX);
}
