//! `policy build`: makes a component of a policy's crate, beside its manifest.

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

/// What policies are built for: WebAssembly that knows no system.
const TARGET: &str = "wasm32-unknown-unknown";
/// What WebAssembly begins with.
const WASM: &[u8; 4] = b"\0asm";

/// Build a policy's crate into a component beside it
///
/// Builds for wasm32-unknown-unknown with cargo, asking rustup for that target if it is missing, and writes
/// NAME.wasm beside the crate's Cargo.toml, over an earlier one. What policies depend on is built once for all of
/// them, in the user's cache folder, unless --target-dir, CARGO_TARGET_DIR or cargo's configuration names another one.
#[derive(Debug, clap::Args)]
pub(super) struct Build {
    /// The folder of the crate
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Overwrite NAME.wasm even if it is no WebAssembly
    #[arg(long)]
    force: bool,
    /// Where cargo builds; kept, and shared with other policies, for the next build
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
}

/// The part of a manifest that matters here.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

/// The part of what cargo tells that matters here.
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
        // Crates of one name share the place of what becomes of them, until that is read.
        let alone = target_dir.as_deref().map(shared::alone).transpose();
        let alone = alone
            .map_err(|error| Failure::refused(format!("can't lock the build folder: {error}")))?;
        let told = cargo(&self.folder, target_dir.as_deref())?;
        let module = read(&module_in(&told, &manifest)?)?;
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
        Failure::refused(format!("{what}: {reason}; DIR is the folder of a crate"))
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

/// Makes sure that the compiler can build for WebAssembly.
fn require_target(folder: &Path, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if has_target(folder)? {
        return Ok(());
    }
    let add = ["target", "add", TARGET];
    screen.note(&format!("{TARGET} is missing; asking rustup for it"));
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

/// Builds, and returns what cargo told of it, one JSON object a line.
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
    let mut told = String::new();
    let out = cargo.stdout.take().expect("its output is piped");
    let heard = out
        .take(limits::ANSWER_BYTES_MAX as u64)
        .read_to_string(&mut told);
    let ended = cargo.wait();
    let status = heard.and(ended).map_err(|error| not_run("cargo", &error))?;
    if status.success() {
        return Ok(told);
    }
    Err(Failure::refused(format!(
        "{} does not build, as cargo says above",
        folder.display()
    )))
}

fn not_run(program: &str, error: &std::io::Error) -> Failure {
    Failure::refused(format!(
        "can't run {program}: {error}; https://rustup.rs installs it"
    ))
}

/// The module that became of the crate with this manifest.
fn module_in(told: &str, manifest: &Path) -> Result<PathBuf, Failure> {
    let real = |path: &Path| path.canonicalize().ok();
    let ours = real(manifest);
    let told = told
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut modules = told
        .filter(|told: &BuildMessage| told.reason == "compiler-artifact")
        .filter(|told| real(&told.manifest_path) == ours)
        .flat_map(|told| told.filenames)
        .filter(|file| file.extension().is_some_and(|it| it == "wasm"));
    modules.next_back().ok_or_else(|| {
        Failure::refused(format!(
            "{} makes no WebAssembly module; it needs `crate-type = [\"cdylib\", \"rlib\"]` in [lib]",
            manifest.display()
        ))
    })
}

/// Whether this is what an earlier build made.
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
            std::fs::create_dir(&folder).expect("it is made");
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
        let told = [
            line(&sdk, &["/t/libsdk.rlib", "/t/sdk.wasm"]),
            line(&own, &["/t/own.wasm", "/t/libown.rlib"]),
            r#"{"reason": "build-finished", "success": true}"#.to_owned(),
        ];
        let found = module_in(&told.join("\n"), &own).expect("there is one");
        assert_eq!(found, Path::new("/t/own.wasm"));
        let none = module_in(&told[0], &own).expect_err("there is none");
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
        check(Some("["), "DIR is the folder of a crate");
        check(Some("[package]\nname = \"a b\""), "can't be the name");
        std::fs::write(&manifest, "[package]\nname = \"my-policy\"").expect("it is written");
        assert_eq!(name_in(&manifest).expect("a crate").as_str(), "my-policy");
    }
}
