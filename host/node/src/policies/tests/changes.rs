//! Changes of the policies folder by hand.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::policies::spec::KindSpec;
use crate::policies::view::Origin;

const MINE: &str = "[placement]\npolicy = \"mine\"\n";

#[tokio::test]
async fn a_new_folder_asks_for_nothing_and_the_built_in_policies_decide() {
    let world = PolicyNode::new().await;
    let view = world.view();
    for (kind, of_kind) in [
        (Kind::Placement, &view.placement),
        (Kind::Eviction, &view.eviction),
        (Kind::Relocation, &view.relocation),
    ] {
        let active = &of_kind.active;
        assert_eq!(active.name, dataverse_builtin::default_name(kind));
        assert_eq!(
            (active.origin, active.state.as_str()),
            (Origin::BuiltIn, "active")
        );
        assert!(!active.summary.is_empty() && !active.loaded_at.is_empty());
        assert_eq!(of_kind.last_error, None);
    }
    assert_eq!(view.available.len(), dataverse_builtin::all().len());
    for policy in &view.available {
        assert!(
            !policy.version.is_empty() && !policy.summary.is_empty(),
            "{policy:?}"
        );
    }
    assert!(
        String::from_utf8(world.read("policies.toml"))
            .unwrap()
            .starts_with("# Which")
    );
    let named = world.named.lock().clone();
    let digest = &view.placement.active.digest[..12];
    assert_eq!(named[0], format!("placement:rendezvous@{digest}"));
    world.stop().await;
}

#[tokio::test]
async fn a_file_that_is_asked_for_decides_and_so_does_its_successor() {
    let world = PolicyNode::new().await;
    let (one, two) = (policy("one"), policy("two"));
    world.write("mine.wasm", &one);
    world.toml(MINE);
    world.decides("mine", &one).await;
    let active = world.placement().active;
    assert_eq!(
        (active.origin, active.state.as_str()),
        (Origin::Folder, "probation")
    );
    world.place_file(4).await;
    let active = world.placement().active;
    assert_eq!((active.decisions, active.faults.len()), (1, 0));
    assert!(active.fuel.p50 > 0.0 && active.latency_us.p99 > 0.0);

    world.write("next", &two);
    fs::rename(
        world.folder().join("next"),
        world.folder().join("mine.wasm"),
    )
    .unwrap();
    world.decides("mine", &two).await;
    let previous = world.placement().previous;
    assert_eq!(previous[0].digest, Digest::of(&one).to_string());
    assert_eq!(previous[1].name, "rendezvous");
    assert_eq!(world.swaps(Kind::Placement), 2);
    let figures = world.policies.figures();
    assert_eq!(figures[0].decisions, 1, "that of the previous policy");

    world.toml("");
    world
        .eventually(|view| view.placement.active.name == "rendezvous")
        .await;
    assert_eq!(world.placement().active.state, "active");
    world.stop().await;
}

