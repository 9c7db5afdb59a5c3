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
/// How far ahead of use the clock is persisted. A node that crashes again and again gets ahead by as much each time,
/// and must never get ahead by [`CLOCK_AHEAD_MS_MAX`].
pub const CLOCK_CEILING_MS: u64 = 3 * 1000;
/// The same for a clock that is ahead of the wall and only counts its stamps: room for 65 million of them.
pub const CLOCK_COUNT_MS: u64 = 1000;

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
/// Content types that are kept once for all records that have them.
pub const CONTENT_TYPES_SHARED_MAX: usize = 4096;
/// Nodes that said good-bye and are remembered.
pub const LEFT_MAX: usize = 4096;
/// Nodes that are told at once that this one leaves.
pub const GOODBYES_AT_ONCE_MAX: usize = 16;
/// Ids under which two nodes were heard that are remembered.
pub const CLAIMS_MAX: usize = 256;
/// Members that a node keeps track of.
pub const MEMBERS_MAX: usize = 65_536;

/// Slots told to an eviction policy in one batch.
pub const EVICTION_BATCH_MAX: usize = 4096;
/// Reads kept for an eviction policy until it is asked; the oldest are forgotten first. What left or came
/// into the cache meanwhile is never forgotten, and bounded by one such event a slot.
pub const EVICTION_EVENTS_MAX: usize = 16_384;

/// Floors kept of files that a node has heard of but does not hold.
pub const HEARD_FLOORS_MAX: usize = 100_000;
/// Announcements remembered, to tell a repeated one.
pub const ANNOUNCEMENTS_MAX: usize = 65_536;

// The node.

/// Holdings that a pattern scan looks at before it lets others have their turn.
pub const SCAN_KEYS_MAX: usize = 4096;

// Reconciliation.

/// Buckets into which the files that two nodes share are summed up; a power of two.
pub const RECONCILE_BUCKETS: usize = 1024;
/// Files marked in one message of a comparison: 128 KiB.
pub const RECONCILE_MARKS_MAX: usize = 8192;
/// Files marked in one round with one node; the rest waits for the next.
pub const RECONCILE_MARKS_A_ROUND_MAX: usize = 65_536;
/// Records in one answer to a comparison: as many as fit into a message at their greatest.
pub const RECONCILE_RECORDS_MAX: usize = SEARCH_HITS_MAX as usize;
/// Copies that one round makes good, here and there; the rest waits for the next.
pub const RECONCILE_COPIES_MAX: usize = 1024;
/// Of those so many at once.
pub const RECONCILE_COPIES_AT_ONCE_MAX: usize = 4;
/// A write may still be under way for so long: until then, that it is not everywhere means nothing.
pub const RECONCILE_GRACE_MS: u64 = 30 * 1000;
/// Versions of which it is kept since when they are known, because their stamps say that they are young.
pub const RECONCILE_YOUNG_MAX: usize = 4096;
/// Rounds that led to nothing, after which the pause until the next grows no more: it doubles with each.
pub const RECONCILE_FRUITLESS_MAX: u32 = 3;
/// Nodes compared with in one round; with more, each gets its turn in a later one.
pub const RECONCILE_PEERS_MAX: usize = 1024;
/// Bits of a filter for each file in it …
pub const FILTER_BITS_A_FILE: usize = 10;
/// … of which so many are set …
pub const FILTER_HASHES: usize = 7;
/// … and its bytes at most; above three million files it grows vaguer instead of longer.
pub const FILTER_BYTES_MAX: usize = 3 << 20;
/// How long a filter that was made is told again.
pub const FILTER_KEPT_MS: u64 = 10 * 1000;

// Doubts.

