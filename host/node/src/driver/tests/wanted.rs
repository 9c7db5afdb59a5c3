//! Links requested at start that can't be made.

use super::world::{Cluster, address};
use crate::driver::{Condition, LinkState, LinkView, WriteError};

fn connecting(world: &Cluster, at: &str) -> Vec<LinkView> {
    let mut links = world.node(at).links();
    links.retain(|link| link.state == LinkState::Connecting);
    links
}

#[tokio::test(start_paused = true)]
async fn a_link_that_never_answers_is_shown_until_it_does() {
    let mut world = Cluster::of(&["A"]).await;
    let (absent, itself) = (address("B"), address("A"));
    let wanted = vec![absent.clone(), itself.clone()];
    world.node("A").link_with(wanted);
    world
        .eventually("both were tried more than once", async || {
            let links = connecting(&world, "A");
            links.len() == 2 && links.iter().all(|link| link.attempts > 1)
        })
        .await;
    for link in connecting(&world, "A") {
        let told = link.last_error.expect("a try failed");
        let expected = match link.address == itself {
            true => "itself",
            false => "refused",
        };
        assert!(told.contains(expected), "{told}");
        assert!(!link.up && link.silent_for.is_some());
    }
    let silent = world.node("A").status().silent;
    let told = silent.iter().find(|it| it.address == absent);
    assert_eq!(told.map(|it| it.state), Some("connecting"));
    // Whoever is there may have the file. Other writes go on.
    let created = world.put_if("A", "ada/x", "x", Condition::Absent).await;
    assert!(
        matches!(created, Err(WriteError::Unavailable(_))),
        "{created:?}"
    );
    world.write("A", "ada/y", "y", 1).await.expect("it is kept");
    world.start("B", "test").await;
    world
        .eventually("they are linked", async || {
            let links = world.node("A").links();
            links.iter().any(|link| link.up && link.address == absent)
        })
        .await;
    let left = connecting(&world, "A");
    let left: Vec<_> = left.iter().map(|link| &link.address).collect();
    assert_eq!(left, [&itself]);
    world.node("A").unlink(&itself).await.expect("it is shown");
    assert!(connecting(&world, "A").is_empty());
}
