//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

/// Contents of at most this many bytes live in the index.
pub const INLINE_BYTES_MAX: usize = 16 << 10;

// The store.

/// Bytes that a spool gathers before it hashes and writes them in one go.
pub const SPOOL_WRITE_BYTES: u64 = 1 << 20;
/// A growing file is sent to the disk each time it has grown by so many bytes, so that the last sync is short.
pub const SPOOL_SYNC_BYTES: u64 = 64 << 20;
/// A spool of unknown size asks for room in steps of so many bytes.
pub const SPOOL_SPACE_STEP_BYTES: u64 = 8 << 20;
/// Bytes that one read from the store returns at most.
pub const STORE_READ_BYTES_MAX: usize = 1 << 20;
/// Bytes in each part of a content that is streamed from a file.
pub const STORE_STREAM_BYTES: usize = 512 << 10;
/// Changes waiting for the store's writer.
pub const STORE_QUEUE_MAX: usize = 1024;
/// Changes that share one commit.
pub const STORE_BATCH_MAX: usize = 512;
/// Contents that wait to be opened before a further thread opens some.
pub const OPENING_QUEUE: usize = 8;
/// Threads that open contents at once.
pub const OPENING_THREADS_MAX: usize = 16;
/// Memory in which the index caches its pages, in bytes.
pub const INDEX_CACHE_BYTES: usize = 12 << 20;
/// How long content that no entry names is kept in `orphans/`.
pub const ORPHAN_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// How long bad and deleted content is kept in `quarantine/`.
pub const QUARANTINE_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// How often a node that puts content there looks for what has been there for so long.
pub const QUARANTINE_SWEEP_MS: u64 = 60 * 60 * 1000;
