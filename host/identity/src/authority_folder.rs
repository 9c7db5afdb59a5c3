//! `AuthorityFolder`: where an authority keeps its key, whom it invited, and to which nodes it issued certificates.
//!
//! The commands `dataverse network …` and the node that issues certificates use the same folder; each call takes its lock.
//! In it are, for each generation of the key, `authority-N.pem` and, for the newest, `authority-N.key`; `statements`;
//! `invitations/` with one file for each, named by the hash of its secret; `nodes/` with one file for each node, by its id;
//! and `address`, where the node that issues certificates is reached. Copy the folder to a safe place: whoever has it
//! decides who belongs to the network.

use std::path::Path;
use std::time::SystemTime;

use dataverse_core::id::NodeId;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::Seconds;
use crate::authority::{Authority, AuthorityCertificate};
use crate::certificate::{CertificateError, NodeCertificate};
use crate::folder::{Folder, FolderError, content_error};
use crate::invitation::{Invitation, InvitationError};
use crate::joining::JoinRequest;
use crate::limits;
use crate::statement::{Content, Statement};
use crate::ticket::TicketSecret;
use crate::trust::Trust;

const STATEMENTS: &str = "statements";
const ADDRESS: &str = "address";
const NODES: &str = "nodes";
const INVITATIONS: &str = "invitations";
/// How long an invitation that has expired is kept, so that whoever uses it is told so.
const KEPT_S: Seconds = 7 * 24 * 60 * 60;

/// The folder of an authority.
#[derive(Debug, Clone)]
pub struct AuthorityFolder {
    folder: Folder,
}

/// A node to which the authority issued a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedNode {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its public key.
    pub key: String,
    /// The serial number of its last certificate.
    pub serial: String,
    /// When that expires.
    pub expires: Seconds,
}

/// The terms of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The name that the machine gets.
    pub name: Option<String>,
    /// The zone that it is in.
    pub zone: Option<String>,
    /// For how long it can be used.
    pub valid_s: Seconds,
    /// By how many machines.
    pub uses: u32,
}

/// What a node gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// The authority that signed it.
    pub authority: AuthorityCertificate,
    /// The zone that its invitation says.
    pub zone: Option<String>,
    /// Every statement so far.
    pub statements: Vec<Statement>,
}

/// Why no certificate is issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The ticket can't be used.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The id belongs to another key.
    #[error(
        "another key has the id {0} in this network: the data folder of one node is a copy of the other's; start this one with a fresh folder"
    )]
    Taken(NodeId),
    /// The node was revoked.
    #[error(
        "node {0} was revoked in this network; start it with a fresh folder to let it join again"
    )]
    Revoked(NodeId),
    /// The node is not known, so it can't renew.
    #[error("node {0} is not known to this authority: join with a ticket")]
    Unknown(NodeId),
    /// There are too many nodes.
    #[error("the authority has issued certificates to {max} nodes, the maximum", max = limits::NODES_MAX)]
    Full,
    /// The folder failed.
    #[error("the folder of the authority can't be used: {0}")]
    Folder(#[from] FolderError),
}

/// Why something could not be done with an authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is one already.
    #[error("there is an authority in {0} already; name another folder with --dir")]
    Exists(String),
    /// There is none.
    #[error(
        "there is no authority in {0}: make one with `dataverse network create NAME --dir DIR`"
    )]
    Absent(String),
    /// No or several nodes have this name.
    #[error("{0}")]
    Node(String),
    /// A bound.
    #[error("{0}")]
    Bound(String),
    /// The system has no randomness.
    #[error("the system has no randomness to draw a secret from")]
    NoRandomness,
    /// The folder failed.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl From<CertificateError> for AuthorityError {
    fn from(error: CertificateError) -> Self {
        FolderError::from(error).into()
    }
}

impl From<CertificateError> for IssueError {
    fn from(error: CertificateError) -> Self {
        FolderError::from(error).into()
    }
}

