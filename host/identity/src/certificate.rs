//! The certificate of a node: what it says, once a chain of signatures has been verified.
//!
//! A node's certificate names its id in a subject alternative name, the URI `urn:dataverse:node:` with 32 hexadecimal
//! digits. Its common name is the node's name, for people. A certificate of a PKI must have such a URI, too, and exactly
//! one. Whether a certificate is *trusted* is decided in `verifier`, never here.

use dataverse_core::id::NodeId;
use rcgen::SanType;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_SIG_ED25519, Oid};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::Seconds;
use crate::fingerprint::Fingerprint;
use crate::limits;

/// What the URI of a node's id begins with.
const URI: &str = "urn:dataverse:node:";
/// The algorithm of Ed25519 keys.
pub(crate) const ED25519_OID: Oid<'static> = OID_SIG_ED25519;

/// Why a certificate or a key is not usable.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It is not the certificate of a node.
    #[error("not the certificate of a node: {0}")]
    NotOfANode(&'static str),
    /// It is not the certificate of an authority.
    #[error("not the certificate of an authority: {0}")]
    NotAnAuthority(&'static str),
    /// It is not a request for a certificate.
    #[error("not a request for a certificate: {0}")]
    NotARequest(&'static str),
    /// It is not PEM.
    #[error("expected certificates in PEM (-----BEGIN CERTIFICATE-----)")]
    NotPem,
    /// A name that can't be shown, or is too long.
    #[error(
        "`{0}` can't be a name: expected 1 to {max} bytes without spaces, `/` or control characters",
        max = limits::NAME_BYTES_MAX
    )]
    Name(String),
    /// A date that certificates can't express.
    #[error("a date that certificates can't express")]
    Date,
    /// A key or signature of a kind that is not supported, or the library failed.
    #[error("the key or certificate can't be used: {0}")]
    Library(#[from] rcgen::Error),
}

/// What the certificate of a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    /// The node.
    pub node: NodeId,
    /// Its name, for people.
    pub name: String,
    /// It is valid from here …
    pub not_before: Seconds,
    /// … until here.
    pub not_after: Seconds,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// The SHA-256 of the public key.
    pub key: Fingerprint,
}

impl NodeCertificate {
    /// Reads a certificate in DER. Its signature is not checked here.
    ///
    /// # Errors
    /// If it is not a certificate, or does not name exactly one node.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let wrong = CertificateError::NotOfANode;
        if der.len() > limits::CERTIFICATE_BYTES_MAX {
            return Err(wrong("it is too large"));
        }
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| wrong("it can't be read"))?;
        if parsed.is_ca() {
            return Err(wrong("it is that of an authority"));
        }
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let mut nodes = names.filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(URI),
            _ => None,
        });
        let node = nodes.next().ok_or(wrong(
            "it has no subject alternative name of the form URI:urn:dataverse:node:ID, where ID is the node's id",
        ))?;
        if nodes.next().is_some() {
            return Err(wrong("it names several nodes"));
        }
        let node: NodeId = node.parse().map_err(|_| wrong("it names no valid id"))?;
        let validity = parsed.validity();
        let seconds = |at: i64| Seconds::try_from(at).unwrap_or(0);
        Ok(Self {
            node,
            name: common_name(parsed.subject()).unwrap_or_else(|| node.default_name()),
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
            serial: parsed.raw_serial_as_string().replace(':', ""),
            key: Fingerprint::of(&parsed.public_key().subject_public_key.data),
        })
    }

    /// When a node should have its certificate renewed: after two thirds of its time.
    #[must_use]
    pub const fn renew_at(&self) -> Seconds {
        let valid = self.not_after.saturating_sub(self.not_before);
        self.not_after.saturating_sub(valid / 3)
    }
}

/// The subject alternative name of a node.
pub(crate) fn san(node: NodeId) -> Result<SanType, CertificateError> {
    let uri = format!("{URI}{node}");
    let uri = uri.try_into()?;
    Ok(SanType::URI(uri))
}

