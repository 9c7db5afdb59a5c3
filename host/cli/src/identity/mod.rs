//! The identity of a node: found in its data folder, obtained with a ticket or from the authority's folder at its start,
//! or given as files by somebody who runs a PKI; and kept up while the node runs (`upkeep`, `pki`).
//!
//! A node without any of these has no identity: it speaks without TLS, and listens on loopback only.

mod pki;
mod upkeep;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use dataverse_core::id::NodeId;
use dataverse_identity::authority_folder::AuthorityFolder;
use dataverse_identity::credentials::{Anchors, Credentials, Presented};
use dataverse_identity::joining::{JoinRequest, NodeKey};
use dataverse_identity::node_folder::{Joined, Membership, NodeFolder};
use dataverse_identity::ticket::Ticket;
use dataverse_overlay::clock::system_seconds;
use dataverse_overlay::enrolment::{EnrolError, Enrolled, enrol};
use dataverse_overlay::timings::Timings;
use dataverse_overlay::transport::{CallError, Refusal};

use crate::config::NodeConfig;
use crate::limits;

use self::pki::PkiFiles;

/// The folder of a node's identity, in its data folder.
const FOLDER: &str = "identity";
/// The pause between two attempts to join.
const PAUSE: Duration = Duration::from_secs(1);

/// The identity of one node.
pub(crate) struct NodeIdentity {
    credentials: Arc<Credentials>,
    source: Source,
    joined: Joined,
}

/// Where an identity comes from.
enum Source {
    /// The network's own authority.
    Network {
        folder: NodeFolder,
        key: Box<NodeKey>,
        /// Where the authority's key is, if this node issues certificates.
        authority: Option<AuthorityFolder>,
    },
    /// A PKI that is run elsewhere.
    Pki(PkiFiles),
}

/// Whether a node with this configuration will have an identity.
pub(crate) fn is_given(config: &NodeConfig) -> bool {
    let is_asked_for =
        config.authority.is_some() || config.join.is_some() || PkiFiles::of(config).is_some();
    is_asked_for || has_joined(&config.folder)
}

/// The id in the certificate of a data folder whose index does not exist yet.
pub(crate) fn node_in(config: &NodeConfig) -> Option<NodeId> {
    let pem = std::fs::read_to_string(config.folder.join(FOLDER).join("node.pem")).ok()?;
    let chain = dataverse_identity::certificate::der_in(&pem).ok()?;
    let said = dataverse_identity::certificate::NodeCertificate::parse(chain.first()?).ok()?;
    Some(said.node)
}

fn has_joined(folder: &Path) -> bool {
    folder.join(FOLDER).join("node.pem").exists()
}

/// The identity of the node with this id; `None` if it has none.
///
/// # Errors
/// Why it can't have the identity that the configuration or its folder speak of.
pub(crate) async fn prepare(
    config: &NodeConfig,
    node: NodeId,
) -> anyhow::Result<Option<NodeIdentity>> {
    if let Some(files) = PkiFiles::of(config) {
        return files.prepare(node).await.map(Some);
    }
    if !is_given(config) {
        return Ok(None);
    }
    let root = config.folder.join(FOLDER);
    let opened = blocking(move || {
        let folder = NodeFolder::open(&root)?;
        let (key, membership) = (folder.key()?, folder.membership(node)?);
        Ok((folder, key, membership))
    });
    let (folder, key, membership) = opened.await.context("opening the identity of this node")?;
    let start = Start {
        node,
        folder,
        key,
        membership,
    };
    let identity = match (&config.authority, &config.join) {
        (Some(authority), _) => start.with_authority(authority, config).await,
        (None, Some(ticket)) => start.with_ticket(ticket, config).await,
        (None, None) => start.again(),
    };
    identity.map(Some)
}

/// A node that is being started.
struct Start {
    node: NodeId,
    folder: NodeFolder,
    key: NodeKey,
    membership: Option<Membership>,
}

impl Start {
    fn request(&self, config: &NodeConfig) -> anyhow::Result<JoinRequest> {
        let name = config.name.clone();
        let name = name.unwrap_or_else(|| self.node.default_name());
        Ok(JoinRequest::new(self.node, &name, &self.key)?)
    }

    /// A node that has the authority's key issues its own certificate.
    async fn with_authority(
        self,
        authority: &Path,
        config: &NodeConfig,
    ) -> anyhow::Result<NodeIdentity> {
        let (root, request) = (authority.to_owned(), self.request(config)?);
        let issued = blocking(move || {
            let authority = AuthorityFolder::open(&root)?;
            let issued = authority.issue_own(&request, system_seconds())?;
            Ok((authority, issued))
        });
        let (authority, issued) = issued.await.context("--authority")?;
        let enrolled = Enrolled {
            issued,
            network: config.network.clone(),
        };
        self.joined(enrolled, None, Some(authority)).await
    }

