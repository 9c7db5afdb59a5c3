//! `policy build`: builds a policy's crate into a component next to its manifest.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dataverse_node::policies::name::PolicyName;
use serde::Deserialize;

use super::install::read;
use super::shared;
use crate::commands::destination::Destination;
use crate::commands::failure::Failure;
use crate::commands::screen::{Screen, printable, size};
use crate::limits;

/// The target for policies: WebAssembly without an operating system.
const TARGET: &str = "wasm32-unknown-unknown";
/// The first bytes of a WebAssembly file.
const WASM: &[u8; 4] = b"\0asm";

/// Build a policy's crate into a component
///
/// Builds for wasm32-unknown-unknown with cargo, installing that target with rustup if it is missing, and writes
/// NAME.wasm next to the crate's Cargo.toml, overwriting an earlier one. Dependencies are built once for all
/// policies, in the user's cache folder, unless --target-dir, CARGO_TARGET_DIR or cargo's configuration sets
/// another build folder.
#[derive(Debug, clap::Args)]
pub(super) struct Build {
    /// The folder of the crate
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Overwrite NAME.wasm even if it is not WebAssembly
    #[arg(long)]
    force: bool,
    /// Cargo's build folder; it is kept and shared with other policies
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
}

/// The part of a manifest that is used here.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

/// The part of cargo's messages that is used here.
#[derive(Deserialize)]
struct BuildMessage {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Build {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let manifest = self.folder.join("Cargo.toml");
        let name = name_in(&manifest)?;
        let file = self.folder.join(format!("{name}.wasm"));
        let may_go = |file: &Path| self.force || is_module(file);
        let destination = Destination::claim_unless(&file, may_go, screen)?;
        require_target(&self.folder, screen)?;
        let target_dir = match self.target_dir {
            Some(given) => Some(std::path::absolute(given).map_err(Failure::refused)?),
            None => shared::target_dir(&self.folder),
        };
        // Crates of the same name have the same output path, so the lock is held until the output is read.
        let alone = target_dir.as_deref().map(shared::alone).transpose();
        let alone = alone
            .map_err(|error| Failure::refused(format!("can't lock the build folder: {error}")))?;
        let messages = cargo(&self.folder, target_dir.as_deref())?;
        let module = read(&module_in(&messages, &manifest)?)?;
        drop(alone);
        let component = dataverse_sandbox::componentize(&module)
            .map_err(|refusal| Failure::refused(format!("{name}: {refusal}")))?;
        destination.write(&component, screen)?;
        let bytes = size(component.len() as u64);
        screen.line(&printable(&format!("{}  {bytes}", file.display())))
    }
}

fn name_in(manifest: &Path) -> Result<PolicyName, Failure> {
    let refused = |reason: &dyn std::fmt::Display| {
        let what = manifest.display();
        Failure::refused(format!(
            "{what}: {reason}; DIR must be the folder of a crate"
        ))
    };
    let opened = std::fs::File::open(manifest).map_err(|error| refused(&error))?;
    let mut text = String::new();
    opened
        .take(limits::CONFIG_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| refused(&error))?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| refused(&error.message()))?;
    let name = manifest.package.name.parse::<PolicyName>();
    name.map_err(|error| refused(&error))
}

/// Makes sure that the toolchain can build for WebAssembly.
fn require_target(folder: &Path, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if has_target(folder)? {
        return Ok(());
    }
    let add = ["target", "add", TARGET];
    screen.note(&format!(
        "the target {TARGET} is missing; installing it with rustup"
    ));
    let added = Command::new("rustup")
        .args(add)
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    if added.is_ok_and(|status| status.success()) && has_target(folder)? {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "this toolchain can't build for {TARGET}; add it with `rustup {}`",
        add.join(" ")
    )))
}

fn has_target(folder: &Path) -> Result<bool, Failure> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .stderr(Stdio::null())
        .output()
        .map_err(|error| not_run("rustc", &error))?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(libraries.trim()).is_dir())
}

