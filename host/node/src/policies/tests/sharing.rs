//! Nodes that share a policies folder: a change made through one reaches all, and nothing is done twice.

use super::*;
use crate::policies::api::PolicyError;
use crate::policies::spec::KindSpec;

/// Nodes that share one folder.
struct Worlds(Vec<PolicyNode>);

impl Worlds {
    async fn new(count: usize) -> Self {
        let first = PolicyNode::new().await;
        let mut worlds = vec![first];
        while worlds.len() < count {
            let next = worlds[0].beside().await;
            worlds.push(next);
        }
        Self(worlds)
    }

    fn first(&self) -> &PolicyNode {
        &self.0[0]
    }

    /// Waits until this policy is active on all of them.
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
        let revision = |world: &PolicyNode| world.placement().revision;
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
    first
        .policies
        .install("mine", one.into(), false)
        .await
        .unwrap();
    let spec = KindSpec::plain("mine");
    first.policies.spec(Kind::Placement, spec).await.unwrap();
    worlds.all_run("mine", &digests[0]).await;
    first
        .policies
        .install("mine", two.into(), false)
        .await
        .unwrap();
    worlds.all_run("mine", &digests[1]).await;
    let seen = worlds.revisions();
    assert!(seen.iter().all(|revision| *revision == seen[0]), "{seen:?}");
    for (world, seen) in worlds.0.iter().zip(seen) {
        let back = world
            .policies
            .rollback(Kind::Placement, None, Some(seen))
            .await;
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
    first
        .policies
        .install("beside", two.into(), false)
        .await
        .unwrap();
    let shadowed = KindSpec {
        shadow: Some("beside".to_owned()),
        ..KindSpec::plain("near")
    };
    first
        .policies
        .spec(Kind::Placement, shadowed)
        .await
        .unwrap();
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

#[tokio::test]
async fn changes_that_are_asked_of_several_at_once_are_all_made() {
    let worlds = Worlds::new(3).await;
    let spec = async |world: &PolicyNode, kind: Kind, policy: &str| {
        let view = world.policies.spec(kind, KindSpec::plain(policy)).await;
        assert_eq!(view.unwrap().active.name, policy);
    };
    let [one, two, three] = &worlds.0[..] else {
        panic!("there are three");
    };
    for round in 0..8 {
        let of = |even: &'static str, odd: &'static str| if round % 2 == 0 { even } else { odd };
        tokio::join!(
            spec(one, Kind::Placement, of("near", "random")),
            spec(two, Kind::Eviction, of("fifo", "random")),
            spec(three, Kind::Relocation, of("never", "reader")),
        );
        let text = String::from_utf8(one.read("policies.toml")).unwrap();
        for policy in [
            of("near", "random"),
            of("fifo", "random"),
            of("never", "reader"),
        ] {
            assert!(text.contains(&format!("policy = \"{policy}\"")), "{text}");
        }
    }
    worlds.stop().await;
}

#[tokio::test]
async fn of_two_specs_for_one_kind_the_one_that_is_lost_is_told_so() {
    let worlds = Worlds::new(2).await;
    let [one, two] = &worlds.0[..] else {
        panic!("there are two");
    };
    for round in 0..8 {
        let spec = |of: &str| KindSpec {
            config: serde_json::json!({ "of": of, "round": round }),
            ..KindSpec::plain("mine")
        };
        one.write("mine.wasm", policy("one"));
        let (ours, theirs) = tokio::join!(
            one.policies.spec(Kind::Placement, spec("ours")),
            two.policies.spec(Kind::Placement, spec("theirs")),
        );
        for (said, of) in [(ours, "ours"), (theirs, "theirs")] {
            match said {
                Ok(view) => assert_eq!(view.active.config["of"], of),
                Err(error) => assert!(matches!(error, PolicyError::Conflict(_)), "{error}"),
            }
        }
    }
    worlds.stop().await;
}
