//! Every bound and default in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

/// Bytes in one segment of a key.
pub const KEY_SEGMENT_BYTES_MAX: usize = 255;
/// Bytes in a whole key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes in a content type.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Bytes in a node's name, in a zone and in a network's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes in the address of a node, `host:port`.
pub const ADDRESS_BYTES_MAX: usize = 262;
/// Bytes in one file: a tebibyte, whose group tree is 32 MiB.
pub const FILE_BYTES_MAX: u64 = 1 << 40;

/// Bytes in a group, the unit in which content is verified.
pub const GROUP_BYTES: u64 = 1 << 20;
/// Bytes of content in one message.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Bytes in any one message, content and all.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Contents of at most this many bytes live in the index.
pub const INLINE_BYTES_MAX: usize = 16 << 10;

/// How far ahead of ours a peer's clock may be.
pub const CLOCK_AHEAD_MS_MAX: u64 = 10 * 60 * 1000;
/// How far ahead of use the clock is persisted.
pub const CLOCK_CEILING_MS: u64 = 60 * 1000;

/// Replicas of a file unless told otherwise.
pub const FACTOR_DEFAULT: u32 = 2;
/// Replicas of a file at most.
pub const FACTOR_MAX: u32 = 64;
/// Nodes offered to a placement policy.
pub const CANDIDATES_MAX: usize = 4096;
/// Entries in a policy's verdict.
pub const VERDICT_ENTRIES_MAX: usize = 4096;

/// Links of one node.
pub const LINKS_MAX: usize = 1024;
/// Members that a node keeps track of.
pub const MEMBERS_MAX: usize = 65_536;

/// Slots told to an eviction policy in one batch.
pub const EVICTION_BATCH_MAX: usize = 4096;
/// Events kept for an eviction policy until it is asked; older reads are forgotten first.
pub const EVICTION_EVENTS_MAX: usize = 16_384;

/// Floors kept of files that a node has heard of but does not hold.
pub const HEARD_FLOORS_MAX: usize = 100_000;
/// Announcements remembered, to tell a repeated one.
pub const ANNOUNCEMENTS_MAX: usize = 65_536;

// The store.

/// Bytes that a spool gathers before it hashes and writes them in one go.
pub const SPOOL_WRITE_BYTES: u64 = 1 << 20;
/// A growing file is sent to the disk each time it has grown by so many bytes, so that the last sync is short.
pub const SPOOL_SYNC_BYTES: u64 = 64 << 20;
/// A spool of unknown size asks for room in steps of so many bytes.
pub const SPOOL_ROOM_STEP_BYTES: u64 = 8 << 20;
/// Bytes that one read from the store returns at most.
pub const STORE_READ_BYTES_MAX: usize = 1 << 20;
/// Bytes in each part of a content that is streamed from a file.
pub const STORE_STREAM_BYTES: usize = 512 << 10;
/// Changes waiting for the store's writer.
pub const STORE_QUEUE_MAX: usize = 1024;
/// Changes that share one commit.
pub const STORE_BATCH_MAX: usize = 512;
/// Memory in which the index caches its pages, in bytes.
pub const INDEX_CACHE_BYTES: usize = 12 << 20;
/// Part of the capacity that is kept free: one hundredth.
pub const STORE_RESERVE_DIVISOR: u64 = 100;
/// How long content that no entry names is kept in `orphans/`.
pub const ORPHAN_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
