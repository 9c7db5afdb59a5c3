//! Runs policies: WebAssembly components in a sandbox with bounded fuel, time, memory and answers. The only
//! place that knows wasmtime.
