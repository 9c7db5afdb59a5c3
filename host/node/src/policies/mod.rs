//! The policies of a node: which ones there are, which one decides, and how one replaces another at run time.
//!
//! A change of policy always goes through the policies folder. An operator edits it, or a request comes in through
//! `PolicyApi` (`api`, implemented by `Policies` in `live`), is checked, and the `controller` writes the folder. The
//! `watcher` notices the change, and the controller brings what runs in line with what the folder asks for: it reads
//! the folder, has the policy compiled, runs a canary, and swaps the policy in the driver's policy slot.
//!
//! - `spec`: what the operator asks for (`KindSpec`); `spec_file` reads `policies.toml`, `table` writes it.
//! - `name`, `reference`: the name of a policy; a policy together with how it is run (`PolicyRef`).
//! - `folder`, `watcher`: the policies folder; when to read it again.
//! - `compiler`, `compiling`, `trial`: compiles policies, in a separate process where possible, and runs canaries;
//!   puts test questions to policies.
//! - `controller`: the task that owns the state of each kind and performs swaps and rollbacks; `instance` adapts
//!   compiled policies to the policy slots, `measured` meters their calls.
//! - `running`, `running_shadow`, `shadow`: the active policy, the shadow policy, and how their answers compare.
//! - `history`: the good policies that can be rolled back to, and the barred one.
//! - `status`, `view`: what the controller last published; what the API returns of it.
//!
//! Nothing here takes a decision: the driver's policy slots ask the policies.

pub mod api;
mod compiler;
pub mod compiling;
mod controller;
mod folder;
mod history;
mod instance;
mod live;
mod measured;
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
