//! Policies that fail, and starts at which the desired policy is not available.

use std::fs;

use super::*;
use crate::policies::api::PolicyError;
use crate::policies::view::Origin;

const MINE: &str = "[placement]\npolicy = \"mine\"\n";

/// A node with a good policy.
async fn with_good() -> PolicyNode {
    let world = PolicyNode::new().await;
    world.write("good.wasm", policy("good"));
    world.toml("[placement]\npolicy = \"good\"\nconfig = { of = 1 }");
    world.decides("good", &policy("good")).await;
    world
}

/// A node with a good policy, on which another one has failed its probation.
async fn with_traitor() -> PolicyNode {
    let world = with_good().await;
    world.write("mine.wasm", traitor());
    world.toml(MINE);
    world.decides("mine", &traitor()).await;
    for _ in 0..5 {
        world.place_file(4).await;
    }
    world.refused("rolled back").await;
    world
}

#[tokio::test]
async fn a_policy_that_fails_in_its_probation_makes_way_for_the_one_before() {
    let world = with_traitor().await;
    let placement = world.placement();
    assert_eq!(placement.active.name, "good");
    assert_eq!(
        (
            placement.active.config["of"].as_u64(),
            placement.active.state.as_str()
        ),
        (Some(1), "active")
    );
    assert_eq!(
        placement.previous[0].name, "rendezvous",
        "not the one that failed"
    );
    let error = placement.last_error.unwrap();
    assert!(
        error.contains("mine") && error.contains("5 trap; the last one: trap: "),
        "{error}"
    );
    assert!(
        error.contains("asked to place 1 of \"ada/notes\""),
        "{error}"
    );
    assert_eq!(world.read("policies.toml"), MINE.as_bytes());
    assert_eq!(world.read("mine.wasm"), traitor());
    let figures = &world.policies.figures()[0];
    assert_eq!(
        (figures.swaps[2], figures.faults[0], figures.decisions),
        (1, 5, 5)
    );
    world.stop().await;
}

#[tokio::test]
async fn a_rollback_by_hand_after_it_writes_down_what_runs_and_goes_no_further() {
    let world = with_traitor().await;
    let view = world
        .policies
        .rollback(Kind::Placement, None, None)
        .await
        .unwrap();
    assert_eq!((view.active.name.as_str(), view.last_error), ("good", None));
    assert_eq!(view.active.config["of"], 1);
    assert_eq!(view.previous[0].name, "rendezvous");
    let text = String::from_utf8(world.read("policies.toml")).unwrap();
    assert!(
        text.contains("\"good\"") && !text.contains("mine"),
        "{text}"
    );

    // The history has a copy of the file that failed, so the good one of the same name may overwrite it.
    world.write("good.wasm", traitor());
    world
        .eventually(|view| view.placement.active.digest == Digest::of(&traitor()).to_string())
        .await;
    for _ in 0..5 {
        world.place_file(4).await;
    }
    world.refused("rolled back").await;
    assert_eq!(world.read("good.wasm"), traitor());
    let view = world
        .policies
        .rollback(Kind::Placement, None, None)
        .await
        .unwrap();
    assert_eq!((view.active.name.as_str(), view.last_error), ("good", None));
    assert_eq!(world.read("good.wasm"), policy("good"));
    world.stop().await;
}

#[tokio::test]
async fn it_stays_barred_until_its_file_or_its_table_changes() {
    let world = with_traitor().await;
    let swaps = world.swaps(Kind::Placement);
    world.toml(&format!("{MINE}\n[relocation]\npolicy = \"never\""));
    world
        .eventually(|view| view.relocation.active.name == "never")
        .await;
    assert_eq!(world.swaps(Kind::Placement), swaps);
    assert!(
        world
            .placement()
            .last_error
            .unwrap()
            .contains("rolled back")
    );

    world.toml(&format!("{MINE}config = {{ another = true }}"));
    world.decides("mine", &traitor()).await;
    world.toml(MINE);
    world
        .eventually(|view| view.placement.active.config == serde_json::json!({}))
        .await;
    assert_eq!(world.placement().active.name, "mine", "the bar was lifted");
    world.stop().await;
}

