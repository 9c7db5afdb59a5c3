//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

// The sandbox of policies.

/// Fuel of one decision unless told otherwise; most instructions cost one.
pub const POLICY_FUEL_DEFAULT: u64 = 50_000_000;
/// Wall-clock time of one decision unless told otherwise.
pub const POLICY_WALL_MS_DEFAULT: u64 = 100;
/// Memory of one instance of a policy unless told otherwise.
pub const POLICY_MEMORY_MIB_DEFAULT: u64 = 64;
/// An instance's first breath (instantiation, introduction, configuration) has so many times the fuel and
/// time of a decision: it comes when an instance is made, and no request waits for that.
pub const POLICY_START_BUDGETS: u64 = 10;
/// That time is at most this, or the time of a decision if that is more.
pub const POLICY_START_WALL_MS_MAX: u64 = 10_000;
/// How often the clock advances by which calls into policies are cut off.
pub const POLICY_TICK_MS: u64 = 5;
/// Bytes in a policy's file.
pub const POLICY_FILE_BYTES_MAX: usize = 32 << 20;
/// Bytes of native stack that a policy may use; it must fit well within a thread's 2 MiB.
pub const POLICY_STACK_BYTES_MAX: usize = 512 << 10;
/// Elements in all tables of one instance of a policy.
pub const POLICY_TABLE_ELEMENTS_MAX: usize = 128 << 10;
/// Core instances in one instance of a policy; as many tables, as many memories.
pub const POLICY_INSTANCES_MAX: usize = 128;
/// Bytes that a policy may hand to its host in one go.
pub const POLICY_HANDED_BYTES_MAX: usize = 1 << 20;
/// Bytes in the name, the version and the summary of a policy, as it tells them itself, each.
pub const POLICY_ABOUT_BYTES_MAX: usize = 1024;
/// Bytes in the schema of a policy's configuration.
pub const POLICY_SCHEMA_BYTES_MAX: usize = 64 << 10;
/// Functions that are named where a policy failed, the innermost ones, and …
pub const POLICY_FRAMES_NAMED: usize = 3;
/// … the bytes of each name.
pub const POLICY_FRAME_BYTES_MAX: usize = 120;
/// Bytes of a line that a policy logs; the rest is cut off.
pub const POLICY_LOG_BYTES_MAX: usize = 1024;
/// Lines that an instance of a policy may log in a second; the rest is counted.
pub const POLICY_LOG_LINES_PER_SECOND_MAX: u32 = 20;
/// Functions in a policy. CPython has 13 thousand.
pub const POLICY_FUNCTIONS_MAX: usize = 40_000;
/// Calls in the functions of a policy, at places and not in time.
pub const POLICY_CALLS_MAX: u64 = 1_500_000;
/// Parameters and locals in the functions of a policy.
pub const POLICY_LOCALS_MAX: u64 = 10_000_000;
/// Blocks in the functions of a policy, each counted as often as others lie around it.
pub const POLICY_LEVELS_MAX: u64 = 500_000_000;
/// Instructions in the functions of a policy.
pub const POLICY_INSTRUCTIONS_MAX: u64 = 10_000_000;
/// Bytes in one function of a policy.
pub const POLICY_FUNCTION_BYTES_MAX: usize = 1 << 20;
/// Compilation work in one function of a policy: values that are live at once times places where the flow
/// turns, at most.
pub const POLICY_FUNCTION_WORK_MAX: u64 = 4_000_000;
/// Compilation work in all functions of a policy.
pub const POLICY_WORK_MAX: u64 = 100_000_000;
/// Components within a policy, each counted as often as it can be instantiated.
pub const POLICY_PARTS_MAX: u64 = 4096;
/// Names of imports and exports that a policy is described with.
pub const POLICY_NAMES_MAX: usize = 64;
/// Processor time that compiling one policy may take unless told otherwise. CPython takes ten to twenty seconds.
pub const POLICY_COMPILE_SECONDS_DEFAULT: u64 = 60;
/// Memory that compiling one policy may take unless told otherwise.
pub const POLICY_COMPILE_MIB_DEFAULT: u64 = 1024;
/// Compiling may take so many times its processor time by the clock, as on a busy machine.
pub const POLICY_COMPILE_WALLS: u64 = 4;
/// Bytes of a compiled policy, which stay in memory as long as it is used.
pub const POLICY_CODE_BYTES_MAX: usize = 256 << 20;
/// Bytes of stack of the thread that compiles policies.
pub const POLICY_COMPILE_STACK_BYTES: usize = 16 << 20;
/// Compiled policies kept on disk, and …
pub const POLICY_CACHE_FILES_MAX: u64 = 256;
/// … their bytes, both kept roughly.
pub const POLICY_CACHE_BYTES_MAX: u64 = 512 << 20;
/// Faults told of one run of a conformance suite; the rest is counted.
pub const CONFORMANCE_FAULTS_MAX: usize = 16;