/// The node that this subject alternative name names.
pub(crate) fn node_in(san: &SanType) -> Option<NodeId> {
    match san {
        SanType::URI(uri) => uri.as_str().strip_prefix(URI)?.parse().ok(),
        _ => None,
    }
}

/// The common name, if there is one that can be shown.
pub(crate) fn common_name(name: &X509Name<'_>) -> Option<String> {
    let name = name.iter_common_name().next()?.as_str().ok()?;
    check_name(name).ok()?;
    Some(name.to_owned())
}

/// Refuses what can't be the name of a node or a network.
///
/// # Errors
/// [`CertificateError::Name`].
pub fn check_name(name: &str) -> Result<(), CertificateError> {
    let foreign = |char: char| char.is_whitespace() || char.is_control() || char == '/';
    let fits = !name.is_empty() && name.len() <= limits::NAME_BYTES_MAX;
    if fits && !name.contains(foreign) && ![".", ".."].contains(&name) {
        return Ok(());
    }
    let shown = name.chars().filter(|char| !char.is_control()).take(80);
    Err(CertificateError::Name(shown.collect()))
}

/// The certificates in a PEM text, in order.
///
/// # Errors
/// If something in it is not PEM, or there are too many.
pub fn der_in(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let ders = CertificateDer::pem_slice_iter(text.as_bytes());
    let ders = ders.take(limits::CHAIN_CERTIFICATES_MAX + 1);
    let ders: Result<Vec<_>, _> = ders.collect();
    let ders = ders.map_err(|_| CertificateError::NotPem)?;
    let fits = |der: &CertificateDer<'_>| der.len() <= limits::CERTIFICATE_BYTES_MAX;
    match ders.len() <= limits::CHAIN_CERTIFICATES_MAX && ders.iter().all(fits) {
        true => Ok(ders),
        false => Err(CertificateError::NotPem),
    }
}

/// Certificates as PEM.
#[must_use]
pub fn pem_of(ders: &[CertificateDer<'_>]) -> String {
    let encode = |der: &CertificateDer<'_>| {
        let body = data_encoding::BASE64.encode(der);
        let lines = body.as_bytes().chunks(64);
        let lines = lines.map(|line| format!("{}\n", String::from_utf8_lossy(line)));
        let lines: String = lines.collect();
        format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
    };
    ders.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authority::Authority;
    use crate::joining::{JoinRequest, NodeKey};

    #[test]
    fn a_certificate_says_whose_it_is_and_for_how_long() {
        let authority = Authority::create("home", 1, 1_000_000).expect("an authority");
        let key = NodeKey::generate().expect("a key");
        let request = JoinRequest::new(NodeId::from(7), "A", &key).expect("a request");
        let der = authority
            .issue(&request, "B", 2_000_000, 5_000_000)
            .expect("it is issued");
        let said = NodeCertificate::parse(&der).expect("it is that of a node");
        assert_eq!((said.node, said.name.as_str()), (NodeId::from(7), "B"));
        assert_eq!(said.not_before, 2_000_000 - limits::CERTIFICATE_BACKDATED_S);
        assert_eq!(said.not_after, 5_000_000);
        assert_eq!(said.key, key.fingerprint());
        assert!(said.renew_at() > 3_000_000 && said.renew_at() < 4_100_000);
        let pem = pem_of(&[der.clone(), authority.certificate().der().clone()]);
        assert_eq!(der_in(&pem).expect("it is PEM")[0], der);
    }

    #[test]
    fn what_is_no_certificate_of_a_node_is_said() {
        let authority = Authority::create("home", 1, 1_000_000).expect("an authority");
        for der in [authority.certificate().der().as_ref(), b"", b"noise"] {
            let refused = NodeCertificate::parse(der);
            assert!(matches!(refused, Err(CertificateError::NotOfANode(_))));
        }
        assert!(der_in("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _read = NodeCertificate::parse(&bytes);
        }
    }
}