#[tokio::test]
async fn it_stays_barred_across_a_restart() {
    let world = with_traitor().await.restart(|_| {}).await;
    let placement = world.placement();
    assert_eq!(
        (placement.active.name.as_str(), placement.active.origin),
        ("good", Origin::Folder)
    );
    assert!(placement.last_error.unwrap().contains("rolled back"));
    world.write("mine.wasm", policy("mended"));
    world.decides("mine", &policy("mended")).await;
    world.stop().await;
}

#[tokio::test]
async fn a_policy_that_has_proved_itself_is_suspended_and_stays() {
    let world = PolicyNode::new().await;
    world.write("mine.wasm", traitor());
    world.toml(MINE);
    world.decides("mine", &traitor()).await;
    for _ in 0..dataverse_core::limits::PROBATION_DECISIONS {
        world.place_file(3).await;
    }
    for _ in 0..5 {
        world.place_file(4).await;
    }
    let active = world.placement().active;
    assert_eq!(
        (active.name.as_str(), active.state.as_str()),
        ("mine", "suspended")
    );
    assert_eq!(active.faults["trap"], 5);
    let fault = active.last_fault.expect("there was one");
    assert!(
        fault.contains("unreachable") && fault.contains("candidates: 4"),
        "{fault}"
    );
    world.stop().await;
}

#[tokio::test]
async fn at_the_start_the_last_good_one_decides_if_the_spec_can_not_be_met() {
    let world = with_good().await;
    world.toml(MINE);
    world.write("mine.wasm", policy("one"));
    world.decides("mine", &policy("one")).await;
    // The swap is visible a moment before the history is on disk, which is what the test copies.
    let list = world.root.path().join("kept").join("kept.json");
    let is_kept =
        move |_: &_| fs::read_to_string(&list).is_ok_and(|history| history.contains("good"));
    world.eventually(is_kept).await;
    let break_it = |text: &'static str| {
        move |folder: &PathBuf| {
            fs::write(folder.join("policies.toml"), text).unwrap();
            let _ = fs::remove_file(folder.join("good.wasm"));
        }
    };
    for text in [
        "[placement\n",
        "[placement]\npolicy = 3",
        "[placement]\npolicy = \"nobody\"",
    ] {
        let world = PolicyNode::begin(copy_of(&world).await, Arc::clone(&world.compiler)).await;
        let world = world.restart(break_it(text)).await;
        let placement = world.placement();
        assert_eq!(placement.active.name, "good", "{text}: {placement:?}");
        assert_eq!(placement.active.config["of"], 1, "{text}");
        assert!(placement.last_error.is_some(), "{text}");
        world.stop().await;
    }
    world.stop().await;
}

/// A copy of the node's data folder.
async fn copy_of(world: &PolicyNode) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for folder in ["policies", "kept"] {
        fs::create_dir(copy.path().join(folder)).unwrap();
        for entry in fs::read_dir(world.root.path().join(folder)).unwrap() {
            let from = entry.unwrap().path();
            let to = copy.path().join(folder).join(from.file_name().unwrap());
            fs::copy(from, to).unwrap();
        }
    }
    copy
}

#[tokio::test]
async fn at_the_start_the_built_in_policy_decides_if_there_is_no_good_one() {
    let world = PolicyNode::new().await;
    let world = world
        .restart(|folder| fs::write(folder.join("policies.toml"), "[placement\n").unwrap())
        .await;
    assert_eq!(world.placement().active.name, "rendezvous");
    assert!(world.view().last_error.is_some());
    world.stop().await;
}

