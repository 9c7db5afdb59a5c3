//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

// Limits of one decision.

/// Default fuel of one decision; most instructions cost one.
pub const POLICY_FUEL_DEFAULT: u64 = 50_000_000;
/// Default wall-clock time of one decision.
pub const POLICY_WALL_MS_DEFAULT: u64 = 100;
/// Default memory of one policy instance.
pub const POLICY_MEMORY_MIB_DEFAULT: u64 = 64;
/// Starting an instance (instantiation, introduction, configuration) may take this many times the fuel and time
/// of a decision: no request waits for it.
pub const POLICY_START_BUDGETS: u64 = 10;
/// Longest wall-clock time for starting an instance, unless one decision may take longer.
pub const POLICY_START_WALL_MS_MAX: u64 = 10_000;
/// Period of the clock by which calls into policies are interrupted.
pub const POLICY_TICK_MS: u64 = 5;

// A running instance.

/// Bytes of native stack that a policy may use; must fit well within a thread's 2 MiB.
pub const POLICY_STACK_BYTES_MAX: usize = 512 << 10;
/// Elements in all tables of one policy instance.
pub const POLICY_TABLE_ELEMENTS_MAX: usize = 128 << 10;
/// Core instances in one policy instance; the same number of tables and of memories.
pub const POLICY_INSTANCES_MAX: usize = 128;
/// Bytes that a policy may pass to the host in one call.
pub const POLICY_HANDED_BYTES_MAX: usize = 1 << 20;
/// Bytes in each of the name, version and summary that a policy reports of itself.
pub const POLICY_ABOUT_BYTES_MAX: usize = 1024;
/// Bytes in the JSON schema of a policy's configuration.
pub const POLICY_SCHEMA_BYTES_MAX: usize = 64 << 10;
/// Innermost stack frames named in a fault, and …
pub const POLICY_FRAMES_NAMED: usize = 3;
/// … bytes of each name.
pub const POLICY_FRAME_BYTES_MAX: usize = 120;
/// Bytes in a log line of a policy; the rest is cut off.
pub const POLICY_LOG_BYTES_MAX: usize = 1024;
/// Lines that a policy instance may log per second; further ones are only counted.
pub const POLICY_LOG_LINES_PER_SECOND_MAX: u32 = 20;

// A policy file, checked before it is compiled.

/// Bytes in a policy file.
pub const POLICY_FILE_BYTES_MAX: usize = 32 << 20;
/// Functions in a policy. CPython has 13 thousand.
pub const POLICY_FUNCTIONS_MAX: usize = 40_000;
/// Call instructions in the functions of a policy.
pub const POLICY_CALLS_MAX: u64 = 1_500_000;
/// Parameters and locals in the functions of a policy.
pub const POLICY_LOCALS_MAX: u64 = 10_000_000;
/// Blocks in the functions of a policy, each counted once for every block around it.
pub const POLICY_LEVELS_MAX: u64 = 500_000_000;
/// Instructions in the functions of a policy.
pub const POLICY_INSTRUCTIONS_MAX: u64 = 10_000_000;
/// Bytes in one function of a policy.
pub const POLICY_FUNCTION_BYTES_MAX: usize = 1 << 20;
/// Estimated work to compile one function of a policy: values live at the same time, times branch points.
pub const POLICY_FUNCTION_WORK_MAX: u64 = 4_000_000;
/// Estimated work to compile all functions of a policy.
pub const POLICY_WORK_MAX: u64 = 100_000_000;
/// Components within a policy, each counted as often as it can be instantiated.
pub const POLICY_PARTS_MAX: u64 = 4096;
/// Names of imports and exports listed when a policy is described.
pub const POLICY_NAMES_MAX: usize = 64;

// Compiling.

/// Default processor time for compiling one policy. CPython takes ten to twenty seconds.
pub const POLICY_COMPILE_SECONDS_DEFAULT: u64 = 60;
/// Default memory for compiling one policy.
pub const POLICY_COMPILE_MIB_DEFAULT: u64 = 1024;
/// Wall-clock time for compiling, as a multiple of its processor time: the machine may be busy.
pub const POLICY_COMPILE_WALLS: u64 = 4;
/// Bytes of native code of a compiled policy, which stays in memory while the policy is in use.
pub const POLICY_CODE_BYTES_MAX: usize = 256 << 20;
/// Bytes of stack of the thread that compiles policies.
pub const POLICY_COMPILE_STACK_BYTES: usize = 16 << 20;
/// Compiled policies in the cache on disk, and …
pub const POLICY_CACHE_FILES_MAX: u64 = 256;
/// … their bytes; both are kept approximately.
pub const POLICY_CACHE_BYTES_MAX: u64 = 512 << 20;

// Conformance suites.

/// Faults that the report of a conformance suite lists; the rest are only counted.
pub const CONFORMANCE_FAULTS_MAX: usize = 16;