    /// A machine with a ticket asks the node in it, unless it has joined before.
    async fn with_ticket(
        self,
        ticket: &Ticket,
        config: &NodeConfig,
    ) -> anyhow::Result<NodeIdentity> {
        if let Some(membership) = &self.membership {
            let authorities = membership.trust.authorities(system_seconds());
            let is_ours = authorities.iter().any(|it| ticket.is_for(it.certificate));
            if !is_ours {
                anyhow::bail!(
                    "this node belongs to the network `{}` and the ticket is for another one: leave out --join, or choose another data folder with --data",
                    membership.trust.network()
                );
            }
            if system_seconds() < membership.said.not_after {
                return self.again();
            }
        }
        let request = self.request(config)?;
        let enrolled = join(ticket, &request, &config.settings.timings()).await?;
        let issuer = Some(ticket.address().to_owned());
        self.joined(enrolled, issuer, None).await
    }

    /// A node that joined before.
    fn again(self) -> anyhow::Result<NodeIdentity> {
        let membership = self
            .membership
            .context("this node has not joined a network")?;
        let days = system_seconds().saturating_sub(membership.said.not_after) / (24 * 60 * 60);
        if system_seconds() >= membership.said.not_after {
            anyhow::bail!(
                "the certificate of this node expired {days} days ago: join again with a new ticket (--join), which `dataverse network invite` prints"
            );
        }
        let presented = presented(&membership, &self.key);
        let anchors = Anchors::Network(membership.trust);
        Ok(NodeIdentity {
            credentials: Arc::new(Credentials::new(
                self.node,
                presented,
                anchors,
                system_seconds(),
            )?),
            joined: membership.joined,
            source: Source::Network {
                folder: self.folder,
                key: Box::new(self.key),
                authority: None,
            },
        })
    }

    /// Keeps what a node got.
    async fn joined(
        mut self,
        enrolled: Enrolled,
        issuer: Option<String>,
        authority: Option<AuthorityFolder>,
    ) -> anyhow::Result<NodeIdentity> {
        let joined = Joined {
            issuer,
            zone: enrolled.issued.zone.clone(),
            network: Some(enrolled.network),
            linked: false,
        };
        let (folder, node) = (self.folder.clone(), self.node);
        let kept = blocking(move || {
            folder.join(&enrolled.issued, &joined)?;
            Ok(folder.membership(node)?)
        });
        self.membership = kept.await.context("keeping the certificate of this node")?;
        let mut identity = self.again()?;
        if let Source::Network { authority: own, .. } = &mut identity.source {
            *own = authority;
        }
        Ok(identity)
    }
}

/// Asks for a certificate, again if the node does not answer or is busy. The ticket is used once all the same.
async fn join(
    ticket: &Ticket,
    request: &JoinRequest,
    timings: &Timings,
) -> anyhow::Result<Enrolled> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match enrol(ticket, request, timings).await {
            Ok(enrolled) => return Ok(enrolled),
            Err(error) => error,
        };
        let may_pass = matches!(
            &error,
            EnrolError::Call(
                CallError::Unreachable { .. }
                    | CallError::Deadline { .. }
                    | CallError::Refused(Refusal::Busy(_))
            )
        );
        if !may_pass || attempts >= limits::JOIN_ATTEMPTS_MAX {
            return Err(error).context("joining the network");
        }
        tracing::warn!(%error, "can't join the network yet; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

impl NodeIdentity {
    /// What the node presents and whom it accepts.
    pub(crate) const fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// The folder of the authority, if this node issues certificates.
    pub(crate) const fn authority(&self) -> Option<&AuthorityFolder> {
        match &self.source {
            Source::Network { authority, .. } => authority.as_ref(),
            Source::Pki(_) => None,
        }
    }

    /// Completes the configuration with what the ticket said, where the user has said nothing.
    pub(crate) fn complete(&self, config: &mut NodeConfig) {
        if config.name.is_none() {
            config.name = Some(self.credentials.own().name);
        }
        if let Some(zone) = self.joined.zone.clone().filter(|_| config.zone.is_empty()) {
            config.zone = zone;
        }
        let is_default = config.network == NodeConfig::new(config.folder.clone()).network;
        if let Some(network) = self.joined.network.clone().filter(|_| is_default) {
            config.network = network;
        }
        let is_alone = !self.joined.linked && config.links.is_empty();
        if let Some(issuer) = self.joined.issuer.clone().filter(|_| is_alone) {
            config.links.push(issuer);
        }
    }

    /// Records where this node is reached, for the tickets that it answers.
    pub(crate) async fn keep_address(&self, address: &str) -> anyhow::Result<()> {
        let Some(authority) = self.authority().cloned() else {
            return Ok(());
        };
        let address = address.to_owned();
        let kept = blocking(move || Ok(authority.keep_address(&address)?));
        kept.await.context("--authority")
    }
}

/// The certificate of a node; for machines that know only a ticket, those of the authorities; and for nodes that have not
/// heard of a rotation, the new key certified by the old one.
fn presented(membership: &Membership, key: &NodeKey) -> Presented {
    let authorities = membership.trust.authorities(system_seconds()).into_iter();
    let authorities = authorities.map(|it| it.certificate.der().clone()).rev();
    let authorities = authorities.take(limits::AUTHORITIES_SHOWN_MAX);
    let crossings = membership
        .trust
        .crossings(system_seconds())
        .into_iter()
        .cloned();
    let crossings = crossings.take(limits::AUTHORITIES_SHOWN_MAX);
    let chain = std::iter::once(membership.certificate.clone()).chain(authorities);
    let chain = chain.chain(crossings);
    Presented {
        chain: chain.collect(),
        key: key.for_tls(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}
