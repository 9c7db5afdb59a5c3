//! The policy contract as wasmtime sees it: interface names, and the types passed between host and guest.
//!
//! Written by hand after `sdk/wit/policy.wit`, field by field. wasmtime compares these types with those of each
//! component when it is linked, so a mistake is detected immediately.
//!
//! Arguments are copies that an instance keeps and overwrites ([`Reused`]). A function with borrowed types would
//! have to be type-checked again at every call, which takes longer than the call. Answers are owned, and bounded
//! by the number of bytes that the store lets a guest pass to the host.

use std::sync::Arc;

use dataverse_core::policy::{CacheEntry, FileView, Kind, NodeView};
use wasmtime::component::{ComponentType, Lift, Lower};

/// The contract version of this host.
pub const VERSION: &str = "0.1.0";
/// The common prefix of all interface names.
pub(crate) const PACKAGE: &str = "dataverse:policy/";

pub(crate) const TYPES: &str = "dataverse:policy/types@0.1.0";
pub(crate) const HOST: &str = "dataverse:policy/host@0.1.0";
pub(crate) const POLICY: &str = "dataverse:policy/policy@0.1.0";
pub(crate) const PLACEMENT: &str = "dataverse:policy/placement@0.1.0";
pub(crate) const EVICTION: &str = "dataverse:policy/eviction@0.1.0";
pub(crate) const RELOCATION: &str = "dataverse:policy/relocation@0.1.0";

/// The interface that a policy of this kind exports.
pub(crate) const fn interface(kind: Kind) -> &'static str {
    match kind {
        Kind::Placement => PLACEMENT,
        Kind::Eviction => EVICTION,
        Kind::Relocation => RELOCATION,
    }
}

/// An argument that is allocated once and overwritten before each call. The call gets a second reference to it,
/// which is dropped when the call ends.
#[derive(Default)]
pub(crate) struct Reused<T>(Arc<T>);

impl<T: Clone> Reused<T> {
    pub(crate) fn overwrite(&mut self, write: impl FnOnce(&mut T)) -> Arc<T> {
        write(Arc::make_mut(&mut self.0));
        Arc::clone(&self.0)
    }
}

#[derive(Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct File {
    id: u64,
    user: String,
    name: String,
    size: u64,
}

impl File {
    pub(crate) fn overwrite(&mut self, view: &FileView) {
        self.id = view.id;
        self.user.clone_from(&view.user);
        self.name.clone_from(&view.name);
        self.size = view.size;
    }
}

#[derive(Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Node {
    id: u64,
    zone: String,
    hops: u32,
    capacity: u64,
    free: u64,
    load: u32,
}

impl Node {
    fn overwrite(&mut self, view: &NodeView) {
        self.id = view.id;
        self.zone.clone_from(&view.zone);
        self.hops = view.hops;
        self.capacity = view.capacity;
        self.free = view.free;
        self.load = view.load;
    }

    pub(crate) fn overwrite_all(nodes: &mut Vec<Self>, views: &[NodeView]) {
        nodes.resize_with(views.len(), Self::default);
        for (node, view) in nodes.iter_mut().zip(views) {
            node.overwrite(view);
        }
    }
}

#[derive(Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Request {
    pub(crate) file: File,
    pub(crate) factor: u32,
    pub(crate) now: u64,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Entry {
    slot: u32,
    file: u64,
    size: u64,
    cost: u32,
    now: u64,
}

impl From<&CacheEntry> for Entry {
    fn from(entry: &CacheEntry) -> Self {
        Self {
            slot: entry.slot,
            file: entry.file,
            size: entry.size,
            cost: entry.cost,
            now: entry.now,
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Admission {
    #[component(name = "admit")]
    Admit(Vec<u32>),
    #[component(name = "refuse")]
    Refuse,
}

#[derive(Clone, Default, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Read {
    pub(crate) file: File,
    pub(crate) reads: u32,
    pub(crate) path: Vec<Node>,
    pub(crate) now: u64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Verdict {
    #[component(name = "copy-to")]
    pub(crate) copy_to: Vec<u32>,
    #[component(name = "move-to")]
    pub(crate) move_to: Option<u32>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    #[component(name = "config-schema")]
    pub(crate) config_schema: String,
}
