//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

// Messages and content.

/// Bytes in a content type.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Bytes of content in each message that this node sends.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of content accepted in one message. A node sends [`CHUNK_BYTES`].
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Bytes in any one message, content included.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Bytes in the text of a refusal; the rest is cut off.
pub const REFUSAL_BYTES_MAX: usize = 1024;

// Membership.

/// Bytes in one packet of the membership protocol.
pub const GOSSIP_PACKET_BYTES_MAX: usize = 32 << 10;
/// Received packets waiting to be processed; further ones are dropped, as on any network.
pub const GOSSIP_QUEUE_MAX: usize = 256;
/// Packets being sent concurrently; further ones are dropped.
pub const GOSSIP_SENDS_MAX: usize = 128;
/// Members asked for their status in one round.
pub const STATUS_ASKS_MAX: usize = 16;
/// Links named in a status; a node with more names only this many.
pub const STATUS_LINKS_MAX: usize = 256;
/// Policies named in a status.
pub const STATUS_POLICIES_MAX: usize = 16;
/// Bytes in the name and digest of a policy in a status.
pub const STATUS_POLICY_BYTES_MAX: usize = 192;

// Connections.

/// HTTP connections reserved beyond `limit.connections`, on which only health, readiness and metrics are answered.
pub const HTTP_RESERVE_MAX: usize = 64;
/// Connections from other nodes; fewer where the system allows few open files.
pub const CONNECTIONS_MAX: usize = 4096;
/// When all connections are taken, one without a call for this long is closed in favour of a new one.
pub const CONNECTION_SPARED_MS: u64 = 5 * 1000;
/// Connections to other nodes that are kept open for the next call.
pub const CHANNELS_MAX: usize = 1024;
/// How long a connection to another node is kept open without a call.
pub const CHANNEL_IDLE_MS_MAX: u64 = 5 * 60 * 1000;
/// Concurrent calls on one connection; more wait.
pub const CALLS_PER_CONNECTION_MAX: u32 = 256;
/// Bytes of one stream that are in transit or not yet taken by its reader.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// Bytes of all streams of one connection that the accepting side has not yet taken.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Bytes in one HTTP/2 frame.
pub const FRAME_BYTES_MAX: u32 = 128 << 10;
/// Bytes in the headers of one call.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;
/// A keep-alive ping is sent on a connection that has been silent for this long …
pub const KEEPALIVE_MS: u64 = 10_000;
/// … and the connection is closed when no answer arrives within this time.
pub const KEEPALIVE_TIMEOUT_MS: u64 = 10_000;

/// A node's certificate is checked again this often while a connection with it is open. Revocations are checked at once.
pub const CERTIFICATE_CHECK_MS: u64 = 60_000;

// Enrolment.

/// Certificates that are issued at the same time; further requests are told to try again.
pub const ENROLMENTS_AT_ONCE_MAX: usize = 4;
/// Bytes in a request for a certificate.
pub const ENROLMENT_BYTES_MAX: usize = 8 << 10;

// Circuit breaker.

/// Failed calls to a peer in a row that open its circuit …
pub const CIRCUIT_FAILURES: u32 = 5;
/// … for this long at first …
pub const CIRCUIT_PAUSE_MS_MIN: u64 = 1_000;
/// … and for this long at most.
pub const CIRCUIT_PAUSE_MS_MAX: u64 = 15_000;
/// Peers whose failures are counted.
pub const CIRCUITS_MAX: usize = 4096;
