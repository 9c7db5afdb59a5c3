//! `Invitation`: what an authority keeps of a ticket that it handed out: the terms, and who used it.
//!
//! The secret itself is not kept, only its hash, by which the invitation is found. A machine that asks again with the same
//! key gets the same answer and uses nothing up, because its first answer may have been lost.

use serde::{Deserialize, Serialize};

use crate::Seconds;
use crate::fingerprint::Fingerprint;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The name that the machine gets, whatever it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The zone that the machine is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// It can't be used from then on.
    pub expires: Seconds,
    /// Machines that can join with it.
    pub uses: u32,
    /// The keys of the machines that did, as SHA-256.
    #[serde(default)]
    pub used_by: Vec<String>,
}

/// Why an invitation can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// There is none for this secret.
    #[error("this ticket is not known here: make a new one with `dataverse network invite`")]
    Unknown,
    /// Its time is over.
    #[error("this ticket has expired: make a new one with `dataverse network invite`")]
    Expired,
    /// It was used as often as it may be.
    #[error("this ticket has been used: make a new one with `dataverse network invite`")]
    Used,
}

impl Invitation {
    /// Whether it can be used by anybody who has not used it yet.
    #[must_use]
    pub fn is_open(&self, now: Seconds) -> bool {
        now < self.expires && self.used_by.len() < self.uses as usize
    }

    /// Uses it for the machine with this key. True if the invitation has changed.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn redeem(&mut self, key: Fingerprint, now: Seconds) -> Result<bool, InvitationError> {
        if now >= self.expires {
            return Err(InvitationError::Expired);
        }
        let key = key.to_string();
        if self.used_by.contains(&key) {
            return Ok(false);
        }
        if self.used_by.len() >= self.uses as usize {
            return Err(InvitationError::Used);
        }
        self.used_by.push(key);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(uses: u32) -> Invitation {
        Invitation {
            name: None,
            zone: None,
            expires: 100,
            uses,
            used_by: Vec::new(),
        }
    }

    #[test]
    fn the_same_key_uses_an_invitation_once() {
        let mut invitation = invitation(2);
        let [a, b, c] = [b"a", b"b", b"c"].map(|key| Fingerprint::of(key));
        assert_eq!(invitation.redeem(a, 1), Ok(true));
        assert_eq!(invitation.redeem(a, 2), Ok(false));
        assert!(invitation.is_open(2));
        assert_eq!(invitation.redeem(b, 3), Ok(true));
        assert_eq!(invitation.redeem(c, 4), Err(InvitationError::Used));
        assert_eq!(invitation.redeem(a, 5), Ok(false));
        assert!(!invitation.is_open(5));
    }

    #[test]
    fn an_invitation_expires_also_for_those_that_used_it() {
        let mut invitation = invitation(2);
        let key = Fingerprint::of(b"a");
        assert_eq!(invitation.redeem(key, 99), Ok(true));
        assert_eq!(invitation.redeem(key, 100), Err(InvitationError::Expired));
        assert!(!invitation.is_open(100));
    }
}
