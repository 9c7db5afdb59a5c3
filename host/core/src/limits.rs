//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and can not be configured; a default is what a
//! setting is when nobody says otherwise. Units come last in a name.

/// Bytes in one segment of a key.
pub const KEY_SEGMENT_BYTES_MAX: usize = 255;
/// Bytes in a whole key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes in a node's name, in a zone and in a network's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes in the address of a node, `host:port`.
pub const ADDRESS_BYTES_MAX: usize = 262;
/// Bytes in one file: a tebibyte, whose group tree is 32 MiB.
pub const FILE_BYTES_MAX: u64 = 1 << 40;
/// Bytes in a group, the unit in which content is verified.
pub const GROUP_BYTES: u64 = 1 << 20;
/// How far ahead of ours a peer's clock may be.
pub const CLOCK_AHEAD_MS_MAX: u64 = 10 * 60 * 1000;
/// How far ahead of use the clock is persisted. A node that crashes again and again gets ahead by as much each time,
/// and must never get ahead by [`CLOCK_AHEAD_MS_MAX`].
pub const CLOCK_CEILING_MS: u64 = 3 * 1000;
/// The same for a clock that is ahead of the wall and only counts its stamps: room for 65 million of them.
pub const CLOCK_COUNT_MS: u64 = 1000;
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
pub const RECONCILE_ENTRIES_MAX: usize = 8192;
/// Records in one answer to a comparison: as many as fit into a message at their greatest.
pub const RECONCILE_RECORDS_MAX: usize = SEARCH_HITS_MAX as usize;
/// Bits of a filter for each file in it …
pub const FILTER_BITS_A_FILE: usize = 10;
/// … of which so many are set …
pub const FILTER_HASHES: usize = 7;
/// … and its bytes at most; above three million files it grows vaguer instead of longer.
pub const FILTER_BYTES_MAX: usize = 3 << 20;

// Doubts.

/// The age at which a node that was away for long shows its copies: older than any that was ever confirmed.
pub const UNVERIFIED_AGE_MS: u64 = u64::MAX;

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

// The store.

/// Part of the capacity that is kept free: one hundredth.
pub const STORE_RESERVE_DIVISOR: u64 = 100;

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

// The sandbox of policies.

/// Bytes of what a policy, or the compiler, says is wrong; the rest is cut off.
pub const POLICY_REASON_BYTES_MAX: usize = 1024;
