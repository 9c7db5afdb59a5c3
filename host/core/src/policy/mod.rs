//! The policy ports: the three decisions that a policy takes, and the native baselines behind them.
//!
//! The types mirror the policy contract (`sdk/wit/policy.wit`). An implementation of a port may fail (a *fault*).
//! The caller checks every verdict and lets the baseline answer after a fault.
//!
//! `kind` names the three kinds and `fault` says what went wrong. `record` judges a policy by its faults.
//! `rendezvous` and `reader_keeps_copy` are the baselines of placement and relocation. The baseline of eviction is
//! part of the cache: it is the cache's own order of last use, so it can answer at any time, whatever state a
//! policy is in.

use std::collections::BTreeSet;

use crate::key::Key;
use crate::version::Millis;

mod fault;
mod kind;
mod reader_keeps_copy;
mod record;
mod rendezvous;

pub use fault::{Fault, FaultKind};
pub use kind::{Kind, UnknownKind};
pub use reader_keeps_copy::ReaderKeepsCopy;
pub use record::{Conduct, PolicyRecord, Trouble};
pub use rendezvous::Rendezvous;

/// A file, as policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// The file's id.
    pub id: u64,
    /// The user part of its key.
    pub user: String,
    /// The name part of its key.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

impl FileView {
    /// What policies see of this file.
    #[must_use]
    pub fn of(key: &Key, size: u64) -> Self {
        Self {
            id: key.file_id().0,
            user: key.user().to_owned(),
            name: key.name().to_owned(),
            size,
        }
    }
}

/// A node, as seen from the deciding node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Stable for the lifetime of the node, uniformly distributed.
    pub id: u64,
    /// Failure domain; empty when the operator has set none.
    pub zone: String,
    /// Links between the deciding node and this one; 0 is the deciding node itself.
    pub hops: u32,
    /// Bytes that it may use.
    pub capacity: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Requests answered per second, recently.
    pub load: u32,
}

/// A question to a placement policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementRequest {
    /// The file.
    pub file: FileView,
    /// Copies wanted.
    pub factor: u32,
    /// The time of the question.
    pub now: Millis,
}

/// Decides where the copies of a new file go.
pub trait Placement: Send {
    /// Indices into `candidates`, best first, all distinct.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails.
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault>;
}

/// Identifies a cached copy while it is cached; small and reused.
pub type Slot = u32;

/// A cached copy, or one that might be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its slot.
    pub slot: Slot,
    /// The file's id.
    pub file: u64,
    /// Bytes.
    pub size: u64,
    /// Hops over which it was fetched: the cost of a later miss.
    pub cost: u32,
    /// The time of the event.
    pub now: Millis,
}

/// An eviction policy's answer about an incoming copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Cache it, and evict these for it, in this order.
    Admit(Vec<Slot>),
    /// Do not cache it.
    Refuse,
}

/// Decides which cached copies are evicted.
pub trait Eviction: Send {
    /// Sets the budget in bytes: once before any other call, and again whenever it changes.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails, as for every method here.
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault>;
    /// These copies were cached without a verdict of this policy, least recently used first, in batches of at most
    /// 4096: copies that existed when it took over and, later, copies that the baseline admitted or kept.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault>;
    /// These copies were read, in this order.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault>;
    /// May `incoming` be cached, and which copies are evicted to free `needed` bytes for it (0 when there is
    /// enough space)?
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault>;
    /// Which copies are evicted to free `needed` bytes for something else, coldest first? Asked again while that
    /// is not enough.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault>;
    /// These copies are gone for another reason: deleted, overwritten, their fetch failed, or they became
    /// replicas.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault>;
}

/// A read that another node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRead {
    /// The file.
    pub file: FileView,
    /// Recent reads of this file through this node, this one included; the count halves every ten minutes.
    pub reads: u32,
    /// From the node that was asked (first) to the node that has the file (last).
    pub path: Vec<NodeView>,
    /// The time of the read.
    pub now: Millis,
}

/// A relocation policy's answer about a read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RelocationVerdict {
    /// Indices into the path of the nodes that should cache a copy.
    pub copy_to: Vec<u32>,
    /// Index into the path of the node to which the holder's replica should move.
    pub move_to: Option<u32>,
}

/// Decides whether data moves towards its readers.
pub trait Relocation: Send {
    /// Asked once for each read that another node serves, before the content is transferred.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails.
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault>;
}

/// The indices as `usize`, if all are below `length` and distinct.
///
/// # Errors
/// [`FaultKind::Verdict`] naming the first index that is not.
pub(crate) fn distinct_indices(indices: &[u32], length: usize) -> Result<Vec<usize>, Fault> {
    let mut seen = BTreeSet::new();
    let mut checked = Vec::with_capacity(indices.len().min(length));
    for &index in indices {
        let place = index as usize;
        if place >= length {
            return Err(Fault::verdict(format!(
                "index {index} is out of range: there are {length} nodes"
            )));
        }
        if !seen.insert(place) {
            return Err(Fault::verdict(format!("index {index} is named twice")));
        }
        checked.push(place);
    }
    Ok(checked)
}
