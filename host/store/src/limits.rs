//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

// Writing.

/// Largest content that is stored in the index instead of a file of its own, in bytes.
pub const INLINE_BYTES_MAX: usize = 16 << 10;
/// Bytes that a spool gathers before it hashes and writes them in one go.
pub const SPOOL_WRITE_BYTES: u64 = 1 << 20;
/// A growing file is synced each time it has grown by this many bytes, so that the last sync is short.
pub const SPOOL_SYNC_BYTES: u64 = 64 << 20;
/// A spool of unknown size reserves space in steps of at most this many bytes.
pub const SPOOL_SPACE_STEP_BYTES: u64 = 8 << 20;
/// Changes waiting for the store's writer thread.
pub const STORE_QUEUE_MAX: usize = 1024;
/// Changes that share one commit.
pub const STORE_BATCH_MAX: usize = 512;

// Reading.

/// Bytes that one read from the store returns at most.
pub const STORE_READ_BYTES_MAX: usize = 1 << 20;
/// Bytes in each part of content that is streamed from a file.
pub const STORE_STREAM_BYTES: usize = 512 << 10;
/// Contents waiting to be opened before another thread starts to open some.
pub const OPENING_QUEUE: usize = 8;
/// Threads that open contents.
pub const OPENING_THREADS_MAX: usize = 16;
/// Memory in which the index caches its pages, in bytes.
pub const INDEX_CACHE_BYTES: usize = 12 << 20;

// Orphans and quarantine.

/// How long content that no entry names is kept in `orphans/`.
pub const ORPHAN_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// How long bad and deleted content is kept in `quarantine/`.
pub const QUARANTINE_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// How often a node that uses `quarantine/` removes content that has been there for that long.
pub const QUARANTINE_SWEEP_MS: u64 = 60 * 60 * 1000;
