//! `Credentials`: what a running node presents to others and whom it accepts, as TLS configurations.
//!
//! One port serves two kinds of callers, told apart by the protocol that they ask for in the handshake (ALPN). Nodes ask
//! for `dataverse-nodes/1` and must present a certificate of this network; clients ask for `h2` and present none. All of
//! it is TLS 1.3. Sessions are never resumed, because a resumed one would not check the certificate again.
//!
//! Certificate and trust can change while the node runs. Each change raises the [`Credentials::revision`]; whoever has
//! connections open then checks again whether their other ends are still accepted ([`Credentials::accepts`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, RootCertStore, ServerConfig};
use tokio::sync::watch;

use crate::Seconds;
use crate::certificate::{CertificateError, NodeCertificate};
use crate::fingerprint::Fingerprint;
use crate::statement::Statement;
use crate::ticket::Ticket;
use crate::trust::Trust;
use crate::verifier::{self, NodeVerifier, TicketVerifier};

pub use crate::verifier::{Role, in_words};

/// The protocol that nodes ask for in the handshake.
pub const ALPN_NODES: &[u8] = b"dataverse-nodes/1";
/// The protocol that clients ask for.
pub const ALPN_CLIENTS: &[u8] = b"h2";

/// Whose signatures count.
#[derive(Debug, Clone)]
pub enum Anchors {
    /// Those of the network's own authorities, which also revoke nodes.
    Network(Trust),
    /// Those of a PKI that is run elsewhere.
    Pki(Vec<CertificateDer<'static>>),
}

/// The certificate that a node presents, with its key.
pub struct Presented {
    /// The certificate, and those that it needs to be verified.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// A node at the other end of a connection, whose certificate was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// What it says.
    pub said: NodeCertificate,
    chain: Vec<CertificateDer<'static>>,
    role: Role,
}

/// TLS configurations for one state of the credentials.
#[derive(Clone)]
pub struct Tls {
    /// For nodes that connect to this one.
    pub nodes: Arc<ServerConfig>,
    /// For clients that connect to this one.
    pub clients: Arc<ServerConfig>,
    /// For connections to other nodes.
    pub outgoing: Arc<ClientConfig>,
}

/// The credentials of one node.
pub struct Credentials {
    anchors: Arc<Mutex<Anchors>>,
    own: Mutex<Own>,
    learning: Mutex<()>,
    revision: watch::Sender<u64>,
}

struct Own {
    said: NodeCertificate,
    chain: Vec<CertificateDer<'static>>,
    tls: Tls,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.own.lock().said)
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({} certificates)", self.chain.len())
    }
}

/// Why a certificate can't be presented.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It is not that of a node.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It is another node's.
    #[error(
        "the certificate is that of node {found}, and this is node {wanted}: it must have the subject alternative name URI:urn:dataverse:node:{wanted}"
    )]
    AnotherNode {
        /// The node in the certificate.
        found: NodeId,
        /// This node.
        wanted: NodeId,
    },
    /// Others would not accept it.
    #[error("the certificate would not be accepted by others: {0}")]
    NotAccepted(String),
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("key and certificate can't be used together: {0}")]
    Key(Error),
}

impl Anchors {
    /// The certificates that count now.
    pub(crate) fn roots(&self, now: Seconds) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        match self {
            Self::Network(trust) => {
                let ders = trust.authorities(now).into_iter();
                roots.add_parsable_certificates(ders.map(|it| it.certificate.der().clone()));
            }
            Self::Pki(ders) => {
                roots.add_parsable_certificates(ders.iter().cloned());
            }
        }
        roots
    }

    /// Whether this node was revoked.
    pub(crate) fn is_revoked(&self, node: NodeId) -> bool {
        match self {
            Self::Network(trust) => trust.is_revoked(node),
            Self::Pki(_) => false,
        }
    }
}

