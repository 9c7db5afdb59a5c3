//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

pub use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;

use dataverse_core::limits::{CANDIDATES_MAX, LINKS_MAX};

// Files, reads and writes.

/// Content types that are stored once and shared by all records that have them.
pub const CONTENT_TYPES_SHARED_MAX: usize = 4096;
/// Rounds in which cached copies are evicted to make space for one write.
pub const SPACE_ROUNDS_MAX: usize = 8;
/// Copies arriving at this node's disk at the same time.
pub const TRANSFERS_MAX: usize = 256;
/// A reader whose range begins this far ahead of an arriving copy does not wait for it.
pub const TAIL_AHEAD_BYTES_MAX: u64 = 8 << 20;
/// Prepared contents that wait for their commit.
pub const PREPARATIONS_MAX: usize = 4096;
/// Of these, from one node.
pub const PREPARATIONS_OF_ONE_MAX: usize = PREPARATIONS_MAX / 4;
/// Groups per second that the group tree of a file must bring on average: 64 KiB, which is more than slow links carry.
pub const TREE_GROUPS_PER_SECOND_MIN: u64 = 2048;
/// Attempts at a commit that gets no answer.
pub const COMMIT_TRIES_MAX: u32 = 3;

// Members and announcements.

/// Links of a node up to which it takes those that other nodes ask for. The rest of the table is for links that are made
/// on the node itself.
pub const LINKS_ACCEPTED_MAX: usize = LINKS_MAX - LINKS_MAX / 4;
/// Nodes that are called back at the same time because they ask for a link.
pub const CALL_BACKS_MAX: usize = 32;
/// Neighbours with which statements of the network's authorities are exchanged at the same time.
pub const TRUST_ASKS_MAX: usize = 16;
/// Nodes remembered as having left.
pub const LEFT_MAX: usize = 4096;
/// Leave messages sent concurrently.
pub const GOODBYES_AT_ONCE_MAX: usize = 16;
/// Node ids remembered as used by two nodes.
pub const CLAIMS_MAX: usize = 256;
/// Announcements waiting to be sent.
pub const ANNOUNCEMENTS_QUEUE_MAX: usize = 4096;
/// Announcements sent concurrently.
pub const ANNOUNCEMENTS_AT_ONCE_MAX: usize = 64;

// Reconciliation.

/// How long a filter is sent again before a new one is built.
pub const FILTER_KEPT_MS: u64 = 10 * 1000;

// Verification of copies after a long downtime.

/// How long a node that comes back waits for gossip before it draws conclusions from silent members.
pub const VERIFICATION_WAIT_MS: u64 = 10 * 1000;

// Scrub and healing.

/// Bytes that each file counts for at least in the pace of a scrub.
pub const SCRUB_FILE_BYTES_MIN: u64 = 4 << 10;
/// Verified contents that are recorded in one batch.
pub const SCRUB_NOTES_MAX: usize = 256;
/// Lost files that a status names; the rest are only counted.
pub const LOST_KEYS_TOLD_MAX: usize = 100;

// Relayout, re-replication and release.

/// How long the copies of one relayout may take: enough for a tebibyte at 12 MiB a second.
pub const RELAYOUT_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Files in the re-replication queue; less endangered ones wait for the next pass.
pub const REPAIR_QUEUE_MAX: usize = 16_384;
/// Writes that failed and stay pending, because a node that did not answer may still carry them out.
pub const PENDING_WRITES_MAX: usize = 65_536;

// HTTP.

/// Default of `limit.connections`; fewer where the system allows few open files.
pub const HTTP_CONNECTIONS_DEFAULT: u32 = 1024;
/// Default of `limit.head`: how long the head of an HTTP request may take to arrive.
pub const HTTP_HEAD_MS_DEFAULT: u64 = 15 * 1000;

// Decisions of policies.

/// Recent decisions whose fuel and time are kept for the percentiles.
pub const POLICY_COSTS_KEPT: usize = 1024;
/// Wall-clock time of a decision that takes several calls, as a multiple of the limit of one call.
pub const POLICY_WALLS_A_DECISION: u32 = 4;

