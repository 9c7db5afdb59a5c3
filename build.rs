//! Compiles the shipped policies into WebAssembly. This is the build script of `host/builtin`.
//!
//! - `policies/` is built by a separate cargo, for `wasm32-unknown-unknown`, in its own target folder, because the
//!   outer cargo holds the lock of its target folder. `policies.rs` in the output folder holds the modules.
//! - `sdk.rs` in the output folder holds the sources of the SDK, which are written beside every new policy.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// From the folder of the package, where cargo runs this script, to the top level.
const ROOT: &str = "../..";

fn main() -> Result {
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    rerun_if_changed("build.rs");
    env::set_current_dir(ROOT)?;
    policies::build(&out_dir)?;
    sdk::embed(&out_dir)
}

/// Watches a path given from the top level; cargo expects it relative to the package.
fn rerun_if_changed(path: &str) {
    println!("cargo:rerun-if-changed={ROOT}/{path}");
}

/// The shipped policies: each crate in `policies/` is named after its kind and itself, such as `eviction-lru`.
mod policies {
    use std::ffi::OsString;
    use std::fmt::Write;
    use std::process::{Command, Stdio};

    use super::*;

    const TARGET: &str = "wasm32-unknown-unknown";
    const PROFILE: &str = "policy";
    /// Variables of the outer build that this one must not inherit: coverage flags, its target folder, clippy in
    /// place of the compiler.
    const NOT_INHERITED: [&str; 9] = [
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CLIPPY_ARGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
    ];

    pub(super) fn build(out_dir: &Path) -> Result {
        for watched in ["policies", "Cargo.toml", "Cargo.lock"] {
            rerun_if_changed(watched);
        }
        let packages = packages()?;
        let modules = out_dir.join("policies");
        fs::create_dir_all(&modules)?;
        if !packages.is_empty() {
            require_target()?;
            compile(&packages, &target_dir(out_dir), &modules)?;
        }
        fs::write(out_dir.join("policies.rs"), index(&packages)?)?;
        Ok(())
    }

    /// The names of the crates, in order.
    fn packages() -> Result<Vec<String>> {
        let mut packages = Vec::new();
        if Path::new("policies").is_dir() {
            for folder in fs::read_dir("policies")? {
                let folder = folder?;
                if folder.path().join("Cargo.toml").is_file() {
                    let name = folder.file_name().into_string();
                    packages
                        .push(name.map_err(|name| format!("{name:?} is not a valid crate name"))?);
                }
            }
        }
        packages.sort();
        Ok(packages)
    }

    /// Makes sure that the compiler can build for WebAssembly.
    fn require_target() -> Result {
        if has_target()? {
            return Ok(());
        }
        println!("cargo:warning=the target {TARGET} is missing; asking rustup for it");
        let added = Command::new("rustup")
            .args(["target", "add", TARGET])
            .status();
        if added.is_ok_and(|status| status.success()) && has_target()? {
            return Ok(());
        }
        Err(format!(
            "the shipped policies are built for {TARGET}, which this toolchain lacks; \
             add it with `rustup target add {TARGET}`"
        )
        .into())
    }

    fn has_target() -> Result<bool> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let output = Command::new(rustc)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output()?;
        let libraries = String::from_utf8(output.stdout)?;
        Ok(output.status.success() && Path::new(libraries.trim()).is_dir())
    }

    /// One folder for all profiles of the outer build: `policies`, next to those of the profiles.
    fn target_dir(out_dir: &Path) -> PathBuf {
        let profile = out_dir.ancestors().find(|it| it.ends_with("build"));
        let target = profile.and_then(Path::parent).and_then(Path::parent);
        target.unwrap_or(out_dir).join("policies")
    }

    fn compile(packages: &[String], target_dir: &Path, modules: &Path) -> Result {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        NOT_INHERITED.iter().for_each(|name| {
            cargo.env_remove(name);
        });
        // Panic messages contain source paths, so without this the bytes would differ from machine to machine.
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
        let home = home.ok_or("neither CARGO_HOME nor a home folder is known")?;
        let remap = format!("--remap-path-prefix={}=/cargo", home.display());
        cargo
            .env("CARGO_ENCODED_RUSTFLAGS", remap)
            .args(["build", "--locked", "--profile", PROFILE])
            .args(["--target", TARGET, "--target-dir"])
            .arg(target_dir)
            .args(packages.iter().flat_map(|package| ["--package", package]))
            // Output of build scripts on stdout is meant for the outer cargo.
            .stdout(Stdio::null());
        if !cargo.status()?.success() {
            return Err("the shipped policies do not build".into());
        }
        for package in packages {
            let file = format!("{}.wasm", package.replace('-', "_"));
            let built = target_dir.join(TARGET).join(PROFILE).join(file);
            fs::copy(built, modules.join(package).with_extension("wasm"))?;
        }
        Ok(())
    }

    /// What a policy says about itself: the text in its `about!`. A test compares it with the built module.
    fn summary(package: &str) -> Result<String> {
        let file = format!("policies/{package}/src/lib.rs");
        let source = fs::read_to_string(&file)?;
        let after = source
            .split_once("about!(")
            .map(|(_, after)| after.trim_start());
        let text = after.and_then(|after| after.strip_prefix('"')?.split_once('"'));
        match text {
            Some((text, _)) if !text.contains('\\') => Ok(text.to_owned()),
            _ => Err(format!("{file} has no about!(\"…\") with a plain text").into()),
        }
    }

    /// An expression: kind, name, module and summary of every policy.
    fn index(packages: &[String]) -> Result<String> {
        let mut index = "[\n".to_owned();
        for package in packages {
            let (kind, name) = package
                .split_once('-')
                .filter(|(kind, _)| ["placement", "eviction", "relocation"].contains(kind))
                .ok_or_else(|| format!("policies/{package} is not named after a kind of policy"))?;
            let module =
                format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/policies/{package}.wasm\"))");
            let summary = summary(package)?;
            writeln!(
                index,
                "    ({kind:?}, {name:?}, {module}.as_slice(), {summary:?}),"
            )?;
        }
        Ok(index + "]\n")
    }
}

/// The SDK, as it is written beside a new policy.
mod sdk {
    use super::*;

    /// An expression: path and content of every file.
    pub(super) fn embed(out_dir: &Path) -> Result {
        let mut files = vec![PathBuf::from("sdk/Cargo.toml")];
        for folder in ["sdk/src", "sdk/wit"] {
            rerun_if_changed(folder);
            collect(Path::new(folder), &mut files)?;
        }
        rerun_if_changed("sdk/Cargo.toml");
        files.sort();
        let mut index = "[\n".to_owned();
        for file in files {
            let (path, below) = (
                file.strip_prefix("sdk")?,
                format!("/{ROOT}/{}", file.display()),
            );
            // The path of the checkout is resolved when this is compiled, because the checkout may have been
            // moved.
            let source = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), {below:?})");
            index += &format!("    ({path:?}, include_str!({source})),\n");
        }
        fs::write(out_dir.join("sdk.rs"), index + "]\n")?;
        Ok(())
    }

    fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                collect(&path, files)?;
            } else {
                files.push(path);
            }
        }
        Ok(())
    }
}
