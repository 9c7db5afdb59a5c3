//! What comes with the program: the shipped policies as WebAssembly, and the sources of the SDK.
//!
//! `build.rs` at the top level compiles the policies and embeds both. It is a crate of its own so that nothing else
//! waits for the policies, or is compiled again when only one of them changes.

use std::sync::LazyLock;

use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;

/// A policy that comes with the program.
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
    /// What it does, as it says itself.
    pub summary: &'static str,
}

/// Every one, by kind and name.
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
            // They are versioned with the program.
            version: env!("CARGO_PKG_VERSION"),
            summary,
        });
        embedded.collect()
    });
    ALL.clone()
}

/// The one with this name.
#[must_use]
pub fn find(kind: Kind, name: &str) -> Option<BuiltIn> {
    all()
        .into_iter()
        .find(|policy| (policy.kind, policy.name) == (kind, name))
}

/// Whether this is the digest of one.
#[must_use]
pub fn is_one(digest: Digest) -> bool {
    all().iter().any(|policy| policy.digest == digest)
}

/// What `policies.toml` says when no policy is to decide: the node's native stand-in then does.
pub const BASELINE: &str = "baseline";

/// The name of the policy of this kind that a node starts with.
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
