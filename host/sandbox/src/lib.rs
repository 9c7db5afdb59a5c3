//! Runs policies: WebAssembly components in a sandbox with bounded fuel, time, memory and answers. This is the
//! only crate that knows wasmtime.
//!
//! One [`Sandbox`] compiles files into [`Program`]s. A program creates instances, which implement the ports of
//! `dataverse_core::policy`. An instance is one policy with its own memory. It is asked by one thread at a time,
//! never suspends, and is never entered again after any fault except an invalid verdict: its owner drops it and
//! creates another.
//!
//! ```text
//! bytes ── size ── parse ── imports, exports, version, cost ── compile ──► Program
//! Program ── instantiate ── describe ── configure ──► PlacementGuest, EvictionGuest or RelocationGuest
//! ```
//!
//! `format`, `imports`, `check`, `cost` and `wrap` examine a file; `compiler` has it compiled in a process of its
//! own, whose side is `serve`; `sandbox` owns the
//! engine, `ticker` its clock; `instance`, `allowance` and `journal` belong to one instance; `contract` has the
//! types of the contract; [`conformance`] tests whole policies.
//!
//! This crate judges a policy's answers only by their length. Whether a verdict is valid is decided by the core,
//! which treats native policies and guests alike. Nothing here uses files (except the compile cache), other
//! programs (except the compiler's process, if there is one), the network or an async runtime. Every call blocks
//! for at most a little longer than the wall-clock limit of its instance.
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
mod format;
mod imports;
mod instance;
mod journal;
pub mod limits;
mod placement;
mod program;
mod refusal;
mod relocation;
mod sandbox;
mod serve;
mod ticker;
mod wrap;

pub mod conformance;

pub use compiler::{CompileBounds, CompilerProcess, UNSERVED};
pub use contract::VERSION as CONTRACT_VERSION;
pub use eviction::EvictionGuest;
pub use instance::{About, Cost, GuestLimits, Setup};
pub use journal::{Level, LogSink};
pub use placement::PlacementGuest;
pub use program::{Canary, Program};
pub use refusal::Refusal;
pub use relocation::RelocationGuest;
pub use sandbox::{Sandbox, SandboxError, SandboxOptions};
pub use serve::serve;
pub use wrap::componentize;
