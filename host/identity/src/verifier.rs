//! Checks of certificates during a TLS handshake.
//!
//! rustls verifies signatures, dates and uses of the chain (webpki). Added here: the certificate must name a node, the
//! node must not be revoked, and names of hosts do not count, because a node is its id and not its address. Which node
//! the other side is meant to be is checked by the caller, who knows.

use std::fmt;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, PeerIncompatible, RootCertStore, SignatureScheme,
};

use crate::authority::AuthorityCertificate;
use crate::certificate::NodeCertificate;
use crate::credentials::Anchors;
use crate::limits;
use crate::ticket::Ticket;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// The cryptography in use.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// What a certificate is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// By the side that was connected to.
    Server,
    /// By the side that connects.
    Client,
}

/// Checks a chain for this role and returns what its first certificate says.
pub(crate) fn verify(
    anchors: &Anchors,
    chain: &[CertificateDer<'_>],
    role: Role,
    now: UnixTime,
) -> Result<NodeCertificate, Error> {
    let (leaf, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
    if chain.len() > limits::CHAIN_CERTIFICATES_MAX {
        return Err(CertificateError::BadEncoding.into());
    }
    let roots = anchors.roots(now.as_secs());
    verify_chain(roots, leaf, others, role, now)?;
    let said = NodeCertificate::parse(leaf).map_err(|error| {
        let reason = OtherError(Arc::new(error));
        Error::InvalidCertificate(CertificateError::Other(reason))
    })?;
    match anchors.is_revoked(said.node) {
        true => Err(CertificateError::Revoked.into()),
        false => Ok(said),
    }
}

fn verify_chain(
    roots: RootCertStore,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    role: Role,
    now: UnixTime,
) -> Result<(), Error> {
    match role {
        Role::Server => {
            let leaf = ParsedCertificate::try_from(leaf)?;
            let algorithms = algorithms().all;
            verify_server_cert_signed_by_trust_anchor(&leaf, &roots, others, now, algorithms)
        }
        Role::Client => {
            let unknown = |_| Error::InvalidCertificate(CertificateError::UnknownIssuer);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
            let verifier = verifier.build().map_err(unknown)?;
            verifier.verify_client_cert(leaf, others, now).map(drop)
        }
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    PROVIDER.signature_verification_algorithms
}

/// Accepts certificates of nodes of this network, on either side.
pub(crate) struct NodeVerifier(pub(crate) Arc<Mutex<Anchors>>);

impl NodeVerifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain: Vec<_> = std::iter::once(leaf).chain(others).cloned().collect();
        verify(&self.0.lock(), &chain, role, now).map(drop)
    }
}

/// Accepts the node that a ticket speaks of.
pub(crate) struct TicketVerifier(pub(crate) Ticket);

macro_rules! only_tls13 {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &algorithms())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            algorithms().supported_schemes()
        }
    };
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, Role::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    only_tls13!();
}

impl ClientCertVerifier for NodeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, Role::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    only_tls13!();
}

impl ServerCertVerifier for TicketVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authorities = intermediates.iter().take(limits::CHAIN_CERTIFICATES_MAX);
        let mut authorities = authorities.filter_map(|der| AuthorityCertificate::parse(der).ok());
        let ours = authorities.find(|authority| self.0.is_for(authority));
        let ours = ours.ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(ours.der().clone())?;
        verify_chain(roots, end_entity, intermediates, Role::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    only_tls13!();
}

impl fmt::Debug for NodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeVerifier")
    }
}

impl fmt::Debug for TicketVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketVerifier")
    }
}

/// Why a handshake failed, for people. Says nothing that the other side made up.
#[must_use]
pub fn in_words(error: &Error) -> String {
    use CertificateError as Wrong;
    match error {
        Error::InvalidCertificate(wrong) => match wrong {
            Wrong::Revoked => "its node was revoked in this network".to_owned(),
            Wrong::Expired | Wrong::ExpiredContext { .. } => "its certificate has expired".to_owned(),
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                "its certificate is not valid yet: check the clocks of both machines".to_owned()
            }
            Wrong::Other(OtherError(reason)) if reason.is::<crate::certificate::CertificateError>() => {
                format!("its certificate is not usable: {reason}")
            }
            _ => "its certificate is not of this network".to_owned(),
        },
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRevoked => {
                "it says that this node was revoked in its network".to_owned()
            }
            AlertDescription::CertificateExpired => {
                "it says that the certificate of this node has expired, or that the clocks differ".to_owned()
            }
            AlertDescription::CertificateRequired => {
                "it wants a certificate of its network: join it with a ticket (--join)".to_owned()
            }
            AlertDescription::NoApplicationProtocol => {
                "it does not speak the protocol between nodes; is it the port for nodes (--listen) of a Dataverse node?".to_owned()
            }
            _ => "it does not accept the certificate of this node: both must be of the same network".to_owned(),
        },
        Error::NoCertificatesPresented => "it presented no certificate".to_owned(),
        Error::InvalidMessage(_) => {
            "it does not speak TLS: start it with an identity, too (--join or --authority)".to_owned()
        }
        _ => "the TLS handshake failed".to_owned(),
    }
}