impl AuthorityFolder {
    /// Makes an authority for a network of this name.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn create(root: &Path, network: &str, now: Seconds) -> Result<Self, AuthorityError> {
        crate::certificate::check_name(network)?;
        let folder = Folder::create(root)?;
        let _lock = folder.lock()?;
        let made = Self { folder };
        if made.generation()? != 0 {
            return Err(AuthorityError::Exists(root.display().to_string()));
        }
        made.keep(&Authority::create(network, 1, now)?)?;
        Ok(made)
    }

    /// The authority in this folder.
    ///
    /// # Errors
    /// [`AuthorityError::Absent`] if there is none.
    pub fn open(root: &Path) -> Result<Self, AuthorityError> {
        let absent = || AuthorityError::Absent(root.display().to_string());
        if !root.exists() {
            return Err(absent());
        }
        let opened = Self {
            folder: Folder::open(root)?,
        };
        match opened.generation()? {
            0 => Err(absent()),
            _ => Ok(opened),
        }
    }

    /// Key and certificate of the newest generation.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn authority(&self) -> Result<Authority, FolderError> {
        let generation = self.generation()?;
        let key = self.read(&key_name(generation))?;
        let certificate = self.read(&certificate_name(generation))?;
        let read = Authority::from_pem(&key, &certificate);
        read.map_err(|error| content_error(&self.folder.path(&key_name(generation)), error))
    }

    /// What nodes of the network trust.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn trust(&self) -> Result<Trust, FolderError> {
        let root = self.read(&certificate_name(1))?;
        let root = AuthorityCertificate::from_pem(&root);
        let root =
            root.map_err(|error| content_error(&self.folder.path(&certificate_name(1)), error));
        let mut trust = Trust::new(root?);
        trust.restore(&self.folder.read_statements(STATEMENTS)?);
        Ok(trust)
    }

    /// When the statements were last changed; `None` if there are none yet.
    #[must_use]
    pub fn changed_at(&self) -> Option<SystemTime> {
        let found = std::fs::metadata(self.folder.path(STATEMENTS)).ok()?;
        found.modified().ok()
    }

    /// Invites machines on these terms. The secret is for the ticket; only its hash is kept.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn invite(&self, terms: Terms, now: Seconds) -> Result<TicketSecret, AuthorityError> {
        if let Some(wrong) = terms.wrong() {
            return Err(AuthorityError::Bound(wrong));
        }
        let _lock = self.folder.lock()?;
        let mut open = 0;
        for file in self.folder.names(INVITATIONS, usize::MAX)? {
            let file = format!("{INVITATIONS}/{file}");
            match self.read_toml::<Invitation>(&file)? {
                Some(old) if now >= old.expires.saturating_add(KEPT_S) => {
                    self.folder.remove(&file)?;
                }
                _ => open += 1,
            }
        }
        if open >= limits::INVITATIONS_MAX {
            return Err(AuthorityError::Bound(format!(
                "there are {open} invitations, the maximum; they are forgotten a week after they expire"
            )));
        }
        let secret = TicketSecret::draw().map_err(|_| AuthorityError::NoRandomness)?;
        let invitation = Invitation {
            name: terms.name,
            zone: terms.zone,
            expires: now.saturating_add(terms.valid_s),
            uses: terms.uses,
            used_by: Vec::new(),
        };
        self.write_toml(&invitation_name(&secret), &invitation)?;
        Ok(secret)
    }

    /// Issues a certificate to a machine that has a ticket.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn enrol(
        &self,
        secret: &TicketSecret,
        request: &JoinRequest,
        now: Seconds,
    ) -> Result<Issued, IssueError> {
        let _lock = self.folder.lock()?;
        let file = invitation_name(secret);
        let invitation = self.read_toml::<Invitation>(&file)?;
        let mut invitation = invitation.ok_or(InvitationError::Unknown)?;
        // Who asks again after it has joined has lost the answer, and has used the invitation already.
        let changed = invitation.redeem(request.key(), now)?;
        self.check(request)?;
        if changed {
            self.write_toml(&file, &invitation)?;
        }
        let name = invitation.name.as_deref().unwrap_or_else(|| request.name());
        Ok(Issued {
            zone: invitation.zone.clone(),
            ..self.issue(request, name, now)?
        })
    }

    /// Issues a new certificate to a node that has one, and that has shown it.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn renew(&self, request: &JoinRequest, now: Seconds) -> Result<Issued, IssueError> {
        let _lock = self.folder.lock()?;
        let known = self.check(request)?;
        let known = known.ok_or_else(|| IssueError::Unknown(request.node()))?;
        self.issue(request, &known.name, now)
    }

    /// Issues a certificate to a node that runs with this folder, which needs no ticket.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue_own(&self, request: &JoinRequest, now: Seconds) -> Result<Issued, IssueError> {
        let _lock = self.folder.lock()?;
        self.check(request)?;
        self.issue(request, request.name(), now)
    }

    fn check(&self, request: &JoinRequest) -> Result<Option<IssuedNode>, IssueError> {
        let node = request.node();
        if self.trust()?.is_revoked(node) {
            return Err(IssueError::Revoked(node));
        }
        match self.read_toml::<IssuedNode>(&node_name(node))? {
            Some(known) if known.key != request.key().to_string() => Err(IssueError::Taken(node)),
            None if self.folder.names(NODES, limits::NODES_MAX)?.len() >= limits::NODES_MAX => {
                Err(IssueError::Full)
            }
            known => Ok(known),
        }
    }

    fn issue(&self, request: &JoinRequest, name: &str, now: Seconds) -> Result<Issued, IssueError> {
        let authority = self.authority()?;
        let until = now.saturating_add(limits::CERTIFICATE_VALID_S);
        let certificate = authority.issue(request, name, now, until)?;
        let said = NodeCertificate::parse(&certificate)?;
        let issued = IssuedNode {
            name: said.name,
            key: said.key.to_string(),
            serial: said.serial,
            expires: said.not_after,
        };
        self.write_toml(&node_name(said.node), &issued)?;
        Ok(Issued {
            certificate,
            authority: authority.certificate().clone(),
            zone: None,
            statements: self.trust()?.statements().cloned().collect(),
        })
    }

    /// The nodes to which certificates were issued.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn nodes(&self) -> Result<Vec<(NodeId, IssuedNode)>, FolderError> {
        let mut nodes = Vec::new();
        for file in self.folder.names(NODES, limits::NODES_MAX)? {
            let id = file.strip_suffix(".toml").and_then(|id| id.parse().ok());
            if let (Some(id), Some(node)) = (id, self.read_toml(&format!("{NODES}/{file}"))?) {
                nodes.push((id, node));
            }
        }
        Ok(nodes)
    }

    /// Revokes the node with this id or name. Returns its id, and false if it was revoked before.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn revoke(&self, node: &str, now: Seconds) -> Result<(NodeId, bool), AuthorityError> {
        let _lock = self.folder.lock()?;
        let mut trust = self.trust()?;
        let node = self.find(node, &trust)?;
        if trust.is_revoked(node) {
            return Ok((node, false));
        }
        let revocation = Content::Revocation { node, at: now };
        let revocation = Statement::sign(revocation, &self.authority()?)?;
        if !trust.restore(&[revocation]) {
            return Err(AuthorityError::Bound(format!(
                "{} nodes are revoked in this network, the maximum",
                limits::REVOCATIONS_MAX
            )));
        }
        self.keep_statements(&trust)?;
        Ok((node, true))
    }

    /// The node with this id or name. A name may have belonged to nodes that are revoked.
    fn find(&self, node: &str, trust: &Trust) -> Result<NodeId, AuthorityError> {
        if let Ok(id) = node.parse() {
            return Ok(id);
        }
        let mut named = self.nodes()?;
        named.retain(|(_, known)| known.name == node);
        let valid = |(id, _): &&(NodeId, IssuedNode)| !trust.is_revoked(*id);
        let valid: Vec<NodeId> = named.iter().filter(valid).map(|(id, _)| *id).collect();
        match (&valid[..], &named[..]) {
            ([id], _) | ([], [(id, _)]) => Ok(*id),
            ([], []) => Err(AuthorityError::Node(format!(
                "no node of this network is called `{node}`; `dataverse network nodes` lists them"
            ))),
            _ => Err(AuthorityError::Node(format!(
                "several nodes are called `{node}`; give the id, which `dataverse network nodes` shows"
            ))),
        }
    }

    /// Replaces the authority's key. The old one still counts for `overlap_s`; nodes renew their certificates meanwhile.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn rotate(
        &self,
        overlap_s: Seconds,
        now: Seconds,
    ) -> Result<AuthorityCertificate, AuthorityError> {
        let _lock = self.folder.lock()?;
        let (old, mut trust) = (self.authority()?, self.trust()?);
        let generation = old.certificate().generation();
        let new = Authority::create(trust.network(), generation + 1, now)?;
        let until = now.saturating_add(overlap_s);
        if !trust.restore(&[Statement::rotation(&old, &new, now, until)?]) {
            return Err(AuthorityError::Bound(format!(
                "the authority was rotated {} times, the maximum",
                limits::ROTATIONS_MAX
            )));
        }
        trust.restore(&trust.resigned(&new)?);
        self.keep(&new)?;
        self.keep_statements(&trust)?;
        // What the old key had to sign is signed.
        self.folder.remove(&key_name(generation))?;
        Ok(new.certificate().clone())
    }

    /// The address of the node that issues certificates, if one has run.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn address(&self) -> Result<Option<String>, FolderError> {
        let text = self.folder.read(ADDRESS)?;
        Ok(text.map(|text| text.trim().to_owned()))
    }

    /// Records the address of the node that issues certificates.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn keep_address(&self, address: &str) -> Result<(), FolderError> {
        self.folder.write(ADDRESS, &format!("{address}\n"))
    }

    fn keep(&self, authority: &Authority) -> Result<(), FolderError> {
        let generation = authority.certificate().generation();
        let (key, certificate) = (authority.key_pem(), authority.certificate().to_pem());
        // The generation is there once its certificate is.
        self.folder.write(&key_name(generation), &key)?;
        self.folder
            .write(&certificate_name(generation), &certificate)
    }

    fn keep_statements(&self, trust: &Trust) -> Result<(), FolderError> {
        self.folder.write_statements(STATEMENTS, trust.statements())
    }

    /// The newest generation; 0 if there is none.
    fn generation(&self) -> Result<u32, FolderError> {
        let names = self.folder.names("", usize::MAX)?;
        let generation = |name: &String| {
            let number = name.strip_prefix("authority-")?.strip_suffix(".pem")?;
            number.parse().ok()
        };
        Ok(names.iter().filter_map(generation).max().unwrap_or(0))
    }

    fn read(&self, name: &str) -> Result<String, FolderError> {
        let text = self.folder.read(name)?;
        text.ok_or_else(|| content_error(&self.folder.path(name), "it is missing"))
    }

    fn read_toml<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, FolderError> {
        let Some(text) = self.folder.read(name)? else {
            return Ok(None);
        };
        let read = toml::from_str(&text);
        let read = read.map_err(|_| content_error(&self.folder.path(name), "it is damaged"));
        read.map(Some)
    }

    fn write_toml<T: Serialize>(&self, name: &str, value: &T) -> Result<(), FolderError> {
        let text = toml::to_string(value);
        let text = text.map_err(|error| content_error(&self.folder.path(name), error))?;
        self.folder.write(name, &text)
    }
}

