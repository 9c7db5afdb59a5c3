//! The lab with the built-in policies, as WebAssembly, and its commands.

mod examples;
mod experiments;
mod geant;
#[path = "../../host/sandbox/tests/guests/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod guests;
mod placement;
#[path = "../policies/reference.rs"]
mod reference;
mod search;
mod trace;
mod world;

use dataverse_lab::library::{BuiltIn, PolicyLibrary};
use dataverse_sandbox::{Sandbox, SandboxOptions};

/// The built-in policies.
fn policy_library() -> PolicyLibrary {
    let sandbox = Sandbox::new(SandboxOptions::default()).expect("this machine runs policies");
    let built_in = dataverse_builtin::all().into_iter().map(|it| BuiltIn {
        kind: it.kind,
        name: it.name,
        wasm: it.wasm,
    });
    PolicyLibrary::new(sandbox, built_in.collect())
}
