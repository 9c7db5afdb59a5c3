//! Nodes that share a folder of policies: what is asked of one reaches all, and nothing is done twice.

use bytes::Bytes;

use super::*;
use crate::policies::wish::KindWish;

/// Nodes on one folder.
struct Worlds(Vec<World>);

impl Worlds {
    async fn new(count: usize) -> Self {
        let first = World::new().await;
        let mut worlds = vec![first];
        while worlds.len() < count {
            let next = worlds[0].beside().await;
            worlds.push(next);
        }
        Self(worlds)
    }

    fn first(&self) -> &World {
        &self.0[0]
    }

    /// Waits until this decides on all of them.
    async fn all_run(&self, name: &str, digest: &str) {
        for world in &self.0 {
            world
                .eventually(|view| {
                    let active = &view.placement.active;
                    (active.name.as_str(), active.digest.as_str()) == (name, digest)
                })
                .await;
        }
    }

    fn revisions(&self) -> Vec<String> {
        let revision = |world: &World| world.placement().revision;
        self.0.iter().map(revision).collect()
    }

    async fn stop(self) {
        for world in self.0 {
            world.stop().await;
        }
    }
}

#[tokio::test]
async fn a_rollback_at_each_of_them_goes_one_step_back() {
    let worlds = Worlds::new(4).await;
    let (one, two) = (policy("one"), policy("two"));
    let digests = [Digest::of(&one).to_string(), Digest::of(&two).to_string()];
    let first = worlds.first();
    first.policies.install("mine", one.into()).await.unwrap();
    let wish = KindWish::plain("mine");
    first.policies.wish(Kind::Placement, wish).await.unwrap();
    worlds.all_run("mine", &digests[0]).await;
    first.policies.install("mine", two.into()).await.unwrap();
    worlds.all_run("mine", &digests[1]).await;
    let seen = worlds.revisions();
    assert!(seen.iter().all(|revision| *revision == seen[0]), "{seen:?}");
    for (world, seen) in worlds.0.iter().zip(seen) {
        let back = world.policies.rollback(Kind::Placement, Some(seen)).await;
        assert_eq!(back.unwrap().active.digest, digests[0]);
    }
    worlds.all_run("mine", &digests[0]).await;
    let after = worlds.revisions();
    assert!(after.iter().all(|now| *now == after[0]), "{after:?}");
    worlds.stop().await;
}

#[tokio::test]
async fn a_shadow_that_is_promoted_at_each_of_them_decides_on_all() {
    let worlds = Worlds::new(3).await;
    let two = policy("two");
    let digest = Digest::of(&two).to_string();
    let first = worlds.first();
    first.policies.install("beside", two.into()).await.unwrap();
    let shadowed = KindWish {
        shadow: Some("beside".to_owned()),
        ..KindWish::plain("near")
    };
    first.policies.wish(Kind::Placement, shadowed).await.unwrap();
    for world in &worlds.0 {
        world
            .eventually(|view| view.placement.shadow.is_some())
            .await;
    }
    for (world, seen) in worlds.0.iter().zip(worlds.revisions()) {
        let promoted = world.policies.promote(Kind::Placement, Some(seen)).await;
        assert_eq!(promoted.unwrap().active.digest, digest);
    }
    worlds.all_run("beside", &digest).await;
    worlds.stop().await;
}
