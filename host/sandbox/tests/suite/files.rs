//! Files that are not policies for this node, and the compile cache.

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_sandbox::{Sandbox, SandboxOptions, componentize};

use super::{SANDBOX, guests, patient};

#[test]
fn a_refusal_names_what_is_wrong() {
    for (name, bytes, mentioned) in guests::unacceptable() {
        // Types are compared when an instance is created, everything else before.
        let refused = SANDBOX
            .compile(&bytes)
            .and_then(|program| program.canary(&patient()));
        let message = refused
            .err()
            .unwrap_or_else(|| panic!("{name} is accepted"))
            .to_string();
        assert!(message.contains(mentioned), "{name}: {message}");
    }
}

#[test]
fn any_prefix_of_a_policy_is_refused_and_nothing_worse() {
    let whole = guests::honest(Kind::Placement);
    for end in (0..whole.len()).step_by(97) {
        assert!(SANDBOX.compile(&whole[..end]).is_err(), "{end}");
    }
}

#[test]
fn what_is_built_is_what_is_run() {
    let component = componentize(&guests::honest(Kind::Relocation)).unwrap();
    assert_eq!(
        SANDBOX.compile(&component).unwrap().kind(),
        Kind::Relocation
    );
    assert!(componentize(&component).is_err());
}

#[test]
fn compiled_code_is_kept_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = || SandboxOptions {
        cache: Some(folder.path().join("compiled")),
        compiler: None,
    };
    let bytes = guests::honest(Kind::Eviction);
    for _ in 0..2 {
        let program = Sandbox::new(options()).unwrap().compile(&bytes).unwrap();
        assert_eq!(program.digest(), Digest::of(&bytes));
        program.canary(&patient()).unwrap();
    }
    assert_eq!(kept_files(folder.path()), 1);
}

/// The compiled files in a cache, without the cache's own metadata.
fn kept_files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => kept_files(&path),
            false => usize::from(path.extension().is_none()),
        })
        .sum()
}

#[test]
fn a_cache_full_of_rubbish_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let options = || SandboxOptions {
        cache: Some(folder.path().to_owned()),
        compiler: None,
    };
    let bytes = guests::honest(Kind::Placement);
    Sandbox::new(options()).unwrap().compile(&bytes).unwrap();
    overwrite(folder.path());
    let program = Sandbox::new(options()).unwrap().compile(&bytes).unwrap();
    program.canary(&patient()).unwrap();
}

fn overwrite(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            overwrite(&path);
        } else {
            std::fs::write(&path, b"rubbish").unwrap();
        }
    }
}