/// The age at which a node that was away for long shows its copies: older than any that was ever confirmed.
pub const DOUBTED_AGE_MS: u64 = u64::MAX;
/// Copies that are searched for at once, of those that a node doubts.
pub const DOUBTS_AT_ONCE_MAX: usize = 4;
/// How long a node that comes back waits for news of the members before it draws conclusions from who is silent.
pub const DOUBTS_WAIT_MS: u64 = 10 * 1000;

// Search.

/// How long a search waits, after the first hit of a level, for the rest of that level.
pub const SEARCH_SETTLE_MS: u64 = 20;
/// Nodes asked by one search at most, whatever its settings say.
pub const SEARCH_BUDGET_MAX: u32 = 65_536;
/// Hits of one pattern search at most, and so in one answer: this many records of the greatest size
/// still fit in a message, so a node never has to clip its answer without the asker knowing.
pub const SEARCH_HITS_MAX: u32 = 1_000;

// Patterns.

/// Bytes in a pattern.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Characters in a pattern that are not plain: `*`, `?`, `[`, `{`, escaped ones counted as well.
pub const PATTERN_WILDCARDS_MAX: usize = 64;
/// Bytes of the compiled form of a pattern.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;

// Cache.

/// Cached copies of one node, counted by the slots they take.
pub const CACHE_SLOTS_MAX: usize = 1 << 24;
/// Times an eviction policy is asked for one admission before the baseline frees the rest.
pub const EVICTION_ROUNDS_MAX: u32 = 16;

// Relocation.

/// How long until the count of a file's reads is worth half.
pub const READS_HALVE_AFTER_MS: u64 = 10 * 60 * 1000;
/// Files whose reads are counted; the least read make room for others.
pub const READS_FILES_MAX: usize = 65_536;

// Members.

/// Statuses kept of nodes that membership has not spoken of yet.
pub const EARLY_STATUSES_MAX: usize = 1024;

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

// The driver.

/// Times that cached copies are asked to make room for one write.
pub const ROOM_ROUNDS_MAX: usize = 8;
/// Copies on their way to this node's disk at once.
pub const TRANSFERS_MAX: usize = 256;
/// A reader this far ahead of a copy that is arriving does not wait for it.
pub const TAIL_AHEAD_BYTES_MAX: u64 = 8 << 20;
/// Announcements waiting to be sent.
pub const ANNOUNCEMENTS_QUEUE_MAX: usize = 4096;
/// Announcements being sent at once.
pub const ANNOUNCEMENTS_AT_ONCE_MAX: usize = 64;
/// Times that a file is found again which was replaced before it could be read.
pub const READ_TRIES_MAX: u32 = 5;
// Content that is checked, and made good.

/// Each file counts as at least so many bytes for the pace at which content is checked.
pub const SCRUB_FILE_BYTES_MIN: u64 = 4 << 10;
/// Contents found to be good that are noted together.
pub const SCRUB_NOTES_MAX: usize = 256;
/// Replicas that are to be made good; what goes beyond is taken up at the next start.
pub const MEND_FILES_MAX: usize = 100_000;
/// Replicas that are made good at once.
pub const MEND_AT_ONCE_MAX: usize = 4;
/// The first pause before a replica that can't be had is asked for again; doubles from there …
pub const MEND_RETRY_MS_MIN: u64 = 1000;
/// … up to this.
pub const MEND_RETRY_MS_MAX: u64 = 5 * 60 * 1000;
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
pub const LINGERING_MAX: usize = 65_536;
/// Layouts remembered that nodes could not be told of.
pub const LAYOUTS_OWED_MAX: usize = 65_536;
/// Replicas whose holders are asked at once whether they may be let go of.
pub const LETTING_GO_AT_ONCE_MAX: usize = 16;
/// Moves of replicas under way at once that others have asked for.
pub const MOVES_MAX: usize = 64;

// HTTP.

