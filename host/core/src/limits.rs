//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

// Keys, names and content.

/// Bytes in one segment of a key.
pub const KEY_SEGMENT_BYTES_MAX: usize = 255;
/// Bytes in a whole key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes in each of a node's name, a zone and a network's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes in the address of a node, `host:port`.
pub const ADDRESS_BYTES_MAX: usize = 262;
/// Bytes in one file: a tebibyte, whose group tree is 32 MiB.
pub const FILE_BYTES_MAX: u64 = 1 << 40;
/// Bytes in a group, the unit in which content is verified.
pub const GROUP_BYTES: u64 = 1 << 20;
/// Replicas of a file.
pub const FACTOR_MAX: u32 = 64;

// The clock.

/// How far a peer's clock may be ahead of ours.
pub const CLOCK_AHEAD_MS_MAX: u64 = 15 * 60 * 1000;
/// How far ahead of its wall clock a node's own clock is taken by what other nodes say. Less than what others accept,
/// by more than wall clocks should differ: or one node could take this one so far ahead that the others refuse it.
pub const CLOCK_ADOPTED_MS_MAX: u64 = 10 * 60 * 1000;
/// How far ahead a version or a layout may be that is taken in, or that another one must be greater than. More than
/// [`CLOCK_ADOPTED_MS_MAX`], or a node whose wall clock is behind could not overwrite what a node has written that was
/// taken so far ahead.
pub const CLOCK_SURPASSED_MS_MAX: u64 = 11 * 60 * 1000;
/// How far ahead of use the clock is persisted. A node that crashes again and again gets ahead by this much each
/// time, and must never get ahead by [`CLOCK_AHEAD_MS_MAX`].
pub const CLOCK_CEILING_MS: u64 = 3 * 1000;
/// The same for a clock that is ahead of the wall clock and only counts its stamps: enough for 65 million stamps.
pub const CLOCK_COUNT_MS: u64 = 1000;

// The node.

/// Links of one node.
pub const LINKS_MAX: usize = 1024;
/// Members that a node keeps track of.
pub const MEMBERS_MAX: usize = 65_536;
/// Statuses kept of nodes that membership has not reported yet.
pub const EARLY_STATUSES_MAX: usize = 1024;
/// Floors kept for files that a node has heard of but does not hold.
pub const HEARD_FLOORS_MAX: usize = 100_000;
/// Seen announcements remembered, to recognize a repeated one.
pub const ANNOUNCEMENTS_MAX: usize = 65_536;
/// Holdings that a pattern scan visits before it yields to others.
pub const SCAN_KEYS_MAX: usize = 4096;
/// Age that a node reports for an unverified copy: older than any validated one.
pub const UNVERIFIED_AGE_MS: u64 = u64::MAX;
/// Part of the store's capacity that is kept free: one hundredth.
pub const STORE_RESERVE_DIVISOR: u64 = 100;

// Reconciliation.

/// Buckets into which the files that two nodes share are summed up; a power of two.
pub const RECONCILE_BUCKETS: usize = 1024;
/// Digest entries in one message of a comparison: 128 KiB.
pub const RECONCILE_ENTRIES_MAX: usize = 8192;
/// Records in one answer to a comparison: as many of the greatest size as fit in a message.
pub const RECONCILE_RECORDS_MAX: usize = SEARCH_HITS_MAX as usize;
/// Bits of a filter for each file in it …
pub const FILTER_BITS_A_FILE: usize = 10;
/// … bits set for each file …
pub const FILTER_HASHES: usize = 7;
/// … and bytes of a filter; above three million files it becomes less precise instead of longer.
pub const FILTER_BYTES_MAX: usize = 3 << 20;

// Search.

/// How long a search waits for the rest of a level after the first hit of that level.
pub const SEARCH_SETTLE_MS: u64 = 20;
/// Nodes that one search asks, whatever its settings say.
pub const SEARCH_BUDGET_MAX: u32 = 65_536;
/// Of the neighbours that one node has named, this many more may fail to answer than answer; the others are not asked.
/// The neighbours of the searching node itself are always asked.
pub const SEARCH_FAILED_NEIGHBOURS_MAX: u32 = 64;
/// Of the neighbours that one node has named with the same address, this many may not answer; the others are not asked
/// there. Two nodes may have had one address, if one took the place of the other.
pub const SEARCH_PROBES_PER_ADDRESS_MAX: u32 = 3;
/// Of the nodes that have named one node, so many are remembered, each with the address that it named. That is where it
/// is asked if it does not answer at the first.
pub const SEARCH_WAYS_PER_NODE_MAX: usize = 4;
/// Hits of one pattern search, and so of one answer: this many records of the greatest size still fit in a
/// message, so that a node never has to clip its answer without the asker knowing.
pub const SEARCH_HITS_MAX: u32 = 1_000;
/// Bytes in a pattern.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Characters in a pattern that are not plain: `*`, `?`, `[`, `{`, escaped ones included.
pub const PATTERN_WILDCARDS_MAX: usize = 64;
/// Bytes in the compiled form of a pattern.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;

// Placement, cache and relocation.

/// Nodes offered to a placement policy.
pub const CANDIDATES_MAX: usize = 4096;
/// Entries in a policy's verdict.
pub const VERDICT_ENTRIES_MAX: usize = 4096;
/// Cached copies of one node, counted by the slots they take.
pub const CACHE_SLOTS_MAX: usize = 1 << 24;
/// Slots passed to an eviction policy in one batch.
pub const EVICTION_BATCH_MAX: usize = 4096;
/// Reads kept for an eviction policy until it is asked; the oldest are dropped first. Entries that came into or left
/// the cache meanwhile are never dropped; there is at most one such event a slot.
pub const EVICTION_EVENTS_MAX: usize = 16_384;
/// Times an eviction policy is asked for one admission before the baseline frees the rest.
pub const EVICTION_ROUNDS_MAX: u32 = 16;
/// Half-life of the count of a file's reads.
pub const READS_HALVE_AFTER_MS: u64 = 10 * 60 * 1000;
/// Files whose reads are counted; the least read are dropped to make space for others.
pub const READS_FILES_MAX: usize = 65_536;

// Health of a policy.

/// Faults in a row after which a policy is suspended or rolled back.
pub const FAULTS_IN_A_ROW: u32 = 5;
/// Latest decisions from which the fault rate is computed.
pub const FAULT_WINDOW: usize = 200;
/// Decisions needed before the fault rate counts.
pub const FAULT_RATE_FROM: usize = 40;
/// More than one fault in this many decisions is too many.
pub const FAULT_RATE_DIVISOR: usize = 20;
/// Decisions after which a policy has passed its probation …
pub const PROBATION_DECISIONS: u64 = 500;
/// … or time, whichever comes first.
pub const PROBATION_MS: u64 = 60 * 1000;
/// Length of a policy's first suspension; each further one is twice as long …
pub const SUSPENSION_MS_MIN: u64 = 5 * 1000;
/// … up to this.
pub const SUSPENSION_MS_MAX: u64 = 10 * 60 * 1000;
/// Decisions without a fault after a suspension, before which a single fault suspends the policy again.
pub const TRIAL_DECISIONS: u32 = 40;
/// Bytes in a reason given by a policy or the compiler; the rest is cut off.
pub const POLICY_REASON_BYTES_MAX: usize = 1024;
