//! Changes through `PolicyApi`.

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::policies::api::PolicyError;
use crate::policies::compiler::Lane;
use crate::policies::spec::KindSpec;
use crate::policies::view::Origin;

impl PolicyNode {
    async fn spec(&self, spec: KindSpec) -> Result<KindView, PolicyError> {
        self.policies.spec(Kind::Placement, spec).await
    }

    async fn install(&self, name: &str, wasm: Vec<u8>) -> Result<String, PolicyError> {
        let installed = self.policies.install(name, Bytes::from(wasm), false).await;
        installed.map(|available| available.digest)
    }

    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        // The lock file stays.
        let mut names: Vec<_> = names.filter(|it| it != ".policies.lock").collect();
        names.sort();
        names
    }
}

fn spec(name: &str, config: serde_json::Value) -> KindSpec {
    KindSpec {
        config,
        ..KindSpec::plain(name)
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, PolicyError>, part: &str) {
    match outcome {
        Err(PolicyError::Refused(reason)) => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn in_use<T: std::fmt::Debug>(outcome: Result<T, PolicyError>) {
    assert!(matches!(outcome, Err(PolicyError::InUse(_))), "{outcome:?}");
}

#[track_caller]
fn not_found<T: std::fmt::Debug>(outcome: Result<T, PolicyError>) {
    assert!(
        matches!(outcome, Err(PolicyError::NotFound(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_spec_is_written_into_the_table_and_decides_when_it_is_answered() {
    let world = PolicyNode::new().await;
    world.toml("# ours\n[relocation]\npolicy = \"never\" # final\n");
    let view = world.spec(spec("near", json!({}))).await.unwrap();
    assert_eq!((view.active.name.as_str(), view.last_error), ("near", None));
    // A change of another kind by hand may take its time; the request does not wait for it.
    world
        .eventually(|view| view.relocation.active.name == "never")
        .await;
    let text = String::from_utf8(world.read("policies.toml")).unwrap();
    assert!(
        text.starts_with("# ours\n[relocation]\npolicy = \"never\" # final\n"),
        "{text}"
    );
    let swaps = world.swaps(Kind::Placement);
    let again = world.spec(spec("near", json!({}))).await.unwrap();
    assert_eq!(again.active.loaded_at, view.active.loaded_at);
    assert_eq!(world.swaps(Kind::Placement), swaps);
    world.stop().await;
    let late = world.spec(spec("ring", json!({}))).await;
    assert!(matches!(late, Err(PolicyError::Unavailable(_))), "{late:?}");
}

#[tokio::test]
async fn a_spec_that_can_not_be_met_is_not_written() {
    let world = PolicyNode::new().await;
    let before = world.read("policies.toml");
    world.install("mine", policy("one")).await.unwrap();
    let never = guests::guest(Kind::Placement, &[("place", "(unreachable)")]);
    world.write("never.wasm", never);
    refused(
        world.spec(spec("nobody", json!({}))).await,
        "there is no placement policy",
    );
    refused(
        world.spec(spec("../mine", json!({}))).await,
        "can't be the name",
    );
    refused(
        world.spec(spec("lru", json!({}))).await,
        "there is no placement policy",
    );
    refused(world.spec(spec("mine", json!({"x": null}))).await, "null");
    refused(
        world.spec(spec("mine", json!([]))).await,
        "table of settings",
    );
    refused(world.spec(spec("never", json!({}))).await, "trap");
    let shadowed = KindSpec {
        shadow: Some("nobody".to_owned()),
        ..KindSpec::plain("mine")
    };
    refused(
        world.spec(shadowed).await,
        "shadow: there is no placement policy",
    );
    assert_eq!(world.read("policies.toml"), before);
    world.toml("[placement\n");
    refused(world.spec(spec("mine", json!({}))).await, "line 1");
    assert_eq!(world.read("policies.toml"), b"[placement\n");
    world.stop().await;
}

#[tokio::test]
async fn a_file_is_checked_before_it_is_written() {
    let world = PolicyNode::new().await;
    for (name, wasm, part) in guests::unacceptable() {
        refused(world.install(name, wasm).await, part);
    }
    for name in ["", "..", "a/b", ".hidden", "../../escape"] {
        refused(
            world.install(name, policy("one")).await,
            "can't be the name",
        );
    }
    assert_eq!(world.entries(), ["policies.toml"]);
    let digest = world.install("mine", policy("one")).await.unwrap();
    assert_eq!(digest, Digest::of(&policy("one")).to_string());
    assert_eq!(world.entries(), ["mine.wasm", "policies.toml"]);
    assert_eq!(world.placement().active.name, "rendezvous");
    world.stop().await;
}

#[tokio::test]
async fn a_file_that_is_installed_over_the_one_that_decides_decides_at_once() {
    let world = PolicyNode::new().await;
    world.install("mine", policy("one")).await.unwrap();
    world.spec(spec("mine", json!({}))).await.unwrap();
    let digest = world.install("mine", policy("two")).await.unwrap();
    assert_eq!(world.placement().active.digest, digest);
    in_use(
        world
            .install("mine", guests::honest(Kind::Relocation))
            .await,
    );
    refused(
        world.install("mine", guests::evil("trap-in-place")).await,
        "trap",
    );
    assert_eq!(world.placement().active.digest, digest);
    assert_eq!(world.read("mine.wasm"), policy("two"));
    world.stop().await;
}

#[tokio::test]
async fn a_file_is_removed_unless_it_is_needed() {
    let world = PolicyNode::new().await;
    not_found(world.policies.remove("mine").await);
    not_found(world.policies.remove("rendezvous").await);
    world.install("mine", policy("one")).await.unwrap();
    world.install("beside", policy("two")).await.unwrap();
    let shadowed = KindSpec {
        shadow: Some("beside".to_owned()),
        ..KindSpec::plain("mine")
    };
    world.spec(shadowed).await.unwrap();
    in_use(world.policies.remove("mine").await);
    in_use(world.policies.remove("beside").await);
    world.spec(spec("near", json!({}))).await.unwrap();
    world.policies.remove("mine").await.unwrap();
    world.policies.remove("beside").await.unwrap();
    assert_eq!(world.entries(), ["policies.toml"]);
    world.stop().await;
}

#[tokio::test]
async fn the_shadow_can_be_promoted_once() {
    let world = PolicyNode::new().await;
    world.install("beside", policy("two")).await.unwrap();
    let shadowed = KindSpec {
        shadow: Some("beside".to_owned()),
        ..spec("near", json!({}))
    };
    let view = world.spec(shadowed).await.unwrap();
    assert_eq!(view.shadow.unwrap().name, "beside");
    let view = world.policies.promote(Kind::Placement, None).await.unwrap();
    assert_eq!((view.active.name.as_str(), view.shadow), ("beside", None));
    assert_eq!(view.previous[0].name, "near");
    not_found(world.policies.promote(Kind::Placement, None).await);
    not_found(world.policies.promote(Kind::Eviction, None).await);
    world.stop().await;
}

#[tokio::test]
async fn a_rollback_brings_back_file_and_table_and_another_one_goes_further_back() {
    let world = PolicyNode::new().await;
    let back = async |to: Option<&str>| {
        let to = to.map(str::to_owned);
        world.policies.rollback(Kind::Placement, to, None).await
    };
    not_found(back(None).await);
    let (one, two) = (policy("one"), policy("two"));
    world.install("mine", one.clone()).await.unwrap();
    world.spec(spec("mine", json!({"of": 1}))).await.unwrap();
    world.install("mine", two.clone()).await.unwrap();
    world.spec(spec("mine", json!({"of": 2}))).await.unwrap();
    let is = |view: &KindView, wasm: &[u8], of: u64| {
        let active = &view.active;
        assert_eq!(active.digest, Digest::of(wasm).to_string());
        assert_eq!(
            (active.config["of"].as_u64(), active.state.as_str()),
            (Some(of), "active")
        );
        assert_eq!(world.read("mine.wasm"), wasm);
    };
    is(&back(None).await.unwrap(), &two, 1);
    let view = back(None).await.unwrap();
    is(&view, &one, 1);
    let previous: Vec<_> = view.previous.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        previous,
        ["rendezvous", "mine", "mine"],
        "earlier ones first"
    );
    assert_eq!(back(None).await.unwrap().active.name, "rendezvous");
    match back(None).await {
        Err(PolicyError::NotFound(reason)) => assert!(reason.contains("mine@"), "{reason}"),
        other => panic!("{other:?}"),
    }

    // Later policies are reached by name, or by digest where the name is not enough.
    not_found(back(Some("nobody")).await);
    is(&back(Some("mine")).await.unwrap(), &two, 2);
    let digest = Digest::of(&one).to_string();
    is(&back(Some(&digest[..8])).await.unwrap(), &one, 1);
    let both = format!("mine@{}", &Digest::of(&two).to_string()[..12]);
    is(&back(Some(&both)).await.unwrap(), &two, 2);

    world.install("mine", one.clone()).await.unwrap();
    is(&back(None).await.unwrap(), &two, 2);
    world.policies.remove("nothing").await.unwrap_err();
    world.stop().await;
}

#[tokio::test]
async fn all_that_are_kept_can_be_gone_back_to_also_after_a_restart() {
    let world = PolicyNode::new().await;
    for name in ["near", "ring", "random"] {
        world.spec(spec(name, json!({}))).await.unwrap();
    }
    let mut world = world;
    for name in ["ring", "near", "rendezvous"] {
        let view = world.policies.rollback(Kind::Placement, None, None).await;
        assert_eq!(view.unwrap().active.name, name);
        world = world.restart(|_| {}).await;
    }
    // A policy that is chosen again is the last one again.
    world.spec(spec("ring", json!({}))).await.unwrap();
    let previous = world.placement().previous;
    assert_eq!(previous[0].name, "rendezvous");
    assert_eq!(previous.len(), 3);
    world.stop().await;
}

#[tokio::test]
async fn what_a_check_refuses_is_not_installed_unless_somebody_insists() {
    let world = PolicyNode::new().await;
    for (name, part) in [
        ("endless-loop-in-hit", "fuel: it used up its fuel"),
        ("slot-named-twice", "verdict: "),
        ("slot-that-is-not-cached", "verdict: "),
        ("index-named-twice", "verdict: index 0 is named twice"),
        ("index-out-of-range", "(question "),
        ("path-index-out-of-range", "a path of "),
    ] {
        let wasm = Bytes::from(guests::evil(name));
        refused(
            world.policies.install(name, wasm.clone(), false).await,
            part,
        );
        let again = world.policies.install(name, wasm.clone(), false).await;
        refused(again, "--force");
        assert_eq!(world.entries(), ["policies.toml"]);
        world.policies.install(name, wasm, true).await.unwrap();
        world.policies.remove(name).await.unwrap();
    }
    // `force` does not help a file that is not a policy, or fails before it decides.
    for name in ["trap-in-configure", "endless-loop"] {
        let wasm = Bytes::from(guests::evil(name));
        refused(world.policies.install(name, wasm, true).await, "it fails");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_policy_that_wants_a_configuration_is_asked_with_that_of_its_table() {
    let picky = |config: &str| {
        let not_without = "(if (i32.eq (local.get $length) (i32.const 2)) (then
            (i32.store8 (i32.const 0) (i32.const 1))
            (i32.store (i32.const 4) (i32.const 96)) (i32.store (i32.const 8) (i32.const 15))
            (call $done) (return (i32.const 0))))";
        guests::guest(
            Kind::Placement,
            &[("configure", not_without), ("place", config)],
        )
    };
    // It passes its canary and fails on every other question.
    let fails = "(if (i32.ne (local.get $count) (i32.const 3)) (then (unreachable)))";
    let world = PolicyNode::new().await;
    world.install("other", picky(fails)).await.unwrap();
    world.install("mine", picky("(nop)")).await.unwrap();
    world.spec(spec("mine", json!({"of": 1}))).await.unwrap();
    refused(world.install("mine", picky(fails)).await, "--force");
    assert_eq!(world.read("mine.wasm"), picky("(nop)"));
    world.stop().await;
}

#[tokio::test]
async fn a_policy_with_the_name_of_a_built_in_one_of_another_kind_is_warned_of() {
    let world = PolicyNode::new().await;
    let install = async |name: &str| {
        let wasm = Bytes::from(policy("one"));
        let installed = world.policies.install(name, wasm, false).await;
        installed.unwrap().warning
    };
    let warning = install("lru").await.expect("it is misleading");
    assert!(
        warning.contains("eviction") && warning.contains("placement"),
        "{warning}"
    );
    assert_eq!(install("near").await, None);
    assert_eq!(install("mine").await, None);
    world.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_a_policy_of_another_kind_to_compile() {
    let world = PolicyNode::new().await;
    let slow = world.compiler.turn(Lane::Kind(Kind::Eviction)).await;
    world.toml("[eviction]\npolicy = \"arc\"\n");
    world
        .eventually(|view| view.eviction.pending.as_deref() == Some("arc"))
        .await;
    // A change by hand, one through the API, a file: each continues.
    world.toml("[eviction]\npolicy = \"arc\"\n[relocation]\npolicy = \"never\"\n");
    world
        .eventually(|view| view.relocation.active.name == "never")
        .await;
    let view = world.spec(spec("near", json!({}))).await.unwrap();
    assert_eq!(view.active.name, "near");
    world.install("mine", policy("one")).await.unwrap();
    assert_eq!(world.view().eviction.pending.as_deref(), Some("arc"));
    assert_eq!(world.view().eviction.active.name, "gdsf");
    drop(slow);
    world
        .eventually(|view| view.eviction.active.name == "arc" && view.eviction.pending.is_none())
        .await;
    world.stop().await;
}

#[tokio::test]
async fn the_baseline_may_be_asked_for_and_parted_with() {
    let world = PolicyNode::new().await;
    let before = world.placement().active.name;
    let view = world.spec(spec("baseline", json!({}))).await.unwrap();
    assert_eq!(
        (view.active.name.as_str(), view.last_error),
        ("baseline", None)
    );
    assert_eq!(view.active.origin, Origin::Baseline);

    let view = world
        .policies
        .rollback(Kind::Placement, None, None)
        .await
        .unwrap();
    assert_eq!(view.active.name, before);
    assert!(world.spec(spec("baselin", json!({}))).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn a_rollback_reaches_a_built_in_policy_behind_a_file_of_its_name() {
    let world = PolicyNode::new().await;
    let built_in = world.placement().active.digest;
    world.install("rendezvous", policy("one")).await.unwrap();
    assert_eq!(world.placement().active.origin, Origin::Folder);
    let view = world
        .policies
        .rollback(Kind::Placement, None, None)
        .await
        .unwrap();
    assert_eq!(view.active.digest, built_in);
    assert_eq!(
        Digest::of(&world.read("rendezvous.wasm")).to_string(),
        built_in
    );
    world.stop().await;
}

#[tokio::test]
async fn what_was_removed_from_the_folder_can_still_be_gone_back_to() {
    let world = PolicyNode::new().await;
    world.install("mine", policy("one")).await.unwrap();
    world.spec(spec("mine", json!({}))).await.unwrap();
    world.spec(spec("near", json!({}))).await.unwrap();
    world.policies.remove("mine").await.unwrap();
    let world = world.restart(|_| {}).await;
    let view = world
        .policies
        .rollback(Kind::Placement, None, None)
        .await
        .unwrap();
    assert_eq!(view.active.name, "mine");
    assert_eq!(world.read("mine.wasm"), policy("one"));
    world.stop().await;
}

#[tokio::test]
async fn a_rollback_overwrites_no_file_that_is_kept_nowhere_else() {
    let world = PolicyNode::new().await;
    world.install("mine", policy("one")).await.unwrap();
    world.spec(spec("mine", json!({}))).await.unwrap();
    world.spec(spec("near", json!({}))).await.unwrap();
    let before = world.read("policies.toml");
    let mut unknown = [
        policy("unknown"),
        guests::honest(Kind::Relocation),
        b"no policy".to_vec(),
    ];
    for file in &mut unknown {
        world.write("mine.wasm", &file);
        let digest = Digest::of(file).to_string();
        match world.policies.rollback(Kind::Placement, None, None).await {
            Err(PolicyError::Conflict(reason)) => {
                let named = reason.contains("mine.wasm") && reason.contains(&digest[..12]);
                assert!(named && reason.contains("rename it first"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(world.read("mine.wasm"), *file);
        assert_eq!(world.read("policies.toml"), before);
        assert_eq!(world.placement().active.name, "near");
    }
    std::fs::rename(
        world.folder().join("mine.wasm"),
        world.folder().join("theirs.wasm"),
    )
    .unwrap();
    let view = world
        .policies
        .rollback(Kind::Placement, None, None)
        .await
        .unwrap();
    assert_eq!(view.active.name, "mine");
    assert_eq!(world.read("mine.wasm"), policy("one"));
    world.stop().await;
}

#[tokio::test]
async fn a_built_in_policy_does_not_come_back_over_a_file_of_its_name() {
    let world = PolicyNode::new().await;
    world.spec(spec("near", json!({}))).await.unwrap();
    world.write("rendezvous.wasm", policy("own"));
    let back = world.policies.rollback(Kind::Placement, None, None).await;
    assert!(matches!(back, Err(PolicyError::Conflict(_))), "{back:?}");
    assert_eq!(world.read("rendezvous.wasm"), policy("own"));
    assert_eq!(world.placement().active.name, "near");
    world.stop().await;
}

#[tokio::test]
async fn links_are_left_to_their_authors() {
    let world = PolicyNode::new().await;
    let theirs = world.root.path().join("theirs.toml");
    std::fs::rename(world.folder().join("policies.toml"), &theirs).unwrap();
    std::os::unix::fs::symlink(&theirs, world.folder().join("policies.toml")).unwrap();
    let before = world.read("policies.toml");
    match world.spec(spec("near", json!({}))).await {
        // Its target is only in the log: the client may be on another machine.
        Err(PolicyError::Conflict(reason)) => {
            assert!(reason.contains("it is a link"), "{reason}");
            assert!(!reason.contains("theirs.toml"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.read("policies.toml"), before);
    assert_eq!(world.placement().active.name, "rendezvous");
    world.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_gone_is_named_with_what_to_do() {
    let world = PolicyNode::new().await;
    std::fs::remove_dir_all(world.folder()).unwrap();
    match world.spec(spec("near", json!({}))).await {
        Err(PolicyError::Failed(reason)) => assert!(reason.contains("create it again"), "{reason}"),
        other => panic!("{other:?}"),
    }
    world
        .eventually(|view| {
            let error = view.last_error.as_deref().unwrap_or_default();
            error.contains("--policies DIR")
        })
        .await;
    world.stop().await;
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_begun() {
    let world = PolicyNode::new().await;
    let turn = world.compiler.hold().await;
    let install = |name: &'static str| {
        let policies = Arc::clone(&world.policies);
        let wasm = Bytes::from(policy(name));
        tokio::spawn(async move { policies.install(name, wasm, false).await })
    };
    let waits = install("first");
    tokio::task::yield_now().await;
    let given_up = install("second");
    tokio::task::yield_now().await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());

    // The paused clock advances by itself while nothing can run: both wait for their turn to compile in vain.
    tokio::time::pause();
    let late = world.install("third", policy("third")).await;
    let waited = waits.await.unwrap().map(|installed| installed.digest);
    tokio::time::resume();
    for waited in [late, waited] {
        match waited {
            Err(PolicyError::Unavailable(reason)) => {
                assert!(reason.contains("nothing was changed"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    drop(turn);
    world.install("fourth", policy("fourth")).await.unwrap();
    let there = ["fourth.wasm", "policies.toml"];
    assert_eq!(world.entries(), there);
    world.stop().await;
}
