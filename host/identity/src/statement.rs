//! `Statement`: what an authority tells all nodes of its network, signed so that any of them can pass it on.
//!
//! There are two: a node is revoked, and another key is the authority from now on. A statement never expires and can't be
//! taken back. What statements add up to is in `trust`.
//!
//! A rotation also carries the new key certified by the old one, for the handshakes with nodes that have not heard of it.
//!
//! As bytes: 1 (the format), the kind (1 or 2), the content, the SHA-256 of the certificate of the authority that signs,
//! and its Ed25519 signature over a fixed word, the format, the kind and the content. Numbers are big-endian.

use dataverse_core::id::NodeId;
use rustls::pki_types::CertificateDer;

use crate::Seconds;
use crate::authority::{Authority, AuthorityCertificate};
use crate::certificate::CertificateError;
use crate::fingerprint::Fingerprint;
use crate::limits;

const FORMAT: u8 = 1;
const REVOCATION: u8 = 1;
const ROTATION: u8 = 2;
/// Signed with every statement, so that its signature counts for nothing else.
const PURPOSE: &[u8] = b"dataverse statement\0";
const SIGNATURE_BYTES: usize = 64;
const END_BYTES: usize = 32 + SIGNATURE_BYTES;

/// What an authority says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// This node does not belong to the network any more, whatever its certificate says.
    Revocation {
        /// The node.
        node: NodeId,
        /// When it was revoked.
        at: Seconds,
    },
    /// The network has another authority, and that which says so counts no longer than until then.
    Rotation {
        /// The certificate of the new authority.
        to: AuthorityCertificate,
        /// The same key, certified by the old authority.
        cross: CertificateDer<'static>,
        /// When the old one ceases to count.
        until: Seconds,
    },
}

/// A signed statement. Whether the signer counts, and has signed it, is checked by `trust`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    content: Content,
    signer: Fingerprint,
    signature: [u8; SIGNATURE_BYTES],
}

/// Bytes that are not a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a statement of an authority")]
pub struct NotAStatement;

impl Content {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        match self {
            Self::Revocation { node, at } => {
                bytes.push(REVOCATION);
                bytes.extend_from_slice(node.as_bytes());
                bytes.extend_from_slice(&at.to_be_bytes());
            }
            Self::Rotation { to, cross, until } => {
                bytes.push(ROTATION);
                bytes.extend_from_slice(&until.to_be_bytes());
                // A statement has no space for one that is longer than 64 KiB, and says so when it is read.
                bytes.extend_from_slice(&(to.der().len() as u16).to_be_bytes());
                bytes.extend_from_slice(to.der());
                bytes.extend_from_slice(cross);
            }
        }
        bytes
    }

    fn signed_text(&self) -> Vec<u8> {
        [PURPOSE, &self.to_bytes()].concat()
    }
}

impl Statement {
    /// Signs a statement.
    ///
    /// # Errors
    /// If the library fails.
    pub fn sign(content: Content, authority: &Authority) -> Result<Self, CertificateError> {
        let made = authority.sign(&content.signed_text())?;
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&made);
        Ok(Self {
            signer: authority.certificate().fingerprint(),
            content,
            signature,
        })
    }

    /// A rotation to this authority, signed by the one before.
    ///
    /// # Errors
    /// If the library fails.
    pub fn rotation(
        from: &Authority,
        to: &Authority,
        now: Seconds,
        until: Seconds,
    ) -> Result<Self, CertificateError> {
        let rotation = Content::Rotation {
            to: to.certificate().clone(),
            cross: from.cross_sign(to, now, until)?,
            until,
        };
        Self::sign(rotation, from)
    }

    /// Whether this authority signed it.
    #[must_use]
    pub fn is_by(&self, authority: &AuthorityCertificate) -> bool {
        self.signer == authority.fingerprint()
            && authority.has_signed(&self.content.signed_text(), &self.signature)
    }

    /// What it says.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The authority that it names as its signer.
    #[must_use]
    pub const fn signer(&self) -> Fingerprint {
        self.signer
    }

    /// The statement as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let content = self.content.to_bytes();
        [&content[..], self.signer.as_bytes(), &self.signature].concat()
    }

    /// Reads a statement. Its signature is not checked here.
    ///
    /// # Errors
    /// [`NotAStatement`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAStatement> {
        if bytes.len() > limits::STATEMENT_BYTES_MAX {
            return Err(NotAStatement);
        }
        let end = bytes.len().checked_sub(END_BYTES).ok_or(NotAStatement)?;
        let (content, end) = bytes.split_at(end);
        let (signer, signature) = end.split_first_chunk::<32>().ok_or(NotAStatement)?;
        let content = match content {
            [FORMAT, REVOCATION, rest @ ..] => {
                let (node, at) = rest.split_first_chunk::<16>().ok_or(NotAStatement)?;
                Content::Revocation {
                    node: NodeId::from_bytes(*node),
                    at: seconds(at)?,
                }
            }
            [FORMAT, ROTATION, rest @ ..] => {
                let (until, rest) = rest.split_at_checked(8).ok_or(NotAStatement)?;
                let (length, rest) = rest.split_first_chunk::<2>().ok_or(NotAStatement)?;
                let length = u16::from_be_bytes(*length).into();
                let (to, cross) = rest.split_at_checked(length).ok_or(NotAStatement)?;
                Content::Rotation {
                    to: AuthorityCertificate::parse(to).map_err(|_| NotAStatement)?,
                    cross: cross.to_vec().into(),
                    until: seconds(until)?,
                }
            }
            _ => return Err(NotAStatement),
        };
        Ok(Self {
            content,
            signer: Fingerprint::from_bytes(*signer),
            signature: signature.try_into().map_err(|_| NotAStatement)?,
        })
    }
}

fn seconds(bytes: &[u8]) -> Result<Seconds, NotAStatement> {
    let bytes = bytes.try_into().map_err(|_| NotAStatement)?;
    Ok(Seconds::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn authority(generation: u32) -> Authority {
        Authority::create("home", generation, 1_000_000).expect("an authority")
    }

    fn contents() -> [Content; 2] {
        let (node, at) = (NodeId::from(7), 2_000_000);
        let next = authority(2);
        let cross = authority(1).cross_sign(&next, 1_000_000, at);
        let (to, cross) = (next.certificate().clone(), cross.expect("it is signed"));
        [
            Content::Revocation { node, at },
            Content::Rotation {
                to,
                cross,
                until: at,
            },
        ]
    }

    #[test]
    fn a_statement_reads_back_and_only_its_signer_made_it() {
        let (signer, other) = (authority(1), authority(1));
        for content in contents() {
            let made = Statement::sign(content.clone(), &signer).expect("it is signed");
            let read = Statement::from_bytes(&made.to_bytes()).expect("it is a statement");
            assert_eq!((read.content(), &read), (&content, &made));
            assert!(read.is_by(signer.certificate()));
            assert!(!read.is_by(other.certificate()));
        }
    }

    #[test]
    fn a_changed_statement_is_not_by_its_signer() {
        let signer = authority(1);
        for content in contents() {
            let made = Statement::sign(content, &signer)
                .expect("it is signed")
                .to_bytes();
            for at in 0..made.len() {
                let mut changed = made.clone();
                changed[at] ^= 1;
                let read = Statement::from_bytes(&changed);
                let is_by = read.is_ok_and(|read| read.is_by(signer.certificate()));
                assert!(!is_by, "byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _read = Statement::from_bytes(&bytes);
        }
    }
}
