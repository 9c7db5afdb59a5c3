//! The policy ports: the three decisions that a policy takes, and the native baselines behind them.
//!
//! The shapes are those of the policy contract. A port's implementation may fail (a *fault*); whoever
//! asks it checks the verdict and answers with the baseline when there was a fault.
//!
//! The baseline of eviction is not here: it is the cache's own order of last use, so that it can answer at
//! any moment, whatever state a policy is in.

use std::collections::BTreeSet;

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

/// A node, as the deciding node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Stable for the life of the node, evenly spread.
    pub id: u64,
    /// Failure domain; empty when the operator named none.
    pub zone: String,
    /// Links between the deciding node and this one; 0 is the deciding node itself.
    pub hops: u32,
    /// Bytes it may use.
    pub capacity: u64,
    /// Bytes still free.
    pub free: u64,
    /// Requests it answered per second, lately.
    pub load: u32,
}

/// What a placement policy is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementRequest {
    /// The file.
    pub file: FileView,
    /// Copies wanted.
    pub factor: u32,
    /// When it is asked.
    pub now: Millis,
}

/// Where the copies of a new file go.
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

/// Names one cached copy while it is cached; small and reused.
pub type Slot = u32;

/// One cached copy, or one that might become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its slot.
    pub slot: Slot,
    /// The file's id.
    pub file: u64,
    /// Bytes.
    pub size: u64,
    /// Hops it was fetched over: what a later miss would cost again.
    pub cost: u32,
    /// When.
    pub now: Millis,
}

/// What an eviction policy says of an incoming copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Cached from now on; these are dropped for it, coldest first.
    Admit(Vec<Slot>),
    /// Not worth caching.
    Refuse,
}

/// Which cached copies make room.
pub trait Eviction: Send {
    /// The byte budget, once before anything else and again whenever it changes.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails; so for every method here.
    fn set_capacity(&mut self, bytes: u64) -> Result<(), Fault>;
    /// Cached without this policy's word, coldest first, in batches of at most 4096: what was there when it
    /// took over and, later, what the baseline admitted or kept in its stead.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn restore(&mut self, entries: &[CacheEntry]) -> Result<(), Fault>;
    /// Read again, in this order.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn hit(&mut self, slots: &[Slot]) -> Result<(), Fault>;
    /// May `incoming` be cached, and what goes to free `needed` bytes for it (0 when there is room)?
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn admit(&mut self, incoming: CacheEntry, needed: u64) -> Result<Admission, Fault>;
    /// What goes to free `needed` bytes for something else, coldest first; asked again while short.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn make_room(&mut self, needed: u64, now: Millis) -> Result<Vec<Slot>, Fault>;
    /// Gone for another reason: deleted, overwritten, fetch failed, made a replica.
    ///
    /// # Errors
    /// See [`Eviction::set_capacity`].
    fn removed(&mut self, slots: &[Slot]) -> Result<(), Fault>;
}

/// A read that another node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRead {
    /// The file.
    pub file: FileView,
    /// Reads of this file through this node lately, this one included; halves every ten minutes.
    pub reads: u32,
    /// From the node that was asked (first) to the one that had it (last).
    pub path: Vec<NodeView>,
    /// When.
    pub now: Millis,
}

/// What a relocation policy says of a read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RelocationVerdict {
    /// Indices into the path of the nodes that shall cache a copy.
    pub copy_to: Vec<u32>,
    /// Index into the path of the node to which the holder's replica moves.
    pub move_to: Option<u32>,
}

/// Whether data moves towards those who read it.
pub trait Relocation: Send {
    /// Asked once for each read that another node answers, before the content flows.
    ///
    /// # Errors
    /// [`Fault`] when the policy fails.
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault>;
}

/// The indices as `usize`, when all are below `length` and distinct.
///
/// # Errors
/// [`FaultKind::Verdict`] that names the first index that is not.
pub(crate) fn distinct_indices(indices: &[u32], length: usize) -> Result<Vec<usize>, Fault> {
    let mut seen = BTreeSet::new();
    let mut checked = Vec::with_capacity(indices.len().min(length));
    for &index in indices {
        let place = index as usize;
        if place >= length {
            return Err(Fault::verdict(format!(
                "index {index} names none of the {length} nodes"
            )));
        }
        if !seen.insert(place) {
            return Err(Fault::verdict(format!("index {index} is named twice")));
        }
        checked.push(place);
    }
    Ok(checked)
}
