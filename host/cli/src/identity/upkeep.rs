//! Keeps a node's identity up while it runs: renews its certificate in time, takes up what the authority says, keeps that
//! on the disk, and reads the files of a PKI again when they change.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use dataverse_core::backoff::Backoff;
use dataverse_identity::authority_folder::AuthorityFolder;
use dataverse_identity::joining::JoinRequest;
use dataverse_identity::node_folder::{Joined, NodeFolder};
use dataverse_identity::statement::Statement;
use dataverse_overlay::clock::system_seconds;
use dataverse_overlay::enrolment::{EnrolError, Enrolled, renew};
use dataverse_overlay::timings::Timings;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pki::{Edition, PkiFiles};
use super::{NodeIdentity, Source, blocking, presented};

/// How often to look for changes of files and dates.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pauses between attempts to renew.
const RENEW_AGAIN_MIN: Duration = Duration::from_secs(2);
const RENEW_AGAIN_MAX: Duration = Duration::from_secs(60 * 60);

/// What is done when.
struct Upkeep<'a> {
    identity: &'a NodeIdentity,
    timings: Timings,
    /// The first link has been made.
    is_linked: bool,
    /// When the statements in the authority's folder were changed that are taken up.
    seen: Option<SystemTime>,
    /// When to try to renew again, after a failure.
    renew_at: Instant,
    backoff: Backoff,
}

impl NodeIdentity {
    /// Runs until `closing`. `neighbours` are the addresses of nodes with which there is a link. They may issue
    /// certificates, besides the node that issued the first.
    pub(crate) async fn keep_up(
        self,
        neighbours: impl Fn() -> Vec<String>,
        timings: Timings,
        closing: CancellationToken,
    ) {
        let work = async {
            match &self.source {
                Source::Pki(files) => self.keep_reading(files).await,
                Source::Network {
                    folder, authority, ..
                } => {
                    let upkeep = Upkeep {
                        identity: &self,
                        timings,
                        is_linked: self.joined.linked,
                        seen: None,
                        renew_at: Instant::now(),
                        backoff: Backoff::new(RENEW_AGAIN_MIN, RENEW_AGAIN_MAX),
                    };
                    upkeep.run(folder, authority.as_ref(), neighbours).await;
                }
            }
        };
        tokio::select! {
            () = closing.cancelled() => {}
            () = work => {}
        }
    }

