//! `policy new`: creates a crate for a policy, with the SDK next to it.
//!
//! The SDK's sources are embedded in this program, so the crate fits this version of the contract and needs
//! nothing but what cargo fetches.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use dataverse_builtin::SDK;
use dataverse_core::policy::Kind;
use dataverse_node::policies::name::PolicyName;

use super::kind_of;
use crate::commands::failure::Failure;
use crate::commands::offered::{kinds, offered};
use crate::commands::screen::{Screen, printable};

/// The SDK's folder in the crate, as in the template's manifest.
const SDK_FOLDER: &str = "dataverse-sdk";
const MANIFEST: &str = include_str!("../../../../../sdk/template/Cargo.toml.template");
/// The placeholder for the name in the template's manifest.
const NAME: &str = "{{name}}";
const PLACEMENT: &str = include_str!("../../../../../sdk/template/placement.rs");
const EVICTION: &str = include_str!("../../../../../sdk/template/eviction.rs");
const RELOCATION: &str = include_str!("../../../../../sdk/template/relocation.rs");
/// Build outputs, which are not committed.
const IGNORED: &str = "/target\n/*.wasm\n";

/// Names that clash with crates of the language or the SDK, or with keywords.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "dataverse-sdk",
    "dataverse_sdk",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "serde_json",
    "serde-json",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Create a crate for a new policy
///
/// The crate builds and passes its own tests as it is. `policy build` builds a component from it.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The folder to create; its last part is the policy's name
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The kind of policy: placement, eviction or relocation
    #[arg(long, value_name = "KIND", value_parser = offered(kind_of, kinds), hide_possible_values = true)]
    kind: Kind,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Rust,
}

impl New {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let name = name_of(&self.folder)?;
        let failed = |error: io::Error| {
            Failure::refused(format!("can't create {}: {error}", self.folder.display()))
        };
        fs::create_dir(&self.folder).map_err(failed)?;
        let written = match self.lang {
            Language::Rust => write_crate(&self.folder, &name, self.kind),
        };
        if let Err(error) = written {
            // It was created a moment ago, and half a crate is of no use.
            let _left_behind = fs::remove_dir_all(&self.folder);
            return Err(failed(error));
        }
        let folder = printable(&self.folder.display().to_string());
        screen.line(&folder)?;
        screen.note(&format!(
            "next: run `cargo test` in it, then\n  dataverse policy build {folder}\n  dataverse policy check \
             {folder}/{name}.wasm\n  dataverse policy install {folder}/{name}.wasm\n  dataverse policy use \
             {} {name}",
            self.kind
        ));
        Ok(())
    }
}

/// The name of the crate and its policy.
fn name_of(folder: &Path) -> Result<String, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let policy = name
        .parse::<PolicyName>()
        .map_err(|bad| Failure::Usage(bad.to_string()))?;
    let fits = policy.as_str() == name
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !name.contains('.')
        && !TAKEN.contains(&&*name);
    if fits {
        return Ok(name.into_owned());
    }
    Err(Failure::Usage(format!(
        "{name:?} can't be the name of a crate: use a letter, then letters, digits, `-` and `_`, and no keyword of \
         the language"
    )))
}

fn write_crate(folder: &Path, name: &str, kind: Kind) -> io::Result<()> {
    let source = match kind {
        Kind::Placement => PLACEMENT,
        Kind::Eviction => EVICTION,
        Kind::Relocation => RELOCATION,
    };
    write(folder, "Cargo.toml", &MANIFEST.replace(NAME, name))?;
    write(folder, "src/lib.rs", source)?;
    write(folder, ".gitignore", IGNORED)?;
    let sdk = folder.join(SDK_FOLDER);
    SDK.iter()
        .try_for_each(|(path, content)| write(&sdk, path, content))
}

fn write(folder: &Path, path: &str, content: &str) -> io::Result<()> {
    let file = folder.join(path);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind) {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("my-policy");
        fs::create_dir(&folder).expect("it is created");
        write_crate(&folder, "my-policy", kind).expect("it is written");
        let read = |path: &str| {
            let text = fs::read_to_string(folder.join(path));
            text.unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).expect("valid TOML");
        assert_eq!(manifest["package"]["name"].as_str(), Some("my-policy"));
        let sdk = &manifest["dependencies"]["dataverse-sdk"]["path"];
        assert_eq!(sdk.as_str(), Some(SDK_FOLDER));
        let sdk: toml::Table =
            toml::from_str(&read("dataverse-sdk/Cargo.toml")).expect("valid TOML");
        assert_eq!(sdk["package"]["name"].as_str(), Some("dataverse-sdk"));
        // Nothing in it refers to anything outside the folder.
        for table in [&manifest, &sdk] {
            assert!(!toml::to_string(table).expect("TOML").contains(".."));
            assert!(
                !toml::to_string(table)
                    .expect("TOML")
                    .contains("workspace = true")
            );
        }
        for file in ["dataverse-sdk/src/lib.rs", "dataverse-sdk/wit/policy.wit"] {
            assert!(!read(file).is_empty(), "{file}");
        }
        let source = read("src/lib.rs");
        assert!(source.contains(&format!("export!({kind}: ")), "{source}");
        assert!(source.contains("#[test]"), "{source}");
    }

    #[test]
    fn each_kind_has_a_crate_that_is_whole() {
        Kind::ALL.into_iter().for_each(check);
    }

    #[test]
    fn a_name_is_one_that_a_crate_can_have() {
        let check = |folder: &str, expected: Option<&str>| {
            let found = name_of(Path::new(folder)).ok();
            assert_eq!(found.as_deref(), expected, "{folder}");
        };
        check("my-policy", Some("my-policy"));
        check("some/where/my_policy2", Some("my_policy2"));
        for folder in [
            "",
            "..",
            "2nd",
            "a b",
            "a.b",
            "x.wasm",
            "match",
            "dataverse-sdk",
            "ü",
        ] {
            check(folder, None);
        }
    }
}
