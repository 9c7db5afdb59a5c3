//! `Authority`: the key that makes a network, and the certificate by which others know it.
//!
//! The certificate is an ordinary self-signed X.509 certificate: its common name is the name of the network, its serial
//! number the generation of the key (1, and one more with each rotation). Nodes need only the certificate. The key signs
//! the certificates of nodes and statements, and nothing else.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber, SigningKey,
};
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Seconds;
use crate::certificate::{self, CertificateError, common_name, der_in, pem_of};
use crate::fingerprint::Fingerprint;
use crate::joining::JoinRequest;
use crate::limits;

/// The certificate of an authority, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    der: CertificateDer<'static>,
    network: String,
    generation: u32,
    public_key: [u8; 32],
    fingerprint: Fingerprint,
}

impl fmt::Debug for AuthorityCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AuthorityCertificate({} {} {})",
            self.network, self.generation, self.fingerprint
        )
    }
}

impl AuthorityCertificate {
    /// Checks a certificate in DER.
    ///
    /// # Errors
    /// If it is not the self-signed certificate of an Ed25519 key that may sign certificates.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let wrong = CertificateError::NotAnAuthority;
        if der.len() > limits::CERTIFICATE_BYTES_MAX {
            return Err(wrong("it is too large"));
        }
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|_| wrong("it can't be read"))?;
        if !rest.is_empty() {
            return Err(wrong("something follows it"));
        }
        let public_key = &parsed.public_key().subject_public_key.data;
        let public_key: [u8; 32] = match public_key.as_ref().try_into() {
            Ok(key) if parsed.public_key().algorithm.algorithm == certificate::ED25519_OID => key,
            _ => return Err(wrong("its key is not an Ed25519 key")),
        };
        let may_sign = parsed
            .key_usage()
            .ok()
            .flatten()
            .is_some_and(|usage| usage.value.key_cert_sign());
        if !parsed.is_ca() || !may_sign {
            return Err(wrong("it may not sign certificates"));
        }
        let signed = UnparsedPublicKey::new(&ED25519, &public_key);
        let (text, signature) = (
            parsed.tbs_certificate.as_ref(),
            &parsed.signature_value.data,
        );
        let is_ed25519 = parsed.signature_algorithm.algorithm == certificate::ED25519_OID
            && parsed.signature_value.unused_bits == 0;
        if !is_ed25519 || signed.verify(text, signature).is_err() {
            return Err(wrong("it is not signed by its own key"));
        }
        let generation = parsed.tbs_certificate.serial.to_u32_digits();
        let [generation @ (1..)] = generation[..] else {
            return Err(wrong("its serial number is not a generation"));
        };
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            network: common_name(parsed.subject()).ok_or(wrong("it names no network"))?,
            generation,
            public_key,
            fingerprint: Fingerprint::of(der),
        })
    }

    /// Checks a certificate in PEM.
    ///
    /// # Errors
    /// See [`Self::parse`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let ders = der_in(text)?;
        let first = ders
            .first()
            .ok_or(CertificateError::NotAnAuthority("it is empty"))?;
        Self::parse(first)
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem_of(std::slice::from_ref(&self.der))
    }

    /// The certificate in DER.
    #[must_use]
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The name of the network.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Which of the network's keys it is, from 1.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The SHA-256 of the certificate.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the authority made this signature.
    #[must_use]
    pub fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.public_key);
        key.verify(text, signature).is_ok()
    }
}

/// An authority with its key.
pub struct Authority {
    certificate: AuthorityCertificate,
    key: KeyPair,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({:?})", self.certificate)
    }
}

impl Authority {
    /// Makes a new key for this network.
    ///
    /// # Errors
    /// If the name is not usable or the system has no randomness.
    pub fn create(network: &str, generation: u32, now: Seconds) -> Result<Self, CertificateError> {
        certificate::check_name(network)?;
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, network);
        params.serial_number = Some(SerialNumber::from(u64::from(generation)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params.not_before = date(now.saturating_sub(limits::CERTIFICATE_BACKDATED_S))?;
        params.not_after = date(now + limits::AUTHORITY_VALID_S)?;
        let made = params.self_signed(&key)?;
        let certificate = AuthorityCertificate::parse(made.der())?;
        Ok(Self { certificate, key })
    }

    /// The authority with this key and certificate, both in PEM.
    ///
    /// # Errors
    /// If one can't be read, or they do not belong together.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, CertificateError> {
        let certificate = AuthorityCertificate::from_pem(certificate)?;
        let key = KeyPair::from_pem(key)?;
        match key.public_key_raw() == certificate.public_key {
            true => Ok(Self { certificate, key }),
            false => Err(CertificateError::NotAnAuthority("its key is another one")),
        }
    }