/// Names by which HTTP clients may address one node.
pub const HTTP_HOSTS_MAX: usize = 64;
/// HTTP connections at once unless told otherwise; fewer where the system allows few open files.
pub const HTTP_CONNECTIONS_DEFAULT: u32 = 1024;
/// HTTP connections beyond those, on which only health, readiness and metrics are answered.
pub const HTTP_RESERVE_MAX: usize = 64;
/// How long the head of a request may take on one of those …
pub const HTTP_RESERVE_HEAD_MS_MAX: u64 = 2 * 1000;
/// … and its whole life.
pub const HTTP_RESERVE_MS_MAX: u64 = 10 * 1000;
/// How long the head of an HTTP request may take to arrive unless told otherwise.
pub const HTTP_HEAD_MS_DEFAULT: u64 = 15 * 1000;
/// Bytes in the head of an HTTP/1 request, and of its body that are read at a time.
pub const HTTP_HEAD_BYTES_MAX: usize = 128 << 10;
/// How long an HTTP connection is kept open between two requests.
pub const HTTP_KEEP_ALIVE_MS: u64 = 60 * 1000;
/// A connection that waits for longer than this makes room for another one when all are taken.
pub const HTTP_SPARED_MS: u64 = 1000;
/// How long a connection that is told to close may take to send what it has.
pub const HTTP_CLOSE_MS_MAX: u64 = 250;
/// How long the body of a request may take to arrive that is JSON or a plain form …
pub const HTTP_JSON_MS_MAX: u64 = 30 * 1000;
/// … or the file of a policy.
pub const HTTP_POLICY_UPLOAD_MS_MAX: u64 = 5 * 60 * 1000;
/// How long an HTTP connection may move no byte in either direction.
pub const HTTP_IDLE_MS_MAX: u64 = 5 * 60 * 1000;
/// Bytes in a request body that is JSON or a plain form.
pub const HTTP_JSON_BYTES_MAX: usize = 64 << 10;
/// Files in one upload form.
pub const HTTP_FORM_FILES_MAX: usize = 1000;
/// Bytes in a field of an upload form that is not a file.
pub const HTTP_FORM_FIELD_BYTES_MAX: usize = 4 << 10;
/// Bytes of files in upload forms that wait to be told whose they are, all forms together.
pub const HTTP_FORM_SPOOL_BYTES_MAX: u64 = 4 << 30;
/// Bytes of an upload form that are gathered before its first part, in the head of a part or behind its last.
pub const HTTP_FORM_GATHERED_BYTES_MAX: usize = 16 << 10;
/// Bytes of an upload form that are looked through at a time.
pub const HTTP_FORM_PIECE_BYTES: usize = 8 << 10;
/// Upload forms at once that have files before it is said whose they are.
pub const HTTP_FORM_SPOOLS_MAX: usize = 32;
/// Bytes of such a file that are read back at once.
pub const HTTP_FORM_SPOOL_READ_BYTES: u64 = 256 << 10;
/// Chunks of a file in an upload form that wait to be stored.
pub const HTTP_FORM_QUEUE_CHUNKS: usize = 4;
/// Bytes of a refused upload that are read and dropped, so that its sender gets to read the refusal.
pub const HTTP_LINGER_BYTES_MAX: u64 = 16 << 20;
/// How long such bytes are waited for.
pub const HTTP_LINGER_MS_MAX: u64 = 2 * 1000;
/// Links that one HTTP search may ask to cross.
pub const HTTP_SEARCH_HOPS_MAX: u32 = 1024;

// Configuration and command line.

/// Bytes in a configuration file.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Bytes in an answer of a node that a command reads whole: everything but content.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Nodes in a demonstration.
pub const DEMO_NODES_MAX: usize = 64;

// Transport.

