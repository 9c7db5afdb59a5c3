//! What is built into the program: the shipped policies as WebAssembly, and the sources of the SDK.
//!
//! The top-level `build.rs` compiles the policies and embeds both. This is a crate of its own so that no other
//! crate waits for the policies, or is compiled again when only one of them changes.

use std::sync::LazyLock;

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;

/// A policy that is built into the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: &'static str,
    /// Its file: a core module that carries its component type.
    pub wasm: &'static [u8],
    /// BLAKE3 of its file.
    pub digest: Digest,
    /// The version of its code.
    pub version: &'static str,
    /// What it does, in its own words.
    pub summary: &'static str,
}

/// Every built-in policy, ordered by kind and name.
#[must_use]
pub fn all() -> Vec<BuiltIn> {
    static ALL: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
        let embedded = POLICIES.iter().map(|&(kind, name, wasm, summary)| BuiltIn {
            kind: kind
                .parse()
                .expect("build.rs embeds policies of known kinds"),
            name,
            wasm,
            digest: Digest::of(wasm),
            // Built-in policies share the program's version.
            version: env!("CARGO_PKG_VERSION"),
            summary,
        });
        embedded.collect()
    });
    ALL.clone()
}

/// The built-in policy with this name.
#[must_use]
pub fn find(kind: Kind, name: &str) -> Option<BuiltIn> {
    all()
        .into_iter()
        .find(|policy| (policy.kind, policy.name) == (kind, name))
}

/// Whether this is the digest of a built-in policy.
#[must_use]
pub fn is_one(digest: Digest) -> bool {
    all().iter().any(|policy| policy.digest == digest)
}

/// The name in `policies.toml` for no policy at all: the node's native baseline decides.
pub const BASELINE: &str = "baseline";

/// The name of the policy of this kind that a new node uses.
#[must_use]
pub const fn default_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Placement => "rendezvous",
        Kind::Eviction => "gdsf",
        Kind::Relocation => "reader",
    }
}

static POLICIES: &[(&str, &str, &[u8], &str)] = &include!(concat!(env!("OUT_DIR"), "/policies.rs"));

/// Path and content of every file of the SDK.
pub static SDK: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
