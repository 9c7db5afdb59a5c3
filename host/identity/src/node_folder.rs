//! `NodeFolder`: where a node keeps its key, its certificate, and what it trusts.
//!
//! In it are `node.key`, `node.pem` (the node's certificate), `authority.pem` (the authority that it trusts first),
//! `statements`, and `joined.toml` (what its ticket said). The key never leaves the folder.

use std::path::Path;

use dataverse_core::id::NodeId;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::authority::AuthorityCertificate;
use crate::authority_folder::Issued;
use crate::certificate::{NodeCertificate, der_in, pem_of};
use crate::folder::{Folder, FolderError, content_error};
use crate::joining::NodeKey;
use crate::trust::Trust;

const KEY: &str = "node.key";
const CERTIFICATE: &str = "node.pem";
const AUTHORITY: &str = "authority.pem";
const STATEMENTS: &str = "statements";
const JOINED: &str = "joined.toml";

/// The folder of a node's identity.
#[derive(Debug, Clone)]
pub struct NodeFolder {
    folder: Folder,
}

/// What a node's ticket said, kept for its next start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The address of the node that issues certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The zone of this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The name under which the nodes of the network link with each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The node has been linked since it joined. Until then it tries to link with the issuer at each start.
    #[serde(default)]
    pub linked: bool,
}

/// A node's certificate, and what it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// What the certificate says.
    pub said: NodeCertificate,
    /// The authorities, and who is revoked.
    pub trust: Trust,
    /// What its ticket said.
    pub joined: Joined,
}

impl NodeFolder {
    /// The folder at this path, created if it does not exist.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(root: &Path) -> Result<Self, FolderError> {
        Ok(Self {
            folder: Folder::create(root)?,
        })
    }

    /// The node's key, made when it is first needed.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn key(&self) -> Result<NodeKey, FolderError> {
        if let Some(text) = self.folder.read(KEY)? {
            let key = NodeKey::from_pem(&text);
            return key.map_err(|_| content_error(&self.folder.path(KEY), "it is not a key"));
        }
        let key = NodeKey::generate()?;
        self.folder.write(KEY, &key.to_pem())?;
        Ok(key)
    }

    /// The network that the node has joined, if it has.
    ///
    /// # Errors
    /// If something in the folder can't be read, or is another node's.
    pub fn membership(&self, node: NodeId) -> Result<Option<Membership>, FolderError> {
        let (certificate, authority) =
            (self.folder.read(CERTIFICATE)?, self.folder.read(AUTHORITY)?);
        let (Some(certificate), Some(authority)) = (certificate, authority) else {
            return Ok(None);
        };
        let wrong = |name: &str, reason: &dyn ToString| {
            content_error(&self.folder.path(name), reason.to_string())
        };
        let chain = der_in(&certificate).map_err(|error| wrong(CERTIFICATE, &error))?;
        let certificate = chain.into_iter().next();
        let certificate = certificate.ok_or_else(|| wrong(CERTIFICATE, &"it is empty"))?;
        let said =
            NodeCertificate::parse(&certificate).map_err(|error| wrong(CERTIFICATE, &error))?;
        if said.node != node {
            let reason = format!("it is the certificate of node {}, not of {node}", said.node);
            return Err(wrong(CERTIFICATE, &reason));
        }
        if said.key != self.key()?.fingerprint() {
            return Err(wrong(CERTIFICATE, &"it is for another key than node.key"));
        }
        let root = AuthorityCertificate::from_pem(&authority);
        let mut trust = Trust::new(root.map_err(|error| wrong(AUTHORITY, &error))?);
        trust.restore(&self.folder.read_statements(STATEMENTS)?);
        let joined = self.folder.read(JOINED)?.unwrap_or_default();
        let joined = toml::from_str(&joined).map_err(|_| wrong(JOINED, &"it is damaged"))?;
        Ok(Some(Membership {
            certificate,
            said,
            trust,
            joined,
        }))
    }

    /// Keeps what a node got when it joined. The certificate is written last: with it the node has joined.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn join(&self, issued: &Issued, joined: &Joined) -> Result<(), FolderError> {
        self.keep_joined(joined)?;
        self.folder.write(AUTHORITY, &issued.authority.to_pem())?;
        self.folder
            .write_statements(STATEMENTS, issued.statements.iter())?;
        self.keep_certificate(&issued.certificate)
    }

    /// Keeps what a node's ticket said.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn keep_joined(&self, joined: &Joined) -> Result<(), FolderError> {
        let text = toml::to_string(joined);
        let text = text.map_err(|error| content_error(&self.folder.path(JOINED), error))?;
        self.folder.write(JOINED, &text)
    }

    /// Keeps a renewed certificate.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn keep_certificate(&self, certificate: &CertificateDer<'_>) -> Result<(), FolderError> {
        let pem = pem_of(std::slice::from_ref(certificate));
        self.folder.write(CERTIFICATE, &pem)
    }

    /// Keeps the statements.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn keep_statements(&self, trust: &Trust) -> Result<(), FolderError> {
        self.folder.write_statements(STATEMENTS, trust.statements())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority_folder::AuthorityFolder;
    use crate::joining::JoinRequest;

    const NODE: NodeId = NodeId::from_bytes([7; 16]);

    #[test]
    fn what_a_node_got_when_it_joined_survives_a_restart() {
        let place = tempfile::tempdir().expect("a folder");
        let authority = AuthorityFolder::create(&place.path().join("a"), "home", 1_000_000);
        let authority = authority.expect("it is created");
        let root = place.path().join("identity");
        let folder = NodeFolder::open(&root).expect("it is created");
        assert_eq!(folder.membership(NODE).expect("it is empty"), None);
        let key = folder.key().expect("it is made");
        let request = JoinRequest::new(NODE, "A", &key).expect("a request");
        authority
            .revoke(&NodeId::from(9).to_string(), 1_000_000)
            .expect("an id is enough");
        let issued = authority
            .issue_own(&request, 1_000_000)
            .expect("it is issued");
        let joined = Joined {
            issuer: Some("a:1".to_owned()),
            zone: None,
            network: None,
            linked: false,
        };
        folder.join(&issued, &joined).expect("it is kept");

        let folder = NodeFolder::open(&root).expect("it exists");
        let found = folder
            .membership(NODE)
            .expect("it is read")
            .expect("it has joined");
        assert_eq!(
            (found.certificate, found.joined),
            (issued.certificate, joined)
        );
        assert!(found.trust.is_revoked(NodeId::from(9)));
        assert_eq!(
            folder.key().expect("it is there").fingerprint(),
            key.fingerprint()
        );
        let refused = folder
            .membership(NodeId::from(1))
            .expect_err("it is another's");
        assert!(refused.to_string().contains("node.pem"), "{refused}");
    }
}