/// Bytes of content in one message that we accept. We send [`CHUNK_BYTES`].
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Digests in the condition of one write.
pub const CONDITION_DIGESTS_MAX: usize = 16;
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
/// Contents that wait to be opened before a further thread opens some.
pub const OPENING_QUEUE: usize = 8;
/// Threads that open contents at once.
pub const OPENING_THREADS_MAX: usize = 16;
/// Memory in which the index caches its pages, in bytes.
pub const INDEX_CACHE_BYTES: usize = 12 << 20;
/// Part of the capacity that is kept free: one hundredth.
pub const STORE_RESERVE_DIVISOR: u64 = 100;
/// How long content that no entry names is kept in `orphans/`.
pub const ORPHAN_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// How long bad and deleted content is kept in `quarantine/`.
pub const QUARANTINE_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// How often a node that puts content there looks for what has been there for so long.
pub const QUARANTINE_SWEEP_MS: u64 = 60 * 60 * 1000;

// Policies.

/// Faults one after the other from which on a policy is not trusted.
pub const FAULTS_IN_A_ROW: u32 = 5;
/// Decisions that are looked back on to tell how often a policy fails.
pub const FAULT_WINDOW: usize = 200;
/// Decisions from which on that can be told.
pub const FAULT_RATE_FROM: usize = 40;
/// More than one fault in so many decisions is too many.
pub const FAULT_RATE_DIVISOR: usize = 20;
/// Decisions after which a policy has passed its probation …
pub const PROBATION_DECISIONS: u64 = 500;
/// … or time, whichever comes first.
pub const PROBATION_MS: u64 = 60 * 1000;
/// How long a policy is suspended the first time; each further time is twice as long …
pub const SUSPENSION_MS_MIN: u64 = 5 * 1000;
/// … up to this.
pub const SUSPENSION_MS_MAX: u64 = 10 * 60 * 1000;
/// Good decisions after a suspension, before which a single fault suspends again.
pub const TRIAL_DECISIONS: u32 = 40;
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
pub const POLICIES_KEPT: usize = 3;
/// Bytes that are said of one of those beside its configuration: its name, digest and limits, and when it took
/// over or why it is barred.
pub const POLICY_KEPT_NOTE_BYTES_MAX: usize = 4 << 10;
/// Bytes in the list of those: of each kind the one that decides, those before it and the one that is barred,
/// each with the longest configuration.
pub const POLICIES_KEPT_BYTES_MAX: u64 = (crate::policy::Kind::ALL.len()
    * (POLICIES_KEPT + 2)
    * (POLICY_CONFIG_BYTES_MAX + POLICY_KEPT_NOTE_BYTES_MAX))
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
pub const POLICY_ERRANDS_MAX: usize = 16;
/// How long a change of policies may wait for its turn.
pub const POLICY_TURN_MS_MAX: u64 = 30 * 1000;
/// How long the answer to a change of policies may take from then on.
pub const POLICY_ERRAND_MS_MAX: u64 = 60 * 1000;

// The faces of policies.

/// Files of policies that are received and checked at once; more wait.
pub const HTTP_POLICY_UPLOADS_MAX: usize = 2;
/// Decisions whose cost a check of a policy keeps.
pub const CHECK_COSTS_MAX: usize = 1 << 16;
/// How long questions are put to a policy that is checked or installed.
pub const CHECK_MS_MAX: u64 = 20 * 1000;

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
/// Bytes of what a policy, or the compiler, says is wrong; the rest is cut off.
pub const POLICY_REASON_BYTES_MAX: usize = 1024;
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

// The lab's experiments.

/// Bytes of an experiment's file.
pub const EXPERIMENT_BYTES_MAX: u64 = 1 << 20;
/// Entries that an experiment compares.
pub const EXPERIMENT_COMPARE_MAX: usize = 64;
/// Bytes of the name of an entry.
pub const EXPERIMENT_NAME_BYTES_MAX: usize = 64;
/// Points of an experiment's sweep.
pub const EXPERIMENT_POINTS_MAX: usize = 4096;
/// Assertions of an experiment.
pub const EXPERIMENT_EXPECTS_MAX: usize = 1024;
/// Repetitions of each cell of an experiment unless told otherwise, and …
pub const EXPERIMENT_REPETITIONS_DEFAULT: u32 = 5;
/// … at most.
pub const EXPERIMENT_REPETITIONS_MAX: u32 = 10_000;
/// Requests of each run of a generated load unless told otherwise.
pub const EXPERIMENT_REQUESTS_DEFAULT: u64 = 10_000;
/// Runs of an experiment: compare entries times points of the sweep times repetitions.
pub const EXPERIMENT_RUNS_MAX: usize = 100_000;
/// Threads that run the cells of an experiment.
pub const EXPERIMENT_JOBS_MAX: usize = 1024;