    async fn keep_reading(&self, files: &PkiFiles) {
        let mut used: Option<Edition> = None;
        loop {
            match files.edition().await {
                Ok(found) if used.is_none_or(|used| used == found) => used = Some(found),
                Ok(found) => {
                    used = Some(found);
                    match files.reload(&self.credentials).await {
                        Ok(()) => {
                            tracing::info!("the certificate files have changed and are in use")
                        }
                        Err(error) => tracing::error!(
                            error = format!("{error:#}"),
                            "the certificate files have changed and can't be used; the old ones stay in use"
                        ),
                    }
                }
                Err(error) => tracing::warn!(%error, "the certificate files can't be looked at"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Upkeep<'_> {
    async fn run(
        mut self,
        folder: &NodeFolder,
        authority: Option<&AuthorityFolder>,
        neighbours: impl Fn() -> Vec<String>,
    ) {
        let credentials = &self.identity.credentials;
        let mut revision = credentials.revision();
        let mut kept = credentials.digest();
        loop {
            if let Some(authority) = authority
                && let Err(error) = self.take_up(authority).await
            {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the folder of the authority can't be read"
                );
            }
            if !self.is_linked && !neighbours().is_empty() {
                match self.keep_linked(folder).await {
                    Ok(()) => self.is_linked = true,
                    Err(error) => tracing::warn!(
                        error = format!("{error:#}"),
                        "that this node is linked can't be kept"
                    ),
                }
            }
            if credentials.digest() != kept {
                match self.keep_statements(folder).await {
                    Ok(()) => kept = credentials.digest(),
                    Err(error) => tracing::error!(
                        error = format!("{error:#}"),
                        "what the authority said can't be kept"
                    ),
                }
            }
            if credentials.should_renew(system_seconds()) && self.renew_at <= Instant::now() {
                self.renew(folder, authority, neighbours()).await;
            }
            tokio::select! {
                changed = revision.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Takes up what the operator did with the authority's folder.
    async fn take_up(&mut self, authority: &AuthorityFolder) -> anyhow::Result<()> {
        let (authority, seen) = (authority.clone(), self.seen);
        let changed = blocking(move || {
            let changed_at = authority.changed_at();
            if changed_at == seen {
                return Ok(None);
            }
            let trust = authority.trust()?;
            let statements: Vec<Statement> = trust.statements().cloned().collect();
            Ok(Some((changed_at, statements)))
        });
        let Some((changed_at, statements)) = changed.await? else {
            return Ok(());
        };
        self.seen = changed_at;
        if self
            .identity
            .credentials
            .learn(&statements, system_seconds())
        {
            tracing::info!("the authority revoked a node or was rotated");
        }
        Ok(())
    }

    /// The first link is made, and from now on kept by the driver.
    async fn keep_linked(&self, folder: &NodeFolder) -> anyhow::Result<()> {
        let joined = Joined {
            linked: true,
            ..self.identity.joined.clone()
        };
        let folder = folder.clone();
        blocking(move || Ok(folder.keep_joined(&joined)?)).await
    }

    async fn keep_statements(&self, folder: &NodeFolder) -> anyhow::Result<()> {
        let Some(trust) = self.identity.credentials.trust() else {
            return Ok(());
        };
        let folder = folder.clone();
        blocking(move || Ok(folder.keep_statements(&trust)?)).await
    }

    async fn renew(
        &mut self,
        folder: &NodeFolder,
        authority: Option<&AuthorityFolder>,
        neighbours: Vec<String>,
    ) {
        let until = self.identity.credentials.own().not_after;
        let days_left = until.saturating_sub(system_seconds()) / (24 * 60 * 60);
        match self.renewed(folder, authority, neighbours).await {
            Ok(()) => {
                self.backoff.reset();
                tracing::info!("the certificate of this node was renewed");
            }
            Err(error) => {
                self.renew_at = Instant::now() + self.backoff.next_pause();
                tracing::warn!(
                    error = format!("{error:#}"),
                    days_left,
                    "the certificate of this node could not be renewed; trying again"
                );
            }
        }
    }

    async fn renewed(
        &self,
        folder: &NodeFolder,
        authority: Option<&AuthorityFolder>,
        neighbours: Vec<String>,
    ) -> anyhow::Result<()> {
        let identity = self.identity;
        let Source::Network { key, .. } = &identity.source else {
            return Ok(());
        };
        let own = identity.credentials.own();
        let request = JoinRequest::new(own.node, &own.name, key)?;
        let issued = match authority.cloned() {
            Some(authority) => {
                let issued = blocking(move || Ok(authority.issue_own(&request, system_seconds())?));
                issued.await?
            }
            None => self.asked(&request, neighbours).await?.issued,
        };
        // The authority may have been rotated in the meantime.
        identity
            .credentials
            .learn(&issued.statements, system_seconds());
        self.keep_statements(folder).await?;
        let (place, certificate) = (folder.clone(), issued.certificate);
        let membership = blocking(move || {
            place.keep_certificate(&certificate)?;
            Ok(place.membership(own.node)?)
        });
        let membership = membership.await?.context("the certificate was just kept")?;
        identity
            .credentials
            .present(presented(&membership, key), system_seconds())?;
        Ok(())
    }

    /// Asks the node that issued the first certificate, then others.
    async fn asked(
        &self,
        request: &JoinRequest,
        neighbours: Vec<String>,
    ) -> anyhow::Result<Enrolled> {
        let issuer = self.identity.joined.issuer.iter().cloned();
        let mut last = None;
        for address in issuer.chain(neighbours) {
            let credentials = &self.identity.credentials;
            match renew(&address, credentials, request, &self.timings).await {
                Ok(enrolled) => return Ok(enrolled),
                // What a node that could issue one said is of more interest.
                Err(EnrolError::NotAnIssuer(_)) if last.is_some() => {}
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error.into()),
            None => anyhow::bail!("no node is known that issues certificates"),
        }
    }
}
