//! Client operations: what HTTP and gRPC for clients ask of a node, as methods of `Driver`.
//!
//! - `api`: the types of requests, answers and errors, and status views; the servers see nothing else. `origin`:
//!   where a located file's content comes from.
//! - `write` → `preparing` → `commit`: spool the body once, prepare it on the nodes that placement ranks, stamp a
//!   version, commit it everywhere (with `replication::commit`). `commit` also serves `delete`.
//! - `read`: finds the newest copy nearby (`confirm` asks replicas whether it is the newest, `search` performs the
//!   core's search), asks relocation, then streams.
//! - `flow`, `local`, `fetch`: one stream to the reader, from this node's disk, from a copy that is arriving, or
//!   from other nodes; when one source fails the next continues at the same byte. Every group that comes from a
//!   node is verified, and a bad local copy is quarantined.
//! - `transfer`: copies on their way to this node's disk, one transfer per version, however many readers.
//! - `space`: makes space. Asks the eviction policy for victims and for the admission of cached copies.
//! - `delete`: writes a tombstone as a version.
//!
//! A write passes admission control, spools while replicas prepare, then runs to its end in a task of its own, so
//! a client that disconnects never leaves a half-done commit. A read locates first (no content moves, so the
//! server can answer from the headers) and streams second.
//!
//! `Transfers` owns the transfers under way, `Preparing` the replicas of one write until they are ready, `Flow`
//! one reader's stream. The index and the cache belong to `State`, space on disk to the store. Nothing here knows
//! HTTP or gRPC.

pub(in crate::driver) mod api;
pub(in crate::driver) mod conditional;
mod confirm;
mod delete;
pub(in crate::driver) mod fetch;
mod flow;
pub(in crate::driver) mod least_rate;
pub(in crate::driver) mod local;
mod origin;
pub(in crate::driver) mod preparing;
mod read;
mod search;
pub(in crate::driver) mod space;
pub(in crate::driver) mod transfer;
mod write;