    /// The key in PEM. Keep it secret.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// Signs the key of the authority that follows, until the overlap ends. Who has not heard of the rotation yet accepts
    /// certificates of the new authority by this one.
    ///
    /// # Errors
    /// If the library fails.
    pub fn cross_sign(
        &self,
        next: &Self,
        now: Seconds,
        until: Seconds,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        let network = next.certificate.network();
        params.distinguished_name.push(DnType::CommonName, network);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = date(now.saturating_sub(limits::CERTIFICATE_BACKDATED_S))?;
        params.not_after = date(until)?;
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), &self.key)?;
        Ok(params.signed_by(&next.key, &issuer)?.der().clone())
    }

    /// Signs a statement.
    ///
    /// # Errors
    /// If the library fails.
    pub(crate) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, CertificateError> {
        Ok(self.key.sign(text)?)
    }

    /// Issues the certificate that was asked for, to be valid until `until`. Its name may differ from that in the
    /// request.
    ///
    /// # Errors
    /// If the name is not usable or the library fails.
    pub fn issue(
        &self,
        request: &JoinRequest,
        name: &str,
        now: Seconds,
        until: Seconds,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        certificate::check_name(name)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![certificate::san(request.node())?];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date(now.saturating_sub(limits::CERTIFICATE_BACKDATED_S))?;
        params.not_after = date(until)?;
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), &self.key)?;
        let made = params.signed_by(request.public_key(), &issuer)?;
        Ok(made.der().clone())
    }
}

fn date(seconds: Seconds) -> Result<OffsetDateTime, CertificateError> {
    let seconds = i64::try_from(seconds).map_err(|_| CertificateError::Date)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CertificateError::Date)
}

#[cfg(test)]
mod tests {
    use dataverse_core::id::NodeId;

    use super::*;

    #[test]
    fn an_authority_reads_back() {
        let made = Authority::create("home", 1, 1_000_000).expect("it is made");
        let read = Authority::from_pem(&made.key_pem(), &made.certificate().to_pem());
        let read = read.expect("it is an authority");
        assert_eq!(read.certificate(), made.certificate());
        assert_eq!(read.certificate().network(), "home");
        assert_eq!(read.certificate().generation(), 1);
        let signature = read.sign(b"text").expect("it signs");
        assert!(made.certificate().has_signed(b"text", &signature));
        assert!(!made.certificate().has_signed(b"test", &signature));
    }

    #[test]
    fn a_key_and_the_certificate_of_another_are_refused() {
        let [a, b] = [1, 2].map(|at| Authority::create("home", at, 1_000_000).expect("it is made"));
        assert!(Authority::from_pem(&a.key_pem(), &b.certificate().to_pem()).is_err());
    }

    #[test]
    fn a_changed_certificate_is_not_the_same_authority_and_that_of_a_node_is_none() {
        let made = Authority::create("home", 1, 1_000_000).expect("it is made");
        let der = made.certificate().der();
        for at in 0..der.len() {
            let mut changed = der.to_vec();
            changed[at] ^= 1;
            // A few bits outside of what is signed mean nothing. It is another certificate even then.
            if let Ok(read) = AuthorityCertificate::parse(&changed) {
                assert_eq!(read.public_key, made.certificate().public_key);
                assert_ne!(read.fingerprint(), made.certificate().fingerprint());
            }
        }
        let key = crate::joining::NodeKey::generate().expect("a key");
        let request = JoinRequest::new(NodeId::from(7), "A", &key).expect("a request");
        let leaf = made
            .issue(&request, "A", 1_000_000, 2_000_000)
            .expect("it is issued");
        assert!(AuthorityCertificate::parse(&leaf).is_err());
    }

    #[test]
    fn a_network_needs_a_name_that_can_be_shown() {
        for name in ["", "a b", "a/b", &"x".repeat(65)] {
            assert!(Authority::create(name, 1, 1_000_000).is_err(), "{name}");
        }
    }
}
