//! Who belongs to a network: its authority, the certificates of nodes, what is revoked, and how a machine joins.
//!
//! A network has an [`authority`]: an Ed25519 key with a certificate of its own. Each node has a key, and a
//! [`certificate`] that the authority signed and that names the node's id. [`trust`] says which authorities count at a
//! time and which nodes are revoked; it follows from one authority certificate and from [`statement`]s, which the
//! authority signs and nodes pass on. [`credentials`] are what a running node presents and whom it accepts, as TLS
//! configurations.
//!
//! **Joining.** Whoever holds the [`authority_folder`] makes an [`invitation`] and hands out its [`ticket`]. A new machine
//! sends its [`joining`] request and the ticket's secret, and the authority folder issues a certificate for it. The node
//! keeps key, certificate and statements in its [`node_folder`].
//!
//! No sockets, no async, no clock: the time is an argument, in seconds since 1970. The only I/O is on small files
//! ([`folder`]). No secret is logged or shown by `Debug`.

pub mod authority;
pub mod authority_folder;
pub mod certificate;
pub mod credentials;
pub mod fingerprint;
pub mod folder;
pub mod invitation;
pub mod joining;
pub mod limits;
pub mod node_folder;
pub mod statement;
pub mod ticket;
pub mod trust;
mod verifier;

/// A time in seconds since the Unix epoch.
pub type Seconds = u64;
