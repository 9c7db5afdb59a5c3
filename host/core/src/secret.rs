//! The secret of a data folder, and the proof that a node has it.
//!
//! Any node can claim any id. Only a node that runs in the data folder, or in a copy of it, knows the secret
//! stored there. So a node that hears of another one with its own id asks it for a proof: a keyed hash (BLAKE3,
//! section 2.3 of its paper) over a fresh random nonce from the asking node, the id, and the answering node's run.
//! A proof cannot be kept for later, and a proof that was passed on still names the run that made it. The secret
//! never leaves the folder and is never displayed.

use std::fmt;

use crate::id::NodeId;

/// The secret shared by a data folder and its copies.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The secret stored as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Proves to the sender of this nonce that the node with this id knows the secret, in this run.
    #[must_use]
    pub fn prove(&self, nonce: &Nonce, id: NodeId, instance: u64) -> Proof {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&nonce.0);
        hasher.update(id.as_bytes());
        hasher.update(&instance.to_be_bytes());
        Proof(hasher.finalize())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A random number used once, chosen by the node that wants a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// Minimum length in bytes.
    pub const BYTES_MIN: usize = 16;
    /// Maximum length in bytes.
    pub const BYTES_MAX: usize = 32;

    /// A nonce of these bytes; `None` if there are too few or too many.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fits = (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes.len());
        fits.then(|| Self(bytes.to_vec()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; 32]> for Nonce {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }
}

/// The answer to a nonce that only a node with the secret can give. Comparing two proofs takes constant time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof(blake3::Hash);

impl Proof {
    /// The proof received as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// The bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_one_secret_nonce_node_and_run() {
        let (secret, nonce, id) = (
            Secret::from_bytes([1; 32]),
            Nonce::from([2; 32]),
            NodeId::from(3),
        );
        let proof = secret.prove(&nonce, id, 4);
        assert_eq!(proof, secret.clone().prove(&nonce, id, 4));
        let others = [
            Secret::from_bytes([9; 32]).prove(&nonce, id, 4),
            secret.prove(&Nonce::from([9; 32]), id, 4),
            secret.prove(&nonce, NodeId::from(9), 4),
            secret.prove(&nonce, id, 9),
        ];
        assert!(others.iter().all(|other| *other != proof));
        assert_eq!(Proof::from_bytes(*proof.as_bytes()), proof);
    }

    #[test]
    fn a_proof_is_the_keyed_hash_of_nonce_id_and_run() {
        let mut said = vec![2; 16];
        said.extend_from_slice(&3u128.to_be_bytes());
        said.extend_from_slice(&4u64.to_be_bytes());
        let expected = blake3::keyed_hash(&[1; 32], &said);
        let nonce = Nonce::from_bytes(&[2; 16]).expect("it is long enough");
        let proof = Secret::from_bytes([1; 32]).prove(&nonce, NodeId::from(3), 4);
        assert_eq!(proof.as_bytes(), expected.as_bytes());
    }

    #[test]
    fn a_nonce_has_16_to_32_bytes() {
        for (len, fits) in [(0, false), (15, false), (16, true), (32, true), (33, false)] {
            assert_eq!(Nonce::from_bytes(&vec![0; len]).is_some(), fits, "{len}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::from_bytes([1; 32])), "Secret(..)");
    }
}