// The lab: the simulated network.

/// Nodes in a topology.
pub const LAB_NODES_MAX: usize = 16_384;
/// Links in a topology.
pub const LAB_LINKS_MAX: usize = 1 << 20;
/// Bytes in the file of a topology, or of sizes.
pub const LAB_FILE_BYTES_MAX: u64 = 64 << 20;
/// Times that a random topology is drawn until it is in one part.
pub const LAB_DRAWS_MAX: u32 = 100;
/// Files in a simulated network.
pub const LAB_FILES_MAX: usize = 1 << 22;
/// Requests in a run.
pub const LAB_REQUESTS_MAX: u64 = 1 << 36;
/// Events in a run.
pub const LAB_EVENTS_MAX: usize = 4096;
/// Searches of each kind in a study of searching.
pub const LAB_SEARCHES_MAX: u64 = 10_000_000;
/// Walkers of one search.
pub const LAB_WALKERS_MAX: u64 = 4096;
/// Wall-clock time of one decision in the lab, where fuel is to end it first on any machine.
pub const LAB_WALL_MS_MAX: u64 = 10 * 60 * 1000;
/// Memory in which the ways through a simulated network are kept, in bytes.
pub const LAB_WAYS_BYTES_MAX: usize = 256 << 20;

// The lab's placement study.

/// Nodes in a placement study: as many as a node keeps track of.
pub const PLACEMENT_STUDY_NODES_MAX: u32 = 65_536;
/// Files in a placement study.
pub const PLACEMENT_STUDY_FILES_MAX: u32 = 1_000_000;

// Traces of the lab.

/// Bytes in a line of a trace, and so in a request of it.
pub const TRACE_LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a trace that comes through a pipe and is kept in a temporary file.
pub const TRACE_PIPE_BYTES_MAX: u64 = 16 << 30;
/// Traces that one run goes through.
pub const TRACES_MAX: usize = 256;
/// Columns of a trace that is a table.
pub const TRACE_COLUMNS_MAX: usize = 256;
/// Requests in a trace: the position of each is kept in 32 bits for the optimum, and one value means never.
pub const TRACE_REQUESTS_MAX: u64 = u32::MAX as u64;
/// Objects in a trace; what is known of each is kept in memory.
pub const TRACE_OBJECTS_MAX: usize = 1 << 27;
/// Objects of a generated trace.
pub const TRACE_ZIPF_OBJECTS_MAX: u32 = 10_000_000;
/// The latest time in a trace, in milliseconds; whole numbers up to this are exact in 64-bit floats.
pub const TRACE_TIME_MS_MAX: u64 = 1 << 53;
/// Requests that are read and then put to all caches at once.
pub const TRACE_CHUNK_REQUESTS: usize = 1 << 16;
/// Objects named in the report that changed their size; the rest is counted.
pub const TRACE_RESIZED_TOLD_MAX: usize = 8;
/// Caches that one run drives.
pub const TRACE_CACHES_MAX: usize = 4096;
/// Times that a policy may need a new instance in one run before it is asked no more.
pub const TRACE_INSTANCES_MAX: u64 = 1000;

// Recording of requests.

/// Requests that wait to be written down; more are left out of the recording.
pub const RECORDING_QUEUE_MAX: usize = 8_192;
