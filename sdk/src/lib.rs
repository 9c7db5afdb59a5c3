//! For authors of Dataverse policies: implement one trait, call [`export!`], build for
//! `wasm32-unknown-unknown`, and drop the file into a node's `policies/` folder. The node uses it from its next
//! decision on.
//!
//! There are three kinds of decision, and a trait for each. These are complete policies.
//!
//! # Placement: where the copies of a new file go
//!
//! ```
//! use dataverse_sdk::{About, NoConfig, Node, PlacementPolicy, Request, about, export};
//!
//! /// The emptiest nodes first.
//! struct Roomy;
//!
//! impl PlacementPolicy for Roomy {
//!     type Config = NoConfig;
//!
//!     fn about() -> About {
//!         about!("the nodes with the most free bytes come first")
//!     }
//!
//!     fn new(_: NoConfig, _seed: u64) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn place(&mut self, _: &Request, candidates: &[Node]) -> Vec<u32> {
//!         let mut ranking: Vec<u32> = (0..candidates.len() as u32).collect();
//!         ranking.sort_by_key(|&index| u64::MAX - candidates[index as usize].free);
//!         ranking
//!     }
//! }
//!
//! export!(placement: Roomy);
//!
//! # use dataverse_sdk::testing::{check_placement, file, nodes};
//! # let mut candidates = nodes(3);
//! # candidates[1].free += 1;
//! # let request = Request { file: file(1), factor: 2, now: 0 };
//! # assert_eq!(check_placement(&mut Roomy, &request, &candidates), [1, 0, 2]);
//! ```
//!
//! # Eviction: which cached copies are evicted
//!
//! ```
//! use dataverse_sdk::slots::{Queues, Victims};
//! use dataverse_sdk::{About, Admission, Entry, EvictionPolicy, Millis, NoConfig, Slot, about, export};
//!
//! /// First in, first out.
//! struct Fifo(Queues);
//!
//! impl Fifo {
//!     fn victims(&mut self, needed: u64) -> Victims {
//!         Victims::gather(needed, || self.0.pop(0).map(|oldest| (oldest.slot, oldest.size)))
//!     }
//! }
//!
//! impl EvictionPolicy for Fifo {
//!     type Config = NoConfig;
//!     fn about() -> About { about!("drops the copy that came first") }
//!     fn new(_: NoConfig, _seed: u64) -> Result<Self, String> { Ok(Self(Queues::new(1))) }
//!     fn set_capacity(&mut self, _bytes: u64) {}
//!     fn restore(&mut self, entries: &[Entry]) {
//!         entries.iter().for_each(|entry| self.0.push(0, entry.slot, entry.size, ()));
//!     }
//!     fn hit(&mut self, _slots: &[Slot]) {}
//!     fn admit(&mut self, incoming: Entry, needed: u64) -> Admission {
//!         let victims = self.victims(needed);
//!         self.0.push(0, incoming.slot, incoming.size, ());
//!         Admission::Admit(victims.into_slots())
//!     }
//!     fn make_room(&mut self, needed: u64, _: Millis) -> Vec<Slot> { self.victims(needed).into_slots() }
//!     fn removed(&mut self, slots: &[Slot]) {
//!         slots.iter().for_each(|&slot| { self.0.remove(slot); });
//!     }
//! }
//!
//! export!(eviction: Fifo);
//!
//! # use dataverse_sdk::testing::Cache;
//! # let mut cache = Cache::new(Fifo::new(NoConfig {}, 7)?, 20);
//! # cache.replay([(1, 10), (2, 10), (1, 10), (3, 10)]);
//! # assert_eq!(cache.files(), [2, 3]);
//! # Ok::<(), String>(())
//! ```
//!
//! # Relocation: whether data moves towards its readers
//!
//! ```
//! use dataverse_sdk::serde::Deserialize;
//! use dataverse_sdk::{About, Read, RelocationPolicy, Verdict, about, export};
//!
//! /// Keeps a copy at the reader of files that are read often.
//! #[derive(Deserialize)]
//! #[serde(crate = "dataverse_sdk::serde", deny_unknown_fields)]
//! struct Often {
//!     reads: u32,
//! }
//!
//! impl RelocationPolicy for Often {
//!     type Config = Self;
//!
//!     fn about() -> About {
//!         about!("keeps a copy at the reader after `reads` reads")
//!     }
//!
//!     fn new(config: Self, _seed: u64) -> Result<Self, String> {
//!         Ok(config)
//!     }
//!
//!     fn on_read(&mut self, read: &Read) -> Verdict {
//!         let copy_to = if read.reads < self.reads { vec![] } else { vec![0] };
//!         Verdict { copy_to, move_to: None }
//!     }
//! }
//!
//! export!(relocation: Often);
//!
//! # use dataverse_sdk::testing::{check_relocation, file, path};
//! # let mut policy = Often::new(dataverse_sdk::parse_config(r#"{ "reads": 2 }"#)?, 7)?;
//! # let read = Read { file: file(1), reads: 2, path: path(3), now: 0 };
//! # assert_eq!(check_relocation(&mut policy, &read).copy_to, [0]);
//! # Ok::<(), String>(())
//! ```
//!
//! # Tests
//!
//! The exports exist only on `wasm32`. On any other target a policy is plain Rust: `cargo test` runs it, with
//! [`testing`] to drive it as a node does and to judge its verdicts by a node's rules. Native tests do not show fuel,
//! memory limits and traps: `dataverse policy check` runs the built component for that.
//!
//! # The same answers everywhere
//!
//! A policy has no clock, no files and no randomness except its seed, which [`Random`] and [`mix`] turn into uniform
//! bits. Equal questions must get equal answers on every machine. So do not iterate over a `HashMap`, whose order
//! varies (`BTreeMap` and [`slots`] have a fixed order), and use `libm` for powers and logarithms.
//!
//! A panic is a trap: the node logs its message, answers with its baseline and creates a new instance. The guide for
//! authors, with the limits and the rules for verdicts, is `docs/writing-a-policy.md`.

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
