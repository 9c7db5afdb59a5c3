//! Makes a policy from each template, with this crate next to it, as `dataverse policy new` does. Its tests must
//! pass unchanged, and it must build to a component of its kind that imports nothing else.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use wit_component::{ComponentEncoder, DecodedWasm};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const SDK: &str = env!("CARGO_MANIFEST_DIR");

/// Makes the crate, tests it, builds it and inspects the result.
fn check(kind: &str) -> Outcome {
    let name = format!("my-{kind}");
    let tried = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-policy");
    // The three kinds share the build of their dependencies.
    let (folder, target) = (tried.join(&name), tried.join("target"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    write_crate(&folder, kind, &name)?;
    cargo(&folder, &target, &["test"])?;
    let wasm = ["build", "--release", "--target", "wasm32-unknown-unknown"];
    cargo(&folder, &target, &wasm)?;
    let module = format!("wasm32-unknown-unknown/release/my_{kind}.wasm");
    let module = fs::read(target.join(module))?;
    let (imports, exports) = interfaces(&module)?;
    let expected = BTreeSet::from([interface("policy"), interface(kind)]);
    assert_eq!(exports, expected);
    // `types` has no functions.
    let expected = BTreeSet::from([interface("host"), interface("types")]);
    assert_eq!(imports, expected);
    assert!(
        module.len() < 256 * 1024,
        "{kind} has {} bytes",
        module.len()
    );
    Ok(())
}

fn write_crate(folder: &Path, kind: &str, name: &str) -> Outcome {
    let sdk = Path::new(SDK);
    let template = sdk.join("template");
    let manifest = fs::read_to_string(template.join("Cargo.toml.template"))?;
    let manifest = manifest.replace("{{name}}", name);
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let source = template.join(format!("{kind}.rs"));
    fs::copy(source, folder.join("src/lib.rs"))?;
    let beside = folder.join("dataverse-sdk");
    for part in ["Cargo.toml", "src", "wit"] {
        copy(&sdk.join(part), &beside.join(part))?;
    }
    // The lock file of this repository, so that the same versions are used.
    let lock = sdk.join("../Cargo.lock");
    if lock.exists() {
        fs::copy(lock, folder.join("Cargo.lock"))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Outcome {
    if from.is_dir() {
        for entry in fs::read_dir(from)? {
            let path = entry?.path();
            copy(
                &path,
                &to.join(path.file_name().ok_or("a path without a name")?),
            )?;
        }
    } else {
        fs::create_dir_all(to.parent().ok_or("a path without a folder")?)?;
        fs::copy(from, to)?;
    }
    Ok(())
}

fn cargo(folder: &Path, target: &Path, words: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO"))
        .args(words)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {words:?}:\n{told}");
    Ok(())
}

/// What the component made of this module imports and exports.
fn interfaces(module: &[u8]) -> Outcome<(BTreeSet<String>, BTreeSet<String>)> {
    let encoder = ComponentEncoder::default().module(module)?;
    let component = encoder.validate(true).encode()?;
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&component)? else {
        panic!("it is not a component");
    };
    let world = &resolve.worlds[world];
    let imports = world.imports.keys().map(|key| resolve.name_world_key(key));
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key));
    Ok((imports.collect(), exports.collect()))
}

fn interface(name: &str) -> String {
    format!("dataverse:policy/{name}@0.1.0")
}

#[test]
fn a_placement_policy_is_tested_and_built_as_it_stands() -> Outcome {
    check("placement")
}

#[test]
fn an_eviction_policy_is_tested_and_built_as_it_stands() -> Outcome {
    check("eviction")
}

#[test]
fn a_relocation_policy_is_tested_and_built_as_it_stands() -> Outcome {
    check("relocation")
}
