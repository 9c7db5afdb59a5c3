//! For authors of Dataverse policies: implement one trait, call [`export!`], build for
//! `wasm32-unknown-unknown`, and drop the file into a node's `policies/` folder.

mod about;
mod config;
mod log;
mod random;
mod types;

pub mod eviction;
pub mod placement;
pub mod relocation;

pub use about::About;
pub use config::{NoConfig, parse as parse_config};
pub use eviction::{Admission, Entry, EvictionPolicy, Slot};
pub use placement::{PlacementPolicy, Request};
pub use relocation::{Read, RelocationPolicy, Verdict};
pub use log::{Level, log};
pub use random::{Random, mix};
pub use types::{File, Millis, Node, VERDICT_ENTRIES_MAX};

pub use serde;
pub use serde_json;
