//! Two nodes under one id, as when a data folder was copied.

use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_core::secret::Nonce;
use dataverse_overlay::transport::{LinkAnswer, LinkAsk, Message, Sender, ServeExt};

use super::world::{Cluster, address};
use crate::driver::WriteError;
use crate::settings::Settings;

fn address_of(world: &Cluster, at: &str, id: NodeId) -> Option<String> {
    let links = world.node(at).links();
    let link = links.into_iter().find(|link| link.id == id);
    link.map(|link| link.address)
}

fn names_both(told: &str) -> bool {
    told.contains(&address("A")) && told.contains(&address("Z"))
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_runs_beside_its_original_is_refused_and_keeps_away() {
    let mut world = Cluster::line(&["P", "A"]).await;
    world.start_copy("Z", "A").await;
    world
        .eventually("the copy isolates itself", async || {
            world
                .node("Z")
                .not_ready()
                .is_some_and(|why| names_both(&why))
        })
        .await;
    let refused = world.write("Z", "ada/x", "content", 1).await;
    assert!(
        matches!(&refused, Err(WriteError::Unavailable(why)) if names_both(why)),
        "{refused:?}"
    );
    let problems = world.node("Z").status().problems;
    assert!(problems.iter().any(|it| it.blocks && it.kind == "identity"));
    let told = world.node("P").status().problems;
    let told = told.iter().find(|it| it.kind == "identity" && !it.blocks);
    assert!(told.is_some_and(|it| names_both(&it.detail)), "{told:?}");
    // The original is unaffected.
    let id = world.node("A").id();
    assert_eq!(address_of(&world, "P", id), Some(address("A")));
    assert!(world.node("A").is_ready() && world.node("P").is_ready());
    let written = world.write("P", "ada/x", "content", 2).await;
    assert_eq!(written.expect("both take it").replicas.len(), 2);
    assert_eq!(world.node("Z").status().replicas.files, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_moved_and_a_copy_that_runs_in_place_of_its_original_go_on() {
    let mut world = Cluster::line(&["P", "A"]).await;
    let id = world.node("A").id();
    world.kill("A");
    world.start_copy("Z", "A").await;
    world
        .eventually("the link has moved", async || {
            address_of(&world, "P", id) == Some(address("Z"))
        })
        .await;
    assert!(world.node("Z").is_ready());
    assert!(world.node("P").status().problems.is_empty());
    let written = world.write("Z", "ada/x", "content", 2).await;
    assert_eq!(written.expect("it is stored").replicas.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_met_while_one_was_cut_off_exactly_one_keeps_away() {
    let mut world = Cluster::line(&["P", "A"]).await;
    let id = world.node("A").id();
    world.cut("P", "A");
    world.start_copy("Z", "A").await;
    world
        .eventually("the link has moved", async || {
            address_of(&world, "P", id) == Some(address("Z"))
        })
        .await;
    world.heal("P", "A");
    world
        .eventually("one isolates itself", async || {
            let ready = ["A", "Z"].map(|name| world.node(name).is_ready());
            ready[0] != ready[1]
        })
        .await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let ready = ["A", "Z"].map(|name| world.node(name).is_ready());
    assert_eq!(ready, [true, false], "the one that started first stays");
    assert_eq!(address_of(&world, "P", id), Some(address("A")));
}

#[tokio::test(start_paused = true)]
async fn two_that_meet_face_to_face_agree_on_who_keeps_away() {
    for (from, to) in [("A", "Z"), ("Z", "A")] {
        let mut world = Cluster::of(&["A"]).await;
        world.start_copy("Z", "A").await;
        let refused = world.link(from, to).await;
        let told = refused.expect_err("they have one id").to_string();
        assert!(names_both(&told), "{told}");
        world
            .eventually("the later one isolates itself", async || {
                !world.node("Z").is_ready()
            })
            .await;
        assert!(world.node("A").is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_keeps_away_goes_on_when_the_other_is_gone() {
    let settings = Settings {
        repair_after: Duration::from_secs(5),
        ..Settings::default()
    };
    let mut world = Cluster::line_with(&["P", "A"], settings).await;
    world.start_copy("Z", "A").await;
    world
        .eventually("the copy isolates itself", async || {
            !world.node("Z").is_ready()
        })
        .await;
    world.kill("A");
    world
        .eventually("the copy resumes", async || world.node("Z").is_ready())
        .await;
    let id = world.node("Z").id();
    world
        .eventually("the link has moved", async || {
            address_of(&world, "P", id) == Some(address("Z"))
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_word_of_another_node_alone_takes_no_node_out() {
    let world = Cluster::line(&["P", "A"]).await;
    // Whoever reports it: no node answers under that id at the address given.
    let a = world.node("A");
    a.consider_double("z.test:1".into()).await;
    a.consider_double(address("P").into()).await;
    assert!(a.is_ready());
}

/// Whether a node reports another one under its id that proves nothing, with both addresses, and keeps running.
fn reports_pretender(world: &Cluster, at: &str, other: &str) -> bool {
    let problems = world.node(at).status().problems;
    let mut reports = problems.iter().filter(|it| it.kind == "identity");
    let told = reports.any(|it| {
        let told = &it.detail;
        let names_both = told.contains(&address(at)) && told.contains(&address(other));
        !it.blocks && told.contains("does not prove") && names_both
    });
    told && world.node(at).is_ready()
}

#[tokio::test(start_paused = true)]
async fn an_earlier_run_without_the_secret_takes_nobody_out() {
    // M says that it is X, and answers as X when it is called back.
    let mut world = Cluster::of(&["M"]).await;
    world.start_pretender("X", "M").await;
    let refused = world.link("M", "X").await;
    assert!(refused.is_err(), "{refused:?}");
    world
        .eventually("it is reported", async || {
            reports_pretender(&world, "X", "M")
        })
        .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.node("X").is_ready());
    let x = world.node("X");
    x.consider_double(address("M").into()).await;
    assert!(reports_pretender(&world, "X", "M"));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_run_does_not_take_over_the_link_of_the_one_that_is_known() {
    let mut world = Cluster::of(&["M"]).await;
    world.start_pretender("X", "M").await;
    world.start("A", "test").await;
    world.link("A", "X").await.expect("they link");
    let id = world.node("X").id();
    let refused = world.link("M", "A").await;
    assert!(refused.is_err(), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.node("X").is_ready() && world.node("A").is_ready());
    assert_eq!(address_of(&world, "A", id), Some(address("X")));
    let problems = world.node("A").status().problems;
    let told = |it: &str| it.contains(&address("X")) && it.contains(&address("M"));
    assert!(problems.iter().any(|it| !it.blocks && told(&it.detail)));
    let written = world.write("A", "ada/x", "content", 2).await;
    assert_eq!(written.expect("both take it").replicas.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_a_node_of_the_same_id_is_given_a_proof() {
    let world = Cluster::line(&["P", "A"]).await;
    let (p, a) = (world.node("P").sender(), world.node("A").sender());
    let copy = Sender {
        node: dataverse_core::search::Peer {
            address: address("Z").into(),
            ..a.node.clone()
        },
        instance: 1,
        ..a
    };
    for (sender, is_given) in [(p, false), (copy, true)] {
        let ask = LinkAsk::to_prove(Nonce::from([7; 32]));
        let asked = Message { sender, body: ask };
        let answer = world.node("A").answer(asked).await;
        let answer = answer.expect("it is heard").body;
        assert_eq!(answer.proof().is_some(), is_given, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_say_which_run_it_is_is_taken_at_its_word() {
    let world = Cluster::line(&["P", "A"]).await;
    let a = world.node("A").sender();
    let moved = Sender {
        node: dataverse_core::search::Peer {
            address: address("Z").into(),
            ..a.node.clone()
        },
        instance: 0,
        ..a
    };
    let ask = Message {
        sender: moved,
        body: LinkAsk::AGAIN,
    };
    let answer = world.node("P").answer(ask).await;
    assert_eq!(answer.expect("it is heard").body, LinkAnswer::Linked);
    assert!(world.node("P").status().problems.is_empty());
}
