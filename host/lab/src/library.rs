//! `PolicyLibrary`: the available policies, each compiled once, by digest.
//!
//! An experiment or the command line names a policy in one of three ways: by the name of a built-in, by the path
//! of a `.wasm` file, or as `baseline`, the native implementation that every node has.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::policy::{Eviction, Kind, Placement, ReaderKeepsCopy, Relocation, Rendezvous};
use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;
use dataverse_sandbox::{
    EvictionGuest, GuestLimits, PlacementGuest, Program, Refusal, RelocationGuest, Sandbox, Setup,
};
use parking_lot::Mutex;

use crate::limits;

/// The name of the native baseline of each kind.
pub const BASELINE: &str = "baseline";

/// A policy that is built into the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub wasm: &'static [u8],
}

/// Why a policy is not available.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// No built-in policy of this kind has the name, and it is not the path of a `.wasm` file.
    #[error(
        "there is no {kind} policy `{name}`; choose one of {known}, or give the path of a .wasm file"
    )]
    Unknown {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The file can't be read.
    #[error("{path} can't be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The native baseline was given a configuration.
    #[error("`{BASELINE}` takes no configuration; leave it out")]
    Unconfigurable,
    /// A node would refuse to run it.
    #[error("{name}: {refusal}")]
    Refused {
        /// Its name or path.
        name: String,
        /// Why.
        refusal: Refusal,
    },
}

/// Something whose calls cost fuel.
pub trait Priced {
    /// Fuel of the last call; 0 for native code.
    fn last_fuel(&self) -> u64 {
        0
    }
}

/// An instance that answers placement questions.
pub trait PricedPlacement: Placement + Priced {}
/// An instance that answers eviction questions.
pub trait PricedEviction: Eviction + Priced {}
/// An instance that answers relocation questions.
pub trait PricedRelocation: Relocation + Priced {}

impl<P: Placement + Priced> PricedPlacement for P {}
impl<P: Eviction + Priced> PricedEviction for P {}
impl<P: Relocation + Priced> PricedRelocation for P {}

impl Priced for Rendezvous {}
impl Priced for ReaderKeepsCopy {}

macro_rules! priced_guests {
    ($($guest:ty),+) => {$(
        impl Priced for $guest {
            fn last_fuel(&self) -> u64 {
                self.last_cost().fuel
            }
        }
    )+};
}

priced_guests!(PlacementGuest, EvictionGuest, RelocationGuest);

/// The limits of a decision in the lab: as much fuel and memory as on a node. Only fuel limits the time, because
/// it is the same on every machine: under a node's wall-clock limit, a busy machine would turn a decision into a
/// fault.
fn guest_limits() -> GuestLimits {
    GuestLimits {
        wall_ms: limits::LAB_WALL_MS_MAX,
        ..GuestLimits::default()
    }
}

/// A policy that was chosen and can be instantiated.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Its name: the built-in's, or the file's stem.
    pub name: String,
    /// Its configuration, a JSON object.
    pub config: String,
    /// The code; none for the native baseline.
    program: Option<Program>,
    limits: GuestLimits,
}

impl Chosen {
    /// BLAKE3 of its file; none for the native baseline.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.program.as_ref().map(Program::digest)
    }

    /// An instance that answers eviction questions; none if the cache's own order is to answer.
    ///
    /// # Errors
    /// [`Refusal`] when the policy does not start or rejects its configuration; likewise for the other kinds.
    pub fn eviction(&self, seed: u64) -> Result<Option<EvictionGuest>, Refusal> {
        self.program
            .as_ref()
            .map(|program| program.eviction(&self.setup(seed)))
            .transpose()
    }

    /// An instance that answers placement questions.
    ///
    /// # Errors
    /// See [`Chosen::eviction`].
    pub fn placement(&self, seed: u64) -> Result<Box<dyn PricedPlacement>, Refusal> {
        Ok(match &self.program {
            None => Box::new(Rendezvous),
            Some(program) => Box::new(program.placement(&self.setup(seed))?),
        })
    }

    /// An instance that answers relocation questions.
    ///
    /// # Errors
    /// See [`Chosen::eviction`].
    pub fn relocation(&self, seed: u64) -> Result<Box<dyn PricedRelocation>, Refusal> {
        Ok(match &self.program {
            None => Box::new(ReaderKeepsCopy),
            Some(program) => Box::new(program.relocation(&self.setup(seed))?),
        })
    }

    fn setup(&self, seed: u64) -> Setup {
        Setup {
            name: self.name.clone(),
            config: self.config.clone(),
            seed,
            limits: self.limits,
            ..Setup::default()
        }
    }
}

