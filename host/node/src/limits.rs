//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

pub use dataverse_sandbox::limits::POLICY_FILE_BYTES_MAX;

use dataverse_core::limits::CANDIDATES_MAX;

/// Content types that are kept once for all records that have them.
pub const CONTENT_TYPES_SHARED_MAX: usize = 4096;
/// Nodes that said good-bye and are remembered.
pub const LEFT_MAX: usize = 4096;
/// Nodes that are told at once that this one leaves.
pub const GOODBYES_AT_ONCE_MAX: usize = 16;
/// Ids under which two nodes were heard that are remembered.
pub const CLAIMS_MAX: usize = 256;

// Reconciliation.

/// Files marked in one round with one node; the rest waits for the next.
pub const RECONCILE_ENTRIES_A_ROUND_MAX: usize = 65_536;
/// Copies that one round makes good, here and there; the rest waits for the next.
pub const RECONCILE_COPIES_MAX: usize = 1024;
/// Of those so many at once.
pub const RECONCILE_COPIES_AT_ONCE_MAX: usize = 4;
/// A write may still be under way for so long: until then, that it is not everywhere means nothing.
pub const RECONCILE_GRACE_MS: u64 = 30 * 1000;
/// Versions of which it is kept since when they are known, because their stamps say that they are young.
pub const IN_FLIGHT_MAX: usize = 4096;
/// Rounds that led to nothing, after which the pause until the next grows no more: it doubles with each.
pub const RECONCILE_FRUITLESS_MAX: u32 = 3;
/// Nodes compared with in one round; with more, each gets its turn in a later one.
pub const RECONCILE_PEERS_MAX: usize = 1024;
/// How long a filter that was made is told again.
pub const FILTER_KEPT_MS: u64 = 10 * 1000;

// Doubts.

/// Copies that are searched for at once, of those that a node doubts.
pub const VERIFICATIONS_AT_ONCE_MAX: usize = 4;
/// How long a node that comes back waits for news of the members before it draws conclusions from who is silent.
pub const VERIFICATION_WAIT_MS: u64 = 10 * 1000;

// The driver.

/// Times that cached copies are asked to make room for one write.
pub const SPACE_ROUNDS_MAX: usize = 8;
/// Copies on their way to this node's disk at once.
pub const TRANSFERS_MAX: usize = 256;
/// A reader this far ahead of a copy that is arriving does not wait for it.
pub const TAIL_AHEAD_BYTES_MAX: u64 = 8 << 20;
/// Announcements waiting to be sent.
pub const ANNOUNCEMENTS_QUEUE_MAX: usize = 4096;
/// Announcements being sent at once.
pub const ANNOUNCEMENTS_AT_ONCE_MAX: usize = 64;

// Content that is checked, and made good.

/// Each file counts as at least so many bytes for the pace at which content is checked.
pub const SCRUB_FILE_BYTES_MIN: u64 = 4 << 10;
/// Contents found to be good that are noted together.
pub const SCRUB_NOTES_MAX: usize = 256;
/// Replicas that are to be made good; what goes beyond is taken up at the next start.
pub const HEAL_FILES_MAX: usize = 100_000;
/// Replicas that are made good at once.
pub const HEAL_AT_ONCE_MAX: usize = 4;
/// The first pause before a replica that can't be had is asked for again; doubles from there …
pub const HEAL_RETRY_MS_MIN: u64 = 1000;
/// … up to this.
pub const HEAL_RETRY_MS_MAX: u64 = 5 * 60 * 1000;
/// Lost files that a status names; the rest is counted.
pub const LOST_KEYS_TOLD_MAX: usize = 100;
/// Times that a commit is asked for when no answer comes.
pub const COMMIT_TRIES_MAX: u32 = 3;
/// Contents waiting for their commit.
pub const PREPARATIONS_MAX: usize = 4096;

// Replicas that change nodes.

/// How long the copies of one relayout may take to be made; a tebibyte at 12 MiB a second.
pub const RELAYOUT_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Files that one look of repair takes in; the less endangered wait for the next.
pub const REPAIR_QUEUE_MAX: usize = 16_384;
/// Replicas remembered that are to be let go of.
pub const PENDING_RELEASES_MAX: usize = 65_536;
/// Layouts remembered that nodes could not be told of.
pub const HINTS_MAX: usize = 65_536;
/// Replicas whose holders are asked at once whether they may be let go of.
pub const RELEASES_AT_ONCE_MAX: usize = 16;
/// Moves of replicas under way at once that others have asked for.
pub const MOVES_MAX: usize = 64;

// HTTP.