#[tokio::test]
async fn the_spec_holds_across_a_restart_and_the_first_needs_no_probation() {
    let world = with_good().await;
    let world = world.restart(|_| {}).await;
    let active = world.placement().active;
    assert_eq!(
        (active.name.as_str(), active.config["of"].as_u64()),
        ("good", Some(1))
    );
    assert_eq!(
        active.state, "probation",
        "rendezvous can be rolled back to"
    );
    world.stop().await;

    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("policies");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("mine.wasm"), policy("one")).unwrap();
    fs::write(folder.join("policies.toml"), MINE).unwrap();
    let world = PolicyNode::in_folder(root).await;
    let active = world.placement().active;
    assert_eq!(
        (active.name.as_str(), active.state.as_str()),
        ("mine", "active")
    );
    world.stop().await;
}

#[tokio::test]
async fn kept_files_that_are_damaged_are_passed_over() {
    let world = with_traitor().await;
    world.stop().await;
    let history = world.root.path().join("kept");
    let good = history.join(format!("{}.wasm", Digest::of(&policy("good"))));
    fs::write(good, "damaged").unwrap();
    let world = PolicyNode::begin(world.root, world.compiler).await;
    assert_eq!(world.placement().active.name, "rendezvous");
    world.stop().await;
}

#[tokio::test]
async fn without_the_list_of_good_ones_nobody_is_trusted() {
    let world = with_good().await;
    let history = world.root.path().join("kept/kept.json");
    let world = world
        .restart(|_| fs::write(history, "[").expect("it can be written"))
        .await;
    let active = world.placement().active;
    assert_eq!(
        (active.name.as_str(), active.state.as_str()),
        ("good", "probation")
    );
    world.stop().await;
}

#[tokio::test]
async fn a_node_does_not_wait_for_what_takes_long_to_compile() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("policies");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("mine.wasm"), policy("one")).unwrap();
    fs::write(folder.join("policies.toml"), MINE).unwrap();
    let compiler = PolicyCompiler::new(None).unwrap();
    let compiling = Arc::clone(&compiler);
    let turn = compiling.hold().await;
    let wait = Duration::from_millis(1);
    let world = PolicyNode::waiting(root, folder, compiler, wait).await;
    world
        .eventually(|view| view.placement.pending.as_deref() == Some("mine"))
        .await;
    let active = world.placement().active;
    assert_eq!(active.origin, Origin::Baseline);
    assert!(!active.loaded_at.is_empty());
    world.place_file(4).await;
    drop(turn);
    world.decides("mine", &policy("one")).await;
    world
        .eventually(|view| view.relocation.active.name == "reader")
        .await;
    world.stop().await;
}

#[tokio::test]
async fn a_panic_while_policies_are_looked_after_is_told_and_they_are_looked_after_again() {
    let world = PolicyNode::new().await;
    world.write("boom.wasm", policy("one"));
    let boom = crate::policies::spec::KindSpec::plain("boom");
    let broken = world.policies.spec(Kind::Placement, boom).await;
    assert!(
        matches!(&broken, Err(PolicyError::Failed(reason)) if reason.contains("log")),
        "{broken:?}"
    );
    world
        .eventually(|view| {
            let error = view.last_error.as_deref().unwrap_or_default();
            error.contains("boom") && error.contains("the active policies go on")
        })
        .await;
    world.place_file(4).await;
    world.toml("[placement]\npolicy = \"near\"\n");
    world
        .eventually(|view| view.placement.active.name == "near" && view.last_error.is_none())
        .await;
    world.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_change_is_answered_when_the_node_stops() {
    let world = PolicyNode::new().await;
    let turn = world.compiler.hold().await;
    let near = crate::policies::spec::KindSpec::plain("near");
    let waiting = world.policies.spec(Kind::Placement, near);
    let (answer, ()) = tokio::join!(waiting, async {
        world
            .eventually(|view| view.placement.pending.is_some())
            .await;
        world.policies.cease();
    });
    assert!(
        matches!(answer, Err(PolicyError::Unavailable(_))),
        "{answer:?}"
    );
    drop(turn);
    world.stop().await;
}
