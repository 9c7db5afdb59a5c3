//! Runs policies: WebAssembly components in a sandbox with bounded fuel, time, memory and answers. The only
//! place that knows wasmtime.
//!
//! One [`Sandbox`] compiles files into [`Program`]s; a program makes instances, which implement the ports of
//! `dataverse_core::policy`. An instance is one policy with a memory of its own. It is asked by one thread
//! at a time, never suspends, and after any fault but an invalid verdict it is never entered again: its
//! owner drops it and makes another.
//!
//! ```text
//! bytes ── size ── parse ── imports, exports, version, cost ── compile ──► Program
//! Program ── instantiate ── describe ── configure ──► PlacementGuest, EvictionGuest or RelocationGuest
//! ```
//!
//! What a policy says is not judged here beyond its length: whether a verdict is valid is for the core, which
//! treats native policies and guests alike. Nothing here touches files (but the compile cache), other programs
//! (but the process that compiles, if there is one), the network or an async runtime; every call blocks, for at most the wall-clock limit of its instance and a little.
//!
//! ```
//! use dataverse_core::policy::Kind;
//! use dataverse_sandbox::{Refusal, Sandbox, SandboxOptions};
//!
//! let sandbox = Sandbox::new(SandboxOptions::default())?;
//! let refused = sandbox.compile(b"GIF89a").unwrap_err();
//! assert!(matches!(refused, Refusal::NotWasm(_)));
//! # Ok::<(), dataverse_sandbox::SandboxError>(())
//! ```

mod allowance;
mod check;
mod compiler;
mod contract;
mod cost;
mod eviction;
mod instance;
mod journal;
pub mod limits;
mod placement;
mod program;
mod refusal;
mod relocation;
mod sandbox;
mod ticker;
mod wrap;

pub mod conformance;

pub use compiler::{CompileBounds, CompilerProcess, UNSERVED, serve};
pub use contract::VERSION as CONTRACT_VERSION;
pub use eviction::EvictionGuest;
pub use instance::{About, Cost, GuestLimits, Setup};
pub use journal::{Level, LogSink};
pub use placement::PlacementGuest;
pub use program::{Canary, Program};
pub use refusal::Refusal;
pub use relocation::RelocationGuest;
pub use sandbox::{Sandbox, SandboxError, SandboxOptions};
pub use wrap::componentize;