/// HTTP connections at once unless told otherwise; fewer where the system allows few open files.
pub const HTTP_CONNECTIONS_DEFAULT: u32 = 1024;
/// How long the head of an HTTP request may take to arrive unless told otherwise.
pub const HTTP_HEAD_MS_DEFAULT: u64 = 15 * 1000;

// Policies.

/// Decisions whose fuel and time are kept, to tell what is usual.
pub const POLICY_COSTS_KEPT: usize = 1024;
/// Questions waiting for a shadow policy; more are dropped, and counted.
pub const SHADOW_QUEUE_MAX: usize = 4096;

// Seats and shadows.

/// A decision that takes several calls may take so many times as long as one call may.
pub const POLICY_WALLS_A_DECISION: u32 = 4;
/// Placements waiting for a shadow policy: each may name [`CANDIDATES_MAX`] nodes.
pub const SHADOW_PLACEMENTS_MAX: usize = 256;
/// Nodes whose bytes are added up to tell how evenly a shadow places; later ones are left out.
pub const SHADOW_NODES_MAX: usize = 2 * CANDIDATES_MAX;

// Live policies.

/// Bytes in the name of a policy.
pub const POLICY_NAME_BYTES_MAX: usize = 64;
/// Bytes in `policies.toml`.
pub const POLICIES_TOML_BYTES_MAX: u64 = 256 << 10;
/// Bytes in the configuration of a policy, as JSON.
pub const POLICY_CONFIG_BYTES_MAX: usize = 64 << 10;
/// Levels in the configuration of a policy.
pub const POLICY_CONFIG_DEPTH_MAX: usize = 32;
/// Longest wall-clock time for one decision that can be configured.
pub const POLICY_WALL_MS_MAX: u64 = 10_000;
/// Most memory of one instance that can be configured: all that 32 bits reach.
pub const POLICY_MEMORY_MIB_MAX: u64 = 4096;
/// Entries of the folder of policies that are looked at.
pub const POLICY_FOLDER_ENTRIES_MAX: usize = 4096;
/// Files of policies in the folder that are known; the first by name.
pub const POLICY_FILES_MAX: usize = 256;
/// Folders that are watched for changes of policies: the folder of policies itself, and those of links.
pub const POLICY_WATCHES_MAX: usize = 32;
/// A folder that never comes to rest is looked at after so many times the pause that would be rest.
pub const POLICY_DEBOUNCES_MAX: u32 = 5;
/// Good policies of each kind that are kept beside the one that decides.
pub const POLICY_HISTORY_MAX: usize = 3;
/// Bytes that are said of one of those beside its configuration: its name, digest and limits, and when it took
/// over or why it is barred.
pub const POLICY_HISTORY_NOTE_BYTES_MAX: usize = 4 << 10;
/// Bytes in the list of those: of each kind the one that decides, those before it and the one that is barred,
/// each with the longest configuration.
pub const POLICY_HISTORY_BYTES_MAX: u64 = (dataverse_core::policy::Kind::ALL.len()
    * (POLICY_HISTORY_MAX + 2)
    * (POLICY_CONFIG_BYTES_MAX + POLICY_HISTORY_NOTE_BYTES_MAX))
    as u64;
/// Compiled policies that are kept in memory, beside those in use.
pub const POLICY_PROGRAMS_KEPT: usize = 8;
/// Files of which is remembered what compiling them led to.
pub const POLICY_FINDINGS_KEPT: usize = 1024;
/// Times that a canary is tried which ran out of time, as one may on a busy machine.
pub const POLICY_CANARIES_MAX: u32 = 3;
/// How long a change of the folder of policies waits for one that another program makes.
pub const POLICY_LOCK_MS_MAX: u64 = 5 * 1000;
/// Changes of policies waiting for their turn; more wait to be taken in.
pub const POLICY_COMMANDS_MAX: usize = 16;
/// How long a change of policies may wait for its turn.
pub const POLICY_TURN_MS_MAX: u64 = 30 * 1000;
/// How long the answer to a change of policies may take from then on.
pub const POLICY_COMMAND_MS_MAX: u64 = 60 * 1000;

// The faces of policies.

/// Files of policies that are received and checked at once; more wait.
pub const HTTP_POLICY_UPLOADS_MAX: usize = 2;
/// Decisions whose cost a check of a policy keeps.
pub const CHECK_COSTS_MAX: usize = 1 << 16;
/// How long questions are put to a policy that is checked or installed.
pub const CHECK_MS_MAX: u64 = 20 * 1000;

// Recording of requests.

/// Requests that wait to be written down; more are left out of the recording.
pub const RECORDING_QUEUE_MAX: usize = 8_192;