#[tokio::test]
async fn what_means_the_same_is_no_swap_and_what_does_not_is_one() {
    let world = PolicyNode::new().await;
    world.write("mine.wasm", policy("one"));
    world.toml(MINE);
    world.decides("mine", &policy("one")).await;
    assert_eq!(world.swaps(Kind::Placement), 1);
    let with = |rest: &str| format!("{MINE}{rest}");
    // Each text also changes another kind, which shows that the file was read.
    for (text, relocation, swaps) in [
        (with("# the same"), "never", 1),
        (with("config = {}"), "path", 1),
        (with("config = { a = 1 }"), "never", 2),
        (with("shadow = \"near\"\nconfig = { a = 1 }"), "path", 2),
        (
            with("config = { a = 1 }\nlimits = { fuel = 9000000 }"),
            "never",
            3,
        ),
        (with(""), "path", 4),
    ] {
        world.write("mine.wasm", policy("one"));
        world.toml(&format!("{text}\n[relocation]\npolicy = \"{relocation}\""));
        world
            .eventually(|view| view.relocation.active.name == relocation)
            .await;
        assert_eq!(world.placement().last_error, None, "{text}");
        assert_eq!(world.swaps(Kind::Placement), swaps, "{text}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_table_is_refused_by_itself_and_a_file_that_does_not_parse_whole() {
    let world = PolicyNode::new().await;
    world.toml("[placement]\npolicy = \"nobody\"\n[relocation]\npolicy = \"never\"");
    world.refused("there is no placement policy `nobody`").await;
    world
        .eventually(|view| view.relocation.active.name == "never")
        .await;
    let view = world.view();
    assert_eq!(view.placement.active.name, "rendezvous");
    assert_eq!((view.relocation.last_error, view.last_error), (None, None));

    world.toml("[placement]\npolicy = \"near\"\nfoo = 1\n[relocation]\npolicy = \"path\"");
    world.refused("foo").await;
    world
        .eventually(|view| view.relocation.active.name == "path")
        .await;
    assert_eq!(world.placement().active.name, "rendezvous");

    world.toml("[placement]\npolicy = \"near\"\n[relocation\n");
    world.eventually(|view| view.last_error.is_some()).await;
    let view = world.view();
    assert_eq!(view.placement.active.name, "rendezvous");
    assert_eq!(view.relocation.active.name, "path");
    assert!(view.relocation.last_error.unwrap().contains("line 3"));

    world.toml("[placement]\npolicy = \"near\"");
    world
        .eventually(|view| {
            (
                view.placement.active.name.as_str(),
                view.relocation.active.name.as_str(),
            ) == ("near", "reader")
        })
        .await;
    let view = world.view();
    assert_eq!((view.placement.last_error, view.last_error), (None, None));
    world.stop().await;
}

#[tokio::test]
async fn a_file_of_another_kind_does_not_stand_before_a_built_in_policy() {
    let world = PolicyNode::new().await;
    world.write("near.wasm", guests::honest(Kind::Relocation));
    world.toml("[placement]\npolicy = \"near\"\n[relocation]\npolicy = \"near\"");
    world
        .eventually(|view| {
            view.placement.active.name == "near" && view.relocation.active.name == "near"
        })
        .await;
    let view = world.view();
    assert_eq!(view.placement.active.origin, Origin::BuiltIn);
    assert_eq!(view.relocation.active.origin, Origin::Folder);
    world.toml("[eviction]\npolicy = \"near\"");
    world
        .eventually(|view| {
            let error = view.eviction.last_error.as_deref().unwrap_or_default();
            error.contains("near: it is a policy for relocation, not for eviction")
        })
        .await;
    world.stop().await;
}

#[tokio::test]
async fn a_file_that_is_half_there_is_refused_until_the_rest_comes() {
    let world = PolicyNode::new().await;
    let whole = policy("one");
    world.write("mine.wasm", &whole[..whole.len() / 2]);
    world.toml(MINE);
    world.refused("mine: ").await;
    assert_eq!(world.placement().active.name, "rendezvous");
    world.write("mine.wasm", &whole);
    world.decides("mine", &whole).await;
    world.write("mine.wasm", "");
    world.refused("mine: ").await;
    assert_eq!(
        world.placement().active.digest,
        Digest::of(&whole).to_string()
    );
    world.stop().await;
}

#[tokio::test]
async fn every_file_of_the_folder_is_told_with_what_is_wrong_with_it() {
    let world = PolicyNode::new().await;
    world.write("good.wasm", policy("one"));
    world.write("bad.wasm", "no policy");
    world
        .eventually(|view| {
            let of = |name: &str| view.available.iter().find(|it| it.name == name);
            let good = of("good").is_some_and(|it| it.kind.as_deref() == Some("placement"));
            good && of("bad").is_some_and(|it| it.error.is_some())
        })
        .await;
    let available = world.view().available;
    assert_eq!(
        (available[0].name.as_str(), available[0].kind.as_deref()),
        ("bad", None)
    );
    assert_eq!(available[1].version, "1.2.3");
    assert_eq!(available[1].size, policy("one").len() as u64);
    world.stop().await;
}

#[tokio::test]
async fn a_folder_that_goes_and_comes_back_changes_nothing_meanwhile() {
    let world = PolicyNode::new().await;
    world.write("mine.wasm", policy("one"));
    world.toml(MINE);
    world.decides("mine", &policy("one")).await;
    fs::rename(world.folder(), world.root.path().join("away")).unwrap();
    world.refused("can't be read").await;
    assert_eq!(world.placement().active.name, "mine");
    fs::write(world.root.path().join("away/mine.wasm"), policy("two")).unwrap();
    fs::rename(world.root.path().join("away"), world.folder()).unwrap();
    world.decides("mine", &policy("two")).await;
    world.write("mine.wasm", policy("three"));
    world.decides("mine", &policy("three")).await;
    world.stop().await;
}

#[tokio::test]
async fn a_mount_that_is_swapped_by_a_link_is_followed() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("policies");
    for (version, config) in [("..1", 1), ("..2", 2)] {
        let version = folder.join(version);
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("mine.wasm"), policy("one")).unwrap();
        let text = format!("{MINE}config = {{ version = {config} }}");
        fs::write(version.join("policies.toml"), text).unwrap();
    }
    symlink("..1", folder.join("..data")).unwrap();
    for file in ["mine.wasm", "policies.toml"] {
        symlink(format!("..data/{file}"), folder.join(file)).unwrap();
    }
    let world = PolicyNode::in_folder(root).await;
    assert_eq!(world.placement().active.config["version"], 1);
    symlink("..2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    world
        .eventually(|view| view.placement.active.config["version"] == 2)
        .await;
    world.stop().await;
}

#[tokio::test]
async fn after_a_thousand_changes_the_last_one_decides() {
    let world = PolicyNode::new().await;
    world.write("mine.wasm", policy("one"));
    for change in 0..1000 {
        world.toml(&format!("{MINE}config = {{ change = {change} }}"));
    }
    world
        .eventually(|view| view.placement.active.config["change"] == 999)
        .await;
    assert!(world.swaps(Kind::Placement) < 1000);
    assert_eq!(world.placement().last_error, None);
    world.stop().await;
}

#[tokio::test]
async fn a_kind_that_has_swapped_is_told_so_while_another_is_compiled() {
    let world = PolicyNode::new().await;
    world.place_file(4).await;
    world.place_file(4).await;
    let decisions = |world: &PolicyNode| world.policies.figures()[0].decisions;
    assert_eq!(decisions(&world), 2);
    // `near` is compiled; anything else has to wait for its turn to compile.
    world
        .policies
        .spec(Kind::Placement, KindSpec::plain("near"))
        .await
        .unwrap();
    let turn = world.compiler.hold().await;
    world.toml("[placement]\npolicy = \"rendezvous\"\n[eviction]\npolicy = \"arc\"\n");
    world
        .eventually(|view| view.eviction.pending.as_deref() == Some("arc"))
        .await;
    let view = world.view();
    assert_eq!(view.placement.active.name, "rendezvous");
    assert_eq!(view.placement.previous[0].name, "near");
    assert_eq!(view.eviction.active.name, "gdsf");
    assert_eq!(
        decisions(&world),
        2,
        "those of the first activation, counted once"
    );
    drop(turn);
    world
        .eventually(|view| view.eviction.active.name == "arc" && view.eviction.pending.is_none())
        .await;
    world.stop().await;
}
