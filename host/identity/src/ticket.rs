//! `Ticket`: the text by which a new machine joins a network.
//!
//! It names the address of a node that issues certificates, the authority by which that node is recognised, and a secret
//! that can be used as often as the invitation says. Whoever has the text can join, so it is passed on like a password.
//!
//! The text is `dvt1` and lower-case Base32 without padding of: the length of the address (1 byte), the address, the first
//! 20 bytes of the SHA-256 of the authority's certificate, the secret (16 bytes), and the first 4 bytes of the SHA-256 of
//! all that as a checksum.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use dataverse_core::address;

use crate::authority::AuthorityCertificate;
use crate::fingerprint::Fingerprint;
use crate::limits;

const PREFIX: &str = "dvt1";
const AUTHORITY_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;

/// The secret of an invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret([u8; 16]);

impl TicketSecret {
    /// Draws a new one.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn draw() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; 16];
        let system = ring::rand::SystemRandom::new();
        ring::rand::SecureRandom::fill(&system, &mut bytes)?;
        Ok(Self(bytes))
    }

    /// The secret with these bytes; `None` if there are too few or too many.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes, for the node that issued the ticket and nobody else.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What an authority keeps of it.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        Fingerprint::of(&[b"dataverse invitation\0", &self.0[..]].concat())
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(..)")
    }
}

/// A ticket. [`Self::to_text`] is what is handed out; `Debug` does not show the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    address: String,
    authority: [u8; AUTHORITY_BYTES],
    secret: TicketSecret,
}

/// Text that is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It does not begin as one.
    #[error(
        "not a ticket: expected a text that begins with {PREFIX}, as `dataverse network invite` prints it"
    )]
    NotATicket,
    /// It is damaged.
    #[error("the ticket is damaged or not complete: copy all of it again")]
    Damaged,
}

impl Ticket {
    /// A ticket to join the network of this authority through the node at this address.
    ///
    /// # Errors
    /// If the address is not `HOST:PORT`.
    pub fn new(
        address: &str,
        authority: &AuthorityCertificate,
        secret: TicketSecret,
    ) -> Result<Self, String> {
        Ok(Self {
            address: address::of_a_node(address)?,
            authority: beginning(authority),
            secret,
        })
    }

    /// The address of the node that issues the certificate.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &TicketSecret {
        &self.secret
    }

    /// Whether this is the authority of the network that the ticket is for.
    #[must_use]
    pub fn is_for(&self, authority: &AuthorityCertificate) -> bool {
        self.authority == beginning(authority)
    }

    /// The text of the ticket. It is a secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = vec![self.address.len() as u8];
        bytes.extend_from_slice(self.address.as_bytes());
        bytes.extend_from_slice(&self.authority);
        bytes.extend_from_slice(self.secret.as_bytes());
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        format!(
            "{PREFIX}{}",
            BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
        )
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        use TicketError::Damaged;
        let text = text.trim().to_ascii_lowercase();
        let body = text.strip_prefix(PREFIX).ok_or(TicketError::NotATicket)?;
        if body.len() > limits::TICKET_BYTES_MAX {
            return Err(Damaged);
        }
        let bytes = BASE32_NOPAD.decode(body.to_ascii_uppercase().as_bytes());
        let bytes = bytes.map_err(|_| Damaged)?;
        let (bytes, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Damaged)?;
        if checksum(bytes) != *sum {
            return Err(Damaged);
        }
        let (length, rest) = bytes.split_first().ok_or(Damaged)?;
        let (address, rest) = rest.split_at_checked((*length).into()).ok_or(Damaged)?;
        let (authority, secret) = rest.split_first_chunk().ok_or(Damaged)?;
        let address = std::str::from_utf8(address).map_err(|_| Damaged)?;
        Ok(Self {
            address: address::of_a_node(address).map_err(|_| Damaged)?,
            authority: *authority,
            secret: TicketSecret::from_bytes(secret).ok_or(Damaged)?,
        })
    }
}

fn beginning(authority: &AuthorityCertificate) -> [u8; AUTHORITY_BYTES] {
    let mut bytes = [0; AUTHORITY_BYTES];
    bytes.copy_from_slice(&authority.fingerprint().as_bytes()[..AUTHORITY_BYTES]);
    bytes
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&Fingerprint::of(bytes).as_bytes()[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authority::Authority;

    fn authority() -> AuthorityCertificate {
        let made = Authority::create("home", 1, 1_000_000).expect("an authority");
        made.certificate().clone()
    }

    fn ticket(address: &str) -> Ticket {
        let secret = TicketSecret::draw().expect("a secret");
        Ticket::new(address, &authority(), secret).expect("an address")
    }

    #[test]
    fn a_ticket_reads_back_also_in_capitals_and_with_spaces_around_it() {
        for address in ["127.0.0.1:7400", "[::1]:7400", "files.example:1"] {
            let made = ticket(address);
            let text = format!(" {}\n", made.to_text().to_ascii_uppercase());
            assert_eq!(text.parse(), Ok(made.clone()));
            assert_eq!(made.address(), address);
        }
    }

    #[test]
    fn a_ticket_is_for_one_authority() {
        let (ours, secret) = (authority(), TicketSecret::draw().expect("a secret"));
        let made = Ticket::new("a:1", &ours, secret).expect("an address");
        assert!(made.is_for(&ours) && !made.is_for(&authority()));
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let text = ticket("127.0.0.1:7400").to_text();
        for at in PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).expect("it is text");
            assert_eq!(
                changed.parse::<Ticket>(),
                Err(TicketError::Damaged),
                "{changed}"
            );
        }
        let cut = &text[..text.len() - 1];
        assert_eq!(cut.parse::<Ticket>(), Err(TicketError::Damaged));
        assert_eq!("hello".parse::<Ticket>(), Err(TicketError::NotATicket));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let made = ticket("127.0.0.1:7400");
        let shown = format!("{made:?}");
        assert!(shown.contains("TicketSecret(..)"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(dvt1)?[a-z2-7]{0,80}|\\PC{0,40}") {
            let _read = text.parse::<Ticket>();
        }
    }
}
