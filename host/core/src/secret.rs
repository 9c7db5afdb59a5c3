//! The secret of a data folder, and the proof that a node has it.
//!
//! Anyone can say that it is some node. Only a node that runs in the data folder, or in a copy of it, knows the
//! secret that lies there: so a node that is told of another one under its own id asks that one to prove it. The
//! proof is a keyed hash (BLAKE3, section 2.3 of its paper) over a number that the asker has just drawn, the id and
//! the run of whoever answers. It can't be kept for later, and one that is passed on still speaks for the run that
//! made it. The secret itself never leaves the folder, and is not shown.

use std::fmt;

use crate::id::NodeId;

/// What a data folder and its copies have in common, and nobody else knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The one that was kept as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As it is kept.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Proves to whoever drew this nonce that the node of this id knows the secret in this run.
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

/// A number that is used once: whoever wants a proof draws it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// Bytes of it at least.
    pub const BYTES_MIN: usize = 16;
    /// Bytes of it at most.
    pub const BYTES_MAX: usize = 32;

    /// These bytes, if there are as many as there may be.
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

/// What only a node with the secret can answer to a nonce. Comparing two takes the same time whatever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof(blake3::Hash);

impl Proof {
    /// The one that was sent as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// As it is sent.
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
