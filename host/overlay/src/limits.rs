//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

/// Bytes in a content type.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Bytes of content in one message.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Bytes in any one message, content and all.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

// Membership.

/// Bytes in one packet of the membership protocol.
pub const GOSSIP_PACKET_BYTES_MAX: usize = 32 << 10;
/// Packets that arrived and wait; more are dropped, as any network drops them.
pub const GOSSIP_QUEUE_MAX: usize = 256;
/// Packets on their way to others at once; more are dropped.
pub const GOSSIP_SENDS_MAX: usize = 128;
/// Members asked for their status in one round.
pub const STATUS_ASKS_MAX: usize = 16;
/// Links named in a status; a node that has more names so many.
pub const STATUS_LINKS_MAX: usize = 256;
/// Policies named in a status.
pub const STATUS_POLICIES_MAX: usize = 16;
/// Bytes in the name of a policy and its digest, as a status tells them.
pub const STATUS_POLICY_BYTES_MAX: usize = 192;

// HTTP.

/// HTTP connections beyond those, on which only health, readiness and metrics are answered.
pub const HTTP_RESERVE_MAX: usize = 64;

// Transport.

/// Bytes of content in one message that we accept. We send [`CHUNK_BYTES`].
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Bytes in the text of a refusal; the rest is cut off.
pub const REFUSAL_BYTES_MAX: usize = 1024;
/// Connections from others at once; fewer where the system allows few open files.
pub const CONNECTIONS_MAX: usize = 4096;
/// One on which no call was made for so long makes room for another when all are taken.
pub const CONNECTION_SPARED_MS: u64 = 5 * 1000;
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
/// Calls to a peer that fail in a row before it is spared …
pub const CIRCUIT_FAILURES: u32 = 5;
/// … for so long at first …
pub const CIRCUIT_PAUSE_MS_MIN: u64 = 1_000;
/// … and for so long at most.
pub const CIRCUIT_PAUSE_MS_MAX: u64 = 15_000;
/// Peers whose failures are counted.
pub const CIRCUITS_MAX: usize = 4096;