// Shadow policies.

/// Questions waiting for a shadow policy; further ones are dropped and counted.
pub const SHADOW_QUEUE_MAX: usize = 4096;
/// Placements waiting for a shadow policy: each may name [`CANDIDATES_MAX`] nodes.
pub const SHADOW_PLACEMENTS_MAX: usize = 256;
/// Nodes whose bytes are added up for the balance of a shadow placement policy; later ones are left out.
pub const SHADOW_NODES_MAX: usize = 2 * CANDIDATES_MAX;

// Policy specs.

/// Bytes in the name of a policy.
pub const POLICY_NAME_BYTES_MAX: usize = 64;
/// Bytes in `policies.toml`.
pub const POLICIES_TOML_BYTES_MAX: u64 = 256 << 10;
/// Bytes in the configuration of a policy, as JSON.
pub const POLICY_CONFIG_BYTES_MAX: usize = 64 << 10;
/// Levels of nesting in the configuration of a policy.
pub const POLICY_CONFIG_DEPTH_MAX: usize = 32;
/// Highest `wall_ms` that can be configured.
pub const POLICY_WALL_MS_MAX: u64 = 10_000;
/// Highest `memory_mib` that can be configured: all that 32 bits address.
pub const POLICY_MEMORY_MIB_MAX: u64 = 4096;

// The policies folder.

/// Entries of the policies folder that are read.
pub const POLICY_FOLDER_ENTRIES_MAX: usize = 4096;
/// Policy files of the folder that are used: the first ones by name.
pub const POLICY_FILES_MAX: usize = 256;
/// Folders watched for changes of policies: the policies folder itself and those that links lead to.
pub const POLICY_WATCHES_MAX: usize = 32;
/// A folder that keeps changing is read after this many debounce pauses.
pub const POLICY_DEBOUNCES_MAX: u32 = 5;
/// How long a change of the policies folder waits for the lock of another program.
pub const POLICY_LOCK_MS_MAX: u64 = 5 * 1000;

// The history of policies.

/// Good policies of each kind that are kept besides the active one.
pub const POLICY_HISTORY_MAX: usize = 3;
/// Bytes of an entry of the history besides the configuration: name, digest, limits, and when the policy took
/// over or why it is barred.
pub const POLICY_HISTORY_NOTE_BYTES_MAX: usize = 4 << 10;
/// Bytes in the history file: for each kind the active policy, those before it and the barred one, each with the
/// longest configuration.
pub const POLICY_HISTORY_BYTES_MAX: u64 = (dataverse_core::policy::Kind::ALL.len()
    * (POLICY_HISTORY_MAX + 2)
    * (POLICY_CONFIG_BYTES_MAX + POLICY_HISTORY_NOTE_BYTES_MAX))
    as u64;

// Compiling and trying policies.

/// Compiled policies kept in memory besides those in use.
pub const POLICY_PROGRAMS_KEPT: usize = 8;
/// Files for which the result of compiling them is remembered.
pub const POLICY_FINDINGS_KEPT: usize = 1024;
/// Attempts at a canary that runs out of time, as it may on a busy machine.
pub const POLICY_CANARIES_MAX: u32 = 3;
/// Decisions whose cost a check of a policy records.
pub const CHECK_COSTS_MAX: usize = 1 << 16;
/// How long a policy that is checked or installed is asked test questions.
pub const CHECK_MS_MAX: u64 = 20 * 1000;

// Changing policies through the API.

/// Policy changes in the queue; further ones wait to enter it.
pub const POLICY_COMMANDS_MAX: usize = 16;
/// How long a policy change may wait for its turn.
pub const POLICY_TURN_MS_MAX: u64 = 30 * 1000;
/// How long a policy change may take once its turn has come.
pub const POLICY_COMMAND_MS_MAX: u64 = 60 * 1000;
/// Policy files received and checked concurrently; more wait.
pub const HTTP_POLICY_UPLOADS_MAX: usize = 2;

// Recording of requests.

/// Requests waiting to be written to the recording; further ones are left out of it.
pub const RECORDING_QUEUE_MAX: usize = 8_192;
