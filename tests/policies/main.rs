//! The shipped policies, native and as WebAssembly: each kind's conformance suite, the same answers from
//! both, the miss ratios that another simulator measured, and what moves when nodes change.

mod conformance;
mod miss_ratios;
mod native;
mod parity;
mod reference;
mod stability;
mod wasm;
