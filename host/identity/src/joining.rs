//! A node's key, and the request by which it asks for a certificate.
//!
//! The request is an ordinary certificate signing request (PKCS #10): it names the node's id and name, and its signature
//! proves that whoever asks has the key. Whether the request is granted is decided elsewhere.

use std::fmt;

use dataverse_core::id::NodeId;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DnType, DnValue, KeyPair, PKCS_ED25519,
    PublicKey, PublicKeyData,
};
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::certificate::{self, CertificateError, node_in};
use crate::fingerprint::Fingerprint;
use crate::limits;

/// The key of a node.
pub struct NodeKey(KeyPair);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.fingerprint())
    }
}

impl NodeKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ED25519)?))
    }

    /// The key in this PEM text.
    ///
    /// # Errors
    /// If it is not a key.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        Ok(Self(KeyPair::from_pem(text)?))
    }

    /// The key as PEM. Keep it secret.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The SHA-256 of the public key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.public_key_raw())
    }

    /// The key for TLS.
    #[must_use]
    pub fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }
}

/// A request for a certificate, whose signature was checked.
pub struct JoinRequest {
    der: Vec<u8>,
    node: NodeId,
    name: String,
    public_key: PublicKey,
}

impl JoinRequest {
    /// The request of a node with this id, name and key.
    ///
    /// # Errors
    /// If the name is not usable or the library fails.
    pub fn new(node: NodeId, name: &str, key: &NodeKey) -> Result<Self, CertificateError> {
        certificate::check_name(name)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![certificate::san(node)?];
        let request = params.serialize_request(&key.0)?;
        Self::parse(request.der())
    }

    /// Reads a request in DER and checks its signature.
    ///
    /// # Errors
    /// If it is not a request of a node, or is not signed by the key in it.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let wrong = CertificateError::NotARequest;
        if der.len() > limits::REQUEST_BYTES_MAX {
            return Err(wrong("it is too large"));
        }
        let read = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(
            der.to_vec(),
        ));
        let CertificateSigningRequestParams { params, public_key } =
            read.map_err(|_| wrong("it can't be read, or its signature is wrong"))?;
        if public_key.algorithm() != &PKCS_ED25519 {
            return Err(wrong("its key is not an Ed25519 key"));
        }
        let node = match &params.subject_alt_names[..] {
            [san] => node_in(san),
            _ => None,
        };
        let name = match params.distinguished_name.get(&DnType::CommonName) {
            Some(DnValue::Utf8String(name)) => name.clone(),
            _ => return Err(wrong("it has no name")),
        };
        certificate::check_name(&name)?;
        Ok(Self {
            der: der.to_vec(),
            node: node.ok_or(wrong("it names no node"))?,
            name,
            public_key,
        })
    }

    /// The request in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The node that asks.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The name that it would like to have.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 of its public key.
    #[must_use]
    pub fn key(&self) -> Fingerprint {
        Fingerprint::of(self.public_key.der_bytes())
    }

    pub(crate) const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> JoinRequest {
        let key = NodeKey::generate().expect("a key");
        JoinRequest::new(NodeId::from(7), "Ä-1", &key).expect("a request")
    }

    #[test]
    fn a_request_reads_back() {
        let key = NodeKey::generate().expect("a key");
        let same = NodeKey::from_pem(&key.to_pem()).expect("it is a key");
        let made = JoinRequest::new(NodeId::from(7), "Ä-1", &same).expect("a request");
        let read = JoinRequest::parse(made.der()).expect("it is a request");
        assert_eq!((read.node(), read.name()), (NodeId::from(7), "Ä-1"));
        assert_eq!(read.key(), key.fingerprint());
    }

    #[test]
    fn a_request_that_was_changed_says_nothing_else() {
        let made = request();
        for at in 0..made.der().len() {
            let mut changed = made.der().to_vec();
            changed[at] ^= 4;
            // A few bits mean nothing, such as those after the end of the signature.
            if let Ok(read) = JoinRequest::parse(&changed) {
                let said = (read.node(), read.name(), read.key());
                assert_eq!(said, (made.node(), made.name(), made.key()), "byte {at}");
            }
        }
    }

    #[test]
    fn nothing_shows_the_key() {
        let key = NodeKey::generate().expect("a key");
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("NodeKey({})", key.fingerprint()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _read = JoinRequest::parse(&bytes);
        }
    }
}
