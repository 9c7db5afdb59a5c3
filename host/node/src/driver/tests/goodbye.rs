//! Drained nodes that leave, and what the others make of their silence.

use std::time::Duration;

use dataverse_overlay::transport::{LinkAsk, Message, Sender, ServeExt};

use super::world::{Cluster, address};
use crate::driver::{Consistency, LinkState, Query, SearchOptions};

async fn outcome(world: &Cluster, at: &str) -> &'static str {
    let query = Query::Exact(super::world::key("ada/nowhere"));
    let report = world.node(at).search(query, SearchOptions::default()).await;
    report.expect("the node is not at its search limit").outcome
}

fn state_of(world: &Cluster, at: &str, other: &str) -> Option<LinkState> {
    let links = world.node(at).links();
    let link = links.iter().find(|link| link.address == address(other));
    link.map(|link| link.state)
}

async fn drain(world: &Cluster, name: &str) {
    world.node(name).drain().await.expect("it can be drained");
    world
        .eventually("it is empty", async || {
            world.node(name).drain_status().drained
        })
        .await;
}

/// Three nodes in a line, the middle one of which is drained and holds nothing.
async fn drained() -> Cluster {
    let world = Cluster::line(&["A", "B", "C"]).await;
    world.link("A", "C").await.expect("they link");
    drain(&world, "B").await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_emptied_and_stopped_is_not_waited_for_until_it_is_back() {
    let mut world = drained().await;
    world.stop("B").await;
    for at in ["A", "C"] {
        assert_eq!(state_of(&world, at, "B"), Some(LinkState::Left));
        assert_eq!(outcome(&world, at).await, "not_found");
        assert!(world.node(at).silent().is_empty());
    }
    world
        .eventually("A shows that B has left", async || {
            let nodes = world.node("A").nodes();
            nodes.iter().any(|it| it.name == "B" && it.state == "left")
        })
        .await;
    // The leave survives a restart of the node that heard it.
    world.stop("A").await;
    world.restart("A").await;
    world
        .eventually("A is linked with C", async || {
            state_of(&world, "A", "C") == Some(LinkState::Up)
        })
        .await;
    assert_eq!(state_of(&world, "A", "B"), Some(LinkState::Left));
    assert_eq!(outcome(&world, "A").await, "not_found");
    // B comes back under its id, as the neighbour it was.
    world.restart("B").await;
    for at in ["A", "C"] {
        world
            .eventually("B is a neighbour again", async || {
                state_of(&world, at, "B") == Some(LinkState::Up)
            })
            .await;
    }
    world.node("B").undrain().await.expect("it stays");
    let name = world.write_only_at("B", "content").await;
    let read = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(read.expect("it is found").0, "content");
    world.kill("B");
    assert_eq!(outcome(&world, "A").await, "partial");
}

/// Without that, A would be on its own, and every file of C would be missing there.
#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_links_its_neighbours_with_each_other() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    drain(&world, "B").await;
    let name = world.write_only_at("C", "content").await;
    world.stop("B").await;
    assert_eq!(state_of(&world, "A", "B"), Some(LinkState::Left));
    assert_eq!(state_of(&world, "A", "C"), Some(LinkState::Up));
    let read = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(read.expect("it is found").0, "content");
    assert_eq!(outcome(&world, "A").await, "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_neighbours_cannot_be_linked_is_waited_for() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    drain(&world, "B").await;
    world.cut("A", "C");
    world.stop("B").await;
    assert_ne!(state_of(&world, "A", "B"), Some(LinkState::Left));
    assert_eq!(outcome(&world, "A").await, "partial");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_without_having_been_emptied_is_waited_for() {
    let world = Cluster::line(&["A", "B"]).await;
    world.stop("B").await;
    assert_eq!(outcome(&world, "A").await, "partial");
    world
        .eventually("A says since when B is silent", async || {
            let silent = world.node("A").silent();
            let silent = silent.iter().find(|it| it.name == "B");
            silent.is_some_and(|it| it.silent_for > Some(Duration::from_secs(3)))
        })
        .await;
    let missed = world.read("A", "ada/nowhere", Consistency::Usual).await;
    let told = missed.expect_err("it is not there").to_string();
    assert!(
        told.contains("no answer from B at b.test:1, silent for"),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leave_message_in_the_name_of_another_hides_nothing() {
    let world = Cluster::line(&["A", "B"]).await;
    let name = world.write_only_at("B", "content").await;
    let b = world.node("B").sender();
    let goodbye = |sender: &Sender| Message {
        sender: sender.clone(),
        body: LinkAsk::GOODBYE,
    };
    let told = world.node("A");
    told.answer(goodbye(&b)).await.expect("it is heard");
    assert_eq!(state_of(&world, "A", "B"), Some(LinkState::Up));
    // Nor while B can't be called back.
    world.cut("A", "B");
    told.answer(goodbye(&b)).await.expect("it is heard");
    assert_eq!(outcome(&world, "A").await, "partial");
    world.heal("A", "B");
    world
        .eventually("B is heard again", async || {
            state_of(&world, "A", "B") == Some(LinkState::Up)
        })
        .await;
    let read = world.read("A", &name, Consistency::Usual).await;
    assert_eq!(read.expect("it is found").0, "content");
}