impl Terms {
    fn wrong(&self) -> Option<String> {
        let names = [self.name.as_deref(), self.zone.as_deref()];
        let names = names.into_iter().flatten();
        if let Some(error) = names
            .map(crate::certificate::check_name)
            .find_map(Result::err)
        {
            return Some(error.to_string());
        }
        if !(1..=limits::INVITATION_USES_MAX).contains(&self.uses) {
            return Some(format!(
                "expected 1 to {} uses",
                limits::INVITATION_USES_MAX
            ));
        }
        if self.name.is_some() && self.uses > 1 {
            return Some(
                "an invitation with a name is for one machine: leave out --uses".to_owned(),
            );
        }
        if !(1..=limits::INVITATION_VALID_S_MAX).contains(&self.valid_s) {
            return Some("an invitation is valid for a second to a year".to_owned());
        }
        None
    }
}

fn key_name(generation: u32) -> String {
    format!("authority-{generation}.key")
}

fn certificate_name(generation: u32) -> String {
    format!("authority-{generation}.pem")
}

fn invitation_name(secret: &TicketSecret) -> String {
    format!("{INVITATIONS}/{}.toml", secret.hash())
}

fn node_name(node: NodeId) -> String {
    format!("{NODES}/{node}.toml")
}

#[cfg(test)]
mod tests;
