//! `Program`: a compiled policy, from which instances are created.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::id::FileId;
use dataverse_core::policy::{
    CacheEntry, Eviction, Fault, FileView, Kind, NodeView, Placement, PlacementRequest, Relocation,
    RemoteRead,
};
use wasmtime::component::InstancePre;

use crate::check::Checked;
use crate::instance::{About, Cost, Instance, Setup, State};
use crate::limits;
use crate::refusal::Refusal;
use crate::ticker::Ticker;
use crate::{EvictionGuest, PlacementGuest, RelocationGuest};

/// A compiled policy. Cheap to clone: clones share the code.
#[derive(Clone)]
pub struct Program(Arc<Compiled>);

impl fmt::Debug for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Program({}, {})", self.kind(), self.digest())
    }
}

struct Compiled {
    linked: InstancePre<State>,
    checked: Checked,
    digest: Digest,
    size_bytes: usize,
    compile_time: Duration,
    /// Interrupts the calls of every instance.
    ticker: Arc<Ticker>,
}

/// The result of a trial.
#[derive(Clone, Debug)]
pub struct Canary {
    /// The policy's description of itself.
    pub about: About,
    /// Fuel that the trial decision took.
    pub fuel: u64,
    /// How long the trial decision took.
    pub elapsed: Duration,
}

impl Program {
    pub(crate) fn new(
        linked: InstancePre<State>,
        checked: Checked,
        digest: Digest,
        size_bytes: usize,
        compile_time: Duration,
        ticker: Arc<Ticker>,
    ) -> Self {
        Self(Arc::new(Compiled {
            linked,
            checked,
            digest,
            size_bytes,
            compile_time,
            ticker,
        }))
    }

    /// The kind of decision that it makes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.checked.kind
    }

    /// BLAKE3 of the original file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Size of the original file in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.size_bytes
    }

    /// How long checking and compiling took, including the wait for other compilations; short when the code came
    /// from the compile cache.
    #[must_use]
    pub fn compile_time(&self) -> Duration {
        self.0.compile_time
    }

    /// Names of the component's imports.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.0.checked.imports
    }

    /// Names of the component's exports; those outside the contract only up to a limit.
    #[must_use]
    pub fn exports(&self) -> &[String] {
        &self.0.checked.exports
    }

    /// Creates and configures a placement instance.
    ///
    /// # Errors
    /// [`Refusal`] when the policy is of another kind, fails, or rejects its configuration. The same holds for the
    /// other kinds.
    pub fn placement(&self, setup: &Setup) -> Result<PlacementGuest, Refusal> {
        self.instance(Kind::Placement, setup)
            .and_then(PlacementGuest::new)
    }

    /// Creates and configures an eviction instance.
    ///
    /// # Errors
    /// See [`Program::placement`].
    pub fn eviction(&self, setup: &Setup) -> Result<EvictionGuest, Refusal> {
        self.instance(Kind::Eviction, setup)
            .and_then(EvictionGuest::new)
    }

    /// Creates and configures a relocation instance.
    ///
    /// # Errors
    /// See [`Program::placement`].
    pub fn relocation(&self, setup: &Setup) -> Result<RelocationGuest, Refusal> {
        self.instance(Kind::Relocation, setup)
            .and_then(RelocationGuest::new)
    }

    /// The canary: creates and configures an instance, lets it take one decision of its kind, and drops it. The
    /// decision is not judged.
    ///
    /// # Errors
    /// [`Refusal`] when any of this fails.
    pub fn canary(&self, setup: &Setup) -> Result<Canary, Refusal> {
        let (about, cost) = match self.kind() {
            Kind::Placement => {
                let mut guest = self.placement(setup)?;
                trial_placement(&mut guest)?;
                (guest.about().clone(), guest.last_cost())
            }
            Kind::Eviction => {
                let mut guest = self.eviction(setup)?;
                trial_eviction(&mut guest)?;
                (guest.about().clone(), guest.last_cost())
            }
            Kind::Relocation => {
                let mut guest = self.relocation(setup)?;
                trial_relocation(&mut guest)?;
                (guest.about().clone(), guest.last_cost())
            }
        };
        let Cost { fuel, elapsed } = cost;
        Ok(Canary {
            about,
            fuel,
            elapsed,
        })
    }

    /// Refuses code that takes too much memory while it is loaded.
    pub(crate) fn is_small_enough(&self) -> Result<(), Refusal> {
        let image = self.0.linked.component().image_range();
        let bytes = image.end.addr() - image.start.addr();
        if bytes <= limits::POLICY_CODE_BYTES_MAX {
            return Ok(());
        }
        Err(Refusal::TooMuchCode {
            mib: bytes >> 20,
            most: limits::POLICY_CODE_BYTES_MAX >> 20,
        })
    }

    fn instance(&self, wanted: Kind, setup: &Setup) -> Result<Instance, Refusal> {
        let found = self.kind();
        if found != wanted {
            return Err(Refusal::OtherKind { found, wanted });
        }
        let compiled = &self.0;
        let ticker = Arc::clone(&compiled.ticker);
        Instance::start(&compiled.linked, compiled.digest, ticker, setup)
    }
}

fn trial_placement(guest: &mut PlacementGuest) -> Result<(), Fault> {
    let request = PlacementRequest {
        file: trial_file(),
        factor: 2,
        now: 0,
    };
    let candidates: Vec<NodeView> = (0..3).map(trial_node).collect();
    guest.place(&request, &candidates).map(drop)
}

fn trial_eviction(guest: &mut EvictionGuest) -> Result<(), Fault> {
    let incoming = CacheEntry {
        slot: 0,
        file: trial_file().id,
        size: 1000,
        cost: 1,
        now: 0,
    };
    guest.set_capacity(1 << 20)?;
    guest.admit(incoming, 0).map(drop)
}

fn trial_relocation(guest: &mut RelocationGuest) -> Result<(), Fault> {
    let read = RemoteRead {
        file: trial_file(),
        reads: 1,
        path: (0..3).map(trial_node).collect(),
        now: 0,
    };
    guest.on_read(&read).map(drop)
}

fn trial_file() -> FileView {
    FileView {
        id: FileId::of("ada/notes.txt").0,
        user: "ada".to_owned(),
        name: "notes.txt".to_owned(),
        size: 1000,
    }
}

fn trial_node(hops: u32) -> NodeView {
    NodeView {
        id: u64::from(hops) << 60 | 5,
        zone: String::new(),
        hops,
        capacity: 1 << 30,
        free: 1 << 29,
        load: 0,
    }
}
