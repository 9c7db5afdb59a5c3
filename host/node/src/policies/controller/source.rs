//! Finds policies by kind and name, and lists those that can be used. A file in the folder takes precedence over a
//! built-in policy of the same name and kind.

use std::io;

use bytes::Bytes;
use dataverse_builtin::BuiltIn;
use dataverse_core::content::Digest;
use dataverse_core::policy::Kind;
use dataverse_sandbox::Refusal;

use super::super::compiler::{PolicyCompiler, blocking};
use super::super::folder::{Folder, Listing};
use super::super::name::PolicyName;
use super::super::view::{Available, Origin};

/// Where a policy is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum PolicySource {
    /// In the folder; its digest when the folder was last read.
    File(Digest),
    /// In the program.
    BuiltIn(BuiltIn),
}

impl PolicySource {
    /// Where it comes from.
    pub(super) fn origin(self) -> Origin {
        match self {
            Self::File(_) => Origin::Folder,
            Self::BuiltIn(_) => Origin::BuiltIn,
        }
    }

    /// Its digest, for a file as of when the folder was last read.
    pub(super) fn digest(self) -> Digest {
        match self {
            Self::File(digest) => digest,
            Self::BuiltIn(policy) => policy.digest,
        }
    }

    /// Reads the bytes, once: what is checked is what runs.
    pub(super) async fn read(self, folder: &Folder, name: &PolicyName) -> io::Result<Bytes> {
        match self {
            Self::BuiltIn(policy) => Ok(Bytes::from_static(policy.wasm)),
            Self::File(_) => {
                let (folder, name) = (folder.clone(), name.clone());
                blocking(move || folder.read(&name)).await
            }
        }
    }
}

/// Finds the policy of this kind and name.
///
/// # Errors
/// Why there is none.
pub(super) fn find(
    listing: &Listing,
    compiler: &PolicyCompiler,
    kind: Kind,
    name: &PolicyName,
) -> Result<PolicySource, String> {
    let built_in = dataverse_builtin::find(kind, name.as_str()).map(PolicySource::BuiltIn);
    match (listing.files.get(name), built_in) {
        (Some(Ok(found)), Some(built_in)) if compiler.is_of_another_kind(found.digest, kind) => {
            Ok(built_in)
        }
        (Some(Ok(found)), _) => Ok(PolicySource::File(found.digest)),
        (Some(Err(problem)), _) => Err(format!("{name}: {problem}")),
        (None, Some(built_in)) => Ok(built_in),
        (None, None) => Err(unknown(kind, name)),
    }
}

/// Whether this name means the native baseline. If a file has that name, it means the file.
pub(super) fn is_baseline(listing: &Listing, name: &PolicyName) -> bool {
    name.as_str() == dataverse_builtin::BASELINE && !listing.files.contains_key(name)
}

fn unknown(kind: Kind, name: &PolicyName) -> String {
    let known = dataverse_builtin::all();
    let known = known.iter().filter(|policy| policy.kind == kind);
    let known: Vec<_> = known.map(|policy| policy.name).collect();
    let built_in = match known.as_slice() {
        [] => "no such policy is built in".to_owned(),
        names => format!(
            "the built-in ones are {} and {}",
            names.join(", "),
            dataverse_builtin::BASELINE
        ),
    };
    format!("there is no {kind} policy `{name}`: the folder has no {name}.wasm, and {built_in}")
}

/// The policies that can be used: those in the folder by name, then the built-in ones.
pub(super) fn available(listing: &Listing, compiler: &PolicyCompiler) -> Vec<Available> {
    let files = listing.files.iter().map(|(name, found)| match found {
        Ok(found) => of_file(compiler, name, found.digest, found.size),
        Err(problem) => Available {
            error: Some(problem.clone()),
            ..nothing_known(name.as_str(), Origin::Folder)
        },
    });
    // Their descriptions were extracted when the program was built, so none has to be compiled.
    let built_in = dataverse_builtin::all()
        .into_iter()
        .map(|policy| Available {
            kind: Some(policy.kind.to_string()),
            version: policy.version.to_owned(),
            summary: policy.summary.to_owned(),
            digest: policy.digest.to_string(),
            size: policy.wasm.len() as u64,
            ..nothing_known(policy.name, Origin::BuiltIn)
        });
    files.chain(built_in).collect()
}

/// The description of a policy file, as far as it is known.
pub(super) fn of_file(
    compiler: &PolicyCompiler,
    name: &PolicyName,
    digest: Digest,
    size: u64,
) -> Available {
    let known = nothing_known(name.as_str(), Origin::Folder);
    described(compiler, known, digest, size)
}

fn described(
    compiler: &PolicyCompiler,
    mut policy: Available,
    digest: Digest,
    size: u64,
) -> Available {
    (policy.digest, policy.size) = (digest.to_string(), size);
    let Some(finding) = compiler.finding(digest) else {
        return policy;
    };
    match finding.kind {
        Ok(kind) => {
            policy.kind = Some(kind.to_string());
            policy.warning = misleading(&policy.name, kind);
        }
        Err(refusal) => policy.error = Some(refusal.to_string()),
    }
    match finding.about {
        Some(Ok(about)) => (policy.version, policy.summary) = (about.version, about.summary),
        // It may be fine with the configuration that it needs.
        Some(Err(Refusal::Config(_))) | None => {}
        Some(Err(refusal)) => policy.error = Some(refusal.to_string()),
    }
    policy
}

/// A warning if this is also the name of a built-in policy of another kind.
fn misleading(name: &str, kind: Kind) -> Option<String> {
    let others = Kind::ALL.into_iter().filter(|&other| other != kind);
    let other = others
        .into_iter()
        .find(|&other| dataverse_builtin::find(other, name).is_some())?;
    let is_own = dataverse_builtin::find(kind, name).is_some();
    (!is_own).then(|| {
        format!(
            "this is a {kind} policy, and the built-in {other} policy `{name}`, which stays available, has the same name: choose another name to tell them apart"
        )
    })
}

fn nothing_known(name: &str, origin: Origin) -> Available {
    Available {
        name: name.to_owned(),
        kind: None,
        version: String::new(),
        summary: String::new(),
        digest: String::new(),
        origin,
        size: 0,
        warning: None,
        error: None,
    }
}
