//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

// Reads and writes.

/// Attempts to find a file again that was replaced before it could be read.
pub const READ_TRIES_MAX: u32 = 5;
/// Digests in the condition of one write.
pub const CONDITION_DIGESTS_MAX: usize = 16;

// HTTP connections.

/// How long the head of a request may take on a reserved connection
/// ([`HTTP_RESERVE_MAX`](dataverse_overlay::limits::HTTP_RESERVE_MAX)) …
pub const HTTP_RESERVE_HEAD_MS_MAX: u64 = 2 * 1000;
/// … and the whole connection.
pub const HTTP_RESERVE_MS_MAX: u64 = 10 * 1000;
/// Bytes in the head of an HTTP/1 request, and bytes of its body that are read at a time.
pub const HTTP_HEAD_BYTES_MAX: usize = 128 << 10;
/// How long an HTTP connection is kept open between two requests.
pub const HTTP_KEEP_ALIVE_MS: u64 = 60 * 1000;
/// When all connections are taken, one that has waited for a request longer than this is closed in favour of a new
/// one.
pub const HTTP_SPARED_MS: u64 = 1000;
/// How long a connection that is told to close may take to send what it has.
pub const HTTP_CLOSE_MS_MAX: u64 = 250;
/// How long an HTTP connection may transfer no byte in either direction.
pub const HTTP_IDLE_MS_MAX: u64 = 5 * 60 * 1000;
/// Bytes of a refused upload that are read and dropped, so that the client gets to read the refusal.
pub const HTTP_LINGER_BYTES_MAX: u64 = 16 << 20;
/// How long the server waits for such bytes.
pub const HTTP_LINGER_MS_MAX: u64 = 2 * 1000;

// HTTP requests.

/// How long the body of a request may take to arrive if it is JSON or a plain form …
pub const HTTP_JSON_MS_MAX: u64 = 30 * 1000;
/// … or a policy file.
pub const HTTP_POLICY_UPLOAD_MS_MAX: u64 = 5 * 60 * 1000;
/// Bytes in a request body that is JSON or a plain form.
pub const HTTP_JSON_BYTES_MAX: usize = 64 << 10;
/// Links that one HTTP search may ask to cross.
pub const HTTP_SEARCH_HOPS_MAX: u32 = 1024;

// Upload forms.

/// Files in one upload form.
pub const HTTP_FORM_FILES_MAX: usize = 1000;
/// Bytes in a field of an upload form that is not a file.
pub const HTTP_FORM_FIELD_BYTES_MAX: usize = 4 << 10;
/// Bytes of files spooled from upload forms that have not named the user yet, all forms together.
pub const HTTP_FORM_SPOOL_BYTES_MAX: u64 = 4 << 30;
/// Bytes of an upload form that are buffered before its first part, in the head of a part or after its last part.
pub const HTTP_FORM_GATHERED_BYTES_MAX: usize = 16 << 10;
/// Bytes of an upload form that are parsed at a time.
pub const HTTP_FORM_PIECE_BYTES: usize = 8 << 10;
/// Concurrent upload forms that send files before they name the user.
pub const HTTP_FORM_SPOOLS_MAX: usize = 32;
/// Bytes of such a spooled file that are read back at a time.
pub const HTTP_FORM_SPOOL_READ_BYTES: u64 = 256 << 10;
/// Chunks of a file in an upload form that wait to be stored.
pub const HTTP_FORM_QUEUE_CHUNKS: usize = 4;
