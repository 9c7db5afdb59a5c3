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

// Transport.

/// Bytes of content in one message that we accept. We send [`CHUNK_BYTES`].
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Hits in one answer to a probe. Records of the greatest size and [`LINKS_MAX`] neighbours, they still fit
/// into [`MESSAGE_BYTES_MAX`].
pub const PROBE_HITS_MAX: usize = 1000;
/// Bytes in one packet of the membership protocol.
pub const GOSSIP_PACKET_BYTES_MAX: usize = 64 << 10;
/// Digests in the condition of one write.
pub const CONDITION_DIGESTS_MAX: usize = 16;
/// Bytes in the text of a refusal; the rest is cut off.
pub const REFUSAL_BYTES_MAX: usize = 1024;
/// Connections from others at once; more wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 4096;
/// Connections to others that are kept open for the next call.
pub const CHANNELS_MAX: usize = 1024;
/// How long a connection to another node is kept open without a call.
pub const CHANNEL_IDLE_MS_MAX: u64 = 5 * 60 * 1000;
/// Calls under way on one connection; more wait.
pub const CALLS_PER_CONNECTION_MAX: u32 = 256;
/// Bytes of one stream that are on their way or not yet taken by its reader.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// Bytes of all streams of one connection that its accepting side has not yet taken.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Bytes in one HTTP/2 frame.
pub const FRAME_BYTES_MAX: u32 = 128 << 10;
/// Bytes of headers of one call.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;
/// A silent connection is asked whether it lives after so long …
pub const KEEPALIVE_MS: u64 = 10_000;
/// … and given up when it says nothing for so long after that.
pub const KEEPALIVE_TIMEOUT_MS: u64 = 10_000;
