//! The shipped policies, native and as WebAssembly: each kind's conformance suite, the same answers from
//! both, and the miss ratios that another simulator measured.

mod conformance;
mod miss_ratios;
mod native;
mod parity;
mod reference;
mod wasm;
