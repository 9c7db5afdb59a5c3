//! Runs policies: WebAssembly components in a sandbox with bounded fuel, time, memory and answers. The only
//! place that knows wasmtime.

/// What one decision may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// Fuel.
    pub fuel: u64,
    /// Milliseconds of wall-clock time.
    pub wall_ms: u64,
    /// Mebibytes of memory.
    pub memory_mib: u64,
}
