//! Every bound and default of this crate in one place.
//!
//! A bound keeps outside input from growing without end and cannot be configured; a default is the value of a
//! setting that nobody has set. Units come last in a name.

use crate::Seconds;

const DAY_S: Seconds = 24 * 60 * 60;

// Certificates.

/// How long the certificate of a node is valid.
pub const CERTIFICATE_VALID_S: Seconds = 30 * DAY_S;
/// A certificate is valid from this long before it was issued, for clocks that are behind.
pub const CERTIFICATE_BACKDATED_S: Seconds = 15 * 60;
/// How long the certificate of an authority is valid. What ends an authority is a rotation.
pub const AUTHORITY_VALID_S: Seconds = 50 * 365 * DAY_S;
/// Bytes in one certificate.
pub const CERTIFICATE_BYTES_MAX: usize = 8 << 10;
/// Certificates in the chain that a node presents.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;
/// Bytes in a request for a certificate.
pub const REQUEST_BYTES_MAX: usize = 4 << 10;
/// Bytes in the name of a node, a zone or a network.
pub const NAME_BYTES_MAX: usize = dataverse_core::limits::NAME_BYTES_MAX;

// Statements.

/// Nodes that can be revoked in one network.
pub const REVOCATIONS_MAX: usize = 10_000;
/// Rotations of the authority of one network.
pub const ROTATIONS_MAX: usize = 64;
/// Bytes in one statement.
pub const STATEMENT_BYTES_MAX: usize = 2 << 10;
/// How long an authority still counts after it was rotated out.
pub const ROTATION_OVERLAP_S: Seconds = 30 * DAY_S;

// Invitations.

/// How long an invitation can be used.
pub const INVITATION_VALID_S: Seconds = 60 * 60;
/// The longest time for which an invitation can be made.
pub const INVITATION_VALID_S_MAX: Seconds = 365 * DAY_S;
/// Machines that can join with one invitation.
pub const INVITATION_USES_MAX: u32 = 1024;
/// Invitations that are open at the same time.
pub const INVITATIONS_MAX: usize = 4096;
/// Bytes in the text of a ticket.
pub const TICKET_BYTES_MAX: usize = 640;

// Folders.

/// Bytes in a file of a node's identity or of an authority.
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// Nodes to which one authority issues certificates.
pub const NODES_MAX: usize = 65_536;
