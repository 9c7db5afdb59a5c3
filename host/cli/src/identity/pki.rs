//! The identity of a node for those who run a PKI: three files, read again when they change.
//!
//! A certificate must name the node's id, and may be used by servers and by clients. Revocation is up to the PKI: make
//! certificates that are valid for a short time, and put the renewed ones in place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use dataverse_core::id::NodeId;
use dataverse_identity::certificate::der_in;
use dataverse_identity::credentials::{Anchors, Credentials, Presented};
use dataverse_identity::node_folder::Joined;
use dataverse_overlay::clock::system_seconds;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{NodeIdentity, Source, blocking};
use crate::config::NodeConfig;

/// The files of a node's identity.
#[derive(Debug, Clone)]
pub(super) struct PkiFiles {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

/// What is in the files.
struct Read {
    presented: Presented,
    roots: Vec<CertificateDer<'static>>,
}

/// When the files were last changed.
pub(super) type Edition = [Option<SystemTime>; 3];

impl PkiFiles {
    pub(super) fn of(config: &NodeConfig) -> Option<Self> {
        Some(Self {
            ca: config.tls_ca.clone()?,
            certificate: config.tls_cert.clone()?,
            key: config.tls_key.clone()?,
        })
    }

    pub(super) async fn prepare(self, node: NodeId) -> anyhow::Result<NodeIdentity> {
        let files = self.clone();
        let Read { presented, roots } = blocking(move || files.read()).await?;
        let anchors = Anchors::Pki(roots);
        let credentials = Credentials::new(node, presented, anchors, system_seconds());
        let credentials =
            credentials.with_context(|| format!("--tls-cert {}", self.certificate.display()))?;
        Ok(NodeIdentity {
            credentials: Arc::new(credentials),
            source: Source::Pki(self),
            joined: Joined::default(),
        })
    }

    /// Reads the files again and uses what is in them.
    pub(super) async fn reload(&self, credentials: &Credentials) -> anyhow::Result<()> {
        let files = self.clone();
        let Read { presented, roots } = blocking(move || files.read()).await?;
        Ok(credentials.replace(presented, roots, system_seconds())?)
    }

    /// When the files were last changed, as far as they are there.
    pub(super) async fn edition(&self) -> anyhow::Result<Edition> {
        let files = [&self.ca, &self.certificate, &self.key].map(Clone::clone);
        let changed = |file: PathBuf| std::fs::metadata(file).and_then(|it| it.modified()).ok();
        blocking(move || Ok(files.map(changed))).await
    }

    fn read(&self) -> anyhow::Result<Read> {
        let named = |flag: &str, path: &PathBuf| format!("{flag} {}", path.display());
        let certificates = |flag: &str, path: &PathBuf| {
            let text = std::fs::read_to_string(path).with_context(|| named(flag, path))?;
            let ders = der_in(&text).with_context(|| named(flag, path))?;
            anyhow::ensure!(
                !ders.is_empty(),
                "{}: it holds no certificate",
                named(flag, path)
            );
            Ok(ders)
        };
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key =
            key.map_err(|error| anyhow::anyhow!("{}: {error}", named("--tls-key", &self.key)));
        Ok(Read {
            presented: Presented {
                chain: certificates("--tls-cert", &self.certificate)?,
                key: key?,
            },
            roots: certificates("--tls-ca", &self.ca)?,
        })
    }
}
