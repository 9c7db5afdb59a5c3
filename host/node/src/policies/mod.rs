//! The policies of a node: which ones it has, which of them decides now, and how one takes over from another.
//!
//! `spec` is what the operator asked for (`policies.toml`, read by `specs` and written by `table`), `view`
//! what is told of it (`status`), `policy_api` what may be asked of it. `folder` is where policies lie and `watcher`
//! says when to look there again; `compiler` compiles them (in the process of `compiling`, if there may be one),
//! `trial` puts questions to them, `instance` makes them fit the driver's seats, `controller` puts the right ones there
//! and `history` remembers the good ones. `built_in` are the policies that come with the program. The decisions
//! themselves go through the driver's judges; nothing here takes one.

pub mod api;
mod compiler;
pub mod compiling;
mod controller;
mod folder;
mod history;
mod instance;
mod live;
pub mod name;
mod reference;
mod running;
mod running_shadow;
pub mod shadow;
pub mod spec;
mod spec_file;
mod status;
mod table;
#[cfg(test)]
mod tests;
pub mod trial;
pub mod view;
mod watcher;

pub use compiler::PolicyCompiler;
pub use live::{Policies, PoliciesConfig};
