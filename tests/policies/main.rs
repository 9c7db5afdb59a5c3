//! The built-in policies, native and as WebAssembly: the conformance suite of each kind, equal answers from both
//! forms, the miss ratios that another simulator measured, and which copies move when nodes change.

mod conformance;
mod miss_ratios;
mod native;
mod parity;
mod reference;
mod stability;
mod wasm;
