//! For authors of Dataverse policies: implement one trait, call [`export!`], build for
//! `wasm32-unknown-unknown`, and drop the file into a node's `policies/` folder.

mod about;
mod config;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod log;
mod random;
mod types;

pub mod eviction;
mod export;
pub mod placement;
pub mod ranking;
pub mod relocation;
pub mod slots;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use about::About;
pub use config::{NoConfig, parse as parse_config};
pub use eviction::{Admission, Entry, EvictionPolicy, Slot};
pub use log::{Level, log};
pub use placement::{PlacementPolicy, Request};
pub use random::{Random, mix};
pub use relocation::{Read, RelocationPolicy, Verdict};
pub use types::{File, Millis, Node, VERDICT_ENTRIES_MAX};

pub use serde;
pub use serde_json;
