//! The policy contract as wasmtime sees it: names, and the types that cross the border.
//!
//! Written by hand after `sdk/wit/policy.wit`, field by field. wasmtime compares them with the types of
//! each component when it is linked, so a mistake here shows at once. Arguments borrow from the core's types;
//! answers are owned, and bounded by what a store lets a guest hand over.

use dataverse_core::policy::{CacheEntry, FileView, Kind, NodeView};
use wasmtime::component::{ComponentType, Lift, Lower};

/// The version that this host speaks.
pub(crate) const VERSION: &str = "0.1.0";
/// What every interface's name begins with.
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

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct File<'a> {
    id: u64,
    user: &'a str,
    name: &'a str,
    size: u64,
}

impl<'a> From<&'a FileView> for File<'a> {
    fn from(view: &'a FileView) -> Self {
        Self {
            id: view.id,
            user: &view.user,
            name: &view.name,
            size: view.size,
        }
    }
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Node<'a> {
    id: u64,
    zone: &'a str,
    hops: u32,
    capacity: u64,
    free: u64,
    load: u32,
}

impl<'a> From<&'a NodeView> for Node<'a> {
    fn from(view: &'a NodeView) -> Self {
        Self {
            id: view.id,
            zone: &view.zone,
            hops: view.hops,
            capacity: view.capacity,
            free: view.free,
            load: view.load,
        }
    }
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Request<'a> {
    pub(crate) file: File<'a>,
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

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Read<'a> {
    pub(crate) file: File<'a>,
    pub(crate) reads: u32,
    pub(crate) path: &'a [Node<'a>],
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
