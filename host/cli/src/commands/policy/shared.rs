//! The build folder that all policies share, so that their dependencies are built only once. It is in the user's
//! cache folder, one for each version of the SDK. If the user has configured a build folder, that one is used; if
//! no shared folder can be created, each crate has its own.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// Relative to the user's cache folder.
const FOLDER: &str = concat!("dataverse/policies-", env!("CARGO_PKG_VERSION"));
/// Locked while a policy is built and its output is read.
const LOCK: &str = ".dataverse-build.lock";

/// The part of cargo's metadata that is used here.
#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

/// The shared build folder for this crate, unless another one is configured or none can be created.
pub(super) fn target_dir(folder: &Path) -> Option<PathBuf> {
    let is_named = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"]
        .into_iter()
        .any(is_named)
    {
        return None;
    }
    let own = folder.canonicalize().ok()?.join("target");
    if configured(folder)? != own {
        return None;
    }
    let shared = cache(|name| env::var_os(name).map(PathBuf::from))?.join(FOLDER);
    usable(&shared).then_some(shared)
}

/// Cargo's build folder for this crate, according to its configuration.
fn configured(folder: &Path) -> Option<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).ok()?;
    // The folder need not exist yet, but its parent must.
    let (around, name) = (
        metadata.target_directory.parent()?,
        metadata.target_directory.file_name()?,
    );
    Some(around.canonicalize().ok()?.join(name))
}

/// The user's cache folder, according to the environment.
fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let of_home = || {
        variable("HOME")
            .filter(absolute)
            .map(|home| home.join(".cache"))
    };
    variable("XDG_CACHE_HOME").filter(absolute).or_else(of_home)
}

/// Whether cargo can build in this folder.
fn usable(folder: &Path) -> bool {
    fs::create_dir_all(folder).is_ok() && lock_file(folder).is_ok()
}

fn lock_file(folder: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(folder.join(LOCK))
}

/// Waits until no other process builds a policy there, and locks others out until the returned file is dropped.
pub(super) fn alone(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let file = lock_file(folder)?;
    match file.lock() {
        // Some file systems don't support locks.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        locked => locked.map(|()| file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_folder_is_the_users() {
        let check = |xdg: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let found = cache(|name| match name {
                "XDG_CACHE_HOME" => xdg.map(PathBuf::from),
                _ => home.map(PathBuf::from),
            });
            assert_eq!(found.as_deref(), expected.map(Path::new));
        };
        check(Some("/x"), Some("/home/ada"), Some("/x"));
        check(None, Some("/home/ada"), Some("/home/ada/.cache"));
        check(
            Some("relative"),
            Some("/home/ada"),
            Some("/home/ada/.cache"),
        );
        check(None, None, None);
    }

    #[test]
    fn a_folder_that_can_not_be_written_is_not_used() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(usable(&root.path().join("a/b")));
        fs::write(root.path().join("file"), "").expect("it is written");
        assert!(!usable(&root.path().join("file/b")));
    }

    #[test]
    fn one_builds_there_at_a_time() {
        let root = tempfile::tempdir().expect("a folder");
        let first = alone(root.path()).expect("it is free");
        let second = lock_file(root.path()).expect("it exists");
        assert!(second.try_lock().is_err());
        drop(first);
        assert!(second.try_lock().is_ok());
    }

    #[test]
    fn a_build_folder_that_cargo_is_configured_with_is_respected() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it is created");
            fs::write(path, text).expect("it is written");
        };
        write(
            "Cargo.toml",
            "[package]\nname = \"mine\"\nedition = \"2024\"\n[workspace]\n",
        );
        write("src/lib.rs", "");
        let own = root
            .path()
            .canonicalize()
            .expect("it exists")
            .join("target");
        // The environment takes precedence over the configuration.
        let is_named = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"]
            .into_iter()
            .any(|name| env::var_os(name).is_some());
        if is_named {
            return;
        }
        assert_eq!(configured(root.path()), Some(own.clone()));
        write(
            ".cargo/config.toml",
            "[build]\ntarget-dir = \"elsewhere\"\n",
        );
        assert_eq!(
            configured(root.path()),
            Some(own.with_file_name("elsewhere"))
        );
    }
}