/// The available policies.
pub struct PolicyLibrary {
    sandbox: Arc<Sandbox>,
    built_in: Vec<BuiltIn>,
    compiled: Mutex<BTreeMap<Digest, Program>>,
}

impl PolicyLibrary {
    /// A library of these built-ins and of any file.
    #[must_use]
    pub fn new(sandbox: Arc<Sandbox>, built_in: Vec<BuiltIn>) -> Self {
        Self {
            sandbox,
            built_in,
            compiled: Mutex::default(),
        }
    }

    /// The policy of this name or path, with this configuration: a JSON object, or nothing. Tries the policy once,
    /// so that a configuration that it rejects is refused here.
    ///
    /// # Errors
    /// [`LibraryError`] when it does not exist, or a node would refuse to run it.
    pub fn choose(&self, kind: Kind, policy: &str, config: &str) -> Result<Chosen, LibraryError> {
        if policy == BASELINE {
            if !matches!(config.trim(), "" | "{}") {
                return Err(LibraryError::Unconfigurable);
            }
            return Ok(Chosen {
                name: policy.to_owned(),
                config: config.to_owned(),
                program: None,
                limits: guest_limits(),
            });
        }
        let (name, bytes) = self.read(kind, policy)?;
        let refused = |refusal| LibraryError::Refused {
            name: policy.to_owned(),
            refusal,
        };
        let program = self.compile(&bytes).map_err(refused)?;
        let chosen = Chosen {
            name,
            config: config.to_owned(),
            program: Some(program.clone()),
            limits: guest_limits(),
        };
        if program.kind() != kind {
            return Err(refused(Refusal::OtherKind {
                found: program.kind(),
                wanted: kind,
            }));
        }
        program.canary(&chosen.setup(0)).map_err(refused)?;
        Ok(chosen)
    }

    fn read(&self, kind: Kind, policy: &str) -> Result<(String, Cow<'static, [u8]>), LibraryError> {
        let of_kind = || self.built_in.iter().filter(|it| it.kind == kind);
        if let Some(found) = of_kind().find(|it| it.name == policy) {
            return Ok((found.name.to_owned(), Cow::Borrowed(found.wasm)));
        }
        let path = Path::new(policy);
        let Some(stem) = path.file_stem().filter(|_| policy.ends_with(".wasm")) else {
            return Err(LibraryError::Unknown {
                kind,
                name: policy.to_owned(),
                known: of_kind().map(|it| it.name).collect::<Vec<_>>().join(", "),
            });
        };
        let unreadable = |reason: String| LibraryError::Unreadable {
            path: policy.to_owned(),
            reason,
        };
        let bytes = crate::file::bytes(path, POLICY_FILE_BYTES_MAX as u64)
            .map_err(|error| unreadable(error.to_string()))?;
        Ok((stem.to_string_lossy().into_owned(), Cow::Owned(bytes)))
    }

    fn compile(&self, bytes: &[u8]) -> Result<Program, Refusal> {
        let digest = Digest::of(bytes);
        let mut compiled = self.compiled.lock();
        if let Some(program) = compiled.get(&digest) {
            return Ok(program.clone());
        }
        let program = self.sandbox.compile(bytes)?;
        compiled.insert(digest, program.clone());
        Ok(program)
    }
}