/// Builds the crate and returns cargo's messages, one JSON object per line.
fn cargo(folder: &Path, target_dir: Option<&Path>) -> Result<String, Failure> {
    let elsewhere = target_dir.map(|folder| [OsStr::new("--target-dir"), folder.as_os_str()]);
    let mut cargo = Command::new("cargo")
        .args(["build", "--release", "--target", TARGET])
        .args(elsewhere.into_iter().flatten())
        .arg("--message-format=json-render-diagnostics")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| not_run("cargo", &error))?;
    let mut messages = String::new();
    let out = cargo.stdout.take().expect("its output is piped");
    let heard = out
        .take(limits::ANSWER_BYTES_MAX as u64)
        .read_to_string(&mut messages);
    let ended = cargo.wait();
    let status = heard.and(ended).map_err(|error| not_run("cargo", &error))?;
    if status.success() {
        return Ok(messages);
    }
    Err(Failure::refused(format!(
        "{} does not build; see cargo's errors above",
        folder.display()
    )))
}

fn not_run(program: &str, error: &std::io::Error) -> Failure {
    Failure::refused(format!(
        "can't run {program}: {error}; https://rustup.rs installs it"
    ))
}

/// The module that was built from the crate with this manifest.
fn module_in(messages: &str, manifest: &Path) -> Result<PathBuf, Failure> {
    let real = |path: &Path| path.canonicalize().ok();
    let ours = real(manifest);
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut modules = messages
        .filter(|message: &BuildMessage| message.reason == "compiler-artifact")
        .filter(|message| real(&message.manifest_path) == ours)
        .flat_map(|message| message.filenames)
        .filter(|file| file.extension().is_some_and(|it| it == "wasm"));
    modules.next_back().ok_or_else(|| {
        Failure::refused(format!(
            "{} does not build a WebAssembly module; it needs `crate-type = [\"cdylib\", \"rlib\"]` in [lib]",
            manifest.display()
        ))
    })
}

/// Whether this is the output of an earlier build.
fn is_module(file: &Path) -> bool {
    let mut beginning = [0; WASM.len()];
    let opened = std::fs::File::open(file);
    opened.is_ok_and(|mut file| file.read_exact(&mut beginning).is_ok() && beginning == *WASM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_one_of_the_crate_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = |name: &str| {
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).expect("it is created");
            std::fs::write(folder.join("Cargo.toml"), "").expect("it is written");
            folder.join("Cargo.toml")
        };
        let (own, sdk) = (manifest("own"), manifest("sdk"));
        let line = |manifest: &Path, files: &[&str]| {
            serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "filenames": files,
            })
            .to_string()
        };
        let messages = [
            line(&sdk, &["/t/libsdk.rlib", "/t/sdk.wasm"]),
            line(&own, &["/t/own.wasm", "/t/libown.rlib"]),
            r#"{"reason": "build-finished", "success": true}"#.to_owned(),
        ];
        let found = module_in(&messages.join("\n"), &own).expect("there is one");
        assert_eq!(found, Path::new("/t/own.wasm"));
        let none = module_in(&messages[0], &own).expect_err("there is none");
        assert!(none.to_string().contains("cdylib"), "{none}");
    }

    #[test]
    fn a_folder_without_a_crate_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = folder.path().join("Cargo.toml");
        let check = |text: Option<&str>, reason: &str| {
            if let Some(text) = text {
                std::fs::write(&manifest, text).expect("it is written");
            }
            let refused = name_in(&manifest).expect_err("it is no crate").to_string();
            assert!(refused.contains(reason), "{reason} in {refused}");
            assert!(refused.contains("Cargo.toml"), "{refused}");
        };
        check(None, "No such file");
        check(Some("[workspace]"), "package");
        check(Some("["), "DIR must be the folder of a crate");
        check(Some("[package]\nname = \"a b\""), "can't be the name");
        std::fs::write(&manifest, "[package]\nname = \"my-policy\"").expect("it is written");
        assert_eq!(name_in(&manifest).expect("a crate").as_str(), "my-policy");
    }
}