impl Credentials {
    /// The credentials of this node, which presents this certificate. It must be acceptable to others, except that this
    /// node may have been revoked: it finds out when it calls them.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn new(
        node: NodeId,
        presented: Presented,
        anchors: Anchors,
        now: Seconds,
    ) -> Result<Self, CredentialsError> {
        let anchors = Arc::new(Mutex::new(anchors));
        let own = Own::new(node, presented, &anchors, now)?;
        Ok(Self {
            anchors,
            own: Mutex::new(own),
            learning: Mutex::default(),
            revision: watch::Sender::new(0),
        })
    }

    /// The node that presents these credentials.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.own.lock().said.node
    }

    /// What the node's own certificate says.
    #[must_use]
    pub fn own(&self) -> NodeCertificate {
        self.own.lock().said.clone()
    }

    /// The configurations for new connections.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.own.lock().tls.clone()
    }

    /// Changes whenever certificate or trust do.
    #[must_use]
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Presents another certificate from now on.
    ///
    /// # Errors
    /// [`CredentialsError`]; then everything is as before.
    pub fn present(&self, presented: Presented, now: Seconds) -> Result<(), CredentialsError> {
        let own = Own::new(self.node(), presented, &self.anchors, now)?;
        *self.own.lock() = own;
        self.changed();
        Ok(())
    }

    /// Trusts another PKI from now on, and presents another certificate.
    ///
    /// # Errors
    /// [`CredentialsError`]; then everything is as before.
    pub fn replace(
        &self,
        presented: Presented,
        roots: Vec<CertificateDer<'static>>,
        now: Seconds,
    ) -> Result<(), CredentialsError> {
        let anchors = Arc::new(Mutex::new(Anchors::Pki(roots.clone())));
        Own::new(self.node(), presented.clone_all(), &anchors, now)?;
        *self.anchors.lock() = Anchors::Pki(roots);
        self.present(presented, now)
    }

    /// Takes in statements of the network's authorities. True if anything is new.
    pub fn learn(&self, statements: &[Statement], now: Seconds) -> bool {
        // Many signatures take a while, during which others ask whom to accept.
        let _one_at_a_time = self.learning.lock();
        let Some(mut trust) = self.trust() else {
            return false;
        };
        if !trust.learn(statements, now) {
            return false;
        }
        *self.anchors.lock() = Anchors::Network(trust);
        self.changed();
        true
    }

    /// What this node trusts; `None` if that is a PKI.
    #[must_use]
    pub fn trust(&self) -> Option<Trust> {
        match &*self.anchors.lock() {
            Anchors::Network(trust) => Some(trust.clone()),
            Anchors::Pki(_) => None,
        }
    }

    /// The SHA-256 of all statements; `None` if a PKI is trusted.
    #[must_use]
    pub fn digest(&self) -> Option<Fingerprint> {
        match &*self.anchors.lock() {
            Anchors::Network(trust) => Some(trust.digest()),
            Anchors::Pki(_) => None,
        }
    }

    /// Whether this node was revoked.
    #[must_use]
    pub fn is_revoked(&self, node: NodeId) -> bool {
        self.anchors.lock().is_revoked(node)
    }

    /// Whether the own certificate should be renewed: its time is running out, or another authority signs by now.
    #[must_use]
    pub fn should_renew(&self, now: Seconds) -> bool {
        let own = self.own();
        let roots = match &*self.anchors.lock() {
            Anchors::Network(trust) => vec![trust.newest().der().clone()],
            Anchors::Pki(_) => return false,
        };
        let newest = Anchors::Pki(roots);
        let chain = self.own.lock().chain.clone();
        let is_newest = verifier::verify(&newest, &chain[..1], Role::Server, unix(now)).is_ok();
        now >= own.renew_at() || !is_newest
    }

    /// The node that presented this chain in a handshake.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn identify(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
        now: Seconds,
    ) -> Result<PeerCertificate, Error> {
        let said = verifier::verify(&self.anchors.lock(), chain, role, unix(now))?;
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        Ok(PeerCertificate { said, chain, role })
    }

    /// Whether a certificate that was accepted before still is.
    #[must_use]
    pub fn accepts(&self, peer: &PeerCertificate, now: Seconds) -> bool {
        self.identify(&peer.chain, peer.role, now).is_ok()
    }

    fn changed(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }
}

impl Presented {
    fn clone_all(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Own {
    fn new(
        node: NodeId,
        presented: Presented,
        anchors: &Arc<Mutex<Anchors>>,
        now: Seconds,
    ) -> Result<Self, CredentialsError> {
        let Some(leaf) = presented.chain.first() else {
            return Err(CertificateError::NotOfANode("there is no certificate").into());
        };
        let said = NodeCertificate::parse(leaf)?;
        if said.node != node {
            return Err(CredentialsError::AnotherNode {
                found: said.node,
                wanted: node,
            });
        }
        for role in [Role::Server, Role::Client] {
            match verifier::verify(&anchors.lock(), &presented.chain, role, unix(now)) {
                Ok(_) | Err(Error::InvalidCertificate(rustls::CertificateError::Revoked)) => {}
                Err(error) => return Err(CredentialsError::NotAccepted(in_words(&error))),
            }
        }
        let tls = Tls::new(&presented, anchors).map_err(CredentialsError::Key)?;
        Ok(Self {
            said,
            chain: presented.chain,
            tls,
        })
    }
}

impl Tls {
    fn new(presented: &Presented, anchors: &Arc<Mutex<Anchors>>) -> Result<Self, Error> {
        let verifier = Arc::new(NodeVerifier(Arc::clone(anchors)));
        let server = |verifier, protocol: &[u8]| {
            let config = ServerConfig::builder_with_provider(verifier::provider());
            let config = config.with_protocol_versions(&[&TLS13])?;
            let config = config.with_client_cert_verifier(verifier);
            let Presented { chain, key } = presented.clone_all();
            let mut config = config.with_single_cert(chain, key)?;
            config.alpn_protocols = vec![protocol.to_vec()];
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Ok::<_, Error>(Arc::new(config))
        };
        let config = ClientConfig::builder_with_provider(verifier::provider());
        let config = config.with_protocol_versions(&[&TLS13])?;
        let config = config.dangerous().with_custom_certificate_verifier(
            Arc::clone(&verifier) as Arc<dyn rustls::client::danger::ServerCertVerifier>
        );
        let Presented { chain, key } = presented.clone_all();
        let mut outgoing = config.with_client_auth_cert(chain, key)?;
        outgoing.alpn_protocols = vec![ALPN_NODES.to_vec()];
        outgoing.resumption = Resumption::disabled();
        outgoing.enable_sni = false;
        Ok(Self {
            nodes: server(verifier, ALPN_NODES)?,
            clients: server(WebPkiClientVerifier::no_client_auth(), ALPN_CLIENTS)?,
            outgoing: Arc::new(outgoing),
        })
    }
}

/// The configuration with which a machine that has only a ticket connects.
///
/// # Errors
/// If the library fails.
pub fn client_with_ticket(ticket: &Ticket) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(verifier::provider());
    let config = config.with_protocol_versions(&[&TLS13])?;
    let verifier = Arc::new(TicketVerifier(ticket.clone()));
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![ALPN_CLIENTS.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

fn unix(now: Seconds) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now))
}

#[cfg(test)]
mod tests;
